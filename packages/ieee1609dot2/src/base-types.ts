/**
 * IEEE 1609.2-2016 clause 6.3 and 6.4: the types of the module IEEE1609dot2BaseTypes, as CAMP 1.2.x uses them.
 * Each interface is followed by the codec of the same name.
 */
import {
  bigInteger,
  type Codec,
  choice,
  enumerated,
  integer,
  nullValue,
  octetString,
  optional,
  sequence,
  sequenceOf,
  type UnknownAlternative,
  utf8String,
} from '@chrysalis/coer';

export const Uint8 = integer({ min: 0, max: 0xff });
export const Uint16 = integer({ min: 0, max: 0xffff });
export const Uint32 = integer({ min: 0, max: 0xffff_ffff });
export const Uint64 = bigInteger({ min: 0n, max: 0xffff_ffff_ffff_ffffn });
export const Opaque = octetString();

/** The low-order octets of a SHA-256, 1609.2 §6.3.24 to §6.3.27. */
export type HashedId3 = Uint8Array;
export type HashedId8 = Uint8Array;
export type HashedId10 = Uint8Array;
export type HashedId32 = Uint8Array;
export const HashedId3 = octetString(3);
export const HashedId8 = octetString(8);
export const HashedId10 = octetString(10);
export const HashedId32 = octetString(32);

/** TAI seconds since 2004-01-01T00:00:00 UTC, 1609.2 §6.3.9. */
export type Time32 = number;
export const Time32: Codec<Time32> = Uint32;

/** TAI microseconds since 2004-01-01T00:00:00 UTC, 1609.2 §6.3.10. */
export type Time64 = bigint;
export const Time64: Codec<Time64> = Uint64;

/** 1609.2 §6.4.15. */
export type DurationUnit =
  | 'microseconds'
  | 'milliseconds'
  | 'seconds'
  | 'minutes'
  | 'hours'
  | 'sixtyHours'
  | 'years';
export type Duration = {
  [U in DurationUnit]: { readonly type: U; readonly value: number };
}[DurationUnit];
export const Duration = choice<Duration>('Duration', {
  microseconds: Uint16,
  milliseconds: Uint16,
  seconds: Uint16,
  minutes: Uint16,
  hours: Uint16,
  sixtyHours: Uint16,
  years: Uint16,
});

/** 1609.2 §6.4.14. */
export interface ValidityPeriod {
  readonly start: Time32;
  readonly duration: Duration;
}
export const ValidityPeriod = sequence<ValidityPeriod>('ValidityPeriod', {
  start: Time32,
  duration: Duration,
});

/** Tenths of a microdegree, 1609.2 §6.3.12; 900000001 is unknown. */
export const Latitude = integer({ min: -900_000_000, max: 900_000_001 });
/** Tenths of a microdegree, 1609.2 §6.3.12; 1800000001 is unknown. */
export const Longitude = integer({ min: -1_799_999_999, max: 1_800_000_001 });

/** 1609.2 §6.4.18. */
export interface TwoDLocation {
  readonly latitude: number;
  readonly longitude: number;
}
export const TwoDLocation = sequence<TwoDLocation>('TwoDLocation', {
  latitude: Latitude,
  longitude: Longitude,
});

/** 1609.2 §6.3.12; elevation in decimetres above -409.6 m. */
export interface ThreeDLocation {
  readonly latitude: number;
  readonly longitude: number;
  readonly elevation: number;
}
export const ThreeDLocation = sequence<ThreeDLocation>('ThreeDLocation', {
  latitude: Latitude,
  longitude: Longitude,
  elevation: Uint16,
});

/** 1609.2 §6.4.17 (radius in metres). */
export interface CircularRegion {
  readonly center: TwoDLocation;
  readonly radius: number;
}
export const CircularRegion = sequence<CircularRegion>('CircularRegion', {
  center: TwoDLocation,
  radius: Uint16,
});

/** 1609.2 §6.4.20. */
export interface RectangularRegion {
  readonly northWest: TwoDLocation;
  readonly southEast: TwoDLocation;
}
export const RectangularRegion = sequence<RectangularRegion>('RectangularRegion', {
  northWest: TwoDLocation,
  southEast: TwoDLocation,
});

/** A country by its number in ISO 3166 / UN M49, 1609.2 §6.4.23. */
export interface CountryAndRegions {
  readonly countryOnly: number;
  readonly regions: readonly number[];
}
export const CountryAndRegions = sequence<CountryAndRegions>('CountryAndRegions', {
  countryOnly: Uint16,
  regions: sequenceOf(Uint8),
});

export interface RegionAndSubregions {
  readonly region: number;
  readonly subregions: readonly number[];
}
export const RegionAndSubregions = sequence<RegionAndSubregions>('RegionAndSubregions', {
  region: Uint8,
  subregions: sequenceOf(Uint16),
});

export interface CountryAndSubregions {
  readonly country: number;
  readonly regionAndSubregions: readonly RegionAndSubregions[];
}
export const CountryAndSubregions = sequence<CountryAndSubregions>('CountryAndSubregions', {
  country: Uint16,
  regionAndSubregions: sequenceOf(RegionAndSubregions),
});

/** 1609.2 §6.4.22. */
export type IdentifiedRegion =
  | { readonly type: 'countryOnly'; readonly value: number }
  | { readonly type: 'countryAndRegions'; readonly value: CountryAndRegions }
  | { readonly type: 'countryAndSubregions'; readonly value: CountryAndSubregions }
  | UnknownAlternative;
export const IdentifiedRegion = choice<IdentifiedRegion>(
  'IdentifiedRegion',
  {
    countryOnly: Uint16,
    countryAndRegions: CountryAndRegions,
    countryAndSubregions: CountryAndSubregions,
  },
  { extensible: true },
);

/** 1609.2 §6.4.16. */
export type GeographicRegion =
  | { readonly type: 'circularRegion'; readonly value: CircularRegion }
  | { readonly type: 'rectangularRegion'; readonly value: readonly RectangularRegion[] }
  | { readonly type: 'polygonalRegion'; readonly value: readonly TwoDLocation[] }
  | { readonly type: 'identifiedRegion'; readonly value: readonly IdentifiedRegion[] }
  | UnknownAlternative;
export const GeographicRegion = choice<GeographicRegion>(
  'GeographicRegion',
  {
    circularRegion: CircularRegion,
    rectangularRegion: sequenceOf(RectangularRegion),
    polygonalRegion: sequenceOf(TwoDLocation, { min: 3 }),
    identifiedRegion: sequenceOf(IdentifiedRegion),
  },
  { extensible: true },
);

export interface UncompressedP256 {
  readonly x: Uint8Array;
  readonly y: Uint8Array;
}

/** 1609.2 §6.3.23. */
export type EccP256CurvePoint =
  | { readonly type: 'xOnly'; readonly value: Uint8Array }
  | { readonly type: 'fill'; readonly value: null }
  | { readonly type: 'compressedY0'; readonly value: Uint8Array }
  | { readonly type: 'compressedY1'; readonly value: Uint8Array }
  | { readonly type: 'uncompressed'; readonly value: UncompressedP256 };
export const EccP256CurvePoint = choice<EccP256CurvePoint>('EccP256CurvePoint', {
  xOnly: octetString(32),
  fill: nullValue,
  compressedY0: octetString(32),
  compressedY1: octetString(32),
  uncompressed: sequence<UncompressedP256>('UncompressedP256', {
    x: octetString(32),
    y: octetString(32),
  }),
});

/** 1609.2 §6.3.29. */
export interface EcdsaP256Signature {
  readonly r: EccP256CurvePoint;
  readonly s: Uint8Array;
}
export const EcdsaP256Signature = sequence<EcdsaP256Signature>('EcdsaP256Signature', {
  r: EccP256CurvePoint,
  s: octetString(32),
});

/** 1609.2 §6.3.28. Only NIST P-256 is used in CAMP; a brainpool signature decodes and is refused later. */
export type Signature =
  | { readonly type: 'ecdsaNistP256Signature'; readonly value: EcdsaP256Signature }
  | { readonly type: 'ecdsaBrainpoolP256r1Signature'; readonly value: EcdsaP256Signature }
  | UnknownAlternative;
export const Signature = choice<Signature>(
  'Signature',
  {
    ecdsaNistP256Signature: EcdsaP256Signature,
    ecdsaBrainpoolP256r1Signature: EcdsaP256Signature,
  },
  { extensible: true },
);

export type SymmAlgorithm = 'aes128Ccm' | number;
export const SymmAlgorithm: Codec<SymmAlgorithm> = enumerated('SymmAlgorithm', ['aes128Ccm'], {
  extensible: true,
});

export type HashAlgorithm = 'sha256' | number;
export const HashAlgorithm: Codec<HashAlgorithm> = enumerated('HashAlgorithm', ['sha256'], {
  extensible: true,
});

/** 1609.2 §6.3.19: `v` is the sender's ephemeral point, `c` the wrapped key, `t` its tag. */
export interface EciesP256EncryptedKey {
  readonly v: EccP256CurvePoint;
  readonly c: Uint8Array;
  readonly t: Uint8Array;
}
export const EciesP256EncryptedKey = sequence<EciesP256EncryptedKey>('EciesP256EncryptedKey', {
  v: EccP256CurvePoint,
  c: octetString(16),
  t: octetString(16),
});

/** 1609.2 §6.4.38. */
export type PublicVerificationKey =
  | { readonly type: 'ecdsaNistP256'; readonly value: EccP256CurvePoint }
  | { readonly type: 'ecdsaBrainpoolP256r1'; readonly value: EccP256CurvePoint }
  | UnknownAlternative;
export const PublicVerificationKey = choice<PublicVerificationKey>(
  'PublicVerificationKey',
  { ecdsaNistP256: EccP256CurvePoint, ecdsaBrainpoolP256r1: EccP256CurvePoint },
  { extensible: true },
);

export type BasePublicEncryptionKey =
  | { readonly type: 'eciesNistP256'; readonly value: EccP256CurvePoint }
  | { readonly type: 'eciesBrainpoolP256r1'; readonly value: EccP256CurvePoint }
  | UnknownAlternative;
export const BasePublicEncryptionKey = choice<BasePublicEncryptionKey>(
  'BasePublicEncryptionKey',
  { eciesNistP256: EccP256CurvePoint, eciesBrainpoolP256r1: EccP256CurvePoint },
  { extensible: true },
);

/** 1609.2 §6.4.34. */
export interface PublicEncryptionKey {
  readonly supportedSymmAlg: SymmAlgorithm;
  readonly publicKey: BasePublicEncryptionKey;
}
export const PublicEncryptionKey = sequence<PublicEncryptionKey>('PublicEncryptionKey', {
  supportedSymmAlg: SymmAlgorithm,
  publicKey: BasePublicEncryptionKey,
});

export type SymmetricEncryptionKey =
  | { readonly type: 'aes128Ccm'; readonly value: Uint8Array }
  | UnknownAlternative;
export const SymmetricEncryptionKey = choice<SymmetricEncryptionKey>(
  'SymmetricEncryptionKey',
  { aes128Ccm: octetString(16) },
  { extensible: true },
);

export type EncryptionKey =
  | { readonly type: 'public'; readonly value: PublicEncryptionKey }
  | { readonly type: 'symmetric'; readonly value: SymmetricEncryptionKey };
export const EncryptionKey = choice<EncryptionKey>('EncryptionKey', {
  public: PublicEncryptionKey,
  symmetric: SymmetricEncryptionKey,
});

/** 1609.2 §6.4.28: the number of an application. */
export const Psid = integer({ min: 0 });

export type ServiceSpecificPermissions =
  | { readonly type: 'opaque'; readonly value: Uint8Array }
  | UnknownAlternative;
export const ServiceSpecificPermissions = choice<ServiceSpecificPermissions>(
  'ServiceSpecificPermissions',
  { opaque: octetString() },
  { extensible: true },
);

export interface PsidSsp {
  readonly psid: number;
  readonly ssp?: ServiceSpecificPermissions;
}
export const PsidSsp = sequence<PsidSsp>('PsidSsp', {
  psid: Psid,
  ssp: optional(ServiceSpecificPermissions),
});
export const SequenceOfPsidSsp = sequenceOf(PsidSsp);

export type SspRange =
  | { readonly type: 'opaque'; readonly value: readonly Uint8Array[] }
  | { readonly type: 'all'; readonly value: null }
  | UnknownAlternative;
export const SspRange = choice<SspRange>(
  'SspRange',
  { opaque: sequenceOf(octetString()), all: nullValue },
  { extensible: true },
);

export interface PsidSspRange {
  readonly psid: number;
  readonly sspRange?: SspRange;
}
export const PsidSspRange = sequence<PsidSspRange>('PsidSspRange', {
  psid: Psid,
  sspRange: optional(SspRange),
});

export const SubjectAssurance = octetString(1);
export const CrlSeries = Uint16;
export const IValue = Uint16;
/** 1609.2 §6.4.13. */
export const Hostname = utf8String({ min: 0, max: 255 });
export const LinkageValue = octetString(9);
export const LaId = octetString(2);
export const LinkageSeed = octetString(16);

export interface GroupLinkageValue {
  readonly jValue: Uint8Array;
  readonly value: Uint8Array;
}
export const GroupLinkageValue = sequence<GroupLinkageValue>('GroupLinkageValue', {
  jValue: octetString(4),
  value: octetString(9),
});
