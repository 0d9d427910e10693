import { capture, encode } from '@chrysalis/coer';
import {
  ecqvReconstructionPoints,
  ecqvReconstructionValue,
  type Point,
  PrivateKey,
  type Random,
  sha256,
} from '@chrysalis/crypto';
import { canonicalToBeSigned, type HashedCertificate } from './canonical.ts';
import { type Certificate, CertificateBase, ToBeSignedCertificate } from './certificate.ts';
import { signatureInput } from './chain.ts';
import { fromEcdsaSignature, fromPoint } from './point.ts';

/** What a certificate says apart from its key. */
export type CertificateContent = Omit<ToBeSignedCertificate, 'verifyKeyIndicator'>;

/** An authority's certificate and the private key that belongs to it. */
export interface Issuer {
  readonly certificate: HashedCertificate;
  readonly key: PrivateKey;
}

/** Issues a certificate that carries its key and a signature, 1609.2 §6.4.6; `self` makes a root with its own key. */
export function issueExplicit(
  content: CertificateContent,
  subjectKey: Point,
  issuer: Issuer | { readonly self: PrivateKey },
): Certificate {
  const toBeSigned = canonicalToBeSigned({
    ...content,
    verifyKeyIndicator: {
      type: 'verificationKey',
      value: { type: 'ecdsaNistP256', value: fromPoint(subjectKey) },
    },
  });
  const isSelf = 'self' in issuer;
  const signer = isSelf ? 'self' : issuer.certificate;
  const key = isSelf ? issuer.self : issuer.key;
  const input = signatureInput(encode(ToBeSignedCertificate, toBeSigned), signer);
  return capture(CertificateBase, {
    version: 3,
    type: 'explicit',
    issuer: isSelf
      ? { type: 'self', value: 'sha256' }
      : { type: 'sha256AndDigest', value: issuer.certificate.id },
    toBeSigned,
    signature: fromEcdsaSignature(key.sign(input)),
  });
}

/** An implicit certificate and the value with which its holder reconstructs the private key. */
export interface ImplicitIssue {
  readonly certificate: Certificate;
  /** r of SEC 4 §2.4, 32 octets. */
  readonly reconstructionValue: Uint8Array;
}

/** What an implicit certificate is asked for. */
export interface ImplicitOrder {
  readonly content: CertificateContent;
  /** RU of SEC 4 §2.4: the key of its holder. */
  readonly requestKey: Point;
}

/** Issues an implicit certificate to the holder of a request key (ECQV, SEC 4 §2.4; 1609.2 §5.3.2). */
export function issueImplicit(
  content: CertificateContent,
  requestKey: Point,
  issuer: Issuer,
  random: Random,
): ImplicitIssue {
  return issueImplicitAll([{ content, requestKey }], issuer, random)[0]!;
}

/** The same for many, in their order, for less than one after the other. */
export function issueImplicitAll(
  orders: readonly ImplicitOrder[],
  issuer: Issuer,
  random: Random,
): ImplicitIssue[] {
  const ks = orders.map(() => PrivateKey.generate(random));
  const points = ecqvReconstructionPoints(
    orders.map(({ requestKey }) => requestKey),
    ks,
  );
  return orders.map(({ content }, n) => completeImplicit(content, points[n]!, ks[n]!, issuer));
}

function completeImplicit(
  content: CertificateContent,
  reconstructionPoint: Point,
  k: PrivateKey,
  issuer: Issuer,
): ImplicitIssue {
  const toBeSigned = canonicalToBeSigned({
    ...content,
    verifyKeyIndicator: { type: 'reconstructionValue', value: fromPoint(reconstructionPoint) },
  });
  const input = signatureInput(encode(ToBeSignedCertificate, toBeSigned), issuer.certificate);
  return {
    certificate: capture(CertificateBase, {
      version: 3,
      type: 'implicit',
      issuer: { type: 'sha256AndDigest', value: issuer.certificate.id },
      toBeSigned,
    }),
    reconstructionValue: ecqvReconstructionValue(sha256(input), k, issuer.key),
  };
}
