/**
 * The service specific permissions of security management: which part of the SCMS a certificate is for
 * (ScmsSsp of scms-protocol.asn), and which CRLs it may sign (CrlSsp of the 1609.2 module IEEE1609dot2CrlSsp).
 */
import {
  type Codec,
  CoerError,
  choice,
  decode,
  type Extensible,
  encode,
  enumerated,
  sequence,
  sequenceOf,
  type UnknownAlternative,
} from '@chrysalis/coer';
import {
  CrlSeries,
  checkValidAt,
  type HashedCertificate,
  Psid,
  type ServiceSpecificPermissions,
  type Time32,
  Uint16,
  type VerifiedCertificate,
} from '@chrysalis/ieee1609dot2';
import { SECURITY_MGMT_PSID } from './envelope.ts';
import { ScmsDataError } from './error.ts';
import { CRL_PSID } from './pdu/crl.ts';
import { VersionOne } from './pdu/version.ts';

interface PlainSsp extends Extensible {
  readonly version: number;
}
const plainSsp = (name: string) =>
  sequence<PlainSsp>(name, { version: VersionOne }, { extensible: true });

/** The number of an LA, which its linkage values begin with, stands in its certificate. */
export interface LaSsp extends Extensible {
  readonly version: number;
  readonly laId: number;
}
export const LaSsp = sequence<LaSsp>(
  'LaSsp',
  { version: VersionOne, laId: Uint16 },
  { extensible: true },
);

export interface MaSsp extends Extensible {
  readonly version: number;
  readonly relevantPsids: readonly number[];
}
export const MaSsp = sequence<MaSsp>(
  'MaSsp',
  { version: VersionOne, relevantPsids: sequenceOf(Psid) },
  { extensible: true },
);

/** The parts of the SCMS whose SSP holds nothing but a version. */
type PlainRole = 'elector' | 'root' | 'pg' | 'ica' | 'eca' | 'pca' | 'crl' | 'dcm' | 'lop' | 'ra';
export type ScmsSsp =
  | { readonly type: PlainRole; readonly value: PlainSsp }
  | { readonly type: 'la'; readonly value: LaSsp }
  | { readonly type: 'ma'; readonly value: MaSsp }
  | UnknownAlternative;
export const ScmsSsp = choice<ScmsSsp>(
  'ScmsSsp',
  {
    elector: plainSsp('ElectorSsp'),
    root: plainSsp('RootCaSsp'),
    pg: plainSsp('PGSsp'),
    ica: plainSsp('IcaSsp'),
    eca: plainSsp('EcaSsp'),
    pca: plainSsp('PcaSsp'),
    crl: plainSsp('CrlSignerSsp'),
    dcm: plainSsp('DcmSsp'),
    la: LaSsp,
    lop: plainSsp('LopSsp'),
    ma: MaSsp,
    ra: plainSsp('RaSsp'),
  },
  { extensible: true },
);

export interface CrlSsp extends Extensible {
  readonly version: number;
  /** Whether the signer is itself the CRACA, the root whose hash certificates name, or works for it. */
  readonly associatedCraca: 'isCraca' | 'issuerIsCraca';
  readonly crls: readonly number[];
}
export const CrlSsp = sequence<CrlSsp>(
  'CrlSsp',
  {
    version: VersionOne,
    associatedCraca: enumerated('CracaType', ['isCraca', 'issuerIsCraca']),
    crls: sequenceOf(CrlSeries),
  },
  { extensible: true },
);

/** The SSP of a role that says nothing but its version, as `8B 00 01` for an RA. */
export function roleSsp(role: PlainRole): ServiceSpecificPermissions {
  return opaque(encode(ScmsSsp, { type: role, value: { version: 1 } }));
}

export function laSsp(laId: number): ServiceSpecificPermissions {
  return opaque(encode(ScmsSsp, { type: 'la', value: { version: 1, laId } }));
}

export function crlSsp(ssp: Omit<CrlSsp, 'version'>): ServiceSpecificPermissions {
  return opaque(encode(CrlSsp, { version: 1, ...ssp }));
}

/**
 * What a certificate may do in security management: its SSP for PSID 0x23. Undefined when it has none, or one that
 * is no ScmsSsp, as the MA's certificate in the PoC.
 */
export function scmsSspOf(certificate: HashedCertificate): ScmsSsp | undefined {
  return sspOf(certificate, SECURITY_MGMT_PSID, ScmsSsp);
}

/** Which CRLs a certificate may sign: its SSP for PSID 0x100. Undefined when it has none, or one that is no CrlSsp. */
export function crlSspOf(certificate: HashedCertificate): CrlSsp | undefined {
  return sspOf(certificate, CRL_PSID, CrlSsp);
}

/** The name in a component's certificate: the host that others know it by. */
export function hostnameOf({ certificate }: HashedCertificate): string | undefined {
  const { id } = certificate.toBeSigned;
  return id.type === 'name' ? id.value : undefined;
}

/**
 * Makes sure that a verified certificate is valid now, with all above it, and of this part of the SCMS.
 *
 * @throws Ieee1609Dot2Error `not-yet-valid`, `expired`; ScmsDataError `wrong-signer`
 */
export function expectRole(
  certificate: VerifiedCertificate,
  role: PlainRole | 'la' | 'ma',
  time: Time32,
): void {
  checkValidAt(certificate, time);
  const seen = scmsSspOf(certificate)?.type ?? 'no SSP';
  if (seen === role) return;
  throw new ScmsDataError('wrong-signer', `expected a certificate of ${role}, saw ${seen}`);
}

function sspOf<T>(
  { certificate }: HashedCertificate,
  application: number,
  codec: Codec<T>,
): T | undefined {
  const permission = certificate.toBeSigned.appPermissions?.find(
    ({ psid }) => psid === application,
  );
  if (permission?.ssp?.type !== 'opaque') return undefined;
  try {
    return decode(codec, permission.ssp.value);
  } catch (error) {
    if (error instanceof CoerError) return undefined;
    throw error;
  }
}

function opaque(value: Uint8Array): ServiceSpecificPermissions {
  return { type: 'opaque', value };
}
