/**
 * The messages between MA and RA (ma-ra.asn) in their envelopes: Secured (encrypted to the other's certificate) around
 * Signed (signedData with PSID 0x23) around the ScmsPDU, which both releases write alike. scms-protocol.asn has such
 * envelopes for three of the four requests; that for CDV is formed as the others are.
 */
import { type Codec, capture, encode } from '@chrysalis/coer';
import { equalConstantTime, type Random, sha256 } from '@chrysalis/crypto';
import {
  checkValidAt,
  type Decrypter,
  encryptForCertificate,
  type HashedCertificate,
  type HashedId8,
  type Ieee1609Dot2Data,
  Ieee1609Dot2Error,
  type Time32,
  type Time64,
  type TrustStore,
  type VerifiedCertificate,
} from '@chrysalis/ieee1609dot2';
import { type ComponentSigner, countersign, verifyCountersignature } from './countersignature.ts';
import { decodeMessage, openSecured, openSignedMessage, signMessage } from './envelope.ts';
import { ScmsDataError } from './error.ts';
import {
  type GroupAndLci,
  type MaRaReply,
  type MaRaRequest,
  type MaRaRequestMsg,
  type RaMaResponse,
  ToBeSignedBlacklistingInstructionMsg,
  ToBeSignedCdvRequestMsg,
  ToBeSignedLciRequestMsg,
  ToBeSignedRseObeIdBlacklistingInstructionMsg,
} from './pdu/ma-ra.ts';
import { ScmsPdu122 } from './pdu/scms-pdu.ts';
import { requestHash } from './request-hash.ts';
import { scmsSspOf } from './scms-ssp.ts';

const MICROSECONDS = 1_000_000n;
/** Countersignatures that are verified, at most: CAMP knows a handful of auditors. */
export const MAX_COUNTERSIGNATURES = 16;

/** Which of the four requests, and about whom: HPCRs of 32 octets, or RIFs of 8. */
export interface MaRaRequestParts {
  readonly type: MaRaRequest['type'];
  /** Hostname in the MA's certificate. */
  readonly maId: string;
  readonly identifiers: readonly Uint8Array[];
}

/** A request, countersigned by auditors over its `tbs`. */
export function composeMaRaRequest(
  { type, maId, identifiers }: MaRaRequestParts,
  auditors: readonly ComponentSigner[],
  time: Time32,
): MaRaRequest {
  const message = <T>(codec: Codec<T>, value: T): MaRaRequestMsg<T> => {
    const tbs = capture(codec, value);
    const signatures = auditors.map((auditor) =>
      countersign(tbs.octets, auditor, BigInt(time) * MICROSECONDS),
    );
    return { version: 1, tbs, signatures };
  };
  switch (type) {
    case 'maRaBlacklistRequest': {
      const value = message(ToBeSignedBlacklistingInstructionMsg, { maId, hpcr: identifiers });
      return { type, value };
    }
    case 'maRaLCIRequest':
      return { type, value: message(ToBeSignedLciRequestMsg, { maId, hpcr: identifiers }) };
    case 'maRaRseObeIdBlacklistRequest': {
      const tbs = ToBeSignedRseObeIdBlacklistingInstructionMsg;
      return { type, value: message(tbs, { maId, rif: identifiers }) };
    }
    case 'maRaCDVRequest':
      return { type, value: message(ToBeSignedCdvRequestMsg, { maId, rifValues: identifiers }) };
  }
}

/** The HPCRs or RIFs of a request, in its order. */
export function identifiersOf(request: MaRaRequest): readonly Uint8Array[] {
  switch (request.type) {
    case 'maRaBlacklistRequest':
    case 'maRaLCIRequest':
      return request.value.tbs.value.hpcr;
    case 'maRaRseObeIdBlacklistRequest':
      return request.value.tbs.value.rif;
    case 'maRaCDVRequest':
      return request.value.tbs.value.rifValues;
  }
}

/** What a successful entry holds, by the request. */
export interface MaRaSuccess {
  readonly maRaBlacklistRequest: null;
  readonly maRaLCIRequest: GroupAndLci;
  readonly maRaRseObeIdBlacklistRequest: null;
  readonly maRaCDVRequest: readonly Uint8Array[];
}

/** To which request a response belongs, and whose it is. */
export interface ResponseHead {
  readonly requestHash: HashedId8;
  /** Hostname of the RA. */
  readonly raId: string;
}

/** The response to a request: its entries in their order, each with its reply. */
export function composeRaMaResponse<T extends MaRaRequest['type']>(
  request: Extract<MaRaRequest, { readonly type: T }>,
  { requestHash: hash, raId }: ResponseHead,
  replies: readonly MaRaReply<MaRaSuccess[T]>[],
): RaMaResponse {
  const head = { version: 1, requestHash: hash, raId };
  const identifiers = identifiersOf(request);
  const each = <Entry>(name: 'hpcr' | 'rif') =>
    identifiers.map((identifier, n) => ({ [name]: identifier, reply: replies[n] }) as Entry);
  switch (request.type) {
    case 'maRaBlacklistRequest':
      return { type: 'raMaBlacklistResponse', value: { ...head, status: each('hpcr') } };
    case 'maRaLCIRequest':
      return { type: 'raMaLCIResponse', value: { ...head, lciInfo: each('hpcr') } };
    case 'maRaRseObeIdBlacklistRequest':
      return { type: 'raMaRseObeIdBlacklistResponse', value: { ...head, status: each('rif') } };
    case 'maRaCDVRequest':
      return { type: 'raMaCDVResponse', value: { ...head, cdvInfo: each('rif') } };
  }
}

/** An entry of a response: the HPCR or RIF that was asked about, and what became of it. */
export interface IdentifiedReply {
  readonly identifier: Uint8Array;
  readonly reply: MaRaReply<unknown>;
}

/** The entries of a response, in its order. */
export function repliesOf(response: RaMaResponse): readonly IdentifiedReply[] {
  switch (response.type) {
    case 'raMaBlacklistResponse':
      return response.value.status.map(({ hpcr, reply }) => ({ identifier: hpcr, reply }));
    case 'raMaLCIResponse':
      return response.value.lciInfo.map(({ hpcr, reply }) => ({ identifier: hpcr, reply }));
    case 'raMaRseObeIdBlacklistResponse':
      return response.value.status.map(({ rif, reply }) => ({ identifier: rif, reply }));
    case 'raMaCDVResponse':
      return response.value.cdvInfo.map(({ rif, reply }) => ({ identifier: rif, reply }));
  }
}

/** The response that belongs to each request. */
export const RESPONSE_TO = {
  maRaBlacklistRequest: 'raMaBlacklistResponse',
  maRaLCIRequest: 'raMaLCIResponse',
  maRaRseObeIdBlacklistRequest: 'raMaRseObeIdBlacklistResponse',
  maRaCDVRequest: 'raMaCDVResponse',
} as const satisfies Record<MaRaRequest['type'], RaMaResponse['type']>;

/** How a message of ma-ra is sealed. */
export interface SealMaRaOptions {
  readonly signer: ComponentSigner;
  readonly recipient: HashedCertificate;
  /** CAMP leaves it out of these messages; see section 5 of docs/divergences.md. */
  readonly generationTime?: Time64;
  readonly random: Random;
}

/** Signs a message of ma-ra, and encrypts it to the other side. */
export function secureMaRa(
  value: MaRaRequest | RaMaResponse,
  { signer, recipient, generationTime, random }: SealMaRaOptions,
): Uint8Array {
  const scoped = encode(ScmsPdu122, { version: 1, content: { type: 'maRa', value } });
  const signed = signMessage(scoped, signer.certificate, signer.key, {
    ...(generationTime !== undefined && { generationTime }),
  });
  return encryptForCertificate(signed, recipient, random);
}

/** What stands in a Secured message whose signature is right. Who signed it is still to be looked at. */
export interface OpenedMaRa {
  readonly pdu: MaRaRequest | RaMaResponse;
  readonly signer: VerifiedCertificate;
  readonly generationTime: Time64 | undefined;
  /** SHA-256 of the Signed message: the same for the same message in another encryption. */
  readonly signedHash: Uint8Array;
}

/**
 * Opens a Secured message of ma-ra by a signer that `trust` knows, or can verify when the message carries its certificate.
 *
 * @throws ScmsDataError `malformed`, `not-encrypted`, `not-signed`, `unexpected-message`; Ieee1609Dot2Error
 */
export function openMaRa(
  octets: Uint8Array,
  recipient: HashedCertificate,
  key: Decrypter,
  trust: TrustStore,
): OpenedMaRa {
  const signed = openSecured(octets, recipient, key);
  const { payload, signer, generationTime } = openSignedMessage(signed, trust);
  const { content } = decodeMessage(ScmsPdu122, payload, 'ScmsPDU');
  if (content.type !== 'maRa' || content.value.type === 'unknown') {
    const seen = content.type === 'maRa' ? 'an unknown one' : content.type;
    throw new ScmsDataError('unexpected-message', `expected a message of ma-ra, saw ${seen}`);
  }
  return { pdu: content.value, signer, generationTime, signedHash: sha256(signed) };
}

/**
 * Makes sure that the MA signed, and that its certificate is valid now. The MA's certificate has no SSP in CAMP's proof of
 * concept, so that it is known by being the one that is configured; where there is an SSP, it is an MA's.
 *
 * @throws ScmsDataError `wrong-signer`; Ieee1609Dot2Error `not-yet-valid`, `expired`
 */
export function expectMisbehaviorAuthority(
  signer: VerifiedCertificate,
  ma: HashedCertificate,
  time: Time32,
): void {
  if (!equalConstantTime(signer.hash, ma.hash)) {
    throw new ScmsDataError('wrong-signer', 'expected the signature of the MA, saw of another');
  }
  checkValidAt(signer, time);
  const role = scmsSspOf(signer)?.type;
  if (role === undefined || role === 'ma') return;
  throw new ScmsDataError('wrong-signer', `expected a certificate of an MA, saw one of ${role}`);
}

/** How many auditors have to countersign a request of the MA, and who they are. */
export interface CountersignaturePolicy {
  /** Different auditors; 0: countersignatures are not looked at. */
  readonly required: number;
  readonly auditors: readonly VerifiedCertificate[];
}

/** `missing`: fewer than required, and nothing wrong with those that are there. `invalid`: one that cannot count. */
export type CountersignatureVerdict = 'sufficient' | 'missing' | 'invalid';

/**
 * Judges the countersignatures of a request. Each has to be by an auditor, or, as 1.2.4 allows, by the MA itself, which does
 * not count as one; two by the same auditor are one.
 */
export function judgeCountersignatures(
  { value: { tbs, signatures } }: MaRaRequest,
  { required, auditors }: CountersignaturePolicy,
  { ma, trust, time }: { ma: HashedCertificate; trust: TrustStore; time: Time32 },
): CountersignatureVerdict {
  if (required === 0) return 'sufficient';
  if (signatures.length > MAX_COUNTERSIGNATURES) return 'invalid';
  const seen = new Set<VerifiedCertificate>();
  for (const signature of signatures) {
    const signer = signerOf(signature, tbs.octets, trust, time);
    if (signer === undefined) return 'invalid';
    const auditor = auditors.find(({ hash }) => equalConstantTime(hash, signer.hash));
    if (auditor) seen.add(auditor);
    else if (!equalConstantTime(signer.hash, ma.hash)) return 'invalid';
  }
  return seen.size >= required ? 'sufficient' : 'missing';
}

function signerOf(
  signature: Ieee1609Dot2Data,
  octets: Uint8Array,
  trust: TrustStore,
  time: Time32,
): VerifiedCertificate | undefined {
  try {
    const signer = verifyCountersignature(signature, octets, trust);
    checkValidAt(signer, time);
    return signer;
  } catch (error) {
    if (error instanceof ScmsDataError || error instanceof Ieee1609Dot2Error) return undefined;
    throw error;
  }
}

/** What the MA knows of a request that it has sent. */
export interface SentMaRaRequest {
  readonly request: MaRaRequest;
  /** The Secured message. */
  readonly octets: Uint8Array;
}

/** The MA that opens a response, and the RA that it asked. */
export interface OpenMaRaResponseOptions {
  readonly ma: HashedCertificate;
  readonly key: Decrypter;
  readonly ra: HashedCertificate;
  readonly raId: string;
  readonly trust: TrustStore;
  readonly time: Time32;
}

/**
 * Opens the response to a request, and makes sure that it is that RA's, to this request, entry by entry.
 *
 * @throws ScmsDataError `malformed`, `not-encrypted`, `not-signed`, `unexpected-message`, `wrong-signer`, `wrong-answer`;
 *   Ieee1609Dot2Error
 */
export function openMaRaResponse(
  octets: Uint8Array,
  sent: SentMaRaRequest,
  { ma, key, ra, raId, trust, time }: OpenMaRaResponseOptions,
): RaMaResponse {
  const { pdu, signer } = openMaRa(octets, ma, key, trust);
  if (!equalConstantTime(signer.hash, ra.hash)) {
    throw new ScmsDataError('wrong-signer', 'expected the signature of the RA, saw of another');
  }
  checkValidAt(signer, time);
  const expected = RESPONSE_TO[sent.request.type];
  if (!isResponse(pdu) || pdu.type !== expected) {
    throw new ScmsDataError('unexpected-message', `expected ${expected}, saw ${pdu.type}`);
  }
  const hash: HashedId8 = requestHash(sent.octets);
  const asked = identifiersOf(sent.request);
  const replies = repliesOf(pdu);
  const isAnswer =
    equalConstantTime(pdu.value.requestHash, hash) &&
    pdu.value.raId === raId &&
    replies.length === asked.length &&
    asked.every((one, n) => equalConstantTime(one, replies[n]?.identifier ?? new Uint8Array()));
  if (isAnswer) return pdu;
  throw new ScmsDataError('wrong-answer', 'expected the answer to what was asked');
}

function isResponse(pdu: MaRaRequest | RaMaResponse): pdu is RaMaResponse {
  return pdu.type.startsWith('raMa');
}
