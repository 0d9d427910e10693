import { encode, Reader, sequence } from '@chrysalis/coer';
import { equalConstantTime, sha256 } from '@chrysalis/crypto';
import {
  checkValidAt,
  durationSeconds,
  endOfValidity,
  HashAlgorithm,
  hashedId8,
  type Ieee1609Dot2Data,
  type PsidSsp,
  SequenceOfPsidSsp,
  signedPayload,
  type TrustStore,
  type ValidityPeriod,
  type VerifiedCertificate,
} from '@chrysalis/ieee1609dot2';
import {
  type CertificateAuthority,
  type CertRequestInfo,
  type Clock,
  decodeMessage,
  decodeSigned,
  formatScmsError,
  type IPeriodClock,
  openSignedMessage,
  ScmsDataError,
  type ScmsError,
  ScmsPdu122,
  ToBeSignedEncryptedCertificateResponse,
  timeOf,
} from '@chrysalis/scms';
import type { Peer } from './options.ts';

interface Checking {
  readonly pca: Peer<CertificateAuthority>;
  readonly trust: TrustStore;
  readonly iPeriod: IPeriodClock;
  readonly clock: Clock;
}

/** The PCA answers that it does not certify. */
export class PcaFailure extends ScmsDataError {
  /**
   * Whether it never will: `invalidSignaturePublicKey`, which a PCA says of a cocoon key that it has certified for another
   * request, as when this database is older than that of the PCA.
   */
  readonly isFinal: boolean;

  constructor(hostname: string, error: ScmsError) {
    super('reported-failure', `${hostname}: ${formatScmsError(error)}`);
    this.isFinal = formatScmsError(error) === FINAL;
  }
}

const FINAL = formatScmsError({
  type: 'pcaRa',
  value: { type: 'pcaRaRequestError', value: 'invalidSignaturePublicKey' },
});

/**
 * Checks a SecuredPcaRaCertificateRequestReply as far as the RA can read it: the signature is the PCA's, it answers
 * this very request, and expiration, lifetime and permissions are those that were asked for.
 *
 * @param request SecuredRaPcaCertificateRequest, the octets that were sent
 * @returns SignedEncryptedCertificateResponse, COER: the entry of the device's zip
 * @throws PcaFailure when the PCA refuses; ScmsDataError, Ieee1609Dot2Error
 */
export function checkReply(reply: Uint8Array, request: Uint8Array, checking: Checking): Uint8Array {
  const { pca, trust, clock } = checking;
  const { payload, signer } = openSignedMessage(reply, trust);
  const own = [pca.certificate, ...(pca.former ?? [])];
  const isOwn = own.some(({ id }) => equalConstantTime(signer.id, id));
  expectReply(isOwn, `the signature of ${pca.hostname}`);
  checkValidAt(signer, timeOf(clock));
  const { content } = decodeMessage(ScmsPdu122, payload, 'ScmsPDU');
  if (content.type !== 'pcaRa' || content.value.type !== 'pcaRaCertResponse') {
    throw new ScmsDataError('unexpected-message', 'expected a certificate response');
  }
  const response = content.value.value;
  if (response.reply.type === 'failure') {
    throw new PcaFailure(pca.hostname, response.reply.value);
  }
  const requestHash = hashedId8(sha256(request));
  expectReply(equalConstantTime(response.requestHash, requestHash), 'the hash of the request');
  expectReply(response.pcaId === pca.hostname, `the PCA ${pca.hostname}`);
  const success = response.reply.value;
  if (success.type !== 'signedEncrypted') {
    throw new ScmsDataError('wrong-answer', 'expected a certificate sealed to the device');
  }
  checkSealed(success.value.value, wishesOf(request, checking.iPeriod), signer);
  return success.value.octets;
}

/** What was asked for, as far as the answer shows it. */
interface Wishes {
  readonly validity: ValidityPeriod;
  readonly psidSsp: readonly PsidSsp[];
}

/** How a SignedCertificateRequest begins: who signed it, which is us, stands after what was asked for, and is not read. */
const RequestHead = sequence<{ readonly hashId: HashAlgorithm; readonly tbsRequest: ScmsPdu122 }>(
  'the beginning of SignedCertificateRequest',
  { hashId: HashAlgorithm, tbsRequest: ScmsPdu122 },
);

/** Read from the very octets that were sent: there is no second account of them that could differ. */
function wishesOf(request: Uint8Array, iPeriod: IPeriodClock): Wishes {
  const { content } = RequestHead.read(new Reader(decodeSigned(request))).tbsRequest;
  const info: CertRequestInfo | undefined =
    content.type === 'pcaRa' && content.value.type === 'raPcaCertRequest'
      ? content.value.value.certRequestInfo
      : undefined;
  if (info?.type === 'pseudonymCertReq') {
    const { iValue, psidSsp } = info.value;
    const validity = { start: iPeriod.start(iValue), duration: iPeriod.certificateLifetime };
    return { validity, psidSsp };
  }
  if (info?.type === 'authCertReq') {
    const { validityPeriod: validity, appPermissions: psidSsp = [] } = info.value.toBeSignedCert;
    return { validity, psidSsp };
  }
  throw new TypeError('expected a request of ours');
}

/**
 * The PCA's signature over the reply covers what it sealed as well, so that the one inside, which is for the device, is
 * not verified twice.
 */
function checkSealed(sealed: Ieee1609Dot2Data, wishes: Wishes, signer: VerifiedCertificate): void {
  if (sealed.content.type !== 'signedData') {
    throw new ScmsDataError('not-signed', `expected signedData, saw ${sealed.content.type}`);
  }
  const { signer: named } = sealed.content.value;
  const isSame = named.type === 'digest' && equalConstantTime(named.value, signer.id);
  expectReply(isSame, 'a certificate sealed by the signer of the reply, named by its digest');
  const payload = signedPayload(sealed.content.value);
  const { psidSsp, expiration, lifetime, encryptedCert } = decodeMessage(
    ToBeSignedEncryptedCertificateResponse,
    payload,
    'ToBeSignedEncryptedCertificateResponse',
  );
  const lifetimeSec = durationSeconds(wishes.validity.duration);
  expectReply(durationSeconds(lifetime) === lifetimeSec, `a lifetime of ${lifetimeSec} s`);
  const end = endOfValidity(wishes.validity);
  expectReply(expiration === end, `an expiration at ${end}`);
  expectReply(
    equalConstantTime(
      encode(SequenceOfPsidSsp, psidSsp),
      encode(SequenceOfPsidSsp, wishes.psidSsp),
    ),
    'the permissions that were asked for',
  );
  const { content } = encryptedCert.value;
  const recipients = content.type === 'encryptedData' ? content.value.recipients : [];
  expectReply(
    recipients.length === 1 && recipients[0]?.type === 'rekRecipInfo',
    'a certificate sealed to one response key',
  );
}

function expectReply(isRight: boolean, expected: string): void {
  if (!isRight) throw new ScmsDataError('wrong-answer', `expected ${expected} in the reply`);
}
