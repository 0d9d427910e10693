/** What `inspect` can recognise, and how it finds out which of them some octets are. */
import { CrlSsp, ScmsSsp } from '@chrysalis/authorities';
import { type Codec, CoerError, type InspectedField, inspect } from '@chrysalis/coer';
import {
  Certificate,
  EncryptedData,
  Ieee1609Dot2Data,
  SignedData,
  Time32,
  ToBeSignedCertificate,
  ToBeSignedData,
} from '@chrysalis/ieee1609dot2';
import {
  CompositeCrl,
  type Dialect,
  EncryptedIndividualPlv,
  LinkageSeedAndLaId,
  PlaintextCertificateResponse,
  ScmsFile,
  ScmsPdu122,
  ScmsPdu124,
  SignedCertificateRequest122,
  SignedCertificateRequest124,
  ToBeEncryptedIndividualPlv,
  ToBeSignedEncryptedCertificateResponse,
} from '@chrysalis/scms';

/** A message type; one that CAMP changed between releases has a codec for each. */
export interface Kind {
  readonly name: string;
  readonly releases: readonly { readonly release?: Dialect; readonly codec: Codec<unknown> }[];
  /** Too little in it to be told from other octets: only by name or by where it stands. */
  readonly isHidden?: boolean;
}

function kind(name: string, codec: Codec<never>, isHidden = false): Kind {
  return { name, releases: [{ codec: codec as Codec<unknown> }], isHidden };
}

function released(name: string, older: Codec<never>, newer: Codec<never>): Kind {
  return {
    name,
    releases: [
      { release: '1.2.2', codec: older as Codec<unknown> },
      { release: '1.2.4', codec: newer as Codec<unknown> },
    ],
  };
}

export const IEEE1609DOT2_DATA = kind('Ieee1609Dot2Data', Ieee1609Dot2Data as Codec<never>);
export const CERTIFICATE = kind('Certificate', Certificate as Codec<never>);
export const SCMS_PDU = released('ScmsPDU', ScmsPdu122 as Codec<never>, ScmsPdu124 as Codec<never>);
export const SIGNED_CERTIFICATE_REQUEST = released(
  'SignedCertificateRequest',
  SignedCertificateRequest122 as Codec<never>,
  SignedCertificateRequest124 as Codec<never>,
);
export const CERTIFICATE_RESPONSE = kind(
  'ToBeSignedEncryptedCertificateResponse',
  ToBeSignedEncryptedCertificateResponse as Codec<never>,
);
export const PLAINTEXT_RESPONSE = kind(
  'PlaintextCertificateResponse',
  PlaintextCertificateResponse as Codec<never>,
);
export const PLV = kind(
  'ToBeEncryptedIndividualPLV',
  ToBeEncryptedIndividualPlv as Codec<never>,
  true,
);
export const LINKAGE_SEED = kind('LinkageSeedAndLaId', LinkageSeedAndLaId as Codec<never>, true);
export const INFO = kind('info', Time32 as Codec<never>, true);
export const ZIP: Kind = { name: 'zip', releases: [], isHidden: true };
export const SCMS_SSP = kind('ScmsSsp', ScmsSsp as Codec<never>, true);
export const CRL_SSP = kind('CrlSsp', CrlSsp as Codec<never>, true);

/** In the order in which they are tried. */
const KINDS: readonly Kind[] = [
  IEEE1609DOT2_DATA,
  CERTIFICATE,
  SCMS_PDU,
  kind('ScmsFile', ScmsFile as Codec<never>),
  kind('CompositeCrl', CompositeCrl as Codec<never>),
  SIGNED_CERTIFICATE_REQUEST,
  CERTIFICATE_RESPONSE,
  PLAINTEXT_RESPONSE,
  kind('EncryptedIndividualPLV', EncryptedIndividualPlv as Codec<never>),
  kind('EncryptedData', EncryptedData as Codec<never>),
  kind('SignedData', SignedData as Codec<never>),
  kind('ToBeSignedData', ToBeSignedData as Codec<never>),
  kind('ToBeSignedCertificate', ToBeSignedCertificate as Codec<never>),
  PLV,
  LINKAGE_SEED,
  SCMS_SSP,
  CRL_SSP,
  INFO,
  ZIP,
];

export const KIND_NAMES: readonly string[] = KINDS.map(({ name }) => name);
export const DETECTABLE: readonly Kind[] = KINDS.filter(({ isHidden }) => !isHidden);

export function findKind(name: string): Kind | undefined {
  return KINDS.find((known) => known.name.toLowerCase() === name.toLowerCase());
}

/** Octets that one of the kinds accounts for, every one of them. */
export interface Recognised {
  readonly kind: Kind;
  /** The only release that fits, where it makes a difference. */
  readonly release?: Dialect;
  readonly field: InspectedField;
}

/** A version and a tag: whose first octets are those of a kind, is likely meant to be one. */
const TELLING_OCTETS = 2;

/** Octets that none of the kinds accounts for, the kind that they most look like, and what is wrong with them. */
export interface Unrecognised {
  readonly kind?: undefined;
  readonly closest: Kind;
  readonly error: CoerError;
}

/** Tries kinds strictly. Of those that fit, one without alternatives that nobody knows is preferred. */
export function recognise(octets: Uint8Array, kinds: readonly Kind[]): Recognised | Unrecognised {
  const fitting: Recognised[] = [];
  let best: Unrecognised | undefined;
  let failure: Unrecognised | undefined;
  for (const candidate of kinds) {
    const readings = [];
    for (const { release, codec } of candidate.releases) {
      try {
        readings.push({ release, field: inspect(codec, octets) });
      } catch (error) {
        if (!(error instanceof CoerError)) throw error;
        best ??= (error.offset ?? 0) >= TELLING_OCTETS ? { closest: candidate, error } : undefined;
        failure ??= { closest: candidate, error };
      }
    }
    const known = readings.filter(({ field }) => !hasUnknown(field));
    const [first, second] = known.length > 0 ? known : readings;
    if (first === undefined) continue;
    const isTold = second === undefined && first.release !== undefined;
    fitting.push({
      kind: candidate,
      field: first.field,
      ...(isTold && { release: first.release as Dialect }),
    });
  }
  const chosen = fitting.find(({ field }) => !hasUnknown(field)) ?? fitting[0];
  if (chosen !== undefined) return chosen;
  if (failure === undefined) throw new TypeError('expected a kind to try');
  return best ?? failure;
}

function hasUnknown({ name, children }: InspectedField): boolean {
  return name === 'unknown' || children.some(hasUnknown);
}
