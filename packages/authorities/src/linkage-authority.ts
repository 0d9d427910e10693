import { CoerError, encode } from '@chrysalis/coer';
import type { Random, Secret } from '@chrysalis/crypto';
import {
  checkValidAt,
  Ieee1609Dot2Error,
  type Time64,
  type TrustStore,
} from '@chrysalis/ieee1609dot2';
import {
  type Clock,
  decodeMessage,
  type IndividualPlvResponseLinkageChain,
  type LaRaReply,
  type LinkageAuthority,
  openSignedMessage,
  type RaLaIndividualPreLinkageValueRequestMsg,
  requestHash,
  ScmsDataError,
  type ScmsError,
  ScmsPdu122,
  scmsSspOf,
  signMessage,
  timeOf,
} from '@chrysalis/scms';
import { AuthorityError } from './error.ts';
import { continuedChain, freshChain, type LinkageChainKeys } from './linkage-chain.ts';
import { type Authority, hostnameOf } from './test-scms.ts';

export interface LinkageAuthorityOptions {
  readonly la: Authority;
  /** Two octets. */
  readonly laId: Uint8Array;
  /** AES-128, shared with the PCA. */
  readonly sharedKey: Secret;
  /** AES-128, the LA's own. */
  readonly chainKey: Secret;
  /** Verifies the RA's certificate: it knows the RA, or its issuer. */
  readonly trust: TrustStore;
  readonly clock: Clock;
  readonly random: Random;
  /** The PCA that the shared key is shared with; any name is taken when missing. */
  readonly pcaHostname?: string;
  /** How far the RA's clock may be away. */
  readonly toleranceSec?: number;
}

/**
 * Values in one request. Each decodes to 16 fields, and readers stop at 2^20 of them (`DEFAULT_FIELDS` of coer). An
 * initial request of a device wants 156 * 20 = 3120.
 */
export const MAX_VALUES_PER_REQUEST = 50_000;

/** A replayed request does no harm (fresh chains differ, others repeat), so the bound only shows wrong clocks. */
const DEFAULT_TOLERANCE_SEC = 300;
const MICROSECONDS = 1_000_000n;

/** `ScmsCommonError` has one value, baseline(1): what has no code of its own. */
const COMMON_ERROR: ScmsError = { type: 'common', value: 1 };

type LaRaCode =
  | 'invalidPcaKey'
  | 'invalidIMin'
  | 'invalidIMax'
  | 'invalidContinueChain'
  | 'invalidLinkagechainId'
  | 'invalidJMax';

/** A refusal that travels in the answer. */
class LaRefusal extends Error {
  readonly reply: ScmsError;

  constructor(code: LaRaCode | undefined, message: string, cause?: unknown) {
    super(message, { cause });
    this.reply = code ? { type: 'laRa', value: { type: 'laRa', value: code } } : COMMON_ERROR;
  }
}

/**
 * An LA in this process: see the port for its guarantee. Fresh chains come first in the answer, continued ones after
 * them in the order asked. What it refuses it answers with a signed failure.
 *
 * @throws AuthorityError `unsuitable-certificate` when the certificate carries no hostname
 */
export function createLinkageAuthority(options: LinkageAuthorityOptions): LinkageAuthority {
  const { la, clock } = options;
  const hostname = hostnameOf(la.certificate);
  if (hostname === undefined) {
    throw new AuthorityError('unsuitable-certificate', 'expected an LA certificate with a name');
  }
  return {
    async requestPreLinkageValues(request) {
      const reply = await answer(options, request);
      const response = encode(ScmsPdu122, {
        version: 1,
        content: {
          type: 'laRa',
          value: {
            type: 'laRaPreLinkageValueResponse',
            value: { version: 1, requestHash: requestHash(request), laId: hostname, reply },
          },
        },
      });
      const generationTime = time64(clock);
      return signMessage(response, la.certificate, la.signingKey, { generationTime });
    },
  };
}

async function answer(options: LinkageAuthorityOptions, request: Uint8Array): Promise<LaRaReply> {
  try {
    const message = authenticate(options, request);
    const { iMin, iMax } = message.header;
    checkRange(options, message);
    const individual = await makeChains(options, message);
    return { type: 'success', value: { iMin, iMax, individual, group: [] } };
  } catch (error) {
    if (!(error instanceof LaRefusal)) throw error;
    return { type: 'failure', value: error.reply };
  }
}

/** Whatever is wrong with the envelope gets one answer: CAMP has no code for it. */
function authenticate(
  { trust, clock, toleranceSec = DEFAULT_TOLERANCE_SEC }: LinkageAuthorityOptions,
  request: Uint8Array,
): RaLaIndividualPreLinkageValueRequestMsg {
  try {
    const { payload, signer, generationTime } = openSignedMessage(request, trust);
    checkValidAt(signer, timeOf(clock));
    if (scmsSspOf(signer)?.type !== 'ra') throw new LaRefusal(undefined, 'expected an RA to ask');
    if (generationTime === undefined || !isNear(generationTime, time64(clock), toleranceSec)) {
      throw new LaRefusal(undefined, 'expected a generation time of now');
    }
    const { content } = decodeMessage(ScmsPdu122, payload, 'ScmsPDU');
    const pdu = content.type === 'laRa' ? content.value : undefined;
    if (pdu?.type !== 'raLaIndividualPreLinkageValueRequest') {
      throw new LaRefusal(undefined, 'expected raLaIndividualPreLinkageValueRequest');
    }
    if (pdu.value.header.raId !== hostnameOf(signer)) {
      throw new LaRefusal(undefined, 'expected the name of the RA that signs');
    }
    return pdu.value;
  } catch (error) {
    if (!(error instanceof ScmsDataError || error instanceof Ieee1609Dot2Error)) throw error;
    throw new LaRefusal(undefined, error.message, error);
  }
}

function checkRange(
  { pcaHostname }: LinkageAuthorityOptions,
  { header, jMax, numberOfFreshInd = 0, continuationsInd }: RaLaIndividualPreLinkageValueRequestMsg,
): void {
  const { iMin, iMax, pcaId } = header;
  if (pcaHostname !== undefined && pcaId !== pcaHostname) {
    throw new LaRefusal('invalidPcaKey', `expected the PCA ${pcaHostname}, saw another`);
  }
  if (iMin > iMax) throw new LaRefusal('invalidIMin', `expected iMin up to ${iMax}, saw ${iMin}`);
  if (jMax === 0) throw new LaRefusal('invalidJMax', 'expected jMax of 1 or more, saw 0');
  const periods = iMax - iMin + 1;
  const perChain = periods * jMax;
  if (perChain > MAX_VALUES_PER_REQUEST) {
    const message = `expected up to ${MAX_VALUES_PER_REQUEST} values, saw ${perChain} in a chain`;
    throw new LaRefusal('invalidIMax', message);
  }
  const chains = numberOfFreshInd + (continuationsInd?.length ?? 0);
  if (chains === 0) throw new LaRefusal('invalidContinueChain', 'expected a chain, saw none');
  if (chains * perChain > MAX_VALUES_PER_REQUEST) {
    const message = `expected up to ${MAX_VALUES_PER_REQUEST} values, saw ${chains * perChain}`;
    throw new LaRefusal('invalidContinueChain', message);
  }
}

async function makeChains(
  { laId, sharedKey, chainKey, random }: LinkageAuthorityOptions,
  {
    header,
    jMax,
    numberOfFreshInd = 0,
    continuationsInd = [],
  }: RaLaIndividualPreLinkageValueRequestMsg,
): Promise<IndividualPlvResponseLinkageChain[]> {
  const keys: LinkageChainKeys = { laId, sharedKey, chainKey, random };
  const range = { iMin: header.iMin, iMax: header.iMax, jMax };
  const chains: IndividualPlvResponseLinkageChain[] = [];
  for (let n = 0; n < numberOfFreshInd; n++) {
    chains.push(await freshChain(keys, range));
  }
  for (const chainId of continuationsInd) {
    chains.push(await continueOrRefuse(() => continuedChain(keys, chainId, range)));
  }
  return chains;
}

async function continueOrRefuse<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const isForeign =
      error instanceof Ieee1609Dot2Error ||
      error instanceof CoerError ||
      error instanceof RangeError;
    if (!isForeign) throw error;
    throw new LaRefusal('invalidLinkagechainId', 'expected a linkage chain of this LA', error);
  }
}

function time64(clock: Clock): Time64 {
  return BigInt(timeOf(clock)) * MICROSECONDS;
}

function isNear(time: Time64, now: Time64, toleranceSec: number): boolean {
  const difference = time > now ? time - now : now - time;
  return difference <= BigInt(toleranceSec) * MICROSECONDS;
}
