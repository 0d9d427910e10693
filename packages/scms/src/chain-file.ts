/**
 * The files of certificates, GCCF and LCCF: neither signed nor wrapped, because every certificate in them is. Whoever
 * takes one verifies each chain up to a root that it knew before; only then is any of it used.
 */
import { encode } from '@chrysalis/coer';
import {
  type Certificate,
  encryptionPointOf,
  hashCertificate,
  Ieee1609Dot2Error,
  TrustStore,
  type VerifiedCertificate,
} from '@chrysalis/ieee1609dot2';
import { decodeMessage } from './envelope.ts';
import { ScmsDataError } from './error.ts';
import type {
  CertificateChainFiles,
  CertificateStore,
  CompositeVersion,
} from './pdu/cert-chain-files.ts';
import type { ElectorBallot } from './pdu/component-cert-management.ts';
import { ScmsFile } from './pdu/scms-file.ts';

/** Certificates in one file: each costs a signature. The whole SCMS of a country has a few hundred authorities. */
const MAX_CERTIFICATES = 2000;

/** Issuers may stand after those that they issued. No chain is longer, so that many rounds reach everything. */
const MAX_ROUNDS = 6;

/** What goes into a file. */
export interface ChainFileParts {
  readonly maCertificate: Certificate;
  /** All others: ICAs, PCAs, RA, PG, CRLG, roots if one likes; in any order. */
  readonly certs: readonly Certificate[];
  readonly rootCAEndorsements?: readonly ElectorBallot[];
  readonly electorEndorsements?: readonly ElectorBallot[];
}

/** A ScopedGlobalCertificateChainFile. */
export function composeGlobalChainFile(gccfVersion: number, parts: ChainFileParts): Uint8Array {
  return encodeFile({
    type: 'globalCertificateChainFile',
    value: { version: gccfVersion, certStore: certificateStore(parts) },
  });
}

/** A ScopedLocalCertificateChainFile. */
export function composeLocalChainFile(
  version: CompositeVersion,
  parts: ChainFileParts & { readonly optionalCerts?: readonly Certificate[] },
): Uint8Array {
  return encodeFile({
    type: 'localCertificateChainFile',
    value: {
      version,
      requiredCertStore: certificateStore(parts),
      optionalCertList: parts.optionalCerts ?? [],
    },
  });
}

/** A chain file of which every certificate has been verified. */
export interface AdoptedChainFile<Version> {
  readonly version: Version;
  /** The roots that were given, and everything in the file. */
  readonly trust: TrustStore;
  readonly ma: VerifiedCertificate;
  readonly certs: readonly VerifiedCertificate[];
  readonly optionalCerts: readonly VerifiedCertificate[];
  /** Those of `former` that verify and are not in the file. */
  readonly former: readonly VerifiedCertificate[];
  /** As they came: who verifies an LCCF for itself may have the parts of the next one from here. */
  readonly store: CertificateStore;
}

export interface AdoptOptions {
  /**
   * Certificates that the owner vouches for by hand, such as the RA and the MA of the bootstrap bundle. If they are in
   * the file, their issuer and signature are verified and their permissions are not (`TrustStore.pin`): the MA of a
   * recorded, fielded LCCF carries a certIssuePermissions that its ICA could not have given.
   */
  readonly pinned?: readonly Certificate[];
  /**
   * Certificates that the owner has verified before. Those that still verify are trusted as well, so that a file which
   * leaves one out, unsigned as it is, takes nothing away; the others are left out.
   */
  readonly former?: readonly Certificate[];
}

/**
 * Verifies every chain in an LCCF up to one of the roots, and returns a new trust store; there is nothing to undo when it
 * throws. A root in the file has to be one of those given: ballots, with which electors would add another, are carried
 * and not acted upon. The time is not looked at, because a file may bring the next PCA ahead of its start and keep one
 * whose certificates still count: `checkValidAt` is for each use.
 *
 * @param roots those that were installed at bootstrap
 * @throws Ieee1609Dot2Error with what is wrong with the first chain that does not verify; ScmsDataError `malformed`,
 *   `unexpected-message`
 */
export function adoptLocalChainFile(
  octets: Uint8Array,
  roots: Iterable<Certificate>,
  options: AdoptOptions = {},
): AdoptedChainFile<CompositeVersion> {
  const files = decodeFile(octets);
  if (files.type !== 'localCertificateChainFile') throw unexpected(files);
  const { version, requiredCertStore, optionalCertList } = files.value;
  const trust = new TrustStore(roots);
  return adopt(trust, version, requiredCertStore, optionalCertList, options);
}

/** As {@link adoptLocalChainFile}, for the GCCF: what an RA does before it makes its LCCF. */
export function adoptGlobalChainFile(
  octets: Uint8Array,
  roots: Iterable<Certificate>,
  options: AdoptOptions = {},
): AdoptedChainFile<number> {
  const files = decodeFile(octets);
  if (files.type !== 'globalCertificateChainFile') throw unexpected(files);
  const { version, certStore } = files.value;
  return adopt(new TrustStore(roots), version, certStore, [], options);
}

function adopt<Version>(
  trust: TrustStore,
  version: Version,
  store: CertificateStore,
  optional: readonly Certificate[],
  { pinned = [], former = [] }: AdoptOptions,
): AdoptedChainFile<Version> {
  const all = [store.maCertificate, ...store.certs, ...optional];
  if (all.length > MAX_CERTIFICATES) {
    throw new ScmsDataError(
      'unexpected-message',
      `expected at most ${MAX_CERTIFICATES} certificates, saw ${all.length}`,
    );
  }
  verifyAll(trust, all, new Set(pinned.map(hashOf)));
  const ma = trust.verify(store.maCertificate);
  // The only use of this one: reports are encrypted to it.
  encryptionPointOf(ma);
  const verified = (certificate: Certificate) => trust.verify(certificate);
  const inFile = new Set(all.map(hashOf));
  const others = former.filter((certificate) => !inFile.has(hashOf(certificate)));
  return {
    version,
    trust,
    ma,
    certs: store.certs.map(verified),
    optionalCerts: optional.map(verified),
    former: verifiable(trust, others),
    store,
  };
}

/** Adds all certificates, issuers first, however they are ordered. */
function verifyAll(
  trust: TrustStore,
  certificates: readonly Certificate[],
  pinned: ReadonlySet<string>,
): void {
  let waiting = certificates;
  for (let round = 0; round < MAX_ROUNDS && waiting.length > 0; round++) {
    waiting = waiting.filter((certificate) => !addIfIssued(trust, certificate, pinned));
  }
  // What is left has an issuer that is neither trusted nor in the file: this throws it.
  for (const certificate of waiting) trust.add(certificate);
}

/** Adds those that verify, issuers first. */
function verifiable(
  trust: TrustStore,
  certificates: readonly Certificate[],
): readonly VerifiedCertificate[] {
  const found: VerifiedCertificate[] = [];
  let waiting = certificates;
  for (let round = 0; round < MAX_ROUNDS && waiting.length > 0; round++) {
    waiting = waiting.filter((certificate) => {
      try {
        if (!addIfIssued(trust, certificate, new Set())) return true;
        found.push(trust.verify(certificate));
      } catch (error) {
        if (!(error instanceof Ieee1609Dot2Error)) throw error;
      }
      return false;
    });
  }
  return found;
}

/** False when the issuer is not there yet. */
function addIfIssued(
  trust: TrustStore,
  certificate: Certificate,
  pinned: ReadonlySet<string>,
): boolean {
  const { issuer } = certificate.value;
  const isThere = issuer.type !== 'sha256AndDigest' || trust.get(issuer.value) !== undefined;
  if (!isThere) return false;
  if (pinned.has(hashOf(certificate))) trust.pin(certificate);
  else trust.add(certificate);
  return true;
}

function hashOf(certificate: Certificate): string {
  return Buffer.from(hashCertificate(certificate).hash).toString('hex');
}

function certificateStore(parts: ChainFileParts): CertificateStore {
  const { maCertificate, certs, rootCAEndorsements = [], electorEndorsements = [] } = parts;
  return { rootCAEndorsements, electorEndorsements, maCertificate, certs };
}

function encodeFile(value: CertificateChainFiles): Uint8Array {
  return encode(ScmsFile, { version: 1, content: { type: 'certChain', value } });
}

function decodeFile(octets: Uint8Array): CertificateChainFiles {
  // Certificates are kept for long, and what is decoded are views of the input.
  const { content } = decodeMessage(ScmsFile, Uint8Array.from(octets), 'ScmsFile');
  if (content.type === 'certChain') return content.value;
  throw new ScmsDataError('unexpected-message', `expected a chain file, saw ${content.type}`);
}

function unexpected({ type }: CertificateChainFiles): ScmsDataError {
  return new ScmsDataError('unexpected-message', `expected the other chain file, saw ${type}`);
}
