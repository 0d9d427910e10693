/**
 * CRLs as they travel: a SecuredCrl for each series, all together in a CompositeCrl. Ballots against roots and electors
 * are carried and not acted upon: without electors nobody could have cast them.
 */
import { decode, encode } from '@chrysalis/coer';
import { equalConstantTime } from '@chrysalis/crypto';
import {
  checkValidAt,
  formatTime32,
  type HashedId8,
  Ieee1609Dot2Data,
  signData,
  signedPayload,
  type Time32,
  type TrustStore,
  type VerifiedCertificate,
  verifySignedData,
} from '@chrysalis/ieee1609dot2';
import type { ComponentSigner } from './countersignature.ts';
import { RevocationList } from './crl-check.ts';
import { decodeMessage, expectBareHeader, findSigner } from './envelope.ts';
import { ScmsDataError } from './error.ts';
import { CompositeCrl } from './pdu/component-cert-management.ts';
import { CRL_PSID, CrlContents } from './pdu/crl.ts';
import { crlSspOf } from './scms-ssp.ts';

/** One CRL whose signer was allowed to sign it. */
export interface VerifiedCrl {
  readonly contents: CrlContents;
  readonly signer: VerifiedCertificate;
}

/** A SecuredCrl. The signer is named by certificate, so that whoever knows the root can verify it. */
export function signCrl(
  contents: CrlContents,
  { certificate, key }: ComponentSigner,
): Ieee1609Dot2Data {
  const octets = signData({
    payload: encode(CrlContents, contents),
    headerInfo: { psid: CRL_PSID },
    certificate,
    key,
    signerIdentifier: 'certificate',
  });
  return decode(Ieee1609Dot2Data, octets);
}

/**
 * Verifies all CRLs of a CompositeCrl, each as {@link openCrl} does, and that none of the signers stands on one of the
 * others. Nothing is adopted when one is wrong.
 *
 * @throws ScmsDataError `wrong-signer`, `revoked`, `malformed`, `not-signed`, `unexpected-message`; Ieee1609Dot2Error
 */
export function openCompositeCrl(
  octets: Uint8Array,
  trust: TrustStore,
  time: Time32,
): readonly VerifiedCrl[] {
  // Entries are kept for a week or more, and what is decoded are views of the input.
  const { securedCrlSeries } = decodeMessage(CompositeCrl, Uint8Array.from(octets), 'CompositeCrl');
  const crls = securedCrlSeries.map((secured) => openCrl(secured, trust, time));
  const list = new RevocationList(crls);
  for (const { signer } of crls) list.expectUnlisted(signer);
  return crls;
}

/**
 * Verifies a SecuredCrl: the signature, that its signer is valid now and may sign this series for this authority
 * (CrlSsp), and that it was issued and not in the future. Whether a newer one is due is for `RevocationList.isFresh`.
 *
 * @throws as {@link openCompositeCrl}
 */
export function openCrl(
  { content }: Ieee1609Dot2Data,
  trust: TrustStore,
  time: Time32,
): VerifiedCrl {
  if (content.type !== 'signedData') {
    throw new ScmsDataError('not-signed', `expected signedData, saw ${content.type}`);
  }
  const signed = content.value;
  expectBareHeader(signed.tbsData.value.headerInfo, CRL_PSID, []);
  const signer = findSigner(signed.signer, trust);
  verifySignedData(signed, signer, signer.publicKey);
  checkValidAt(signer, time);
  const contents = decodeMessage(CrlContents, signedPayload(signed), 'CrlContents');
  expectPermitted(contents, signer);
  expectIssued(contents, time);
  return { contents, signer };
}

/** CrlSsp: the series that a signer may sign, and whether it is itself the authority or signs for its issuer. */
function expectPermitted({ crlSeries, crlCraca }: CrlContents, signer: VerifiedCertificate): void {
  const ssp = crlSspOf(signer);
  if (ssp === undefined || !ssp.crls.includes(crlSeries)) {
    const seen = ssp === undefined ? 'none' : ssp.crls.join(', ');
    throw new ScmsDataError(
      'wrong-signer',
      `expected a signer of CRL series ${crlSeries}, saw one of ${seen}`,
    );
  }
  const craca: HashedId8 | undefined =
    ssp.associatedCraca === 'isCraca' ? signer.id : signer.issuer?.id;
  if (craca === undefined || !equalConstantTime(craca, crlCraca)) {
    throw new ScmsDataError('wrong-signer', 'expected a CRL of the authority that its signer has');
  }
}

function expectIssued({ issueDate, nextCrl, typeSpecific }: CrlContents, time: Time32): void {
  if (typeSpecific.type === 'unknown') {
    const seen = `kind ${typeSpecific.tag}`;
    throw new ScmsDataError(
      'unexpected-message',
      `expected a CRL of a kind known here, saw ${seen}`,
    );
  }
  if (issueDate <= time && issueDate <= nextCrl) return;
  throw new ScmsDataError(
    'unexpected-message',
    `expected a CRL issued by ${formatTime32(Math.min(time, nextCrl))}, saw ${formatTime32(issueDate)}`,
  );
}
