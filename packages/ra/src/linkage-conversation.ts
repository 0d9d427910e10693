import { decode, encode, sequenceOf } from '@chrysalis/coer';
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

/** Values of a chain for consecutive periods, and the id by which the LA continues it. */
export interface LinkageValues {
  /** COER of {@link EncryptedPlvs}, by period from iMin. */
  readonly byPeriod: readonly Uint8Array[];
  /** LinkageChainId, COER. */
  readonly chainId: Uint8Array;
}

export interface LinkageRequest {
  readonly iMin: number;
  readonly iMax: number;
  /** Values per period. */
  readonly jMax: number;
  /** LinkageChainId, COER, of the chain to continue; null for a fresh one. */
  readonly chainId: Uint8Array | null;
}

interface Conversation {
  readonly identity: RaIdentity;
  readonly pcaHostname: string;
  readonly trust: TrustStore;
  readonly clock: Clock;
}

/**
 * Asks an LA for the pre-linkage values of one device (la-ra.asn) and checks that the answer belongs to the
 * question.
 *
 * @throws ScmsDataError, Ieee1609Dot2Error when the answer is wrong; AuthorityUnavailableError
 */
export async function requestLinkageValues(
  la: Peer<LinkageAuthority>,
  wanted: LinkageRequest,
  conversation: Conversation,
): Promise<LinkageValues> {
  const request = composeRequest(wanted, conversation);
  const answer = await la.port.requestPreLinkageValues(request);
  const chain = readAnswer(answer, request, la, wanted, conversation);
  return {
    byPeriod: chain.values.map((values) => encode(EncryptedPlvs, values)),
    chainId: encode(LinkageChainId, chain.linkageChainId),
  };
}

function composeRequest(wanted: LinkageRequest, conversation: Conversation): Uint8Array {
  const { identity, pcaHostname, clock } = conversation;
  const { iMin, iMax, jMax, chainId } = wanted;
  const pdu = encode(ScmsPdu122, {
    version: 1,
    content: {
      type: 'laRa',
      value: {
        type: 'raLaIndividualPreLinkageValueRequest',
        value: {
          header: { version: 1, raId: identity.hostname, pcaId: pcaHostname, iMin, iMax },
          jMax,
          ...(chainId === null
            ? { numberOfFreshInd: 1 }
            : { continuationsInd: [decode(LinkageChainId, chainId)] }),
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
): IndividualPlvResponseLinkageChain {
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
  const [chain] = individual;
  const periods = wanted.iMax - wanted.iMin + 1;
  expectAnswer(iMin === wanted.iMin && iMax === wanted.iMax, 'the periods that were asked for');
  if (chain === undefined || individual.length !== 1) {
    throw new ScmsDataError('wrong-answer', `expected one chain, saw ${individual.length}`);
  }
  expectAnswer(
    chain.values.length === periods && chain.values.every((v) => v.length === wanted.jMax),
    `${periods} periods of ${wanted.jMax} values`,
  );
  return chain;
}

function expectAnswer(isRight: boolean, expected: string): void {
  if (!isRight) throw new ScmsDataError('wrong-answer', `expected ${expected} in the answer`);
}
