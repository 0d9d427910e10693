/**
 * A PKI whose keys, signatures and certificates are the same in every run: signatures are noble's (RFC 6979), which
 * makes it the second implementation of ECDSA as well.
 */
import { PrivateKey, type Random, sha256 } from '@chrysalis/crypto';
import {
  type Certificate,
  type CertificateContent,
  EE_TYPE_APP,
  EE_TYPE_ENROL,
  fromPoint,
  type GeographicRegion,
  type HashedCertificate,
  hashCertificate,
  type Issuer,
  issueExplicit,
  type PsidGroupPermissions,
  type PsidSspRange,
  type PublicEncryptionKey,
  type Time32,
} from '@chrysalis/ieee1609dot2';
import { p256 } from '@noble/curves/nist.js';

/** Some instant of 2026. */
export const NOW: Time32 = 722_380_077;

export const USA: GeographicRegion = {
  type: 'identifiedRegion',
  value: [{ type: 'countryOnly', value: 840 }],
};

export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex.replaceAll(/\s/g, ''), 'hex'));
}

export function toHex(octets: Uint8Array): string {
  return Buffer.from(octets).toString('hex');
}

/** The same octets for the same seed. */
export function fixedRandom(seed: string): Random {
  let count = 0;
  return (octets) => {
    const blocks = [];
    for (let drawn = 0; drawn < octets; drawn += 32) {
      blocks.push(sha256(new TextEncoder().encode(`${seed} ${count++}`)));
    }
    return Uint8Array.from(Buffer.concat(blocks)).slice(0, octets);
  };
}

/** A key that belongs to a name and signs without randomness. */
export function keyOf(name: string): PrivateKey {
  return withoutRandomness(PrivateKey.generate(fixedRandom(name)));
}

/** The same key with noble as its signer. */
export function withoutRandomness(key: PrivateKey): PrivateKey {
  key.sign = (message) => {
    const signature = p256.sign(message, key.scalar().reveal(), { lowS: false });
    return { r: signature.slice(0, 32), s: signature.slice(32) };
  };
  return key;
}

export const APP = Uint8Array.of(EE_TYPE_APP);
export const ENROL = Uint8Array.of(EE_TYPE_ENROL);
export const APP_AND_ENROL = Uint8Array.of(EE_TYPE_APP | EE_TYPE_ENROL);

export function allOf(
  minChainDepth = 1,
  chainDepthRange = 0,
  eeType = APP_AND_ENROL,
): PsidGroupPermissions {
  const subjectPermissions = { type: 'all', value: null } as const;
  return { subjectPermissions, minChainDepth, chainDepthRange, eeType };
}

export function explicitly(
  value: readonly PsidSspRange[],
  minChainDepth = 1,
  chainDepthRange = 0,
  eeType = APP_AND_ENROL,
): PsidGroupPermissions {
  const subjectPermissions = { type: 'explicit', value } as const;
  return { subjectPermissions, minChainDepth, chainDepthRange, eeType };
}

/** The content of a certificate that may do what `more` says, for a year around {@link NOW}. */
export function content(name: string, more: Partial<CertificateContent>): CertificateContent {
  return {
    id: { type: 'name', value: name },
    cracaId: new Uint8Array(3),
    crlSeries: 2,
    validityPeriod: { start: NOW - 10_000_000, duration: { type: 'years', value: 1 } },
    ...more,
  };
}

/** An encryption key for a certificate. */
export function encryptionKeyOf(key: PrivateKey): PublicEncryptionKey {
  return {
    supportedSymmAlg: 'aes128Ccm',
    publicKey: { type: 'eciesNistP256', value: fromPoint(key.publicPoint) },
  };
}

/** An explicit certificate below an issuer, or a root. */
export function issue(
  name: string,
  more: Partial<CertificateContent>,
  issuer?: Issuer,
): Issuer & { readonly given: Certificate; readonly certificate: HashedCertificate } {
  const key = keyOf(name);
  const given = issueExplicit(content(name, more), key.publicPoint, issuer ?? { self: key });
  return { given, certificate: hashCertificate(given), key };
}

export const SECURITY_MANAGEMENT = [{ psid: 0x23 }];

export const root = issue('root.test', {
  appPermissions: SECURITY_MANAGEMENT,
  certIssuePermissions: [allOf(1, -1)],
});
export const ica = issue(
  'ica.test',
  { region: USA, appPermissions: SECURITY_MANAGEMENT, certIssuePermissions: [allOf(1, 1)] },
  root,
);
export const eca = issue(
  'eca.test',
  { region: USA, appPermissions: SECURITY_MANAGEMENT, certIssuePermissions: [allOf(1, 0, ENROL)] },
  ica,
);
export const pca = issue(
  'pca.test',
  {
    region: USA,
    appPermissions: SECURITY_MANAGEMENT,
    certIssuePermissions: [allOf(1, 0, APP)],
    encryptionKey: encryptionKeyOf(keyOf('pca.test encryption')),
  },
  ica,
);
export const raEncryption = keyOf('ra.test encryption');
export const ra = issue(
  'ra.test',
  {
    region: USA,
    appPermissions: SECURITY_MANAGEMENT,
    encryptionKey: encryptionKeyOf(raEncryption),
  },
  ica,
);
