/** What the files that a device holds make of it: whom it trusts, by which values it lives, who is revoked. */
import {
  asCertificate,
  type Time32,
  TrustStore,
  type VerifiedCertificate,
} from '@chrysalis/ieee1609dot2';
import {
  type AdoptedChainFile,
  adoptLocalChainFile,
  type CompositeVersion,
  DEFAULT_GLOBAL_POLICY,
  hostnameOf,
  openCompositeCrl,
  openLocalPolicyFile,
  type PolicyValues,
  policyAt,
  RevocationList,
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
  /** Opens certificate responses: the chain file's authorities, or those of the bundle. */
  readonly trust: TrustStore;
  readonly revocations: RevocationList | undefined;
  /** Whether the values are those of a policy file, and not the defaults of CAMP's. */
  readonly hasPolicy: boolean;
  /** The values in force at a time. */
  policyAt(time: Time32): PolicyValues;
}

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
 * verifies and it is no older than the one it replaces; else the one that is held goes on.
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
      const next = takeIn(parts, which, file, enrollment, time);
      expectNotOlder(parts, next);
      parts = next;
    } catch (cause) {
      onRefused(which, refusalOf(which, cause));
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
      // Still held, so that its version counts and it is not fetched again.
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
  const { ra, ma, root, trust, pinned } = enrollment;
  switch (which) {
    case 'chains': {
      const vouchedFor = [ra, ...(ma ? [ma] : [])].map(asCertificate);
      const roots = [asCertificate(root)];
      const chains = adoptLocalChainFile(file.octets, roots, { pinned: vouchedFor });
      expectHost(chains.version.raHostname, ra);
      return { ...parts, files, chains };
    }
    case 'policy': {
      const raHostname = hostnameOf(ra);
      const policy = openLocalPolicyFile(file.octets, withRa(parts.chains?.trust, enrollment), {
        time,
        ...(raHostname !== undefined && { raHostname }),
      });
      return { ...parts, files, policy };
    }
    case 'crl': {
      const signers = parts.chains?.trust ?? trust;
      const crls = openCompositeCrl(file.octets, signers, time);
      return { ...parts, files, revocations: new RevocationList(crls) };
    }
  }

  function withRa(store: TrustStore | undefined, { ra: own }: Enrollment): TrustStore {
    if (store === undefined) return pinned;
    if (store.get(own.id) === undefined) store.pin(asCertificate(own));
    return store;
  }
}

/** Chain files are not signed: an old one may be shown by whoever has the RA's X.509 key. */
function expectNotOlder(held: Parts, next: Parts): void {
  const versionOf = ({ chains, policy }: Parts, which: 'chains' | 'policy') =>
    which === 'chains'
      ? chains && [chains.version.gccfVersion, chains.version.lccfVersion]
      : policy?.versions && [policy.versions.gpfVersion, policy.versions.lpfVersion];
  for (const which of ['chains', 'policy'] as const) {
    const [before, after] = [versionOf(held, which), versionOf(next, which)];
    if (before === undefined || after === undefined) continue;
    const [a = 0, b = 0] = before;
    const [c = 0, d = 0] = after;
    if (c > a || (c === a && d >= b)) continue;
    throw new EeError('refused-file', `expected version ${a}.${b} or later, saw ${c}.${d}`);
  }
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
  return {
    files,
    trust: chains === undefined ? enrollment.trust : issuersOf(chains, enrollment),
    revocations,
    hasPolicy: policy !== undefined,
    policyAt: (time: Time32) => policyAt(data, time),
  };
}

/** The authorities of a chain file without those whose permissions were not judged, so that they never use them. */
function issuersOf(
  { certs, optionalCerts }: AdoptedChainFile<CompositeVersion>,
  { root, ra, ma }: Enrollment,
): TrustStore {
  const pinned = new Set([ra, ...(ma ? [ma] : [])].map(({ hash }) => toHex(hash)));
  const trust = new TrustStore([asCertificate(root)]);
  const issuers = [...certs, ...optionalCerts]
    .map((certificate) => ({ certificate, chain: chainOf(certificate) }))
    .filter(({ chain }) => !chain.some(({ hash }) => pinned.has(toHex(hash))));
  issuers.sort((a, b) => a.chain.length - b.chain.length);
  for (const { certificate } of issuers) trust.add(asCertificate(certificate));
  return trust;
}

function chainOf(certificate: VerifiedCertificate): VerifiedCertificate[] {
  const above = certificate.issuer === undefined ? [] : chainOf(certificate.issuer);
  return [certificate, ...above];
}
