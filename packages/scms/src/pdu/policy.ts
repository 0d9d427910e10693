/** CAMP module Ieee1609dot2ScmsPolicyTypes (scms-policy.asn), the same in releases 1.2.2 and 1.2.4. */
import {
  type Captured,
  type Codec,
  captured,
  choice,
  constrained,
  type Extensible,
  enumerated,
  octetString,
  optional,
  sequence,
  sequenceOf,
  type UnknownAlternative,
  withDefault,
} from '@chrysalis/coer';
import {
  Duration,
  Hostname,
  Ieee1609Dot2Data,
  Opaque,
  Time64,
  Uint8,
  Uint16,
  Uint32,
} from '@chrysalis/ieee1609dot2';
import { VersionOne } from './version.ts';

/**
 * A parameter and how it changes: `initial` until the first start time, then each value from its start time on. CAMP
 * writes the type out for each parameter, with names such as initialIPeriod and iPeriod; here it is one type.
 */
export interface TemporalSeries<T> {
  readonly initial: T;
  readonly intervals: readonly TemporalValue<T>[];
}

export interface TemporalValue<T> {
  readonly startTime: Time64;
  readonly value: T;
}

/** With a default, the initial value is a DEFAULT component: the series has a preamble then. */
function temporalSeries<T extends NonNullable<unknown>>(
  name: string,
  codec: Codec<T>,
  defaultInitial?: T,
): Codec<TemporalSeries<T>> {
  // `sequence` looks at each component's type to see whether it is optional, which a type parameter does not tell.
  const value = codec as Codec<NonNullable<unknown>>;
  return sequence<TemporalSeries<NonNullable<unknown>>>(`TemporalSeriesOf${name}`, {
    initial: defaultInitial === undefined ? value : withDefault(value, defaultInitial),
    intervals: sequenceOf(
      sequence<TemporalValue<NonNullable<unknown>>>(`${name}.intervals`, {
        startTime: Time64,
        value,
      }),
    ),
  }) as Codec<TemporalSeries<T>>;
}

/** Its values count from 1, so that `enumerated`, which counts from 0, gives numbers. */
const CertValidityModelNumber = enumerated('CertValidityModel', [], { extensible: true });
const CERT_VALIDITY_MODELS = ['concurrent', 'nonConcurrent'] as const;

/** Whether the certificates of an i-period are valid all at once, or one after the other. */
export type CertValidityModel = (typeof CERT_VALIDITY_MODELS)[number] | number;
export const CertValidityModel: Codec<CertValidityModel> = {
  name: 'CertValidityModel',
  minimumOctets: 1,
  read(reader) {
    const number = CertValidityModelNumber.read(reader);
    return CERT_VALIDITY_MODELS[number - 1] ?? number;
  },
  write(writer, value) {
    const place = typeof value === 'number' ? value - 1 : CERT_VALIDITY_MODELS.indexOf(value);
    if (typeof value !== 'number' && place < 0) {
      writer.fail('out-of-range', 'expected a value of CertValidityModel');
    }
    CertValidityModelNumber.write(writer, place + 1);
  },
};

export interface GlobalPolicyData extends Extensible {
  readonly scmsVersion?: TemporalSeries<number>;
  readonly certChainFileId?: TemporalSeries<number>;
  readonly overdueCrlTolerance?: TemporalSeries<Duration>;
  readonly iPeriod?: TemporalSeries<Duration>;
  readonly minCertsPerIPeriod?: TemporalSeries<number>;
  readonly certValidityModel?: TemporalSeries<CertValidityModel>;
  readonly maxAvailableCertSupply?: TemporalSeries<Duration>;
  readonly maxCertRequestAge?: TemporalSeries<Duration>;
  readonly shuffleThreshold?: TemporalSeries<number>;
  readonly hashOfRequestSize?: TemporalSeries<number>;
  readonly maxGpfGccfRetrievalInterval?: TemporalSeries<Duration>;
  readonly rseApplicationCertValidity?: TemporalSeries<Duration>;
  readonly rseApplicationCertOverlap?: TemporalSeries<Duration>;
}
/** The prefix temporalSeriesOf of every component is left out of the names. */
export const GlobalPolicyData = sequence<GlobalPolicyData>(
  'GlobalPolicyData',
  {
    scmsVersion: optional(temporalSeries('ScmsVersion', Uint8, 1)),
    certChainFileId: optional(temporalSeries('CertChainFileID', Uint16)),
    overdueCrlTolerance: optional(temporalSeries('OverdueCrlTolerance', Duration)),
    iPeriod: optional(temporalSeries('IPeriod', Duration)),
    minCertsPerIPeriod: optional(temporalSeries('MinCertsPerIPeriod', Uint8, 20)),
    certValidityModel: optional(temporalSeries('CertValidityModel', CertValidityModel)),
    maxAvailableCertSupply: optional(temporalSeries('MaxAvailableCertSupply', Duration)),
    maxCertRequestAge: optional(temporalSeries('MaxCertRequestAge', Duration)),
    shuffleThreshold: optional(temporalSeries('ShuffleThreshold', Uint32, 1000)),
    hashOfRequestSize: optional(temporalSeries('HashOfRequestSize', Uint8, 32)),
    maxGpfGccfRetrievalInterval: optional(temporalSeries('MaxGpfGccfRetrievalInterval', Duration)),
    rseApplicationCertValidity: optional(temporalSeries('RseApplicationCertValidity', Duration)),
    rseApplicationCertOverlap: optional(temporalSeries('RseApplicationCertOverlap', Duration)),
  },
  { extensible: true },
);

/** The part of the global policy that an RA keeps, for its PG to sign. */
export interface CustomPolicyData extends Extensible {
  readonly requestingRaHostname?: string;
  readonly globalPolicy: GlobalPolicyData;
}
export const CustomPolicyData = sequence<CustomPolicyData>(
  'CustomPolicyData',
  { requestingRaHostname: optional(Hostname), globalPolicy: GlobalPolicyData },
  { extensible: true },
);

/** What an RA decides by itself; its certificates per i-period override the global minimum. */
export interface LocalPolicyData extends Extensible {
  readonly shuffleThreshold?: TemporalSeries<number>;
  readonly certsPerIPeriod?: TemporalSeries<number>;
  readonly laOneHost?: TemporalSeries<string>;
  readonly laTwoHost?: TemporalSeries<string>;
  readonly pcaHost?: TemporalSeries<string>;
  readonly raX509TlsCert?: TemporalSeries<Uint8Array>;
  readonly laX509TlsCert?: TemporalSeries<Uint8Array>;
  readonly pcaX509TlsCert?: TemporalSeries<Uint8Array>;
  readonly sharedKeyUpdateInterval?: TemporalSeries<Duration>;
}
export const LocalPolicyData = sequence<LocalPolicyData>(
  'LocalPolicyData',
  {
    shuffleThreshold: optional(temporalSeries('ShuffleThreshold', Uint32)),
    certsPerIPeriod: optional(temporalSeries('CertsPerIPeriod', Uint8, 20)),
    laOneHost: optional(temporalSeries('LaOneHost', Hostname)),
    laTwoHost: optional(temporalSeries('LaTwoHost', Hostname)),
    pcaHost: optional(temporalSeries('PcaHost', Hostname)),
    raX509TlsCert: optional(temporalSeries('RaX509TlsCert', Opaque)),
    laX509TlsCert: optional(temporalSeries('LaX509TlsCert', Opaque)),
    pcaX509TlsCert: optional(temporalSeries('PcaX509TlsCert', Opaque)),
    sharedKeyUpdateInterval: optional(temporalSeries('SharedKeyUpdateInterval', Duration)),
  },
  { extensible: true },
);

export type Policy =
  | { readonly type: 'global'; readonly value: GlobalPolicyData }
  | { readonly type: 'custom'; readonly value: CustomPolicyData }
  | { readonly type: 'local'; readonly value: LocalPolicyData }
  | UnknownAlternative;
export const Policy = choice<Policy>(
  'Policy',
  { global: GlobalPolicyData, custom: CustomPolicyData, local: LocalPolicyData },
  { extensible: true },
);

export interface ToBeSignedPolicyData extends Extensible {
  /** Up to 32 octets. */
  readonly policyID: Uint8Array;
  readonly generationTime: Time64;
  readonly activeTime: Time64;
  readonly policy: Policy;
}
export const ToBeSignedPolicyData = sequence<ToBeSignedPolicyData>(
  'ToBeSignedPolicyData',
  {
    policyID: octetString({ min: 0, max: 32 }),
    generationTime: Time64,
    activeTime: Time64,
    policy: Policy,
  },
  { extensible: true },
);

/** The octets of what was signed are kept as they arrived: countersignatures cover their hash. */
export interface BasePolicyFile extends Extensible {
  readonly version: number;
  readonly tbsData: Captured<ToBeSignedPolicyData>;
  /** Countersignature (1609.2 §6.3.8): signedData over a hash, without the data. */
  readonly signatures: readonly Ieee1609Dot2Data[];
}
export const BasePolicyFile = sequence<BasePolicyFile>(
  'BasePolicyFile',
  {
    version: VersionOne,
    tbsData: captured(ToBeSignedPolicyData),
    signatures: sequenceOf(Ieee1609Dot2Data, { min: 1 }),
  },
  { extensible: true },
);

/** The three uses of BasePolicyFile differ in the alternative of its policy. */
export const GlobalPolicyFile = basePolicyFileOf('GlobalPolicyFile', 'global');
export const SignedCustomPolicyFile = basePolicyFileOf('SignedCustomPolicyFile', 'custom');
const LocalParameters = basePolicyFileOf('LocalPolicyFile.localParameters', 'local');

function basePolicyFileOf(name: string, type: Policy['type']): Codec<BasePolicyFile> {
  const isOfType = ({ tbsData }: BasePolicyFile) => tbsData.value?.policy.type === type;
  return constrained(BasePolicyFile, name, isOfType);
}

export interface LocalPolicyFile {
  readonly globalParameters: BasePolicyFile;
  readonly localParameters: BasePolicyFile;
}
export const LocalPolicyFile = sequence<LocalPolicyFile>('LocalPolicyFile', {
  globalParameters: SignedCustomPolicyFile,
  localParameters: LocalParameters,
});

export type PolicyFiles =
  | { readonly type: 'globalPolicyFile'; readonly value: BasePolicyFile }
  | { readonly type: 'localPolicyFile'; readonly value: LocalPolicyFile }
  | UnknownAlternative;
export const PolicyFiles = choice<PolicyFiles>(
  'PolicyFiles',
  { globalPolicyFile: GlobalPolicyFile, localPolicyFile: LocalPolicyFile },
  { extensible: true },
);
