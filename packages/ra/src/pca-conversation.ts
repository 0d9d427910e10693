import { decode, encode } from '@chrysalis/coer';
import { equalConstantTime } from '@chrysalis/crypto';
import {
  checkValidAt,
  durationSeconds,
  hashedId8,
  Ieee1609Dot2Data,
  SequenceOfPsidSsp,
  type TrustStore,
} from '@chrysalis/ieee1609dot2';
import {
  type CertificateAuthority,
  type Clock,
  decodeMessage,
  formatScmsError,
  type IPeriodClock,
  openSignedData,
  openSignedMessage,
  ScmsDataError,
  ScmsPdu122,
  ToBeSignedEncryptedCertificateResponse,
  timeOf,
} from '@chrysalis/scms';
import { OVERLAP_SEC } from './horizon.ts';
import type { Peer } from './options.ts';

/** What the RA knows of a request that the answer has to agree with. */
export interface SentRequest {
  readonly hpcr: Uint8Array;
  readonly i: number;
  /** COER of the SequenceOfPsidSsp that was asked for. */
  readonly permissions: Uint8Array;
}

interface Checking {
  readonly pca: Peer<CertificateAuthority>;
  readonly trust: TrustStore;
  readonly iPeriod: IPeriodClock;
  readonly clock: Clock;
}

/**
 * Checks a SecuredPcaRaCertificateRequestReply as far as the RA can read it: both signatures are the PCA's, it answers
 * this very request, and expiration, lifetime and permissions are those that were asked for.
 *
 * @returns SignedEncryptedCertificateResponse, COER: the entry of the device's zip
 * @throws ScmsDataError, Ieee1609Dot2Error
 */
export function checkReply(reply: Uint8Array, sent: SentRequest, checking: Checking): Uint8Array {
  const { pca, trust, clock } = checking;
  const { payload, signer } = openSignedMessage(reply, trust);
  expectReply(equalConstantTime(signer.id, pca.certificate.id), `the signature of ${pca.hostname}`);
  checkValidAt(signer, timeOf(clock));
  const { content } = decodeMessage(ScmsPdu122, payload, 'ScmsPDU');
  if (content.type !== 'pcaRa' || content.value.type !== 'pcaRaCertResponse') {
    throw new ScmsDataError('unexpected-message', 'expected a certificate response');
  }
  const response = content.value.value;
  if (response.reply.type === 'failure') {
    throw new ScmsDataError(
      'reported-failure',
      `${pca.hostname}: ${formatScmsError(response.reply.value)}`,
    );
  }
  expectReply(
    equalConstantTime(response.requestHash, hashedId8(sent.hpcr)),
    'the hash of the request',
  );
  expectReply(response.pcaId === pca.hostname, `the PCA ${pca.hostname}`);
  const success = response.reply.value;
  if (success.type !== 'signedEncrypted') {
    throw new ScmsDataError('wrong-answer', 'expected a certificate sealed to the device');
  }
  checkSealed(success.value, sent, checking);
  return encode(Ieee1609Dot2Data, success.value);
}

function checkSealed(sealed: Ieee1609Dot2Data, sent: SentRequest, checking: Checking): void {
  const { pca, trust, iPeriod } = checking;
  if (sealed.content.type !== 'signedData') {
    throw new ScmsDataError('not-signed', `expected signedData, saw ${sealed.content.type}`);
  }
  const { payload, signer } = openSignedData(sealed.content.value, trust);
  expectReply(equalConstantTime(signer.id, pca.certificate.id), `the signature of ${pca.hostname}`);
  const { psidSsp, expiration, lifetime, encryptedCert } = decode(
    ToBeSignedEncryptedCertificateResponse,
    payload,
  );
  const start = iPeriod.start(sent.i);
  const expectedLifetime = iPeriod.lengthSec + OVERLAP_SEC;
  expectReply(
    durationSeconds(lifetime) === expectedLifetime,
    `a lifetime of ${expectedLifetime} s`,
  );
  expectReply(expiration === start + expectedLifetime, `an expiration in period ${sent.i}`);
  expectReply(
    equalConstantTime(encode(SequenceOfPsidSsp, psidSsp), sent.permissions),
    'the permissions that were asked for',
  );
  const { content } = encryptedCert;
  const recipients = content.type === 'encryptedData' ? content.value.recipients : [];
  expectReply(
    recipients.length === 1 && recipients[0]?.type === 'rekRecipInfo',
    'a certificate sealed to one response key',
  );
}

function expectReply(isRight: boolean, expected: string): void {
  if (!isRight) throw new ScmsDataError('wrong-answer', `expected ${expected} in the reply`);
}
