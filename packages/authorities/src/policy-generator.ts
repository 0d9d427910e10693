import {
  asCertificate,
  Ieee1609Dot2Error,
  type Time32,
  type TrustStore,
  type VerifiedCertificate,
} from '@chrysalis/ieee1609dot2';
import {
  type BasePolicyFile,
  type ChainFileParts,
  type Clock,
  type ComponentSigner,
  type CustomPolicyData,
  composeGlobalChainFile,
  composeGlobalPolicyFile,
  constantSeries,
  countersigned,
  decodeMessage,
  expectCustomPolicy,
  expectRole,
  expectUsablePolicy,
  type GlobalPolicyData,
  hostnameOf,
  openSignedMessage,
  type PolicyGenerator,
  type RaPgError,
  type RaPgPolicySignatureRequestMsg,
  type RaPgSignedFile,
  ScmsDataError,
  ScmsPdu122,
  signRaPg,
  timeOf,
  versionOctets,
} from '@chrysalis/scms';
import type { Authority, TestScms } from './test-scms.ts';

export interface PolicyGeneratorOptions {
  readonly pg: Authority;
  /** Verifies the certificates of RAs: it holds them, or their issuer. */
  readonly trust: TrustStore;
  readonly clock: Clock;
  readonly gpfVersion: number;
  readonly gccfVersion: number;
  /** Its certChainFileId is set to the version of the GCCF when it names none. */
  readonly policy: GlobalPolicyData;
  /** When the policy was made, from when on it holds: now, both, when missing. */
  readonly activeTime?: Time32;
  /** What goes into the GCCF. */
  readonly chain: ChainFileParts;
  /** Told why a policy was not signed: the answer says less. */
  readonly onRefusal?: (error: RaPgError, reason: string) => void;
}

/** A chain file with everything that an SCMS has, as CAMP's proof of concept puts all of the GCCF into the LCCF. */
export function chainPartsOf(scms: TestScms): ChainFileParts {
  const { root, ica, pca, ra, eca, pg, crlg, la1, la2 } = scms;
  const certs = [root, ica, pca, ra, eca, pg, crlg, la1, la2];
  return {
    maCertificate: asCertificate(scms.ma.certificate),
    certs: certs.map(({ certificate }) => asCertificate(certificate)),
  };
}

/** How far the RA's clock may be away. A replayed request does no harm, so the bound only shows wrong clocks. */
const TOLERANCE_SEC = 300;
const MICROSECONDS = 1_000_000;

/** A refusal that travels in the answer. */
class PgRefusal extends Error {
  readonly reply: RaPgError;

  constructor(reply: RaPgError, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.reply = reply;
  }
}

/**
 * A PG in this process: see the port. Its files are made once, when it is created; another policy is another PG with
 * a higher version.
 *
 * @throws ScmsDataError `policy` when nobody could live by the policy
 */
export function createPolicyGenerator(options: PolicyGeneratorOptions): PolicyGenerator {
  const { pg, clock, gpfVersion, gccfVersion } = options;
  const signer: ComponentSigner = { certificate: pg.certificate, key: pg.signingKey };
  const policy = { certChainFileId: constantSeries(gccfVersion), ...options.policy };
  expectUsablePolicy({ global: policy });
  const madeAt = timeOf(clock);
  const { activeTime = madeAt } = options;
  const policyFile = composeGlobalPolicyFile(
    { gpfVersion, policy, generationTime: madeAt, activeTime },
    signer,
  );
  const chainFile = composeGlobalChainFile(gccfVersion, options.chain);
  const inForce = { policyID: versionOctets(gpfVersion), policy };
  return {
    globalPolicyFile: async () => Uint8Array.from(policyFile),
    globalCertificateChainFile: async () => Uint8Array.from(chainFile),
    async signPolicy(request) {
      const value = { version: 1, signedFile: answer(options, signer, inForce, request) };
      const pdu = { type: 'raPgPolicySignatureRequestReply', value } as const;
      return signRaPg(pdu, signer, timeOf(clock), 'certificate');
    },
  };
}

function answer(
  options: PolicyGeneratorOptions,
  signer: ComponentSigner,
  inForce: { readonly policyID: Uint8Array; readonly policy: GlobalPolicyData },
  request: Uint8Array,
): RaPgSignedFile {
  try {
    const time = timeOf(options.clock);
    const { ra, message } = authenticate(options, request, time);
    return { type: 'success', value: signIfConsistent(message, ra, signer, inForce, time) };
  } catch (error) {
    if (!(error instanceof PgRefusal)) throw error;
    options.onRefusal?.(error.reply, error.message);
    return { type: 'failure', value: error.reply };
  }
}

/** Decodes the envelope and makes sure that an RA sent it, one that is trusted and valid now. */
function authenticate(
  { trust }: PolicyGeneratorOptions,
  request: Uint8Array,
  time: Time32,
): { readonly ra: VerifiedCertificate; readonly message: RaPgPolicySignatureRequestMsg } {
  try {
    const { payload, signer: ra, generationTime } = openSignedMessage(request, trust);
    expectRole(ra, 'ra', time);
    const { content } = decodeMessage(ScmsPdu122, payload, 'ScmsPDU');
    const pdu = content.type === 'raPg' ? content.value : undefined;
    if (pdu?.type !== 'raPgPolicySignatureRequest') {
      throw new PgRefusal('raPgMalformedRequest', 'expected raPgPolicySignatureRequest');
    }
    const away =
      generationTime === undefined
        ? Infinity
        : Math.abs(Number(generationTime) / MICROSECONDS - time);
    if (away > TOLERANCE_SEC) {
      throw new PgRefusal('raPgSignatureFailed', 'expected a signature of now');
    }
    return { ra, message: pdu.value };
  } catch (cause) {
    if (cause instanceof ScmsDataError && cause.code !== 'wrong-signer') {
      throw new PgRefusal('raPgMalformedRequest', cause.message, { cause });
    }
    if (!(cause instanceof ScmsDataError || cause instanceof Ieee1609Dot2Error)) throw cause;
    throw new PgRefusal('raPgSignatureFailed', cause.message, { cause });
  }
}

/**
 * Countersigns a custom policy: derived from the policy in force (its policyID), for the RA that asks and for no other,
 * and with nothing in it that is not in the global policy.
 */
function signIfConsistent(
  { tbs }: RaPgPolicySignatureRequestMsg,
  ra: VerifiedCertificate,
  signer: ComponentSigner,
  inForce: { readonly policyID: Uint8Array; readonly policy: GlobalPolicyData },
  time: Time32,
): BasePolicyFile {
  const { policyID, policy } = tbs.value;
  if (Buffer.compare(policyID, inForce.policyID) !== 0) {
    throw new PgRefusal('raPgPolicyError', 'expected a policy derived from the one in force');
  }
  if (policy.type !== 'custom') {
    throw new PgRefusal('raPgMalformedRequest', `expected a custom policy, saw ${policy.type}`);
  }
  expectForRa(policy.value, ra);
  try {
    expectCustomPolicy(policy.value.globalPolicy, inForce.policy);
    expectUsablePolicy({ global: policy.value.globalPolicy });
  } catch (cause) {
    if (!(cause instanceof ScmsDataError)) throw cause;
    throw new PgRefusal('raPgPolicyError', cause.message, { cause });
  }
  return countersigned(tbs.value, signer, time);
}

/** The name is optional in the module. Here it is not: without it, any RA could hand out what this one got signed. */
function expectForRa(custom: CustomPolicyData, ra: VerifiedCertificate): void {
  const { requestingRaHostname: name, unknownAdditions } = custom;
  if (name === undefined || name.toLowerCase() !== hostnameOf(ra)?.toLowerCase()) {
    throw new PgRefusal('raPgPolicyError', 'expected the name of the RA that asks');
  }
  if (unknownAdditions !== undefined) {
    throw new PgRefusal('raPgPolicyError', 'expected a custom policy without unknown additions');
  }
}
