/** What the files that a device holds make of it: whom it trusts, by which values it lives, who is revoked. */
import { decode, encode } from '@chrysalis/coer';
import {
  asCertificate,
  Certificate,
  endOfValidity,
  formatTime32,
  type Time32,
  TrustStore,
  type VerifiedCertificate,
} from '@chrysalis/ieee1609dot2';
import {
  type AdoptedChainFile,
  adoptLocalChainFile,
  type CompositeVersion,
  DEFAULT_GLOBAL_POLICY,
  expectIPeriod,
  hostnameOf,
  localPolicyGenerationTime,
  openCompositeCrl,
  openLocalPolicyFile,
  type PolicyValues,
  policyAt,
  RevocationList,
  scmsSspOf,
  type VerifiedLocalPolicy,
} from '@chrysalis/scms';
import { type Enrollment, isDataError } from './enrollment.ts';
import { EeError, messageOf } from './error.ts';
import { toHex } from './json-record.ts';
import type { RaFile } from './ra-file.ts';

/** Local certificate chain file, local policy file, CompositeCrl. */
export type RaFileKind = 'chains' | 'policy' | 'crl';

/** In this order: the signers of the policy and of the CRLs may be known from the chains. */
export const RA_FILE_KINDS: readonly RaFileKind[] = ['chains', 'policy', 'crl'];

export type HeldFiles = Readonly<Partial<Record<RaFileKind, RaFile>>>;

/** What a device lives by. Made anew from the octets whenever it is needed; nothing verified is stored. */
export interface Governance {
  readonly files: HeldFiles;
  /** Opens certificate responses: the authorities of the chain files, this one and those before it, and of the bundle. */
  readonly trust: TrustStore;
  readonly revocations: RevocationList | undefined;
  /** Those of the files that verify. */
  readonly followed: ReadonlySet<RaFileKind>;
  /** What stands in the chain file, without those whose permissions were not judged. */
  readonly components: readonly VerifiedCertificate[];
  /** To whom misbehavior is reported. */
  readonly ma: VerifiedCertificate | undefined;
  /** Whether the values are those of a policy file, and not the defaults of CAMP's. */
  readonly hasPolicy: boolean;
  /** The values in force at a time. */
  policyAt(time: Time32): PolicyValues;
}

const MICROSECONDS = 1_000_000n;
/** How far the clock of an RA may be ahead of ours. A policy of a time that never comes would stand in the way of all. */
const MAX_AHEAD_SEC = 3600;
/** A whole SCMS has a few hundred authorities, and only they make certificates that are kept. */
const MAX_FORMER = 1000;

interface Parts {
  readonly files: HeldFiles;
  readonly chains?: AdoptedChainFile<CompositeVersion>;
  readonly policy?: VerifiedLocalPolicy;
  readonly revocations?: RevocationList;
}

/**
 * Verifies the files of a device, each by the ones before it. One that does not verify any more is not
 * followed, and is told.
 */
export function govern(
  files: HeldFiles,
  enrollment: Enrollment,
  time: Time32,
  onRefused: (which: RaFileKind, reason: EeError) => void,
): Governance {
  return governanceOf(partsOf(files, enrollment, time, onRefused), enrollment);
}

/**
 * As {@link govern}, with new files beside those that are held. Each new one is taken in when all of it
 * verifies and it is not older: a policy than the one that is held, by its signed generationTime; a chain
 * file than the GCCF that the policy names. Else the one that is held goes on.
 */
export function adopt(
  held: HeldFiles,
  fresh: HeldFiles,
  enrollment: Enrollment,
  time: Time32,
  onRefused: (which: RaFileKind, reason: EeError) => void,
): Governance {
  let parts = partsOf(held, enrollment, time, () => {});
  for (const which of RA_FILE_KINDS) {
    const file = fresh[which];
    if (file === undefined) continue;
    try {
      const next = takeIn(parts, which, withFormer(parts, which, file), enrollment, time);
      expectNotOlder(parts, next, which, time);
      parts = which === 'chains' ? withoutNeedless(next, enrollment, time) : next;
    } catch (cause) {
      onRefused(which, refusalOf(which, cause));
    }
  }
  if (fresh.chains !== undefined && parts.files.chains !== held.chains) {
    try {
      // The policy that came with it may name a later one.
      expectNamed(parts, time);
    } catch (cause) {
      onRefused('chains', refusalOf('chains', cause));
      const { chains: _, ...others } = fresh;
      return adopt(held, others, enrollment, time, onRefused);
    }
  }
  return governanceOf(parts, enrollment);
}

function partsOf(
  files: HeldFiles,
  enrollment: Enrollment,
  time: Time32,
  onRefused: (which: RaFileKind, reason: EeError) => void,
): Parts {
  let parts: Parts = { files: {} };
  for (const which of RA_FILE_KINDS) {
    const file = files[which];
    if (file === undefined) continue;
    try {
      parts = takeIn(parts, which, file, enrollment, time);
    } catch (cause) {
      // Still held, so that its version counts.
      parts = { ...parts, files: { ...parts.files, [which]: file } };
      onRefused(which, refusalOf(which, cause));
    }
  }
  return parts;
}

/** @throws what the packages below throw when something in the file does not verify */
function takeIn(
  parts: Parts,
  which: RaFileKind,
  file: RaFile,
  enrollment: Enrollment,
  time: Time32,
): Parts {
  const files = { ...parts.files, [which]: file };
  const { ra, root, trust, pinned, vouchedFor } = enrollment;
  switch (which) {
    case 'chains': {
      const roots = [asCertificate(root)];
      const former = [
        ...(file.former ?? []).map((octets) => decode(Certificate, octets)),
        ...enrollment.authorities.map(asCertificate),
      ];
      const chains = adoptLocalChainFile(file.octets, roots, {
        pinned: vouchedFor.map(asCertificate),
        former,
      });
      expectHost(chains.version.raHostname, ra);
      return { ...parts, files, chains };
    }
    case 'policy': {
      const raHostname = hostnameOf(ra);
      const policy = openLocalPolicyFile(file.octets, withRa(parts.chains?.trust, enrollment), {
        time,
        ...(raHostname !== undefined && { raHostname }),
      });
      expectIPeriod(policy.policy, enrollment.iPeriods.lengthSec, time);
      return { ...parts, files, policy };
    }
    case 'crl': {
      const signers = parts.chains?.trust ?? trust;
      const revocations = new RevocationList(openCompositeCrl(file.octets, signers, time));
      if (parts.revocations) revocations.expectReplaces(parts.revocations);
      return { ...parts, files, revocations };
    }
  }

  function withRa(store: TrustStore | undefined, { ra: own }: Enrollment): TrustStore {
    if (store === undefined) return pinned;
    if (store.get(own.id) === undefined) store.pin(asCertificate(own));
    return store;
  }
}

/**
 * The new chain file with what was verified before it: being unsigned, it may have been made by whoever has
 * the RA's X.509 key, and must not take away what it leaves out.
 */
function withFormer(held: Parts, which: RaFileKind, file: RaFile): RaFile {
  if (which !== 'chains') return file;
  const { chains } = held;
  const verified = chains ? [...chains.certs, ...chains.optionalCerts, ...chains.former] : [];
  const former = verified.map((certificate) => encode(Certificate, asCertificate(certificate)));
  return { ...file, former: chains ? former : (held.files.chains?.former ?? []) };
}

/** Keeps of the former certificates those that are not over, and have no other place. */
function withoutNeedless(parts: Parts, { authorities }: Enrollment, time: Time32): Parts {
  const { chains } = parts;
  const file = parts.files.chains;
  if (chains === undefined || file === undefined) return parts;
  const elsewhere = new Set(authorities.map(({ hash }) => toHex(hash)));
  const former = chains.former
    .filter(({ hash, issuer }) => issuer !== undefined && !elsewhere.has(toHex(hash)))
    .filter(({ certificate }) => endOfValidity(certificate.toBeSigned.validityPeriod) > time)
    .map((certificate) => encode(Certificate, asCertificate(certificate)))
    .slice(0, MAX_FORMER);
  const { name, octets } = file;
  const next = former.length === 0 ? { name, octets } : { name, octets, former };
  return { ...parts, files: { ...parts.files, chains: next } };
}

function expectNotOlder(held: Parts, next: Parts, which: RaFileKind, time: Time32): void {
  if (which === 'chains') expectNamed(next, time);
  if (which === 'policy' && next.policy) expectLater(held.files.policy, next.policy, time);
}

/**
 * A chain file is not signed, the policy that names its GCCF is. The RA's own version of the file says nothing:
 * somebody else may have said FFFF.
 */
function expectNamed({ chains, policy }: Parts, time: Time32): void {
  const named = policy && policyAt(policy.policy, time).globalCertChainFileId;
  const seen = chains?.version.gccfVersion;
  if (named === undefined || seen === undefined || seen >= named) return;
  const expected = `GCCF version ${named} or later, as the policy says`;
  throw new EeError('refused-file', `expected ${expected}, saw ${seen}`);
}

/** Versions begin anew when an RA loses its database, the time does not. Also when the held one verifies no more. */
function expectLater(held: RaFile | undefined, next: VerifiedLocalPolicy, time: Time32): void {
  const seen = next.generationTime;
  if (seen > BigInt(time + MAX_AHEAD_SEC) * MICROSECONDS) {
    throw new EeError('refused-file', 'expected a policy that was made by now, saw one of later');
  }
  const expected = held ? localPolicyGenerationTime(held.octets) : 0n;
  if (seen >= expected) return;
  const format = (made: bigint) => formatTime32(Number(made / MICROSECONDS));
  throw new EeError(
    'refused-file',
    `expected a policy of ${format(expected)} or later, saw one of ${format(seen)}`,
  );
}

function expectHost(seen: string, ra: VerifiedCertificate): void {
  const expected = hostnameOf(ra);
  if (expected === undefined || expected === seen) return;
  throw new EeError('refused-file', `expected a file for ${expected}, saw one for ${seen}`);
}

function refusalOf(which: RaFileKind, cause: unknown): EeError {
  if (cause instanceof EeError) return cause;
  if (!isDataError(cause)) throw cause;
  return new EeError('refused-file', `${which}: ${messageOf(cause)}`, { cause });
}

function governanceOf(
  { files, chains, policy, revocations }: Parts,
  enrollment: Enrollment,
): Governance {
  const data = policy?.policy ?? { global: DEFAULT_GLOBAL_POLICY };
  const components = [...(chains?.certs ?? []), ...(chains?.optionalCerts ?? [])].filter(
    (certificate) => isJudged(certificate, enrollment),
  );
  const former = (chains?.former ?? []).filter((certificate) => isJudged(certificate, enrollment));
  const followed = new Set<RaFileKind>();
  if (chains !== undefined) followed.add('chains');
  if (policy !== undefined) followed.add('policy');
  if (revocations !== undefined) followed.add('crl');
  return {
    files,
    trust:
      chains === undefined ? enrollment.trust : issuersOf([...components, ...former], enrollment),
    revocations,
    followed,
    components,
    ma: maOf(chains, enrollment),
    hasPolicy: policy !== undefined,
    policyAt: (time: Time32) => policyAt(data, time),
  };
}

/** Whether no permissions had to be overlooked for a certificate: neither it nor any above it was pinned. */
function isJudged(certificate: VerifiedCertificate, { vouchedFor }: Enrollment): boolean {
  const pinned = new Set(vouchedFor.map(({ hash }) => toHex(hash)));
  return !chainOf(certificate).some(({ hash }) => pinned.has(toHex(hash)));
}

/** The authorities of a chain file, and of those before it, without those whose permissions were not judged, so that they never use them. */
function issuersOf(components: readonly VerifiedCertificate[], { root }: Enrollment): TrustStore {
  const trust = new TrustStore([asCertificate(root)]);
  const issuersFirst = components.map((certificate) => ({
    certificate,
    length: chainOf(certificate).length,
  }));
  issuersFirst.sort((a, b) => a.length - b.length);
  for (const { certificate } of issuersFirst) trust.add(asCertificate(certificate));
  return trust;
}

/**
 * The MA of the chain file when it may take the place of the bundle's: an RA makes the file, and must not
 * have reports sealed to a certificate of its own. So it has the name of the bundle's MA, or the role.
 */
function maOf(
  chains: AdoptedChainFile<CompositeVersion> | undefined,
  enrollment: Enrollment,
): VerifiedCertificate | undefined {
  const { ma: bundled } = enrollment;
  const ma = chains?.ma;
  if (ma === undefined || !isJudged(ma, enrollment)) return bundled;
  const role = scmsSspOf(ma)?.type;
  if (bundled === undefined) return role === 'ma' ? ma : undefined;
  const name = hostnameOf(bundled);
  const isSuccessor = name !== undefined && name === hostnameOf(ma) && role !== 'ra';
  return isSuccessor && startOf(ma) >= startOf(bundled) ? ma : bundled;
}

function startOf({ certificate }: VerifiedCertificate): Time32 {
  return certificate.toBeSigned.validityPeriod.start;
}

function chainOf(certificate: VerifiedCertificate): VerifiedCertificate[] {
  const above = certificate.issuer === undefined ? [] : chainOf(certificate.issuer);
  return [certificate, ...above];
}
