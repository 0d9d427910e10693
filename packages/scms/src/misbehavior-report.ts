/** Misbehavior reports: signed with a pseudonym certificate, encrypted to the MA, so that the RA in between reads nothing. */
import { encode } from '@chrysalis/coer';
import type { Random } from '@chrysalis/crypto';
import {
  checkValidAt,
  type Decrypter,
  encryptForCertificate,
  type HashedCertificate,
  Ieee1609Dot2Data,
  signData,
  signedPayload,
  type ThreeDLocation,
  type Time32,
  type TrustStore,
  type VerifiedCertificate,
  verifySignedData,
} from '@chrysalis/ieee1609dot2';
import type { ComponentSigner } from './countersignature.ts';
import { decodeMessage, expectBareHeader, openSecured, signerCertificate } from './envelope.ts';
import { ScmsDataError } from './error.ts';
import type { MisbehaviorReportContents } from './pdu/ee-ma.ts';
import { ScmsPdu122 } from './pdu/scms-pdu.ts';

/** The application of misbehavior reports (scms-base-types.asn). */
export const MISBEHAVIOR_REPORTING_PSID = 0x26;

const MICROSECONDS = 1_000_000n;

/** How far a reporter's clock may be ahead of the MA's. */
const TOLERANCE_SEC = 300;

export interface MisbehaviorReportParts {
  readonly contents: MisbehaviorReportContents;
  readonly generationTime: Time32;
  readonly generationLocation: ThreeDLocation;
}

/** A SecuredMisbehaviorReport, the body of the POST. `reporter` is a pseudonym certificate that is valid now. */
export function secureMisbehaviorReport(
  { contents, generationTime, generationLocation }: MisbehaviorReportParts,
  reporter: ComponentSigner,
  ma: HashedCertificate,
  random: Random,
): Uint8Array {
  const signed = signData({
    payload: encode(ScmsPdu122, {
      version: 1,
      content: { type: 'eeMa', value: { type: 'misbehaviorReport', value: contents } },
    }),
    headerInfo: {
      psid: MISBEHAVIOR_REPORTING_PSID,
      generationTime: BigInt(generationTime) * MICROSECONDS,
      generationLocation,
    },
    certificate: reporter.certificate,
    key: reporter.key,
    signerIdentifier: 'certificate',
  });
  return encryptForCertificate(signed, ma, random);
}

/** A report as its MA reads it. */
export interface OpenedMisbehaviorReport extends MisbehaviorReportParts {
  readonly reporter: VerifiedCertificate;
}

export interface OpenMisbehaviorReportOptions {
  readonly ma: HashedCertificate;
  readonly key: Decrypter;
  /** Verifies pseudonym certificates: it holds the PCAs. */
  readonly trust: TrustStore;
  readonly time: Time32;
}

/**
 * Opens and verifies a SecuredMisbehaviorReport. The reporter's certificate has to have been valid when the report was
 * made, not when it arrives: reports wait in the device for a week and in the RA's pool for a day. Any certificate that
 * carries PSID 0x26 may report; a pseudonym certificate is what CAMP means, but RSEs see misbehavior as well.
 *
 * @throws ScmsDataError `not-encrypted`, `not-signed`, `no-signer-certificate`, `unexpected-message`, `wrong-signer`,
 *   `malformed`; Ieee1609Dot2Error
 */
export function openMisbehaviorReport(
  octets: Uint8Array,
  { ma, key, trust, time }: OpenMisbehaviorReportOptions,
): OpenedMisbehaviorReport {
  const plaintext = openSecured(octets, ma, key);
  const { content } = decodeMessage(Ieee1609Dot2Data, plaintext, 'SignedMisbehaviorReport');
  if (content.type !== 'signedData') {
    throw new ScmsDataError('not-signed', `expected signedData, saw ${content.type}`);
  }
  const signed = content.value;
  const header = signed.tbsData.value.headerInfo;
  expectBareHeader(header, MISBEHAVIOR_REPORTING_PSID, ['generationTime', 'generationLocation']);
  const { generationTime, generationLocation } = header;
  if (generationTime === undefined || generationLocation === undefined) {
    throw new ScmsDataError('unexpected-message', 'expected the time and place of a report');
  }
  const reporter = trust.verify(signerCertificate(signed));
  verifySignedData(signed, reporter, reporter.publicKey);
  const madeAt = Number(generationTime / MICROSECONDS);
  expectReporter(reporter, madeAt, time);
  const contents = reportIn(signedPayload(signed));
  return { contents, generationTime: madeAt, generationLocation, reporter };
}

function expectReporter(reporter: VerifiedCertificate, madeAt: Time32, now: Time32): void {
  const { appPermissions = [] } = reporter.certificate.toBeSigned;
  if (!appPermissions.some(({ psid }) => psid === MISBEHAVIOR_REPORTING_PSID)) {
    throw new ScmsDataError('wrong-signer', 'expected a certificate that may report (PSID 0x26)');
  }
  if (madeAt > now + TOLERANCE_SEC) {
    const seen = `${madeAt - now} seconds ahead`;
    throw new ScmsDataError('unexpected-message', `expected a report of the past, saw one ${seen}`);
  }
  checkValidAt(reporter, madeAt);
}

function reportIn(payload: Uint8Array): MisbehaviorReportContents {
  const { content } = decodeMessage(ScmsPdu122, payload, 'ScmsPDU');
  const pdu = content.type === 'eeMa' ? content.value : undefined;
  if (pdu?.type === 'misbehaviorReport') return pdu.value;
  const seen = pdu?.type ?? content.type;
  throw new ScmsDataError('unexpected-message', `expected misbehaviorReport, saw ${seen}`);
}
