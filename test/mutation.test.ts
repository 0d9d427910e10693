/**
 * Every message type, 10,000 times mutated: nothing escapes but the errors that the rooms announce, and nothing is
 * accepted that is encoded differently again. Keys, signatures and mutations are the same in every run.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Codec, CoerError, capture, decode, encode } from '@chrysalis/coer';
import { CryptoError, PublicKey } from '@chrysalis/crypto';
import {
  Certificate,
  CertificateBase,
  checkValidAt,
  decrypterOf,
  decryptForKey,
  decryptSymmetric,
  EncryptedData,
  encryptForKey,
  encryptSymmetric,
  type GeographicRegion,
  hashCertificate,
  Ieee1609Dot2Data,
  Ieee1609Dot2Error,
  issueExplicit,
  issueImplicit,
  isWithinRegion,
  SignedData,
  signData,
  signedPayload,
  ToBeSignedCertificate,
  ToBeSignedData,
  TrustStore,
  verifySignedData,
} from '@chrysalis/ieee1609dot2';
import {
  type Dialect,
  decodeSigned,
  decodeSignedRequest,
  type EeRaRequest,
  EncryptedIndividualPlv,
  encodeScopedRequest,
  LinkageSeedAndLaId,
  openSecured,
  openSignedMessage,
  PlaintextCertificateResponse,
  ScmsDataError,
  ScmsPdu122,
  ScmsPdu124,
  SignedCertificateRequest122,
  SignedCertificateRequest124,
  secureRequest,
  signerCertificate,
  signMessage,
  signRequest,
  ToBeEncryptedIndividualPlv,
  ToBeSignedEncryptedCertificateResponse,
  ToBeSignedPolicyData,
  verifyRequest,
} from '@chrysalis/scms';
import {
  content,
  eca,
  encryptionKeyOf,
  fixedRandom,
  ica,
  keyOf,
  NOW,
  pca,
  ra,
  raEncryption,
  root,
  USA,
} from '../packages/ieee1609dot2/test/pki.ts';
import { device } from '../packages/scms/test/device.ts';
import { fileSamples } from './support/file-samples.ts';

const MUTANTS = 10_000;
/** One in so many accepted mutants goes on to the receiver, whose curve operations cost more than all the decoding. */
const USED = 5;

/** A type, one valid encoding of it or several, and what a receiver does with what it decoded. */
interface Sample<T = unknown> {
  readonly name: string;
  readonly codec: Codec<T>;
  readonly encodings: readonly Uint8Array[];
  readonly use?: (octets: Uint8Array, value: T) => void;
}

function sample<T>(
  name: string,
  codec: Codec<T>,
  encodings: readonly Uint8Array[],
  use?: (octets: Uint8Array, value: T) => void,
): Sample {
  return { name, codec, encodings, ...(use && { use }) } as Sample;
}

const random = fixedRandom('mutation');
const trust = new TrustStore([root.given]);
for (const { given } of [ica, eca, pca, ra]) trust.add(given);
const raKey = decrypterOf(raEncryption);
const cocoon = keyOf('cocoon');
const sharedKey = random(16);
const sharedKeyId = random(8);

describe('10,000 mutants', () => {
  const types = [
    ...certificates(),
    ...data(),
    ...requests(),
    ...answers(),
    ...betweenAuthorities(),
    ...fileSamples(),
  ];
  for (const type of types) {
    test(`of ${type.name}`, (t) => {
      const started = performance.now();
      const accepted = attack(type);
      const milliseconds = Math.round(performance.now() - started);
      t.diagnostic(`${type.name}: ${accepted} of ${MUTANTS} accepted, ${milliseconds} ms`);
    });
  }
});

/** How many mutants were accepted. */
function attack({ name, codec, encodings, use }: Sample): number {
  const draw = generator(name);
  for (const encoding of encodings) expectStrict(name, codec, encoding, use, true);
  let accepted = 0;
  for (let i = 0; i < MUTANTS; i++) {
    const encoding = encodings[i % encodings.length] as Uint8Array;
    let mutant = encoding;
    for (let changes = 1 + draw(3); changes > 0; changes--) {
      mutant = mutate(mutant, encodings[draw(encodings.length)] as Uint8Array, draw);
    }
    const isUsed = accepted % USED === 0;
    if (expectStrict(name, codec, mutant, isUsed ? use : undefined)) accepted++;
  }
  return accepted;
}

/** Whether the octets were accepted; if so, what they say has no other encoding. */
function expectStrict(
  name: string,
  codec: Codec<unknown>,
  octets: Uint8Array,
  use: Sample['use'],
  isValid = false,
): boolean {
  const asItCame = Buffer.from(octets);
  let value: unknown;
  try {
    value = decode(codec, octets);
  } catch (error) {
    assert.ok(error instanceof CoerError && !isValid, `${name}: ${inHex(octets)}: ${error}`);
    assert.ok(error.offset !== undefined && error.offset <= octets.length);
    return false;
  }
  const again = encode(codec, withoutCaptures(value));
  assert.ok(asItCame.equals(again), `${name}: ${inHex(octets)} is encoded as ${inHex(again)}`);
  try {
    use?.(octets, value);
  } catch (error) {
    assert.ok(isAnnounced(error) && !isValid, `${name}: ${inHex(octets)}: ${error}`);
  }
  assert.ok(asItCame.equals(octets), `${name}: the input is left as it was`);
  return true;
}

function isAnnounced(error: unknown): boolean {
  return [CoerError, ScmsDataError, Ieee1609Dot2Error, CryptoError].some(
    (kind) => error instanceof kind,
  );
}

function inHex(octets: Uint8Array): string {
  return Buffer.from(octets).toString('hex');
}

/** What is captured is encoded from its octets: here from its value instead, all the way down. */
function withoutCaptures(value: unknown, field?: string): unknown {
  if (Array.isArray(value)) return value.map((element) => withoutCaptures(element, field));
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  const entries = Object.entries(value).map(([key, inner]) => [key, withoutCaptures(inner, key)]);
  const copy = Object.fromEntries(entries);
  const { octets } = value as { octets?: unknown };
  if (!(octets instanceof Uint8Array && 'value' in value)) return copy;
  return { ...copy, octets: encode(codecOfCaptured(field, value.value), copy.value) };
}

function codecOfCaptured(field: string | undefined, value: unknown): Codec<unknown> {
  const isPolicy = typeof value === 'object' && value !== null && 'policyID' in value;
  if (isPolicy) return ToBeSignedPolicyData as Codec<unknown>;
  if (field === 'tbsData') return ToBeSignedData as Codec<unknown>;
  if (field !== 'tbsRequest') return CertificateBase as Codec<unknown>;
  // One of the two releases encodes it: the one that decoded it.
  const { content } = value as ScmsPdu122;
  const body = content.type === 'eeRa' ? content.value.value : {};
  return ('currentTime' in body ? ScmsPdu124 : ScmsPdu122) as Codec<unknown>;
}

type Draw = (below: number) => number;

/** Numbers that follow from a name (xorshift32). */
function generator(name: string): Draw {
  let state = 0x9e3779b9;
  for (const character of name) state = Math.imul(state ^ character.codePointAt(0)!, 0x01000193);
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** Octets that mean something to a decoder: tags, lengths, the ends of ranges. */
const TELLING = [
  0x00, 0x01, 0x02, 0x03, 0x20, 0x40, 0x7f, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0xbf, 0xfe, 0xff,
];

function mutate(octets: Uint8Array, other: Uint8Array, draw: Draw): Uint8Array {
  const at = draw(octets.length + 1);
  const size = 1 + draw(8);
  const splice = (upTo: number, middle: Uint8Array) =>
    Uint8Array.from([...octets.subarray(0, at), ...middle, ...octets.subarray(upTo)]);
  switch (draw(9)) {
    case 0: // A bit.
    case 1:
      return replaced(octets, at, (octet) => octet ^ (1 << draw(8)));
    case 2: // An octet that means something.
    case 3:
      return replaced(octets, at, () => TELLING[draw(TELLING.length)]!);
    case 4: // One more or one less: lengths and counts.
      return replaced(octets, at, (octet) => octet + (draw(2) === 0 ? 1 : -1));
    case 5: // Octets too few.
      return splice(at + size, new Uint8Array(0));
    case 6: // Octets too many.
      return splice(
        at,
        Uint8Array.from({ length: size }, () => draw(256)),
      );
    case 7: // Octets from elsewhere.
      return splice(at + size, other.subarray(draw(other.length)).subarray(0, size));
    default: // An end that comes too soon, or octets after it.
      return draw(2) === 0 ? octets.slice(0, at) : splice(at, other.subarray(0, size));
  }
}

function replaced(octets: Uint8Array, at: number, change: (octet: number) => number): Uint8Array {
  const mutant = Uint8Array.from(octets);
  if (at < mutant.length) mutant[at] = change(mutant[at]!);
  return mutant;
}

function certificates(): Sample[] {
  const regions: GeographicRegion[] = [
    { type: 'circularRegion', value: { center: { latitude: 1, longitude: -1 }, radius: 9 } },
    {
      type: 'rectangularRegion',
      value: [
        { northWest: { latitude: 9, longitude: -9 }, southEast: { latitude: 0, longitude: 9 } },
      ],
    },
    {
      type: 'polygonalRegion',
      value: [0, 1, 5].map((n) => ({ latitude: n * n, longitude: n })),
    },
    {
      type: 'identifiedRegion',
      value: [
        { type: 'countryAndRegions', value: { countryOnly: 840, regions: [1, 2] } },
        {
          type: 'countryAndSubregions',
          value: { country: 840, regionAndSubregions: [{ region: 1, subregions: [3] }] },
        },
      ],
    },
  ];
  const everything = regions.map((region) =>
    issueExplicit(
      content('everything', {
        region,
        assuranceLevel: Uint8Array.of(0x60),
        appPermissions: [{ psid: 0x20, ssp: { type: 'opaque', value: random(3) } }],
        certRequestPermissions: root.given.value.toBeSigned.certIssuePermissions!,
        canRequestRollover: null,
        encryptionKey: encryptionKeyOf(raEncryption),
      }),
      keyOf('everything').publicPoint,
      root,
    ),
  );
  const verify = (_: Uint8Array, value: CertificateBase) => {
    checkValidAt(trust.verify(capture(CertificateBase, value)), NOW);
    const { region } = value.toBeSigned;
    if (region) for (const outer of [USA, ...regions]) isWithinRegion(region, outer);
  };
  const pseudonym = issueImplicit(
    content('', {
      id: {
        type: 'linkageData',
        value: {
          iCert: 425,
          linkageValue: random(9),
          groupLinkageValue: { jValue: random(4), value: random(9) },
        },
      },
      appPermissions: [{ psid: 0x20 }, { psid: 0x26 }],
    }),
    cocoon.publicPoint,
    pca,
    random,
  ).certificate;
  return [
    sample('Certificate, a root', CertificateBase, [root.given.octets], (_, value) => {
      new TrustStore([capture(CertificateBase, value)]);
    }),
    sample(
      'Certificate, explicit',
      CertificateBase,
      [ica, eca, pca, ra].map(({ given }) => given.octets),
      verify,
    ),
    sample(
      'Certificate, explicit, with every field',
      CertificateBase,
      everything.map(({ octets }) => octets),
      (_, value) => hashCertificate(capture(CertificateBase, value)),
    ),
    sample(
      'Certificate, implicit',
      CertificateBase,
      [device.given.octets, pseudonym.octets],
      verify,
    ),
    sample('ToBeSignedCertificate', ToBeSignedCertificate, [
      encode(ToBeSignedCertificate, pseudonym.value.toBeSigned),
      ...everything.map(({ value }) => encode(ToBeSignedCertificate, value.toBeSigned)),
    ]),
  ];
}

function data(): Sample[] {
  const payload = random(40);
  const headerInfo = {
    psid: 0x23,
    generationTime: 1n,
    expiryTime: 2n,
    generationLocation: { latitude: 1, longitude: 2, elevation: 3 },
    p2pcdLearningRequest: random(3),
    missingCrlIdentifier: { cracaId: random(3), crlSeries: 4 },
    encryptionKey: { type: 'public', value: encryptionKeyOf(raEncryption) },
  } as const;
  const signedBy = (more: object) =>
    signData({
      payload,
      headerInfo: { psid: 0x23 },
      certificate: ra.certificate,
      key: ra.key,
      ...more,
    });
  const raCertificate = trust.get(ra.certificate.id)!;
  const open = (octets: Uint8Array) => void openSignedMessage(octets, trust);
  const verify = (_: Uint8Array, { content }: Ieee1609Dot2Data) => {
    if (content.type !== 'signedData') return;
    verifySignedData(content.value, raCertificate, raCertificate.publicKey);
    signedPayload(content.value);
  };
  const secured = secureRequest(payload, ra.certificate, random);
  const forKey = encryptForKey(payload, cocoon.publicPoint, random(8), random);
  const symmetric = encryptSymmetric(payload, sharedKey, sharedKeyId, random);
  const external = {
    payload: { extDataHash: { type: 'sha256HashedData', value: random(32) } },
    headerInfo,
  } as const;
  const { signature } = ra.given.value;
  const signer = { type: 'self', value: null } as const;
  const countersignature = encode(SignedData, {
    hashId: 'sha256',
    tbsData: capture(ToBeSignedData, external),
    signer,
    signature: signature!,
  });
  return [
    sample('Ieee1609Dot2Data, unsecured', Ieee1609Dot2Data, [Uint8Array.of(3, 0x80, 3, 1, 2, 3)]),
    sample('Ieee1609Dot2Data, signed, by digest', Ieee1609Dot2Data, [signedBy({})], open),
    sample(
      'Ieee1609Dot2Data, signed, by certificate',
      Ieee1609Dot2Data,
      [signedBy({ signerIdentifier: 'certificate' })],
      open,
    ),
    sample(
      'Ieee1609Dot2Data, signed, with every header',
      Ieee1609Dot2Data,
      [signedBy({ headerInfo })],
      verify,
    ),
    sample('SignedData over a hash', SignedData, [countersignature]),
    sample('Ieee1609Dot2Data, encrypted for a certificate', Ieee1609Dot2Data, [secured], (octets) =>
      openSecured(octets, ra.certificate, raKey),
    ),
    sample(
      'Ieee1609Dot2Data, encrypted for a key',
      Ieee1609Dot2Data,
      [forKey],
      (_, { content }) => {
        if (content.type === 'encryptedData') decryptForKey(content.value, decrypterOf(cocoon));
      },
    ),
    sample(
      'EncryptedData under a shared key',
      EncryptedData,
      [encode(EncryptedData, symmetric)],
      (_, value) => decryptSymmetric(value, sharedKey, sharedKeyId),
    ),
  ];
}

function requests(): Sample[] {
  const seed = device.seed;
  const verifyKey = { type: 'ecdsaNistP256', value: seed.seedKey } as const;
  const responseEncryptionKey = encryptionKeyOf(keyOf('response'));
  const times = { currentTime: NOW, requestedStartTime: NOW, region: USA };
  const butterfly = { verifyKeyInfo: seed, respEncKeyInfo: seed, ...times };
  const kinds: EeRaRequest[] = [
    { type: 'pseudonym', ...butterfly },
    { type: 'identification', ...butterfly, certEncKeyInfo: seed },
    {
      type: 'application',
      verifyKey,
      responseEncryptionKey,
      ...times,
      certEncryptionKey: responseEncryptionKey,
    },
    { type: 'download', timestamp: NOW, filename: 'AB09281C9867DE53_F.zip' },
  ];
  const sign = (request: EeRaRequest, dialect: Dialect) =>
    signRequest(encodeScopedRequest(request, dialect), device.certificate, device.key);
  /** What an RA does with a request of either release. */
  const receive = (octets: Uint8Array) => {
    const request = decodeSignedRequest(octets);
    const signer = trust.verify(signerCertificate(request));
    verifyRequest(request, signer, signer.publicKey);
  };
  return [
    ...kinds.flatMap((request) => [
      sample(
        `SignedCertificateRequest, ${request.type}, 1.2.2`,
        SignedCertificateRequest122,
        [decodeSigned(sign(request, '1.2.2'))],
        receive,
      ),
      sample(
        `SignedCertificateRequest, ${request.type}, 1.2.4`,
        SignedCertificateRequest124,
        [decodeSigned(sign(request, '1.2.4'))],
        receive,
      ),
    ]),
    sample(
      'Ieee1609Dot2Data, signed certificate requests',
      Ieee1609Dot2Data,
      kinds.map((request) => sign(request, '1.2.2')),
      (octets) => receive(decodeSigned(octets)),
    ),
    sample(
      'ScmsPDU, requests of 1.2.2',
      ScmsPdu122,
      kinds.map((request) => encodeScopedRequest(request, '1.2.2')),
    ),
    sample(
      'ScmsPDU, requests of 1.2.4',
      ScmsPdu124,
      kinds.map((request) => encodeScopedRequest(request, '1.2.4')),
    ),
    sample('ScmsPDU, eeRaCertRequest', ScmsPdu122, [Uint8Array.of(1, 0x83, 0x80, 0, 1)]),
  ];
}

function pdu(content: ScmsPdu122['content']): Uint8Array {
  return encode(ScmsPdu122, { version: 1, content });
}

function answers(): Sample[] {
  const reply = {
    type: 'ack',
    value: { certDLTime: NOW, certDLURL: 'https://ra.test:8892/download/batch' },
  } as const;
  const value = { version: 1, requestHash: random(8), reply };
  const acks = (
    [
      'raEePseudonymCertProvisioningAck',
      'raEeIdCertProvisioningAck',
      'raEeAppCertProvisioningAck',
    ] as const
  ).map((type) => pdu({ type: 'eeRa', value: { type, value } }));
  const plaintexts: PlaintextCertificateResponse[] = [
    {
      type: 'implicitButterfly',
      value: { certificate: device.given, privKeyReconstructionS: random(32) },
    },
    { type: 'implicit', value: { certificate: device.given, privKeyReconstructionS: random(32) } },
    {
      type: 'explicitButterfly',
      value: { certificate: ra.given, privKeyReconstructionC: random(32) },
    },
    { type: 'explicit', value: ra.given },
  ];
  const response = encode(ToBeSignedEncryptedCertificateResponse, {
    psidSsp: [{ psid: 0x23 }],
    expiration: NOW,
    lifetime: { type: 'hours', value: 169 },
    encryptedCert: decode(
      Ieee1609Dot2Data,
      encryptForKey(
        encode(PlaintextCertificateResponse, plaintexts[0]!),
        cocoon.publicPoint,
        random(8),
        random,
      ),
    ),
  });
  const enrollment = {
    version: 1,
    currentTime: NOW,
    tbsData: {
      ...content('device', { region: USA, certRequestPermissions: [] }),
      verifyKeyIndicator: {
        type: 'verificationKey',
        value: { type: 'ecdsaNistP256', value: device.seed.seedKey },
      },
    },
  } as const;
  const enrolled = {
    version: 1,
    requestHash: random(8),
    ecaCert: eca.given,
    enrollmentCert: device.given,
    privKeyReconstruction: random(32),
  };
  const request = pdu({ type: 'ecaEe', value: { type: 'eeEcaCertRequest', value: enrollment } });
  const signed = decodeSigned(signRequest(request, 'self', keyOf('caterpillar')));
  return [
    sample('ScmsPDU, acknowledgements', ScmsPdu122, acks),
    sample(
      'SignedPseudonymCertProvisioningAck',
      Ieee1609Dot2Data,
      [signMessage(acks[0]!, ra.certificate, ra.key)],
      (octets) => decode(ScmsPdu122, openSignedMessage(octets, trust).payload),
    ),
    ...plaintexts.map((plaintext) =>
      sample(`PlaintextCertificateResponse, ${plaintext.type}`, PlaintextCertificateResponse, [
        encode(PlaintextCertificateResponse, plaintext),
      ]),
    ),
    sample('ToBeSignedEncryptedCertificateResponse', ToBeSignedEncryptedCertificateResponse, [
      response,
    ]),
    sample(
      'SignedEncryptedCertificateResponse',
      Ieee1609Dot2Data,
      [signMessage(response, pca.certificate, pca.key)],
      (octets) =>
        decode(ToBeSignedEncryptedCertificateResponse, openSignedMessage(octets, trust).payload),
    ),
    sample('ScmsPDU, eeEcaCertRequest', ScmsPdu122, [request]),
    sample(
      'SignedCertificateRequest, eeEcaCertRequest',
      SignedCertificateRequest122,
      [signed],
      (_, value) => {
        const tbsRequest = value.tbsRequest.octets;
        verifyRequest(
          { ...value, tbsRequest },
          'self',
          PublicKey.fromPoint(keyOf('caterpillar').publicPoint),
        );
      },
    ),
    sample('ScmsPDU, ecaEeCertResponse', ScmsPdu122, [
      pdu({ type: 'ecaEe', value: { type: 'ecaEeCertResponse', value: enrolled } }),
    ]),
  ];
}

function betweenAuthorities(): Sample[] {
  const encPlv = encryptSymmetric(random(11), sharedKey, sharedKeyId, random);
  const plv = { version: 1, laId: random(2), encPlv };
  const groupPlv = { version: 1, laId: random(2), encGroupIndex: random(16), encGroupPlv: encPlv };
  const header = { version: 1, raId: 'ra.test', pcaId: 'pca.test', iMin: 1, iMax: 2 };
  const failure = {
    type: 'failure',
    value: { type: 'laRa', value: { type: 'laRa', value: 'invalidIMax' } },
  } as const;
  const success = {
    type: 'success',
    value: {
      iMin: 1,
      iMax: 2,
      individual: [{ jMax: 1, values: [[plv], [plv]], linkageChainId: encPlv }],
      group: [{ jMax: 1, otherLa: random(2), values: [[groupPlv]], groupIdentifier: random(4) }],
    },
  } as const;
  const answer = { version: 1, requestHash: random(8), laId: 'la1.test' };
  const pseudonym = {
    psidSsp: [{ psid: 0x20 }, { psid: 0x26 }],
    region: USA,
    iValue: 425,
    pcaId: 'pca.test',
    sigButterflyKeyB: device.seed.seedKey,
    la1Id: 'la1.test',
    la2Id: 'la2.test',
    encPlv1: plv,
    encPlv2: plv,
    encButterflyKeyH: device.seed.seedKey,
  };
  const whole = {
    ...pseudonym,
    performanceAssuranceLevel: random(1),
    groupLinkageInfo: { gla1Id: 'a', gla2Id: 'b', encGplv1: groupPlv, encGplv2: groupPlv },
  };
  const authorized = {
    pcaId: 'pca.test',
    type: 'implicit',
    toBeSignedCert: device.given.value.toBeSigned,
    responseEncryptionKey: device.seed.seedKey,
  } as const;
  const ask = (certRequestInfo: Parameters<typeof toPcaRequest>[0]) =>
    pdu(toPcaRequest(certRequestInfo));
  const requests = [
    ask({ type: 'pseudonymCertReq', value: pseudonym }),
    ask({ type: 'pseudonymCertReq', value: whole }),
  ];
  const replied = { version: 1, requestHash: random(8), pcaId: 'pca.test' };
  const signedEncrypted = decode(
    Ieee1609Dot2Data,
    signMessage(random(30), pca.certificate, pca.key),
  );
  const replies = [
    { type: 'success', value: { type: 'signedEncrypted', value: signedEncrypted } },
    { type: 'success', value: { type: 'raw', value: { type: 'explicit', value: ra.given } } },
    {
      type: 'failure',
      value: { type: 'pcaRa', value: { type: 'pcaRaRequestError', value: 'invalidRegion' } },
    },
    { type: 'failure', value: { type: 'common', value: 1 } },
  ] as const;
  const laRa = (value: Extract<ScmsPdu122['content'], { type: 'laRa' }>['value']) =>
    pdu({ type: 'laRa', value });
  const secured = decodeSigned(signRequest(requests[0]!, ra.certificate, ra.key));
  return [
    sample('EncryptedIndividualPLV', EncryptedIndividualPlv, [encode(EncryptedIndividualPlv, plv)]),
    sample('ToBeEncryptedIndividualPLV', ToBeEncryptedIndividualPlv, [
      encode(ToBeEncryptedIndividualPlv, { iValue: 7, plv: random(9) }),
    ]),
    sample('LinkageSeedAndLaId', LinkageSeedAndLaId, [
      encode(LinkageSeedAndLaId, { linkageSeed: random(16), laId: random(2) }),
    ]),
    sample('ScmsPDU, requests to an LA', ScmsPdu122, [
      laRa({
        type: 'raLaIndividualPreLinkageValueRequest',
        value: { header, jMax: 20, numberOfFreshInd: 1, continuationsInd: [encPlv] },
      }),
      laRa({
        type: 'raLaGroupPreLinkageValueRequest',
        value: { header, jMax: 20, otherLa: random(2), groupIdentifier: random(4) },
      }),
    ]),
    sample('ScmsPDU, answers of an LA', ScmsPdu122, [
      laRa({ type: 'laRaPreLinkageValueResponse', value: { ...answer, reply: success } }),
      laRa({ type: 'laRaPreLinkageValueResponse', value: { ...answer, reply: failure } }),
    ]),
    sample('ScmsPDU, pseudonym requests to a PCA', ScmsPdu122, requests),
    sample('ScmsPDU, requests of other certificates to a PCA', ScmsPdu122, [
      ask({ type: 'authCertReq', value: authorized }),
    ]),
    sample('SecuredRaPcaCertificateRequest', SignedCertificateRequest122, [secured], (_, value) => {
      const signer = trust.verify(signerCertificate(value));
      verifyRequest({ ...value, tbsRequest: value.tbsRequest.octets }, signer, signer.publicKey);
    }),
    sample(
      'ScmsPDU, answers of a PCA',
      ScmsPdu122,
      replies.map((reply) =>
        pdu({ type: 'pcaRa', value: { type: 'pcaRaCertResponse', value: { ...replied, reply } } }),
      ),
    ),
  ];
}

function toPcaRequest(
  certRequestInfo: import('@chrysalis/scms').RaPcaCertRequestMsg['certRequestInfo'],
): ScmsPdu122['content'] {
  return {
    type: 'pcaRa',
    value: { type: 'raPcaCertRequest', value: { version: 1, raId: 'ra.test', certRequestInfo } },
  };
}

test('a certificate keeps its octets through all of this', () => {
  assert.deepEqual(decode(Certificate, root.given.octets), root.given);
});
