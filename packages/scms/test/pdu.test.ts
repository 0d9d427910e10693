import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Codec, capture, decode, encode } from '@chrysalis/coer';
import { Ieee1609Dot2Data } from '@chrysalis/ieee1609dot2';
import * as scms from '@chrysalis/scms';
import { fromHex, root, toHex } from '../../ieee1609dot2/test/pki.ts';
import { testRoundTrips } from '../../ieee1609dot2/test/round-trip.ts';
import * as any from './arbitrary.ts';
import * as files from './arbitrary-file.ts';

describe('the CAMP modules, every codec that the room exports', () => {
  testRoundTrips(scms, {
    ...files,
    UnsignedButterflyParams: any.anyUnsignedButterflyParams,
    CommonProvisioningRequestFields: any.anyCommon,
    EeRaCertRequestMsg: any.anyEeRaCertRequestMsg,
    EeRaPseudonymCertProvisioningRequest122: any.anyPseudonymRequest122,
    EeRaPseudonymCertProvisioningRequest124: any.anyPseudonymRequest124,
    EeRaIdCertProvisioningRequest122: any.anyIdRequest122,
    EeRaIdCertProvisioningRequest124: any.anyIdRequest124,
    EeRaAppCertProvisioningRequest122: any.anyAppRequest122,
    EeRaAppCertProvisioningRequest124: any.anyAppRequest124,
    PseudonymCertProvisioningAck: any.anyAck,
    RaEePseudonymCertProvisioningAck: any.anyAckMsg,
    AuthenticatedDownloadRequest: any.anyDownload,
    EndEntityRaInterfacePdu122: any.anyEeRa122,
    EndEntityRaInterfacePdu124: any.anyEeRa124,
    EeEcaCertRequest: any.anyEeEcaCertRequest,
    EcaEeCertResponse: any.anyEcaEeCertResponse,
    EcaEndEntityInterfacePdu: any.anyEcaEe,
    PreLinkageValue: any.anyToBeEncryptedPlv.map(({ plv }) => plv),
    EncryptedIndividualPlv: any.anyIndividualPlv,
    EncryptedGroupPlv: any.anyGroupPlv,
    ToBeEncryptedIndividualPlv: any.anyToBeEncryptedPlv,
    LinkageChainId: any.anyIndividualPlv.map(({ encPlv }) => encPlv),
    LinkageSeedAndLaId: any.anyLinkageSeedAndLaId,
    RaLaPreLinkageValueRequestMsgHeader: any.anyPlvHeader,
    RaLaIndividualPreLinkageValueRequestMsg: any.anyIndividualPlvRequest,
    RaLaGroupPreLinkageValueRequestMsg: any.anyGroupPlvRequest,
    IndividualPlvResponseLinkageChain: any.anyIndividualChain,
    GroupPlvResponseLinkageChain: any.anyGroupChain,
    PreLinkageValueRequestResponse: any.anyPlvResponse,
    LaRaPreLinkageValueResponseMsg: any.anyPlvResponseMsg,
    LaRaInterfacePdu: any.anyLaRa,
    PcaRaBaseErrorCode: any.anyPcaRaBaseErrorCode,
    PcaRaRequestErrorCode: any.anyPcaRaRequestErrorCode,
    PcaRaError: any.anyPcaRaError,
    LaRaErrorCode: any.anyLaRaErrorCode,
    LaRaError: any.anyLaRaError,
    ScmsError: any.anyScmsError,
    GroupLinkageInfo: any.anyGroupLinkageInfo,
    PseudonymCertRequestInfo: any.anyPseudonymCertRequestInfo,
    IdCertRequestInfo: any.anyIdCertRequestInfo,
    RaPcaCertRequestMsg: any.anyRaPcaCertRequestMsg,
    ImplicitCertResponse: any.anyImplicitCertResponse,
    ButterflyExplicitCertResponse: any.anyButterflyExplicitCertResponse,
    PlaintextCertificateResponse: any.anyPlaintextCertificateResponse,
    ToBeSignedEncryptedCertificateResponse: any.anyToBeSignedEncryptedCertificateResponse,
    PcaRaCertResponseMsg: any.anyPcaRaCertResponseMsg,
    PcaRaInterfacePdu: any.anyPcaRa,
    MaRaBaseErrorCode: any.anyMaRaBaseErrorCode,
    MaRaBlacklistErrorCode: any.anyMaRaBlacklistErrorCode,
    MaRaLciErrorCode: any.anyMaRaLciErrorCode,
    MaRaCdvErrorCode: any.anyMaRaCdvErrorCode,
    MaRaError: any.anyMaRaError,
    Hpcr: any.anyBlacklistingStatus.map(({ hpcr }) => hpcr),
    Rif: any.anyCdvInfo.map(({ rif }) => rif),
    ToBeSignedBlacklistingInstructionMsg: any.anyBlacklistTbs,
    ToBeSignedLciRequestMsg: any.anyLciTbs,
    ToBeSignedRseObeIdBlacklistingInstructionMsg: any.anyRifTbs,
    ToBeSignedCdvRequestMsg: any.anyCdvTbs,
    MaRaBlacklistRequestMsg: any.anyBlacklistRequest,
    MaRaLciRequestMsg: any.anyLciRequest,
    MaRaRseObeIdBlacklistRequestMsg: any.anyRifRequest,
    MaRaCdvRequestMsg: any.anyCdvRequest,
    BlacklistingStatus: any.anyBlacklistingStatus,
    RaMaBlacklistResponseMsg: any.anyBlacklistResponse,
    LciAndHostInfo: any.anyLciAndHostInfo,
    Hpcr2Lci: any.anyHpcr2Lci,
    RaMaLciResponseMsg: any.anyLciResponse,
    RseObeIdBlacklistingStatus: any.anyRifStatus,
    RaMaRseObeIdBlacklistResponseMsg: any.anyRifResponse,
    CdvInfo: any.anyCdvInfo,
    RaMaCdvResponseMsg: any.anyCdvResponse,
    MaRaInterfacePdu: any.anyMaRa,
    ScmsPdu122: any.anyScmsPdu122,
    ScmsPdu124: any.anyScmsPdu124,
    SignedCertificateRequest122: any.anySignedRequest122,
    SignedCertificateRequest124: any.anySignedRequest124,
    CertificateRequests: any.anyCertificateRequests,
    CertificateAnswers: any.anyCertificateAnswers,
  });
});

const POINT = { type: 'compressedY1', value: new Uint8Array(32).fill(0xaa) } as const;
const seed = { seedKey: POINT, expansion: new Uint8Array(16).fill(0xbb) };
const BF = `83 ${'aa'.repeat(32)} ${'bb'.repeat(16)}`;
const KEY = `80 83 ${'aa'.repeat(32)}`;
const publicKey = {
  supportedSymmAlg: 'aes128Ccm',
  publicKey: { type: 'eciesNistP256', value: POINT },
} as const;
const region = { type: 'identifiedRegion', value: [{ type: 'countryOnly', value: 840 }] } as const;
const common = { currentTime: 0x2b0ea52d, requestedStartTime: 0x2b0ea52e };
const TIMES = '2b0ea52d 2b0ea52e';

/** Octets by hand from the modules (section 4.4 of the interface), within the ScmsPDU: 01 83 and the tag. */
const bodies: readonly [string, Codec<unknown>, string, object, string][] = [
  [
    'a pseudonym request of 1.2.2',
    scms.ScmsPdu122,
    'eeRaPseudonymCertProvisioningRequest',
    { verifyKeyInfo: seed, respEncKeyInfo: seed, common },
    `82 00 01 ${BF} ${BF} 00 ${TIMES}`,
  ],
  [
    'a pseudonym request of 1.2.4',
    scms.ScmsPdu124,
    'eeRaPseudonymCertProvisioningRequest',
    { verifyKeyInfo: seed, respEncKeyInfo: seed, currentTime: common.currentTime },
    `82 00 01 ${BF} ${BF} 2b0ea52d`,
  ],
  [
    'an identification request of 1.2.2',
    scms.ScmsPdu122,
    'eeRaIdCertProvisioningRequest',
    { verifyKeyInfo: seed, respEncKeyInfo: seed, common },
    `84 00 01 ${BF} ${BF} 00 ${TIMES}`,
  ],
  [
    'one with an encryption key',
    scms.ScmsPdu122,
    'eeRaIdCertProvisioningRequest',
    { verifyKeyInfo: seed, certEncKeyInfo: seed, respEncKeyInfo: seed, common },
    `84 40 01 ${BF} ${BF} ${BF} 00 ${TIMES}`,
  ],
  [
    'an identification request of 1.2.4',
    scms.ScmsPdu124,
    'eeRaIdCertProvisioningRequest',
    { verifyKeyInfo: seed, respEncKeyInfo: seed, region, currentTime: common.currentTime },
    `84 00 01 ${BF} ${BF} 83 01 01 80 0348 2b0ea52d`,
  ],
  [
    'an application request of 1.2.2',
    scms.ScmsPdu122,
    'eeRaAppCertProvisioningRequest',
    {
      verifyKey: { type: 'ecdsaNistP256', value: POINT },
      responseEncryptionKey: publicKey,
      common,
    },
    `86 00 01 ${KEY} 00 ${KEY} 00 ${TIMES}`,
  ],
  [
    'an application request of 1.2.4',
    scms.ScmsPdu124,
    'eeRaAppCertProvisioningRequest',
    {
      verifyKey: { type: 'ecdsaNistP256', value: POINT },
      certEncryptionKey: publicKey,
      responseEncryptionKey: publicKey,
      region,
      ...common,
    },
    `86 40 01 ${KEY} 00 ${KEY} 00 ${KEY} 83 01 01 80 0348 ${TIMES}`,
  ],
  [
    'an acknowledgement',
    scms.ScmsPdu122,
    'raEePseudonymCertProvisioningAck',
    {
      requestHash: new Uint8Array(8).fill(7),
      reply: { type: 'ack', value: { certDLTime: 1, certDLURL: 'ra' } },
    },
    `83 00 01 ${'07'.repeat(8)} 80 00 00000001 02 7261`,
  ],
];

describe('the octets of what an EE and an RA say to each other', () => {
  for (const [name, codec, type, fields, hex] of bodies) {
    test(name, () => {
      const pdu = {
        version: 1,
        content: { type: 'eeRa', value: { type, value: { version: 1, ...fields } } },
      };
      const octets = fromHex(`01 83 ${hex}`);
      assert.equal(toHex(encode(codec, pdu)), toHex(octets));
      assert.deepEqual(decode(codec, octets), pdu);
    });
  }

  test('a pseudonym body has 109 octets in 1.2.2 and 104 in 1.2.4', () => {
    const [older, newer] = bodies.slice(0, 2).map(([, , , , hex]) => fromHex(hex).length - 1);
    assert.deepEqual([older, newer], [109, 104]);
  });

  test('a download request, the same in both', () => {
    const value = { timestamp: 0x2b0ea52e, filename: '5A2232D10616FDF7.info' };
    const pdu = {
      version: 1,
      content: { type: 'eeRa', value: { type: 'eeRaAuthenticatedDownloadRequest', value } },
    };
    const hex = `01 83 88 00 2b0ea52e 15 ${Buffer.from(value.filename).toString('hex')}`;
    for (const codec of [scms.ScmsPdu122, scms.ScmsPdu124] as Codec<unknown>[]) {
      assert.equal(toHex(encode(codec, pdu)), hex.replaceAll(' ', ''));
    }
  });

  test('SecuredRACertRequest is 03 80 05 01 83 80 00 01', () => {
    const content = {
      type: 'eeRa',
      value: { type: 'eeRaCertRequest', value: { version: 1 } },
    } as const;
    const value = encode(scms.ScmsPdu122, { version: 1, content });
    const secured = { protocolVersion: 3, content: { type: 'unsecuredData', value } } as const;
    assert.equal(toHex(encode(Ieee1609Dot2Data, secured)), '0380050183800001');
  });
});

describe('the octets of what an MA and an RA say to each other, by hand from ma-ra.asn', () => {
  const HPCR = new Uint8Array(32).fill(0xcc);
  const RIF = new Uint8Array(8).fill(0xdd);
  const named = { maId: 'ma' };
  const about = { version: 1, requestHash: new Uint8Array(8).fill(7), raId: 'ra' };
  const ABOUT = `01 ${'07'.repeat(8)} 02 7261`;
  const request = <T>(codec: Codec<T>, tbs: T) => ({
    version: 1,
    tbs: capture(codec, tbs),
    signatures: [],
  });
  const failure = (value: scms.MaRaError) => ({
    type: 'failure' as const,
    value: { type: 'maRa' as const, value },
  });
  /** Encrypted to nobody: as short as EncryptedData can be. */
  const chain: scms.LinkageChainId = {
    recipients: [],
    ciphertext: {
      type: 'aes128ccm',
      value: { nonce: new Uint8Array(12).fill(1), ccmCiphertext: Uint8Array.of(2) },
    },
  };
  const CHAIN = `01 00 80 ${'01'.repeat(12)} 01 02`;
  const info = {
    iMax: Uint8Array.of(0, 0, 2, 0x9a),
    la1Lci: chain,
    la2Lci: chain,
    la1Id: 'la1',
    la2Id: 'la2',
  };
  const rows: readonly [string, scms.MaRaInterfacePdu, string][] = [
    [
      'a blacklist request',
      {
        type: 'maRaBlacklistRequest',
        value: request(scms.ToBeSignedBlacklistingInstructionMsg, { ...named, hpcr: [HPCR] }),
      },
      `80 01 00 02 6d61 01 01 ${'cc'.repeat(32)} 01 00`,
    ],
    [
      'its response',
      {
        type: 'raMaBlacklistResponse',
        value: {
          ...about,
          status: [
            { hpcr: HPCR, reply: { type: 'success', value: null } },
            {
              hpcr: HPCR,
              reply: failure({ type: 'maRaBlacklistError', value: 'alreadyBlacklisted' }),
            },
            { hpcr: HPCR, reply: failure({ type: 'maRaBaseError', value: 'hpcrIsUnknownToRA' }) },
          ],
        },
      },
      `81 00 ${ABOUT} 01 03
       ${'cc'.repeat(32)} 80
       ${'cc'.repeat(32)} 81 87 81 00
       ${'cc'.repeat(32)} 81 87 80 0a`,
    ],
    [
      'an LCI request',
      {
        type: 'maRaLCIRequest',
        value: request(scms.ToBeSignedLciRequestMsg, { ...named, hpcr: [HPCR] }),
      },
      `82 01 00 02 6d61 01 01 ${'cc'.repeat(32)} 01 00`,
    ],
    [
      'its response',
      {
        type: 'raMaLCIResponse',
        value: {
          ...about,
          lciInfo: [
            {
              hpcr: HPCR,
              reply: { type: 'success', value: { groupIdentifier: new Uint8Array(4), info } },
            },
            {
              hpcr: HPCR,
              reply: failure({
                type: 'maRaLciError',
                value: 'noLinkageChainIdentifiersKnownForHPCR',
              }),
            },
          ],
        },
      },
      `83 00 ${ABOUT} 01 02
       ${'cc'.repeat(32)} 80 00000000 0000029a ${CHAIN} ${CHAIN} 03 6c6131 03 6c6132
       ${'cc'.repeat(32)} 81 87 82 00`,
    ],
    [
      'a blacklist request by RIF',
      {
        type: 'maRaRseObeIdBlacklistRequest',
        value: request(scms.ToBeSignedRseObeIdBlacklistingInstructionMsg, {
          ...named,
          rif: [RIF, RIF],
        }),
      },
      `84 01 00 02 6d61 01 02 ${'dd'.repeat(16)} 01 00`,
    ],
    [
      'its response',
      {
        type: 'raMaRseObeIdBlacklistResponse',
        value: {
          ...about,
          status: [
            { rif: RIF, reply: failure({ type: 'maRaBaseError', value: 'raInvalidRIFValue' }) },
          ],
        },
      },
      `85 00 ${ABOUT} 01 01 ${'dd'.repeat(8)} 81 87 80 06`,
    ],
    [
      'a CDV request',
      {
        type: 'maRaCDVRequest',
        value: request(scms.ToBeSignedCdvRequestMsg, { ...named, rifValues: [RIF] }),
      },
      `86 01 00 02 6d61 01 01 ${'dd'.repeat(8)} 01 00`,
    ],
    [
      'its response, which has no preamble',
      {
        type: 'raMaCDVResponse',
        value: {
          ...about,
          cdvInfo: [
            { rif: RIF, reply: { type: 'success', value: [new Uint8Array(10).fill(0xee)] } },
            {
              rif: RIF,
              reply: failure({
                type: 'maRaCdvError',
                value: 'noCertificateDigestValuesKnownForRIF',
              }),
            },
          ],
        },
      },
      `87 ${ABOUT} 01 02
       ${'dd'.repeat(8)} 80 01 01 ${'ee'.repeat(10)}
       ${'dd'.repeat(8)} 81 87 83 00`,
    ],
  ];
  for (const [name, value, hex] of rows) {
    test(name, () => {
      const pdu = { version: 1, content: { type: 'maRa', value } } as const;
      const octets = fromHex(`01 88 ${hex}`);
      for (const codec of [scms.ScmsPdu122, scms.ScmsPdu124] as Codec<unknown>[]) {
        assert.equal(toHex(encode(codec, pdu)), toHex(octets));
        assert.deepEqual(decode(codec, octets), pdu);
      }
    });
  }
});

describe('what is refused', () => {
  const refusals: readonly [string, Codec<unknown>, string, string][] = [
    ['version 2 of the frame', scms.ScmsPdu122, '02 83 80 00 01', 'out-of-range'],
    ['version 2 of a message', scms.ScmsPdu122, '01 83 80 00 02', 'out-of-range'],
    ['an HPCR of 31 octets', scms.BlacklistingStatus, `${'cc'.repeat(31)} 80`, 'truncated'],
    ['version 2 of a request of the MA', scms.ScmsPdu122, '01 88 80 02', 'out-of-range'],
    ['an octet after the message', scms.ScmsPdu122, '01 83 80 00 01 00', 'trailing-octets'],
    [
      'a PDU of an interface that is not spoken here',
      scms.ScmsPdu122,
      '01 84 00',
      'unknown-alternative',
    ],
    ['a stray octet before the frame', scms.ScmsPdu122, '00 01 83 80 00 01', 'out-of-range'],
    [
      'a request for no chain at all',
      scms.RaLaIndividualPreLinkageValueRequestMsg,
      '00 01 00 00 0000 0000 14',
      'out-of-range',
    ],
    [
      'a plaintext response of a fifth kind',
      scms.PlaintextCertificateResponse,
      '84 00',
      'unknown-alternative',
    ],
  ];
  for (const [name, codec, hex, code] of refusals) {
    test(name, () => {
      assert.throws(() => decode(codec, fromHex(hex)), { name: 'CoerError', code });
    });
  }

  test('an explicit certificate where pca-ra.asn and eca-ee.asn want an implicit one, and the other way round', () => {
    const explicit = Uint8Array.from([...root.given.octets, ...new Uint8Array(32)]);
    assert.throws(() => decode(scms.ImplicitCertResponse, explicit), { code: 'out-of-range' });
    decode(scms.ButterflyExplicitCertResponse, explicit);
    const enrollment = {
      version: 1,
      requestHash: new Uint8Array(8),
      ecaCert: root.given,
      enrollmentCert: root.given,
      privKeyReconstruction: new Uint8Array(32),
    };
    assert.throws(() => encode(scms.EcaEeCertResponse, enrollment), { code: 'out-of-range' });
  });
});

describe('certificates asked for together', () => {
  test('are a count, then octets with their length; an answer has the tag of its alternative', () => {
    const requests = [Uint8Array.of(1, 2), Uint8Array.of(), new Uint8Array(128)];
    assert.equal(
      toHex(encode(scms.CertificateRequests, requests)),
      `0103 02 0102 00 8180${'00'.repeat(128)}`.replaceAll(' ', ''),
    );
    const answers = [
      { type: 'answer', value: Uint8Array.of(7) },
      { type: 'unavailable', value: null },
    ] as const;
    assert.equal(toHex(encode(scms.CertificateAnswers, answers)), '010280010781');
  });

  test('fit the bodies that the service allows, as many and as large as they may be', () => {
    const { maxRequest, maxAnswer } = scms.AUTHORITY_SERVICES.requestCertificate;
    const octets = (length: number) => new Uint8Array(length);
    const each = scms.MAX_CERTIFICATE_REQUEST_OCTETS / scms.MAX_CERTIFICATE_REQUESTS;
    const requests = Array.from({ length: scms.MAX_CERTIFICATE_REQUESTS }, () => octets(each));
    assert(encode(scms.CertificateRequests, requests).length <= maxRequest);
    const answers = requests.map(() => ({
      type: 'answer' as const,
      value: octets(scms.MAX_CERTIFICATE_OCTETS),
    }));
    assert.equal(encode(scms.CertificateAnswers, answers).length, maxAnswer);
  });
});

describe('an error between authorities in words', () => {
  const rows: readonly [scms.ScmsError, string][] = [
    [
      { type: 'pcaRa', value: { type: 'pcaRaRequestError', value: 'invalidRegion' } },
      'pcaRa pcaRaRequestError invalidRegion',
    ],
    [{ type: 'laRa', value: { type: 'laRa', value: 9 } }, 'laRa laRa 9'],
    [
      { type: 'maRa', value: { type: 'maRaBaseError', value: 'hpcrIsUnknownToRA' } },
      'maRa maRaBaseError hpcrIsUnknownToRA',
    ],
    [{ type: 'common', value: 1 }, 'common 1'],
    [{ type: 'unknown', tag: 12, value: new Uint8Array(2) }, 'error of unknown kind 12'],
    [
      { type: 'pcaRa', value: { type: 'unknown', tag: 5, value: new Uint8Array(2) } },
      'pcaRa unknown unknown',
    ],
  ];
  for (const [error, text] of rows) {
    test(text, () => assert.equal(scms.formatScmsError(error), text));
  }

  test('values count from 0 in listed order, those of the common errors from 1', () => {
    const error = {
      type: 'pcaRa',
      value: { type: 'pcaRaRequestError', value: 'invalidSignaturePublicKey' },
    } as const;
    assert.equal(toHex(encode(scms.ScmsError, error)), '888106');
    assert.equal(
      toHex(
        encode(scms.ScmsError, { type: 'laRa', value: { type: 'laRa', value: 'invalidJMax' } }),
      ),
      '858005',
    );
    assert.deepEqual(decode(scms.ScmsError, fromHex('80 01')), { type: 'common', value: 1 });
  });
});
