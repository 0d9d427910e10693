/** For each type of this room, the values that properties draw: every alternative, every option, every extension. */
import { capture, type UnknownAdditions, type UnknownAlternative } from '@chrysalis/coer';
import {
  type AesCcmCiphertext,
  type BasePublicEncryptionKey,
  type Certificate,
  CertificateBase,
  type CertificateId,
  type CircularRegion,
  type CountryAndRegions,
  type CountryAndSubregions,
  type Duration,
  type EccP256CurvePoint,
  type EcdsaP256Signature,
  type EciesP256EncryptedKey,
  type EncryptedData,
  type EncryptedDataEncryptionKey,
  type EncryptionKey,
  type GeographicRegion,
  type GroupLinkageValue,
  type HashedData,
  type HeaderInfo,
  type IdentifiedRegion,
  type Ieee1609Dot2Data,
  type IssuerIdentifier,
  type LinkageData,
  type MissingCrlIdentifier,
  type PkRecipientInfo,
  type PsidGroupPermissions,
  type PsidSsp,
  type PsidSspRange,
  type PublicEncryptionKey,
  type PublicVerificationKey,
  type RecipientInfo,
  type RectangularRegion,
  type RegionAndSubregions,
  type ServiceSpecificPermissions,
  type Signature,
  type SignedData,
  type SignedDataPayload,
  type SignerIdentifier,
  type SspRange,
  type SubjectPermissions,
  type SymmetricCiphertext,
  type SymmetricEncryptionKey,
  type SymmRecipientInfo,
  type ThreeDLocation,
  type ToBeSignedCertificate,
  ToBeSignedData,
  type TwoDLocation,
  type UncompressedP256,
  type ValidityPeriod,
  type VerificationKeyIndicator,
} from '@chrysalis/ieee1609dot2';
import fc from 'fast-check';

type Any<T> = fc.Arbitrary<T>;

/** Objects as decoding makes them. */
const PLAIN = { noNullPrototype: true } as const;

export const anyUint = (bits: number): Any<number> => fc.integer({ min: 0, max: 2 ** bits - 1 });
export const anyOctets = (min: number, max = min): Any<Uint8Array> =>
  fc.uint8Array({ minLength: min, maxLength: max });
const anyList = <T>(element: Any<T>, min = 0): Any<T[]> =>
  fc.array(element, { minLength: min, maxLength: min + 2 });

/** A CHOICE: one arbitrary for each known alternative. */
export function anyChoice<T>(alternatives: Record<string, Any<unknown>>): Any<T> {
  const members = Object.entries(alternatives).map(([type, value]) =>
    fc.record({ type: fc.constant(type), value }, PLAIN),
  );
  return fc.oneof(...members) as Any<unknown> as Any<T>;
}

/** A CHOICE that ends in an extension marker: now and then an alternative that nobody knows. */
export function anyOpenChoice<T>(
  alternatives: Record<string, Any<unknown>>,
): Any<T | UnknownAlternative> {
  const first = Object.keys(alternatives).length;
  const unknown: Any<UnknownAlternative> = fc.record(
    {
      type: fc.constant('unknown' as const),
      tag: fc.integer({ min: first, max: 300 }),
      value: anyOctets(0, 8),
    },
    PLAIN,
  );
  return fc.oneof(
    { weight: 9, arbitrary: anyChoice<T>(alternatives) },
    { weight: 1, arbitrary: unknown },
  );
}

/** A SEQUENCE: `options` are its optional components. */
export function anySequence<T>(
  required: Record<string, Any<unknown>>,
  options: Record<string, Any<unknown>> = {},
): Any<T> {
  const keys = { ...required, ...options };
  return fc.record(keys, {
    ...PLAIN,
    requiredKeys: Object.keys(required),
  }) as Any<unknown> as Any<T>;
}

/** A SEQUENCE with an extension marker: now and then additions that nobody knows. */
export function anyOpenSequence<T>(
  required: Record<string, Any<unknown>>,
  options: Record<string, Any<unknown>> = {},
): Any<T> {
  return fc
    .tuple(
      anySequence<object>(required, options),
      fc.option(anyAdditions, { freq: 9, nil: undefined }),
    )
    .map(([value, unknownAdditions]) =>
      unknownAdditions ? { ...value, unknownAdditions } : value,
    ) as Any<T>;
}

const anyAdditions: Any<UnknownAdditions> = fc
  .tuple(fc.uniqueArray(fc.nat(9), { minLength: 1, maxLength: 3 }), fc.nat(5), anyOctets(0, 6))
  .map(([indices, spare, octets]) => {
    const sorted = indices.sort((a, b) => a - b);
    return {
      bitmapLength: (sorted.at(-1) as number) + 1 + spare,
      present: sorted.map((index) => ({ index, octets })),
    };
  });

export const anyPsid = fc.oneof(fc.nat(0xff), fc.nat(Number.MAX_SAFE_INTEGER));
export const anyText = fc.string({ unit: 'binary', maxLength: 20 });
export const anyTime64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
export const anyInteger = fc.oneof(fc.integer({ min: -3, max: 8 }), fc.maxSafeInteger());
const anyLatitude = fc.integer({ min: -900_000_000, max: 900_000_001 });
const anyLongitude = fc.integer({ min: -1_799_999_999, max: 1_800_000_001 });

export const anyDuration = anyChoice<Duration>({
  microseconds: anyUint(16),
  milliseconds: anyUint(16),
  seconds: anyUint(16),
  minutes: anyUint(16),
  hours: anyUint(16),
  sixtyHours: anyUint(16),
  years: anyUint(16),
});
export const anyValidityPeriod = anySequence<ValidityPeriod>({
  start: anyUint(32),
  duration: anyDuration,
});
export const anyTwoDLocation = anySequence<TwoDLocation>({
  latitude: anyLatitude,
  longitude: anyLongitude,
});
export const anyThreeDLocation = anySequence<ThreeDLocation>({
  latitude: anyLatitude,
  longitude: anyLongitude,
  elevation: anyUint(16),
});
export const anyCircularRegion = anySequence<CircularRegion>({
  center: anyTwoDLocation,
  radius: anyUint(16),
});
export const anyRectangularRegion = anySequence<RectangularRegion>({
  northWest: anyTwoDLocation,
  southEast: anyTwoDLocation,
});
export const anyCountryAndRegions = anySequence<CountryAndRegions>({
  countryOnly: anyUint(16),
  regions: anyList(anyUint(8)),
});
export const anyRegionAndSubregions = anySequence<RegionAndSubregions>({
  region: anyUint(8),
  subregions: anyList(anyUint(16)),
});
export const anyCountryAndSubregions = anySequence<CountryAndSubregions>({
  country: anyUint(16),
  regionAndSubregions: anyList(anyRegionAndSubregions),
});
export const anyIdentifiedRegion = anyOpenChoice<IdentifiedRegion>({
  countryOnly: anyUint(16),
  countryAndRegions: anyCountryAndRegions,
  countryAndSubregions: anyCountryAndSubregions,
});
export const anyGeographicRegion = anyOpenChoice<GeographicRegion>({
  circularRegion: anyCircularRegion,
  rectangularRegion: anyList(anyRectangularRegion),
  polygonalRegion: anyList(anyTwoDLocation, 3),
  identifiedRegion: anyList(anyIdentifiedRegion),
});

export const anyUncompressedP256 = anySequence<UncompressedP256>({
  x: anyOctets(32),
  y: anyOctets(32),
});
export const anyEccP256CurvePoint = anyChoice<EccP256CurvePoint>({
  xOnly: anyOctets(32),
  fill: fc.constant(null),
  compressedY0: anyOctets(32),
  compressedY1: anyOctets(32),
  uncompressed: anyUncompressedP256,
});
export const anyEcdsaP256Signature = anySequence<EcdsaP256Signature>({
  r: anyEccP256CurvePoint,
  s: anyOctets(32),
});
export const anySignature = anyOpenChoice<Signature>({
  ecdsaNistP256Signature: anyEcdsaP256Signature,
  ecdsaBrainpoolP256r1Signature: anyEcdsaP256Signature,
});
export const anySymmAlgorithm = fc.oneof(
  fc.constant('aes128Ccm' as const),
  fc.integer({ min: 1, max: 0x7fff_ffff }),
);
export const anyHashAlgorithm = fc.oneof(
  fc.constant('sha256' as const),
  fc.integer({ min: 1, max: 300 }),
);
export const anyEciesP256EncryptedKey = anySequence<EciesP256EncryptedKey>({
  v: anyEccP256CurvePoint,
  c: anyOctets(16),
  t: anyOctets(16),
});
export const anyPublicVerificationKey = anyOpenChoice<PublicVerificationKey>({
  ecdsaNistP256: anyEccP256CurvePoint,
  ecdsaBrainpoolP256r1: anyEccP256CurvePoint,
});
export const anyBasePublicEncryptionKey = anyOpenChoice<BasePublicEncryptionKey>({
  eciesNistP256: anyEccP256CurvePoint,
  eciesBrainpoolP256r1: anyEccP256CurvePoint,
});
export const anyPublicEncryptionKey = anySequence<PublicEncryptionKey>({
  supportedSymmAlg: anySymmAlgorithm,
  publicKey: anyBasePublicEncryptionKey,
});
export const anySymmetricEncryptionKey = anyOpenChoice<SymmetricEncryptionKey>({
  aes128Ccm: anyOctets(16),
});
export const anyEncryptionKey = anyChoice<EncryptionKey>({
  public: anyPublicEncryptionKey,
  symmetric: anySymmetricEncryptionKey,
});

export const anySsp = anyOpenChoice<ServiceSpecificPermissions>({ opaque: anyOctets(0, 8) });
export const anyPsidSsp = anySequence<PsidSsp>({ psid: anyPsid }, { ssp: anySsp });
export const anySspRange = anyOpenChoice<SspRange>({
  opaque: anyList(anyOctets(0, 4)),
  all: fc.constant(null),
});
export const anyPsidSspRange = anySequence<PsidSspRange>(
  { psid: anyPsid },
  { sspRange: anySspRange },
);
export const anyGroupLinkageValue = anySequence<GroupLinkageValue>({
  jValue: anyOctets(4),
  value: anyOctets(9),
});

export const anyCertificateType = fc.oneof(
  fc.constantFrom('explicit' as const, 'implicit' as const),
  fc.integer({ min: 2, max: 300 }),
);
export const anyIssuerIdentifier = anyOpenChoice<IssuerIdentifier>({
  sha256AndDigest: anyOctets(8),
  self: anyHashAlgorithm,
});
export const anyLinkageData = anySequence<LinkageData>(
  { iCert: anyUint(16), linkageValue: anyOctets(9) },
  { groupLinkageValue: anyGroupLinkageValue },
);
export const anyCertificateId = anyOpenChoice<CertificateId>({
  linkageData: anyLinkageData,
  name: anyText,
  binaryId: anyOctets(1, 64),
  none: fc.constant(null),
});
export const anySubjectPermissions = anyOpenChoice<SubjectPermissions>({
  explicit: anyList(anyPsidSspRange),
  all: fc.constant(null),
});
export const anyPsidGroupPermissions = anySequence<PsidGroupPermissions>({
  subjectPermissions: anySubjectPermissions,
  minChainDepth: anyInteger,
  chainDepthRange: anyInteger,
  eeType: anyOctets(1),
});
export const anyVerificationKeyIndicator = anyOpenChoice<VerificationKeyIndicator>({
  verificationKey: anyPublicVerificationKey,
  reconstructionValue: anyEccP256CurvePoint,
});

function anyToBeSigned(indicator: Any<VerificationKeyIndicator>): Any<ToBeSignedCertificate> {
  const anyGroups = anyList(anyPsidGroupPermissions);
  const anyPermissions = {
    appPermissions: anyList(anyPsidSsp),
    certIssuePermissions: anyGroups,
    certRequestPermissions: anyGroups,
  };
  const anyRest = anyOpenSequence<object>(
    {
      id: anyCertificateId,
      cracaId: anyOctets(3),
      crlSeries: anyUint(16),
      validityPeriod: anyValidityPeriod,
      verifyKeyIndicator: indicator,
    },
    {
      region: anyGeographicRegion,
      assuranceLevel: anyOctets(1),
      canRequestRollover: fc.constant(null),
      encryptionKey: anyPublicEncryptionKey,
    },
  );
  const anySome = anySequence<object>({}, anyPermissions).filter(
    (permissions) => Object.keys(permissions).length > 0,
  );
  return fc
    .tuple(anyRest, anySome)
    .map(([rest, some]) => ({ ...rest, ...some }) as ToBeSignedCertificate);
}
export const anyToBeSignedCertificate = anyToBeSigned(anyVerificationKeyIndicator);

const anyExplicitBase = anySequence<CertificateBase>({
  version: fc.constant(3),
  type: fc.constant('explicit'),
  issuer: anyIssuerIdentifier,
  toBeSigned: anyToBeSigned(anyChoice({ verificationKey: anyPublicVerificationKey })),
  signature: anySignature,
});
const anyImplicitBase = anySequence<CertificateBase>({
  version: fc.constant(3),
  type: fc.constant('implicit'),
  issuer: anyIssuerIdentifier,
  toBeSigned: anyToBeSigned(anyChoice({ reconstructionValue: anyEccP256CurvePoint })),
});
export const anyCertificateBase = fc.oneof(anyExplicitBase, anyImplicitBase);
const toCertificate = (base: CertificateBase): Certificate => capture(CertificateBase, base);
export const anyExplicitCertificate = anyExplicitBase.map(toCertificate);
export const anyImplicitCertificate = anyImplicitBase.map(toCertificate);
export const anyCertificate = anyCertificateBase.map(toCertificate);

export const anyMissingCrlIdentifier = anyOpenSequence<MissingCrlIdentifier>({
  cracaId: anyOctets(3),
  crlSeries: anyUint(16),
});
export const anyHeaderInfo = anyOpenSequence<HeaderInfo>(
  { psid: anyPsid },
  {
    generationTime: anyTime64,
    expiryTime: anyTime64,
    generationLocation: anyThreeDLocation,
    p2pcdLearningRequest: anyOctets(3),
    missingCrlIdentifier: anyMissingCrlIdentifier,
    encryptionKey: anyEncryptionKey,
  },
);
export const anyHashedData = anyOpenChoice<HashedData>({ sha256HashedData: anyOctets(32) });
const anyUnsecured: Any<Ieee1609Dot2Data> = anyOctets(0, 200).map((value) => ({
  protocolVersion: 3,
  content: { type: 'unsecuredData', value },
}));
export const anySignedDataPayload = anyOpenSequence<SignedDataPayload>(
  {},
  { data: anyUnsecured, extDataHash: anyHashedData },
).filter((payload) => payload.data !== undefined || payload.extDataHash !== undefined);
export const anyToBeSignedData = anySequence<ToBeSignedData>({
  payload: anySignedDataPayload,
  headerInfo: anyHeaderInfo,
});
export const anySignerIdentifier = anyOpenChoice<SignerIdentifier>({
  digest: anyOctets(8),
  certificate: anyList(anyCertificate),
  self: fc.constant(null),
});
export const anySignedData = anySequence<SignedData>({
  hashId: anyHashAlgorithm,
  tbsData: anyToBeSignedData.map((value) => capture(ToBeSignedData, value)),
  signer: anySignerIdentifier,
  signature: anySignature,
});
export const anyAesCcmCiphertext = anySequence<AesCcmCiphertext>({
  nonce: anyOctets(12),
  ccmCiphertext: anyOctets(0, 200),
});
export const anySymmetricCiphertext = anyOpenChoice<SymmetricCiphertext>({
  aes128ccm: anyAesCcmCiphertext,
});
export const anyEncryptedDataEncryptionKey = anyOpenChoice<EncryptedDataEncryptionKey>({
  eciesNistP256: anyEciesP256EncryptedKey,
  eciesBrainpoolP256r1: anyEciesP256EncryptedKey,
});
export const anyPkRecipientInfo = anySequence<PkRecipientInfo>({
  recipientId: anyOctets(8),
  encKey: anyEncryptedDataEncryptionKey,
});
export const anySymmRecipientInfo = anySequence<SymmRecipientInfo>({
  recipientId: anyOctets(8),
  encKey: anySymmetricCiphertext,
});
export const anyRecipientInfo = anyChoice<RecipientInfo>({
  pskRecipInfo: anyOctets(8),
  symmRecipInfo: anySymmRecipientInfo,
  certRecipInfo: anyPkRecipientInfo,
  signedDataRecipInfo: anyPkRecipientInfo,
  rekRecipInfo: anyPkRecipientInfo,
});
export const anyEncryptedData = anySequence<EncryptedData>({
  recipients: anyList(anyRecipientInfo),
  ciphertext: anySymmetricCiphertext,
});
export const anyContent = anyOpenChoice<Ieee1609Dot2Data['content']>({
  unsecuredData: anyOctets(0, 200),
  signedData: anySignedData,
  encryptedData: anyEncryptedData,
  signedCertificateRequest: anyOctets(0, 200),
});
export const anyIeee1609Dot2Data = anySequence<Ieee1609Dot2Data>({
  protocolVersion: fc.constant(3),
  content: anyContent,
});
