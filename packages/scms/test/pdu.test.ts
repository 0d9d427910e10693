import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Codec, decode, encode } from '@chrysalis/coer';
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
    ScmsPdu122: any.anyScmsPdu122,
    ScmsPdu124: any.anyScmsPdu124,
    SignedCertificateRequest122: any.anySignedRequest122,
    SignedCertificateRequest124: any.anySignedRequest124,
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

describe('what is refused', () => {
  const refusals: readonly [string, Codec<unknown>, string, string][] = [
    ['version 2 of the frame', scms.ScmsPdu122, '02 83 80 00 01', 'out-of-range'],
    ['version 2 of a message', scms.ScmsPdu122, '01 83 80 00 02', 'out-of-range'],
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

describe('an error between authorities in words', () => {
  const rows: readonly [scms.ScmsError, string][] = [
    [
      { type: 'pcaRa', value: { type: 'pcaRaRequestError', value: 'invalidRegion' } },
      'pcaRa pcaRaRequestError invalidRegion',
    ],
    [{ type: 'laRa', value: { type: 'laRa', value: 9 } }, 'laRa laRa 9'],
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
