import { containing, decode, encode, octetString, sequenceOf } from '@chrysalis/coer';
import { equalConstantTime, sha256 } from '@chrysalis/crypto';
import { checkValidAt, hashedId8, type TrustStore } from '@chrysalis/ieee1609dot2';
import {
  type Clock,
  decodeMessage,
  EncryptedIndividualPlv,
  formatScmsError,
  type IndividualPlvResponseLinkageChain,
  type LinkageAuthority,
  LinkageChainId,
  openSignedMessage,
  ScmsDataError,
  ScmsPdu122,
  signMessage,
  timeOf,
} from '@chrysalis/scms';
import type { Peer, RaIdentity } from './options.ts';

/** Encrypted pre-linkage values of one period, by j: opaque to the RA. */
export const EncryptedPlvs = sequenceOf(EncryptedIndividualPlv, { max: 255 });
const MAX_PERIODS = 65_536;
/** The same of consecutive periods, by i: as they wait in the database, each with its length, to be taken out unread. */
export const PlvsByPeriod = sequenceOf(containing(EncryptedPlvs), { max: MAX_PERIODS });
const OctetsByPeriod = sequenceOf(octetString(), { max: MAX_PERIODS });

/**
 * The values of period number `n` in COER of {@link PlvsByPeriod}; undefined beyond its end.
 *
 * @throws CoerError when they cannot be read; the other periods are not looked into
 */
export function plvsOfPeriod(
  values: Uint8Array,
  n: number,
): readonly EncryptedIndividualPlv[] | undefined {
  const octets = decode(OctetsByPeriod, values)[n];
  return octets && decode(EncryptedPlvs, octets);
}

/** A chain as an LA gives it. */
export interface LinkageChain {
  /** COER of {@link PlvsByPeriod}, from iMin. */
  readonly values: Uint8Array;
  /** LinkageChainId, COER: by it the LA continues the chain. */
  readonly chainId: Uint8Array;
}

export interface LinkageRequest {
  readonly iMin: number;
  /** Inclusive. */
  readonly iMax: number;
  /** Values per period. */
  readonly jMax: number;
  /** How many fresh chains, or the LinkageChainIds (COER) of those to continue. */
  readonly chains: number | readonly Uint8Array[];
}

interface Conversation {
  readonly identity: RaIdentity;
  readonly pcaHostname: string;
  readonly trust: TrustStore;
  readonly clock: Clock;
}

/**
 * Asks an LA for pre-linkage values (la-ra.asn) and checks that the answer belongs to the question. Many chains share one
 * question, and its signatures.
 *
 * @returns one chain for each that was asked for, in the same order
 * @throws ScmsDataError, Ieee1609Dot2Error when the answer is wrong; AuthorityUnavailableError
 */
export async function requestLinkageChains(
  la: Peer<LinkageAuthority>,
  wanted: LinkageRequest,
  conversation: Conversation,
): Promise<LinkageChain[]> {
  const request = composeRequest(wanted, conversation);
  const answer = await la.port.requestPreLinkageValues(request);
  return readAnswer(answer, request, la, wanted, conversation).map((chain) => ({
    values: encode(PlvsByPeriod, chain.values),
    chainId: encode(LinkageChainId, chain.linkageChainId),
  }));
}

function composeRequest(wanted: LinkageRequest, conversation: Conversation): Uint8Array {
  const { identity, pcaHostname, clock } = conversation;
  const { iMin, iMax, jMax, chains } = wanted;
  const pdu = encode(ScmsPdu122, {
    version: 1,
    content: {
      type: 'laRa',
      value: {
        type: 'raLaIndividualPreLinkageValueRequest',
        value: {
          header: { version: 1, raId: identity.hostname, pcaId: pcaHostname, iMin, iMax },
          jMax,
          ...(typeof chains === 'number'
            ? { numberOfFreshInd: chains }
            : { continuationsInd: chains.map((id) => decode(LinkageChainId, id)) }),
        },
      },
    },
  });
  const generationTime = BigInt(timeOf(clock)) * 1_000_000n;
  return signMessage(pdu, identity.certificate, identity.signer, { generationTime });
}

function readAnswer(
  answer: Uint8Array,
  request: Uint8Array,
  la: Peer<LinkageAuthority>,
  wanted: LinkageRequest,
  { trust, clock }: Conversation,
): readonly IndividualPlvResponseLinkageChain[] {
  const { payload, signer } = openSignedMessage(answer, trust);
  expectAnswer(equalConstantTime(signer.id, la.certificate.id), `the signature of ${la.hostname}`);
  checkValidAt(signer, timeOf(clock));
  const { content } = decodeMessage(ScmsPdu122, payload, 'ScmsPDU');
  if (content.type !== 'laRa' || content.value.type !== 'laRaPreLinkageValueResponse') {
    throw new ScmsDataError('unexpected-message', 'expected a pre-linkage value response');
  }
  const response = content.value.value;
  expectAnswer(
    equalConstantTime(response.requestHash, hashedId8(sha256(request))),
    'the hash of the request',
  );
  expectAnswer(response.laId === la.hostname, `the LA ${la.hostname}`);
  if (response.reply.type === 'failure') {
    throw new ScmsDataError(
      'reported-failure',
      `${la.hostname}: ${formatScmsError(response.reply.value)}`,
    );
  }
  const { iMin, iMax, individual } = response.reply.value;
  expectAnswer(iMin === wanted.iMin && iMax === wanted.iMax, 'the periods that were asked for');
  const count = typeof wanted.chains === 'number' ? wanted.chains : wanted.chains.length;
  expectAnswer(individual.length === count, `${count} chains`);
  const periods = wanted.iMax - wanted.iMin + 1;
  expectAnswer(
    individual.every(
      ({ values }) =>
        values.length === periods && values.every((ofPeriod) => ofPeriod.length === wanted.jMax),
    ),
    `${periods} periods of ${wanted.jMax} values`,
  );
  expectAnswer(continuesWhatWasAsked(individual, wanted), 'the chains that were to be continued');
  return individual;
}

/** A chain that is continued keeps its id: values of another device's chain would link the two (and revoke the wrong one). */
function continuesWhatWasAsked(
  individual: readonly IndividualPlvResponseLinkageChain[],
  { chains }: LinkageRequest,
): boolean {
  if (typeof chains === 'number') return true;
  return individual.every(({ linkageChainId }, n) => {
    const asked = chains[n];
    return asked !== undefined && equalConstantTime(encode(LinkageChainId, linkageChainId), asked);
  });
}

function expectAnswer(isRight: boolean, expected: string): void {
  if (!isRight) throw new ScmsDataError('wrong-answer', `expected ${expected} in the answer`);
}
