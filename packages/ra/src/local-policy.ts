import { encode } from '@chrysalis/coer';
import {
  asCertificate,
  Ieee1609Dot2Error,
  type VerifiedCertificate,
} from '@chrysalis/ieee1609dot2';
import {
  type ComponentSigner,
  composeLocalPolicyFile,
  constantSeries,
  customPolicy,
  expectIPeriod,
  expectUsablePolicy,
  GlobalPolicyData,
  LocalPolicyData,
  openGlobalPolicyFile,
  openLocalPolicyFile,
  openPolicySignature,
  type PolicyGenerator,
  type PolicyValues,
  requestPolicySignature,
  ScmsDataError,
  timeOf,
  type VerifiedGlobalPolicy,
} from '@chrysalis/scms';
import type { PolicyOverrides, RaPolicy, RaSettings } from './options.ts';

const MICROSECONDS = 1_000_000n;

/** What goes into an LPF: the PG's policy and the RA's own. */
export interface LocalPolicy {
  readonly gpfVersion: number;
  readonly global: VerifiedGlobalPolicy;
  readonly local: LocalPolicyData;
}

/**
 * The policy of an RA under a SignedGlobalPolicyFile.
 *
 * @throws ScmsDataError, Ieee1609Dot2Error when the file is not right, the RA's own values undercut it, or its i-periods
 *   are of another length than those of the RA, now or later
 */
export function localPolicyOf(gpf: Uint8Array, options: RaSettings): LocalPolicy {
  const { trust, clock, policy, la1, la2, pca, iPeriod, toleranceSec } = options;
  const now = timeOf(clock);
  const global = openGlobalPolicyFile(gpf, trust, now);
  const { gpfVersion, generationTime } = global;
  if (gpfVersion === undefined) {
    throw new ScmsDataError('policy', 'expected the version of the GPF as its policyID');
  }
  // It would stand in the way of every one that is made until then.
  const ahead = Number(generationTime / MICROSECONDS) - now;
  if (ahead > toleranceSec) {
    const expected = `a GPF made at most ${toleranceSec} s ahead of the clock`;
    throw new ScmsDataError('policy', `expected ${expected}, saw one made ${ahead} s ahead`);
  }
  const local: LocalPolicyData = {
    ...(policy.shuffleThreshold !== undefined && {
      shuffleThreshold: constantSeries(policy.shuffleThreshold),
    }),
    ...(policy.certificatesPerPeriod !== undefined && {
      certsPerIPeriod: constantSeries(policy.certificatesPerPeriod),
    }),
    laOneHost: constantSeries(la1.hostname),
    laTwoHost: constantSeries(la2.hostname),
    pcaHost: constantSeries(pca.hostname),
  };
  expectUsablePolicy({ global: global.policy, local });
  expectIPeriod({ global: global.policy }, iPeriod.lengthSec, now);
  return { gpfVersion, global, local };
}

/** Has the custom part signed by the PG; what is returned adds the local part and signs the whole: a SignedLocalPolicyFile. */
export async function signedLocalPolicy(
  { gpfVersion, global, local }: LocalPolicy,
  pg: PolicyGenerator,
  options: RaSettings,
): Promise<(lpfVersion: number) => Uint8Array> {
  const { identity, trust, clock, toleranceSec } = options;
  const time = timeOf(clock);
  const ra: ComponentSigner = { certificate: identity.certificate, key: identity.signer };
  // A device refuses a policy that does not hold yet, and its clock may be behind ours by the tolerance.
  const times = { generationTime: time, activeTime: time - toleranceSec };
  const asked = customPolicy({
    ...times,
    policyID: global.policyID,
    custom: { requestingRaHostname: identity.hostname, globalPolicy: global.policy },
  });
  const reply = await pg.signPolicy(requestPolicySignature(asked, ra, time));
  const custom = openPolicySignature(reply, asked, trust, { time, ra: verifiedRa(options) });
  return (lpfVersion) =>
    composeLocalPolicyFile({ ...times, gpfVersion, lpfVersion, custom, local }, ra);
}

/** Whether a SignedLocalPolicyFile that was made before still says this, by these signers. */
export function saysTheSame(file: Uint8Array, policy: LocalPolicy, options: RaSettings): boolean {
  const { trust, clock, identity } = options;
  try {
    const opened = openLocalPolicyFile(file, trust, {
      time: timeOf(clock),
      raHostname: identity.hostname,
    });
    const { global, local } = opened.policy;
    return (
      opened.versions?.gpfVersion === policy.gpfVersion &&
      areEqual(encode(GlobalPolicyData, global), encode(GlobalPolicyData, policy.global.policy)) &&
      areEqual(encode(LocalPolicyData, local), encode(LocalPolicyData, policy.local)) &&
      areEqual(opened.ra.hash, identity.certificate.hash) &&
      areEqual(opened.pg.hash, policy.global.pg.hash)
    );
  } catch (error) {
    // Of another RA, or with a signer that is no longer valid: it takes a new one.
    if (error instanceof ScmsDataError || error instanceof Ieee1609Dot2Error) return false;
    throw error;
  }
}

/** The policy by which the RA lives: its own values, and those of the policy in force at each look for the rest. */
export function governedPolicy(own: PolicyOverrides, inForce: () => PolicyValues): RaPolicy {
  return {
    get certificatesPerPeriod() {
      return own.certificatesPerPeriod ?? inForce().certsPerIPeriod;
    },
    get weeksAhead() {
      return own.weeksAhead ?? inForce().maxAvailableCertSupplyPeriods;
    },
    get shuffleThreshold() {
      return own.shuffleThreshold ?? inForce().shuffleThreshold;
    },
    get shuffleMaxAgeSec() {
      return own.shuffleMaxAgeSec ?? inForce().maxCertRequestAgeSec;
    },
    shuffleInitial: own.shuffleInitial,
    get applicationPeriodSec() {
      return inForce().rseApplicationCertValiditySec;
    },
    get applicationOverlapSec() {
      return inForce().rseApplicationCertOverlapSec;
    },
  };
}

/** The RA's certificate is in its trust store, verified or pinned; when not, this says why. */
function verifiedRa({ trust, identity }: RaSettings): VerifiedCertificate {
  const { certificate } = identity;
  return trust.get(certificate.id) ?? trust.verify(asCertificate(certificate));
}

function areEqual(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
