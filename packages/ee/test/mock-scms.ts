import { decode, encode, encoded } from '@chrysalis/coer';
import {
  cocoonPoints,
  Expansion,
  type Point,
  PrivateKey,
  type Random,
  systemRandom,
} from '@chrysalis/crypto';
import {
  type Certificate,
  type CertificateContent,
  decrypterOf,
  EE_TYPE_APP,
  EE_TYPE_ENROL,
  encryptForKey,
  fromPoint,
  hashCertificate,
  hashedId3,
  hashedId8,
  Ieee1609Dot2Data,
  type Issuer,
  issueExplicit,
  issueImplicit,
  type PsidGroupPermissions,
  type PublicEncryptionKey,
  type Time32,
  toPoint,
} from '@chrysalis/ieee1609dot2';
import {
  type ApplicationRequest,
  crlSsp,
  decodeSigned,
  decodeSignedRequest,
  formatEntryName,
  I_PERIOD_EPOCH,
  I_PERIOD_LENGTH_SEC,
  type IdentificationRequest,
  openSecured,
  PlaintextCertificateResponse,
  type PseudonymRequest,
  requestHash,
  roleSsp,
  ScmsPdu122,
  SignedCertificateRequest122,
  signMessage,
  ToBeSignedEncryptedCertificateResponse,
  type UnsignedButterflyParams,
} from '@chrysalis/scms';
import { zipSync } from 'fflate';
import type { BundleFiles, CertificateKind } from '../src/index.ts';

/** 2026-11-24: i-period 619 begins at 09:00:00 UTC, this is a while into it. */
export const NOW: Time32 = I_PERIOD_EPOCH + 619 * I_PERIOD_LENGTH_SEC + 3600;
export const CURRENT_I = 619;

const CERTIFICATE_HOURS = 169;

type Authority = Issuer & { readonly given: Certificate };

/** A throw-away SCMS: root, ICA, ECA, PCA and RA, whose keys tests use as they like. */
export interface MockScms {
  readonly root: Authority;
  readonly ica: Authority;
  readonly eca: Authority;
  readonly pca: Authority;
  readonly ra: Authority;
  readonly pg: Authority;
  readonly ma: Authority;
  readonly crlg: Authority;
  /** The key of the RA certificate's encryptionKey. */
  readonly raEncryption: PrivateKey;
}

export interface MockScmsOptions {
  readonly start?: Time32;
  readonly years?: number;
}

export function createMockScms({
  start = NOW - 86_400,
  years = 20,
}: MockScmsOptions = {}): MockScms {
  let cracaId: Uint8Array = new Uint8Array(3);
  const content = (name: string, issue: readonly PsidGroupPermissions[]): CertificateContent => ({
    id: { type: 'name', value: name },
    cracaId,
    crlSeries: 2,
    validityPeriod: { start, duration: { type: 'years', value: years } },
    appPermissions: [{ psid: 0x23 }],
    ...(issue.length > 0 && { certIssuePermissions: issue }),
  });
  const withRole = (role: 'ra' | 'pg'): CertificateContent => ({
    ...content(`${role}.test`, []),
    appPermissions: [{ psid: 0x23, ssp: roleSsp(role) }],
  });
  const authority = (given: Certificate, key: PrivateKey): Authority => ({
    certificate: hashCertificate(given),
    key,
    given,
  });
  const issued = (from: Authority, body: CertificateContent): Authority => {
    const key = PrivateKey.generate(systemRandom);
    return authority(issueExplicit(body, key.publicPoint, from), key);
  };
  const rootKey = PrivateKey.generate(systemRandom);
  const everyone = EE_TYPE_APP | EE_TYPE_ENROL;
  const rootContent = content('root.test', [
    issue(3, -1, everyone),
    management(everyone, 0x23),
    management(everyone, 0x100),
  ]);
  const root = authority(
    issueExplicit(rootContent, rootKey.publicPoint, { self: rootKey }),
    rootKey,
  );
  cracaId = hashedId3(root.certificate.hash);
  const ica = issued(
    root,
    content('ica.test', [issue(2, 0, everyone), management(everyone, 0x23)]),
  );
  const raEncryption = PrivateKey.generate(systemRandom);
  const encryptionKeyOf = (key: PrivateKey): PublicEncryptionKey => ({
    supportedSymmAlg: 'aes128Ccm',
    publicKey: { type: 'eciesNistP256', value: fromPoint(key.publicPoint) },
  });
  const crls = [1, 2, 3, 4];
  return {
    root,
    ica,
    eca: issued(ica, content('eca.test', [issue(1, 0, EE_TYPE_ENROL)])),
    pca: issued(ica, content('pca.test', [issue(1, 0, EE_TYPE_APP)])),
    ra: issued(ica, { ...withRole('ra'), encryptionKey: encryptionKeyOf(raEncryption) }),
    pg: issued(root, withRole('pg')),
    ma: issued(root, {
      ...content('ma.test', []),
      encryptionKey: encryptionKeyOf(PrivateKey.generate(systemRandom)),
    }),
    crlg: issued(root, {
      ...content('crlg.test', []),
      appPermissions: [{ psid: 0x100, ssp: crlSsp({ associatedCraca: 'issuerIsCraca', crls }) }],
    }),
    raEncryption,
  };
}

/** The same SCMS with another certificate, and other keys, of its RA. */
export function withRa(
  scms: MockScms,
  changes: Partial<CertificateContent> = {},
  issuer: Authority = scms.ica,
): MockScms {
  const raEncryption = PrivateKey.generate(systemRandom);
  const encryptionKey: PublicEncryptionKey = {
    supportedSymmAlg: 'aes128Ccm',
    publicKey: { type: 'eciesNistP256', value: fromPoint(raEncryption.publicPoint) },
  };
  const key = PrivateKey.generate(systemRandom);
  const given = issueExplicit(
    { ...scms.ra.certificate.certificate.toBeSigned, encryptionKey, ...changes },
    key.publicPoint,
    issuer,
  );
  const ra: Authority = { certificate: hashCertificate(given), key, given };
  return { ...scms, ra, raEncryption };
}

/** The same SCMS with another MA. */
export function withMa(scms: MockScms, name: string): MockScms {
  const key = PrivateKey.generate(systemRandom);
  const content = scms.ma.certificate.certificate.toBeSigned;
  const id = { type: 'name', value: name } as const;
  const given = issueExplicit({ ...content, id }, key.publicPoint, scms.root);
  return { ...scms, ma: { certificate: hashCertificate(given), key, given } };
}

/** Every application, at one depth. */
function issue(
  minChainDepth: number,
  chainDepthRange: number,
  eeType: number,
): PsidGroupPermissions {
  const subjectPermissions = { type: 'all', value: null } as const;
  return { subjectPermissions, minChainDepth, chainDepthRange, eeType: Uint8Array.of(eeType) };
}

/** Security management or revocation, at any depth: the authorities' own applications. */
function management(eeType: number, psid: number): PsidGroupPermissions {
  return {
    subjectPermissions: { type: 'explicit', value: [{ psid }] },
    minChainDepth: 1,
    chainDepthRange: -1,
    eeType: Uint8Array.of(eeType),
  };
}

export interface EnrollOptions {
  readonly raUrl?: string;
  readonly crlUrl?: string;
  readonly x509Root?: string;
  /** Signs the response instead of the ECA. */
  readonly signer?: Authority;
  readonly requestHash?: Uint8Array;
}

/** The bundle that answers an enrollment request, in the layout of `chrysalis enroll`. */
export function enroll(
  scms: MockScms,
  request: Uint8Array,
  options: EnrollOptions = {},
): BundleFiles {
  const { eca } = scms;
  const { raUrl = 'https://localhost:8892', x509Root = '', signer = eca } = options;
  const signed = decode(SignedCertificateRequest122, decodeSigned(request));
  const { content } = signed.tbsRequest.value;
  if (content.type !== 'ecaEe' || content.value.type !== 'eeEcaCertRequest') {
    throw new TypeError(`expected an enrollment request, saw ${content.type}`);
  }
  const { verifyKeyIndicator, ...wishes } = content.value.value.tbsData;
  if (verifyKeyIndicator.type !== 'verificationKey') throw new TypeError('expected a key');
  const { value: key } = verifyKeyIndicator;
  if (key.type !== 'ecdsaNistP256') throw new TypeError('expected a key on P-256');
  const { certificate, reconstructionValue } = issueImplicit(
    { ...wishes, cracaId: hashedId3(scms.root.certificate.hash) },
    toPoint(key.value),
    eca,
    systemRandom,
  );
  const response = encode(ScmsPdu122, {
    version: 1,
    content: {
      type: 'ecaEe',
      value: {
        type: 'ecaEeCertResponse',
        value: {
          version: 1,
          requestHash: options.requestHash ?? requestHash(request),
          ecaCert: eca.given,
          enrollmentCert: certificate,
          privKeyReconstruction: reconstructionValue,
        },
      },
    },
  });
  const names = ['root', 'ica', 'eca', 'pca', 'ra', 'ma', 'crlg'] as const;
  const text = (value: string) => new TextEncoder().encode(value);
  const iPeriod = { epoch: I_PERIOD_EPOCH, lengthSec: I_PERIOD_LENGTH_SEC };
  return new Map([
    ...names.map((name) => [`certificates/${name}.oer`, scms[name].given.octets] as const),
    ['x509-root.pem', text(x509Root)],
    [
      'SignedEeEnrollmentCertResponse.oer',
      signMessage(response, signer.certificate, signer.key, { signerIdentifier: 'certificate' }),
    ],
    ['bootstrap.json', text(JSON.stringify({ format: 1, raUrl, crlUrl: options.crlUrl, iPeriod }))],
  ]);
}

/** What the RA reads in a body or, decoded from Base64, in a Download-Req. */
export function openAsRa(scms: MockScms, octets: Uint8Array) {
  const signed = openSecured(octets, scms.ra.certificate, decrypterOf(scms.raEncryption));
  return decodeSignedRequest(decodeSigned(signed)).request;
}

export interface AckOptions {
  readonly certDLTime?: Time32;
  readonly certDLURL?: string;
  readonly requestHash?: Uint8Array;
  readonly signer?: Authority;
  readonly kind?: CertificateKind;
}

const ACK_TYPES = {
  pseudonym: 'raEePseudonymCertProvisioningAck',
  identification: 'raEeIdCertProvisioningAck',
  application: 'raEeAppCertProvisioningAck',
} as const;

export function acknowledge(scms: MockScms, body: Uint8Array, options: AckOptions = {}) {
  const { signer = scms.ra, kind = 'pseudonym' } = options;
  const pdu = encode(ScmsPdu122, {
    version: 1,
    content: {
      type: 'eeRa',
      value: {
        type: ACK_TYPES[kind],
        value: {
          version: 1,
          requestHash: options.requestHash ?? requestHash(body),
          reply: {
            type: 'ack',
            value: {
              certDLTime: options.certDLTime ?? NOW,
              certDLURL: options.certDLURL ?? 'https://localhost:8892/download/batch',
            },
          },
        },
      },
    },
  });
  return signMessage(pdu, signer.certificate, signer.key);
}

export interface ResponseOptions {
  readonly iCert?: number;
  readonly linkageValue?: Uint8Array;
  readonly start?: Time32;
  /** Signs the response; the PCA. */
  readonly signer?: Authority;
  /** Issues the certificate; the PCA. */
  readonly issuer?: Authority;
  readonly random?: Random;
}

/** One certificate response, as the PCA makes it for the cocoon keys of (i, j). */
export function certificateResponse(
  scms: MockScms,
  i: number,
  cocoon: { readonly verify: Point; readonly respEnc: Point },
  options: ResponseOptions = {},
): Uint8Array {
  const { signer = scms.pca, issuer = scms.pca, random = systemRandom } = options;
  const start = options.start ?? I_PERIOD_EPOCH + i * I_PERIOD_LENGTH_SEC;
  const duration = { type: 'hours', value: CERTIFICATE_HOURS } as const;
  const { iCert = i, linkageValue = random(9) } = options;
  const linkageData = { iCert, linkageValue };
  return sealedResponse(scms, cocoon, {
    content: {
      id: { type: 'linkageData', value: linkageData },
      cracaId: hashedId3(scms.root.certificate.hash),
      crlSeries: 1,
      validityPeriod: { start, duration },
      appPermissions: [{ psid: 0x20 }, { psid: 0x26 }],
    },
    form: 'implicitButterfly',
    signer,
    issuer,
    random,
  });
}

/** How long an identification certificate of this PCA lasts: a month and an hour. */
const IDENTIFICATION_HOURS = 721;

/** File number i of an identification request, for periods of 720 hours from `epoch` on. */
export function identificationResponse(
  scms: MockScms,
  request: IdentificationRequest,
  i: number,
  epoch: Time32,
  options: SealOverrides = {},
): Uint8Array {
  const point = (params: UnsignedButterflyParams, use: 'signing' | 'encryption') =>
    cocoonPoints(toPoint(params.seedKey), new Expansion(params.expansion, use), i, 1)[0]!;
  const { verifyKeyInfo, respEncKeyInfo, certEncKeyInfo } = request;
  return sealedResponse(
    scms,
    { verify: point(verifyKeyInfo, 'signing'), respEnc: point(respEncKeyInfo, 'encryption') },
    {
      content: {
        id: { type: 'binaryId', value: new Uint8Array(8).fill(i + 1) },
        cracaId: hashedId3(scms.root.certificate.hash),
        crlSeries: 3,
        validityPeriod: {
          start: epoch + i * (IDENTIFICATION_HOURS - 1) * 3_600,
          duration: { type: 'hours', value: IDENTIFICATION_HOURS },
        },
        appPermissions: [{ psid: 0x20 }],
        ...(certEncKeyInfo && {
          encryptionKey: {
            supportedSymmAlg: 'aes128Ccm',
            publicKey: {
              type: 'eciesNistP256',
              value: fromPoint(point(certEncKeyInfo, 'encryption')),
            },
          },
        }),
      },
      form: 'implicitButterfly',
      ...options,
    },
  );
}

/** The answer to an application request. */
export function applicationResponse(
  scms: MockScms,
  request: ApplicationRequest,
  options: SealOverrides = {},
): Uint8Array {
  const { verifyKey, responseEncryptionKey, certEncryptionKey } = request;
  if (verifyKey.type !== 'ecdsaNistP256') throw new TypeError('expected a key on P-256');
  const { publicKey } = responseEncryptionKey;
  if (publicKey.type !== 'eciesNistP256') throw new TypeError('expected a key on P-256');
  return sealedResponse(
    scms,
    { verify: toPoint(verifyKey.value), respEnc: toPoint(publicKey.value) },
    {
      content: {
        id: { type: 'binaryId', value: new Uint8Array(8).fill(7) },
        cracaId: hashedId3(scms.root.certificate.hash),
        crlSeries: 3,
        validityPeriod: {
          start: request.requestedStartTime,
          duration: { type: 'hours', value: CERTIFICATE_HOURS },
        },
        appPermissions: [{ psid: 0x20 }],
        ...(certEncryptionKey && { encryptionKey: certEncryptionKey }),
      },
      form: 'implicit',
      ...options,
    },
  );
}

interface SealOptions {
  readonly content: CertificateContent;
  readonly form: 'implicitButterfly' | 'implicit';
  readonly signer?: Authority;
  readonly issuer?: Authority;
  readonly random?: Random;
}

export type SealOverrides = Partial<SealOptions>;

/** Issues a certificate for one key, seals it for the other, and signs (sheet 4.7). */
export function sealedResponse(
  scms: MockScms,
  keys: { readonly verify: Point; readonly respEnc: Point },
  { content, form, signer = scms.pca, issuer = scms.pca, random = systemRandom }: SealOptions,
): Uint8Array {
  const { certificate, reconstructionValue } = issueImplicit(content, keys.verify, issuer, random);
  const plaintext = encode(PlaintextCertificateResponse, {
    type: form,
    value: { certificate, privKeyReconstructionS: reconstructionValue },
  });
  return sealedPlaintext(scms, keys.respEnc, plaintext, content, { signer, random });
}

/** A PlaintextCertificateResponse on its way to a key, under the PCA's signature. */
export function sealedPlaintext(
  { ra }: Pick<MockScms, 'ra'>,
  respEnc: Point,
  plaintext: Uint8Array,
  { validityPeriod }: Pick<CertificateContent, 'validityPeriod'>,
  { signer, random }: { signer: Issuer; random: Random },
): Uint8Array {
  const inner = encode(Ieee1609Dot2Data, {
    protocolVersion: 3,
    content: { type: 'unsecuredData', value: plaintext },
  });
  const encrypted = encryptForKey(inner, respEnc, hashedId8(ra.certificate.hash), random);
  const response = encode(ToBeSignedEncryptedCertificateResponse, {
    psidSsp: [{ psid: 0x23 }],
    expiration: validityPeriod.start,
    lifetime: validityPeriod.duration,
    encryptedCert: encoded(Ieee1609Dot2Data, encrypted),
  });
  return signMessage(response, signer.certificate, signer.key);
}

/** The linkage value of certificate j in period i. */
export type Linkage = (i: number, j: number) => Uint8Array;

/** The batch of a period as entries of a zip. */
export function batchEntries(
  scms: MockScms,
  request: Pick<PseudonymRequest, 'verifyKeyInfo' | 'respEncKeyInfo'>,
  i: number,
  count: number,
  linkage?: Linkage,
): Record<string, Uint8Array> {
  const { verifyKeyInfo, respEncKeyInfo } = request;
  const verify = cocoonPoints(
    toPoint(verifyKeyInfo.seedKey),
    new Expansion(verifyKeyInfo.expansion, 'signing'),
    i,
    count,
  );
  const respEnc = cocoonPoints(
    toPoint(respEncKeyInfo.seedKey),
    new Expansion(respEncKeyInfo.expansion, 'encryption'),
    i,
    count,
  );
  return Object.fromEntries(
    verify.map((point, j) => [
      formatEntryName(i, j),
      certificateResponse(
        scms,
        i,
        { verify: point, respEnc: respEnc[j]! },
        linkage && { linkageValue: linkage(i, j) },
      ),
    ]),
  );
}

/** A zip that is the same each time it is made of the same entries. */
export function zipOf(entries: Record<string, Uint8Array>): Uint8Array {
  return zipSync(entries, { level: 0, mtime: '1980-01-01' });
}
