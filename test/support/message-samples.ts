/** One valid encoding or more of every message type, and what a receiver does with what it decoded. Keys and signatures are the same in every run. */
import { type Codec, capture, decode, encode, encoded } from '@chrysalis/coer';
import { PublicKey } from '@chrysalis/crypto';
import {
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
} from '../../packages/ieee1609dot2/test/pki.ts';
import { device } from '../../packages/scms/test/device.ts';
import { fileSamples } from './file-samples.ts';

/** A type, one valid encoding of it or several, and what a receiver does with what it decoded. */
export interface Sample<T = unknown> {
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

export function messageSamples(): readonly Sample[] {
  return [
    ...certificates(),
    ...data(),
    ...requests(),
    ...answers(),
    ...betweenAuthorities(),
    ...fileSamples(),
  ];
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
    encryptedCert: encoded(
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
  const signedEncrypted = encoded(
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
