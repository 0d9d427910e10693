import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Codec, decode, encode } from '@chrysalis/coer';
import * as dot2 from '@chrysalis/ieee1609dot2';
import * as any from './arbitrary.ts';
import { fromHex, toHex } from './pki.ts';
import { testRoundTrips } from './round-trip.ts';

describe('IEEE1609dot2BaseTypes and IEEE1609dot2, every codec that the room exports', () => {
  testRoundTrips(dot2, {
    Uint8: any.anyUint(8),
    Uint16: any.anyUint(16),
    Uint32: any.anyUint(32),
    Uint64: any.anyTime64,
    Opaque: any.anyOctets(0, 300),
    HashedId3: any.anyOctets(3),
    HashedId8: any.anyOctets(8),
    HashedId10: any.anyOctets(10),
    HashedId32: any.anyOctets(32),
    Time32: any.anyUint(32),
    Time64: any.anyTime64,
    Duration: any.anyDuration,
    ValidityPeriod: any.anyValidityPeriod,
    Latitude: any.anyTwoDLocation.map((location) => location.latitude),
    Longitude: any.anyTwoDLocation.map((location) => location.longitude),
    TwoDLocation: any.anyTwoDLocation,
    ThreeDLocation: any.anyThreeDLocation,
    CircularRegion: any.anyCircularRegion,
    RectangularRegion: any.anyRectangularRegion,
    CountryAndRegions: any.anyCountryAndRegions,
    RegionAndSubregions: any.anyRegionAndSubregions,
    CountryAndSubregions: any.anyCountryAndSubregions,
    IdentifiedRegion: any.anyIdentifiedRegion,
    GeographicRegion: any.anyGeographicRegion,
    EccP256CurvePoint: any.anyEccP256CurvePoint,
    EcdsaP256Signature: any.anyEcdsaP256Signature,
    Signature: any.anySignature,
    SymmAlgorithm: any.anySymmAlgorithm,
    HashAlgorithm: any.anyHashAlgorithm,
    EciesP256EncryptedKey: any.anyEciesP256EncryptedKey,
    PublicVerificationKey: any.anyPublicVerificationKey,
    BasePublicEncryptionKey: any.anyBasePublicEncryptionKey,
    PublicEncryptionKey: any.anyPublicEncryptionKey,
    SymmetricEncryptionKey: any.anySymmetricEncryptionKey,
    EncryptionKey: any.anyEncryptionKey,
    Psid: any.anyPsid,
    ServiceSpecificPermissions: any.anySsp,
    PsidSsp: any.anyPsidSsp,
    SequenceOfPsidSsp: any.anyPsidSsp.map((permission) => [permission, permission]),
    SspRange: any.anySspRange,
    PsidSspRange: any.anyPsidSspRange,
    SubjectAssurance: any.anyOctets(1),
    CrlSeries: any.anyUint(16),
    IValue: any.anyUint(16),
    Hostname: any.anyText,
    LinkageValue: any.anyOctets(9),
    LaId: any.anyOctets(2),
    LinkageSeed: any.anyOctets(16),
    GroupLinkageValue: any.anyGroupLinkageValue,
    VersionThree: any.anyCertificateBase.map((base) => base.version),
    CertificateType: any.anyCertificateType,
    IssuerIdentifier: any.anyIssuerIdentifier,
    LinkageData: any.anyLinkageData,
    CertificateId: any.anyCertificateId,
    SubjectPermissions: any.anySubjectPermissions,
    PsidGroupPermissions: any.anyPsidGroupPermissions,
    SequenceOfPsidGroupPermissions: any.anyPsidGroupPermissions.map((group) => [group]),
    VerificationKeyIndicator: any.anyVerificationKeyIndicator,
    ToBeSignedCertificate: any.anyToBeSignedCertificate,
    CertificateBase: any.anyCertificateBase,
    Certificate: any.anyCertificate,
    ImplicitCertificate: any.anyImplicitCertificate,
    ExplicitCertificate: any.anyExplicitCertificate,
    MissingCrlIdentifier: any.anyMissingCrlIdentifier,
    HeaderInfo: any.anyHeaderInfo,
    HashedData: any.anyHashedData,
    SignedDataPayload: any.anySignedDataPayload,
    ToBeSignedData: any.anyToBeSignedData,
    SignerIdentifier: any.anySignerIdentifier,
    SignedData: any.anySignedData,
    AesCcmCiphertext: any.anyAesCcmCiphertext,
    SymmetricCiphertext: any.anySymmetricCiphertext,
    EncryptedDataEncryptionKey: any.anyEncryptedDataEncryptionKey,
    PkRecipientInfo: any.anyPkRecipientInfo,
    SymmRecipientInfo: any.anySymmRecipientInfo,
    RecipientInfo: any.anyRecipientInfo,
    EncryptedData: any.anyEncryptedData,
    Ieee1609Dot2Content: any.anyContent,
    Ieee1609Dot2Data: any.anyIeee1609Dot2Data,
  });
});

describe('the octets of base types', () => {
  /** Octets by hand from the ASN.1 and X.696, not from this codec. */
  const encodings: readonly [string, Codec<unknown>, unknown, string][] = [
    ['hours', dot2.Duration, { type: 'hours', value: 169 }, '84 00a9'],
    ['years', dot2.Duration, { type: 'years', value: 6 }, '86 0006'],
    ['a latitude below zero', dot2.Latitude, -900_000_000, 'ca5b1700'],
    ['an unknown latitude', dot2.Latitude, 900_000_001, '35a4e901'],
    ['an unknown longitude', dot2.Longitude, 1_800_000_001, '6b49d201'],
    ['a country', dot2.IdentifiedRegion, { type: 'countryOnly', value: 840 }, '80 0348'],
    [
      'regions of a country',
      dot2.IdentifiedRegion,
      { type: 'countryAndRegions', value: { countryOnly: 840, regions: [6, 26] } },
      '81 0348 01 02 06 1a',
    ],
    ['a PSID of one octet', dot2.Psid, 0x20, '01 20'],
    ['a PSID of two octets', dot2.Psid, 0x4082, '02 4082'],
    ['a permission without SSP', dot2.PsidSsp, { psid: 0x20 }, '00 01 20'],
    [
      'a permission with one',
      dot2.PsidSsp,
      { psid: 0x23, ssp: { type: 'opaque', value: fromHex('8b0001') } },
      '80 01 23 80 03 8b0001',
    ],
    [
      'an x-only r',
      dot2.EccP256CurvePoint,
      { type: 'xOnly', value: new Uint8Array(32) },
      `80 ${'00'.repeat(32)}`,
    ],
    ['a point that says nothing', dot2.EccP256CurvePoint, { type: 'fill', value: null }, '81'],
    [
      'the permissions of an ordinary issuer, all at their defaults',
      dot2.PsidGroupPermissions,
      {
        subjectPermissions: { type: 'all', value: null },
        minChainDepth: 1,
        chainDepthRange: 0,
        eeType: Uint8Array.of(0x80),
      },
      '00 81',
    ],
    [
      'permissions without a default',
      dot2.PsidGroupPermissions,
      {
        subjectPermissions: { type: 'all', value: null },
        minChainDepth: 0,
        chainDepthRange: -1,
        eeType: Uint8Array.of(0xc0),
      },
      'e0 81 01 00 01 ff c0',
    ],
  ];
  for (const [name, codec, value, hex] of encodings) {
    test(name, () => {
      assert.equal(toHex(encode(codec, value)), hex.replaceAll(' ', ''));
      assert.deepEqual(decode(codec, fromHex(hex)), value);
    });
  }

  const refusals: readonly [string, Codec<unknown>, string, string][] = [
    ['a latitude beyond the pole', dot2.Latitude, 'ca5b16ff', 'out-of-range'],
    ['a latitude beyond unknown', dot2.Latitude, '35a4e902', 'out-of-range'],
    ['a longitude of -180 degrees', dot2.Longitude, '94b62e00', 'out-of-range'],
    ['a longitude beyond unknown', dot2.Longitude, '6b49d202', 'out-of-range'],
    [
      'a polygon of two corners',
      dot2.GeographicRegion,
      `82 01 02 ${'00'.repeat(16)}`,
      'out-of-range',
    ],
    [
      'a point of a sixth kind',
      dot2.EccP256CurvePoint,
      `85 ${'00'.repeat(32)}`,
      'unknown-alternative',
    ],
    ['a recipient of a sixth kind', dot2.RecipientInfo, '85 00', 'unknown-alternative'],
    ['a Duration of an eighth kind', dot2.Duration, '87 0001', 'unknown-alternative'],
    ['a default that is spelled out', dot2.PsidGroupPermissions, '80 81 01 01', 'encoded-default'],
    ['a binaryId of no octets', dot2.CertificateId, '82 00', 'out-of-range'],
    ['a binaryId of 65 octets', dot2.CertificateId, `82 41 ${'00'.repeat(65)}`, 'out-of-range'],
    ['a hostname of 256 characters', dot2.Hostname, `82 0100 ${'61'.repeat(256)}`, 'out-of-range'],
    ['a PSID below zero, as no PSID is', dot2.Psid, '00', 'non-canonical-integer'],
    ['version 2', dot2.VersionThree, '02', 'out-of-range'],
    ['a payload with nothing in it', dot2.SignedDataPayload, '00', 'out-of-range'],
  ];
  for (const [name, codec, hex, code] of refusals) {
    test(`${name} is refused`, () => {
      assert.throws(() => decode(codec, fromHex(hex)), { name: 'CoerError', code });
    });
  }
});
