import type { Authority, TestScms } from '@chrysalis/authorities';
import { encode } from '@chrysalis/coer';
import { ecqvPrivateKey, PrivateKey, type Random, sha256 } from '@chrysalis/crypto';
import {
  asCertificate,
  type CertificateContent,
  fromPoint,
  type HashedCertificate,
  hashCertificate,
  hashedId3,
  issueImplicit,
  signatureInput,
  type Time32,
  ToBeSignedCertificate,
  TrustStore,
} from '@chrysalis/ieee1609dot2';
import {
  type Dialect,
  type EeRaRequest,
  encodeScopedRequest,
  type PseudonymRequest,
  secureRequest,
  signRequest,
} from '@chrysalis/scms';

/** An enrollment certificate and its private key, issued in a test without the detour through a request. */
export interface TestDevice {
  readonly certificate: HashedCertificate;
  readonly key: PrivateKey;
  /** Caterpillar keys and expansion keys. */
  readonly verifySeed: PrivateKey;
  readonly verifyExpansion: Uint8Array;
  readonly encryptionSeed: PrivateKey;
  readonly encryptionExpansion: Uint8Array;
}

export function createDevice(
  scms: TestScms,
  random: Random,
  now: Time32,
  changes: Partial<CertificateContent> = {},
  eca: Authority = scms.eca,
): TestDevice {
  const requestKey = PrivateKey.generate(random);
  const content: CertificateContent = {
    id: { type: 'name', value: '' },
    cracaId: hashedId3(scms.root.certificate.hash),
    crlSeries: 4,
    validityPeriod: { start: now - 3600, duration: { type: 'years', value: 3 } },
    certRequestPermissions: [
      {
        subjectPermissions: {
          type: 'explicit',
          value: [0x20, 0x26].map((psid) => ({
            psid,
            sspRange: { type: 'opaque', value: [new Uint8Array(0)] },
          })),
        },
        minChainDepth: 0,
        chainDepthRange: 0,
        eeType: Uint8Array.of(0x80),
      },
    ],
    ...changes,
  };
  const issuer = { certificate: eca.certificate, key: eca.signingKey };
  const issued = issueImplicit(content, requestKey.publicPoint, issuer, random);
  const tbs = encode(ToBeSignedCertificate, issued.certificate.value.toBeSigned);
  const e = sha256(signatureInput(tbs, eca.certificate));
  return {
    certificate: hashCertificate(issued.certificate),
    key: ecqvPrivateKey(e, requestKey, issued.reconstructionValue),
    verifySeed: PrivateKey.generate(random),
    verifyExpansion: random(16),
    encryptionSeed: PrivateKey.generate(random),
    encryptionExpansion: random(16),
  };
}

export function pseudonymRequest(device: TestDevice, now: Time32): PseudonymRequest {
  return {
    type: 'pseudonym',
    verifyKeyInfo: {
      seedKey: fromPoint(device.verifySeed.publicPoint),
      expansion: device.verifyExpansion,
    },
    respEncKeyInfo: {
      seedKey: fromPoint(device.encryptionSeed.publicPoint),
      expansion: device.encryptionExpansion,
    },
    currentTime: now,
    requestedStartTime: now,
  };
}

/** The Signed form, before encryption. */
export function signedBy(
  device: Pick<TestDevice, 'certificate' | 'key'>,
  request: EeRaRequest,
  dialect: Dialect = '1.2.2',
): Uint8Array {
  return signRequest(encodeScopedRequest(request, dialect), device.certificate, device.key);
}

/** The Secured form: a POST body, or in base64 the value of Download-Req. */
export function securedBy(
  device: Pick<TestDevice, 'certificate' | 'key'>,
  request: EeRaRequest,
  ra: HashedCertificate,
  random: Random,
  dialect?: Dialect,
): Uint8Array {
  return secureRequest(signedBy(device, request, dialect), ra, random);
}

export function downloadReq(
  device: Pick<TestDevice, 'certificate' | 'key'>,
  filename: string,
  timestamp: Time32,
  ra: HashedCertificate,
  random: Random,
): Record<string, string> {
  const secured = securedBy(device, { type: 'download', timestamp, filename }, ra, random);
  return { 'Download-Req': Buffer.from(secured).toString('base64') };
}

/** A trust store with everything that stands behind an RA. */
export function trustOf(scms: TestScms): TrustStore {
  const trust = new TrustStore([asCertificate(scms.root.certificate)]);
  trust.add(asCertificate(scms.ica.certificate));
  for (const name of ['eca', 'pca', 'la1', 'la2', 'ma', 'crlg', 'pg', 'ra'] as const) {
    trust.add(asCertificate(scms[name].certificate));
  }
  return trust;
}
