import { type Codec, CoerError, decode, encode } from '@chrysalis/coer';
import type {
  GeographicRegion,
  PublicEncryptionKey,
  PublicVerificationKey,
  Signature,
  SignerIdentifier,
  Time32,
} from '@chrysalis/ieee1609dot2';
import { ScmsDataError } from './error.ts';
import type {
  EndEntityRaInterfacePdu122,
  EndEntityRaInterfacePdu124,
  UnsignedButterflyParams,
} from './pdu/ee-ra.ts';
import {
  ScmsPdu122,
  ScmsPdu124,
  SignedCertificateRequest122,
  SignedCertificateRequest124,
  type SignedCertificateRequestOf,
} from './pdu/scms-pdu.ts';

/** Which release of ee-ra.asn a request is written in. 1.2.1 and 1.2.2 are one on the wire. */
export type Dialect = '1.2.2' | '1.2.4';

export interface PseudonymRequest {
  readonly type: 'pseudonym';
  readonly verifyKeyInfo: UnsignedButterflyParams;
  readonly respEncKeyInfo: UnsignedButterflyParams;
  readonly currentTime: Time32;
  /** Absent in 1.2.4. */
  readonly requestedStartTime?: Time32;
}

export interface IdentificationRequest {
  readonly type: 'identification';
  readonly verifyKeyInfo: UnsignedButterflyParams;
  readonly certEncKeyInfo?: UnsignedButterflyParams;
  readonly respEncKeyInfo: UnsignedButterflyParams;
  readonly currentTime: Time32;
  /** Absent in 1.2.4. */
  readonly requestedStartTime?: Time32;
  /** Absent before 1.2.4. */
  readonly region?: GeographicRegion;
}

export interface ApplicationRequest {
  readonly type: 'application';
  readonly verifyKey: PublicVerificationKey;
  readonly certEncryptionKey?: PublicEncryptionKey;
  readonly responseEncryptionKey: PublicEncryptionKey;
  readonly currentTime: Time32;
  readonly requestedStartTime: Time32;
  /** Absent before 1.2.4. */
  readonly region?: GeographicRegion;
}

export interface DownloadRequest {
  readonly type: 'download';
  readonly timestamp: Time32;
  readonly filename: string;
}

/** What an EE may ask of an RA in a signed request, whatever the dialect. */
export type EeRaRequest =
  | PseudonymRequest
  | IdentificationRequest
  | ApplicationRequest
  | DownloadRequest;

/** A signed request that has been taken apart; nothing in it has been verified. */
export interface SignedRequest {
  readonly dialect: Dialect;
  readonly request: EeRaRequest;
  /** COER of the ScmsPDU as it arrived: what the signature covers. */
  readonly tbsRequest: Uint8Array;
  readonly hashId: string | number;
  readonly signer: SignerIdentifier;
  readonly signature: Signature;
}

/**
 * Takes a SignedCertificateRequest apart. A body of one dialect may decode in the other and leave octets behind,
 * so exactly one of the dialects has to account for every octet; a download request reads the same in both.
 *
 * @throws ScmsDataError `malformed` when none fits, `dialect` when both do, `unexpected-message` for another PDU.
 */
export function decodeSignedRequest(
  octets: Uint8Array,
  dialects: readonly Dialect[] = ['1.2.2', '1.2.4'],
): SignedRequest {
  const fitting: SignedRequest[] = [];
  let failure: unknown;
  for (const dialect of dialects) {
    try {
      fitting.push(decodeIn(dialect, octets));
    } catch (error) {
      if (!(error instanceof CoerError)) throw error;
      failure ??= error;
    }
    if (fitting[0]?.request.type === 'download') return fitting[0];
  }
  // A body read in the wrong dialect shifts what follows it, and a shifted octet is most easily taken for a signer or
  // signature of a kind that nobody knows: such a reading yields to one with known kinds.
  const [first, second] = fitting.length > 1 ? fitting.filter(isOfKnownKinds) : fitting;
  if (fitting.length === 0) {
    throw new ScmsDataError('malformed', 'expected a SignedCertificateRequest', { cause: failure });
  }
  if (first === undefined || second !== undefined) {
    throw new ScmsDataError('dialect', 'expected a request of one release, saw one that fits two');
  }
  return first;
}

function isOfKnownKinds({ signer, signature }: SignedRequest): boolean {
  return signer.type !== 'unknown' && signature.type !== 'unknown';
}

/** COER of the ScmsPDU that carries a request. */
export function encodeScopedRequest(request: EeRaRequest, dialect: Dialect): Uint8Array {
  return dialect === '1.2.2'
    ? encode(ScmsPdu122, { version: 1, content: { type: 'eeRa', value: toPdu122(request) } })
    : encode(ScmsPdu124, { version: 1, content: { type: 'eeRa', value: toPdu124(request) } });
}

function decodeIn(dialect: Dialect, octets: Uint8Array): SignedRequest {
  return dialect === '1.2.2'
    ? takeApart(dialect, SignedCertificateRequest122, fromPdu122, octets)
    : takeApart(dialect, SignedCertificateRequest124, fromPdu124, octets);
}

function takeApart<Pdu, EeRa>(
  dialect: Dialect,
  codec: Codec<SignedCertificateRequestOf<Pdu & { content: { type: string; value: unknown } }>>,
  normalize: (pdu: EeRa) => EeRaRequest | undefined,
  octets: Uint8Array,
): SignedRequest {
  const { hashId, tbsRequest, signer, signature } = decode(codec, octets);
  const { content } = tbsRequest.value;
  const request = content.type === 'eeRa' ? normalize(content.value as EeRa) : undefined;
  if (request === undefined) {
    throw new ScmsDataError(
      'unexpected-message',
      `expected a request of an EE to an RA, saw ${content.type}`,
    );
  }
  return { dialect, request, tbsRequest: tbsRequest.octets, hashId, signer, signature };
}

function fromPdu122(pdu: EndEntityRaInterfacePdu122): EeRaRequest | undefined {
  switch (pdu.type) {
    case 'eeRaPseudonymCertProvisioningRequest': {
      const { verifyKeyInfo, respEncKeyInfo, common } = pdu.value;
      const { currentTime, requestedStartTime } = common;
      return { type: 'pseudonym', verifyKeyInfo, respEncKeyInfo, currentTime, requestedStartTime };
    }
    case 'eeRaIdCertProvisioningRequest': {
      const { common, version: _, unknownAdditions: __, ...keys } = pdu.value;
      const { currentTime, requestedStartTime } = common;
      return { type: 'identification', ...keys, currentTime, requestedStartTime };
    }
    case 'eeRaAppCertProvisioningRequest': {
      const { common, version: _, unknownAdditions: __, ...keys } = pdu.value;
      const { currentTime, requestedStartTime } = common;
      return { type: 'application', ...keys, currentTime, requestedStartTime };
    }
    case 'eeRaAuthenticatedDownloadRequest':
      return { type: 'download', timestamp: pdu.value.timestamp, filename: pdu.value.filename };
    default:
      return undefined;
  }
}

function fromPdu124(pdu: EndEntityRaInterfacePdu124): EeRaRequest | undefined {
  switch (pdu.type) {
    case 'eeRaPseudonymCertProvisioningRequest': {
      const { version: _, unknownAdditions: __, ...fields } = pdu.value;
      return { type: 'pseudonym', ...fields };
    }
    case 'eeRaIdCertProvisioningRequest': {
      const { version: _, unknownAdditions: __, ...fields } = pdu.value;
      return { type: 'identification', ...fields };
    }
    case 'eeRaAppCertProvisioningRequest': {
      const { version: _, unknownAdditions: __, ...fields } = pdu.value;
      return { type: 'application', ...fields };
    }
    case 'eeRaAuthenticatedDownloadRequest':
      return { type: 'download', timestamp: pdu.value.timestamp, filename: pdu.value.filename };
    default:
      return undefined;
  }
}

function toPdu122(request: EeRaRequest): EndEntityRaInterfacePdu122 {
  if (request.type === 'download') return downloadPdu(request);
  const { currentTime, requestedStartTime = currentTime } = request;
  const common = { currentTime, requestedStartTime };
  switch (request.type) {
    case 'pseudonym': {
      const { verifyKeyInfo, respEncKeyInfo } = request;
      return {
        type: 'eeRaPseudonymCertProvisioningRequest',
        value: { version: 1, verifyKeyInfo, respEncKeyInfo, common },
      };
    }
    case 'identification': {
      const { verifyKeyInfo, certEncKeyInfo, respEncKeyInfo } = request;
      return {
        type: 'eeRaIdCertProvisioningRequest',
        value: {
          version: 1,
          verifyKeyInfo,
          ...(certEncKeyInfo && { certEncKeyInfo }),
          respEncKeyInfo,
          common,
        },
      };
    }
    case 'application': {
      const { verifyKey, certEncryptionKey, responseEncryptionKey } = request;
      return {
        type: 'eeRaAppCertProvisioningRequest',
        value: {
          version: 1,
          verifyKey,
          ...(certEncryptionKey && { certEncryptionKey }),
          responseEncryptionKey,
          common,
        },
      };
    }
  }
}

function toPdu124(request: EeRaRequest): EndEntityRaInterfacePdu124 {
  switch (request.type) {
    case 'download':
      return downloadPdu(request);
    case 'pseudonym': {
      const { verifyKeyInfo, respEncKeyInfo, currentTime } = request;
      return {
        type: 'eeRaPseudonymCertProvisioningRequest',
        value: { version: 1, verifyKeyInfo, respEncKeyInfo, currentTime },
      };
    }
    case 'identification': {
      const { verifyKeyInfo, certEncKeyInfo, respEncKeyInfo, currentTime } = request;
      return {
        type: 'eeRaIdCertProvisioningRequest',
        value: {
          version: 1,
          verifyKeyInfo,
          ...(certEncKeyInfo && { certEncKeyInfo }),
          respEncKeyInfo,
          region: regionOf(request),
          currentTime,
        },
      };
    }
    case 'application': {
      const { verifyKey, certEncryptionKey, responseEncryptionKey } = request;
      const { currentTime, requestedStartTime } = request;
      return {
        type: 'eeRaAppCertProvisioningRequest',
        value: {
          version: 1,
          verifyKey,
          ...(certEncryptionKey && { certEncryptionKey }),
          responseEncryptionKey,
          region: regionOf(request),
          currentTime,
          requestedStartTime,
        },
      };
    }
  }
}

function downloadPdu(
  request: DownloadRequest,
): Extract<EndEntityRaInterfacePdu122, { type: 'eeRaAuthenticatedDownloadRequest' }> {
  const { timestamp, filename } = request;
  return { type: 'eeRaAuthenticatedDownloadRequest', value: { timestamp, filename } };
}

/** Release 1.2.4 made the region mandatory. */
function regionOf(request: { readonly region?: GeographicRegion }): GeographicRegion {
  if (request.region === undefined) {
    throw new ScmsDataError('dialect', 'expected a region, which release 1.2.4 requires');
  }
  return request.region;
}
