/**
 * What the certificates of an SCMS say: the profiles of the CAMP module IEEE1609dot2-profiles (cert-profile.asn, release
 * 1.2.2), with the lifetimes of its proof of concept. Where we leave the module, the comment says so.
 */
import type { Point } from '@chrysalis/crypto';
import {
  type CertificateContent,
  type Duration,
  EE_TYPE_APP,
  EE_TYPE_ENROL,
  fromPoint,
  type GeographicRegion,
  type HashedId3,
  type PsidGroupPermissions,
  type PublicEncryptionKey,
  type ServiceSpecificPermissions,
  type SubjectPermissions,
  type Time32,
} from '@chrysalis/ieee1609dot2';
import {
  CRL_PSID,
  CRL_SERIES,
  crlSsp,
  laSsp,
  MISBEHAVIOR_REPORTING_PSID,
  roleSsp,
  SECURITY_MGMT_PSID,
} from '@chrysalis/scms';
import { CAMP_APPLICATIONS, CAMP_RA_APPLICATIONS } from './application-permissions.ts';

/**
 * Lifetimes for the proof of concept: of 1.2.2, or of 1.2.4 where that is longer, so that a test SCMS lasts and each
 * certificate outlives those that it issues.
 */
export const LIFETIME = {
  root: { type: 'years', value: 70 },
  ica: { type: 'years', value: 50 },
  eca: { type: 'years', value: 40 },
  pca: { type: 'years', value: 4 },
  la: { type: 'hours', value: 26_448 },
  ra: { type: 'hours', value: 26_448 },
  pg: { type: 'hours', value: 35_208 },
  ma: { type: 'hours', value: 35_208 },
  crlg: { type: 'hours', value: 35_208 },
  obeEnrollment: { type: 'years', value: 30 },
} as const satisfies Record<string, Duration>;

/**
 * Which applications the SCMS serves. `camp`: those of the module, with its ranges of SSPs. `any`: every application,
 * as fielded test PKIs have it, for devices that ask for more than CAMP lists (PSID 0x23, or any SSP of 0x20).
 */
export type ApplicationScope = 'camp' | 'any';

export interface ProfileOptions {
  readonly hostname: string;
  /** Low-order octets of the hash of the root, which stands for the authority over CRLs. */
  readonly cracaId: HashedId3;
  readonly start: Time32;
  readonly region: GeographicRegion;
  readonly applications: ApplicationScope;
}

const NO_CRACA: HashedId3 = new Uint8Array(3);
const APP = Uint8Array.of(EE_TYPE_APP);
const ENROL = Uint8Array.of(EE_TYPE_ENROL);
const APP_AND_ENROL = Uint8Array.of(EE_TYPE_APP | EE_TYPE_ENROL);
/** A chainDepthRange without an upper end. */
const UNLIMITED = -1;
const ALL: SubjectPermissions = { type: 'all', value: null };

/** Identified by country numbers of ISO 3166; 840 is the United States. */
export function countryRegion(countries: readonly number[]): GeographicRegion {
  return {
    type: 'identifiedRegion',
    value: countries.map((value) => ({ type: 'countryOnly', value })),
  };
}

export function rootContent({
  hostname,
  start,
}: Pick<ProfileOptions, 'hostname' | 'start'>): CertificateContent {
  const crls = [CRL_SERIES.scmsSpecialComponent];
  return {
    id: { type: 'name', value: hostname },
    cracaId: NO_CRACA,
    crlSeries: 0,
    validityPeriod: { start, duration: LIFETIME.root },
    appPermissions: [
      { psid: SECURITY_MGMT_PSID, ssp: roleSsp('root') },
      { psid: CRL_PSID, ssp: crlSsp({ associatedCraca: 'isCraca', crls }) },
    ],
    certIssuePermissions: [
      // The module has depth 3 here. Then the ICA's own group at depth 1, which its RA's certRequestPermissions
      // need, would exceed what the root permits, and a strict verifier refuses the ICA (1609.2 §5.1.2.4).
      group(ALL, 2, UNLIMITED, APP_AND_ENROL),
      group(anySsp(SECURITY_MGMT_PSID), 1, UNLIMITED, APP_AND_ENROL),
      group(anySsp(MISBEHAVIOR_REPORTING_PSID), 1, UNLIMITED, APP_AND_ENROL),
      group(anySsp(CRL_PSID), 1, UNLIMITED, APP_AND_ENROL),
    ],
  };
}

export function icaContent(options: ProfileOptions): CertificateContent {
  // The module lists no group for PSID 0x23, without which the ICA may certify no component (1609.2 §5.1.2.4).
  // Recorded PKIs have this one.
  const components = group(anySsp(SECURITY_MGMT_PSID, CRL_PSID), 1, UNLIMITED, APP_AND_ENROL);
  const applications =
    options.applications === 'any'
      ? [group(ALL, 1, 1, APP_AND_ENROL)]
      : [
          group(ALL, 2, 0, APP_AND_ENROL),
          group(explicit(CAMP_APPLICATIONS), 1, UNLIMITED, APP_AND_ENROL),
        ];
  return {
    ...component(options, roleSsp('ica'), LIFETIME.ica),
    certIssuePermissions: [...applications, components],
  };
}

export function ecaContent(options: ProfileOptions, encryptionKey: Point): CertificateContent {
  return {
    ...component(options, roleSsp('eca'), LIFETIME.eca),
    certIssuePermissions: [group(applicationsOf(options), 1, 0, ENROL)],
    encryptionKey: publicEncryptionKey(encryptionKey),
  };
}

export function pcaContent(options: ProfileOptions, encryptionKey: Point): CertificateContent {
  return {
    ...component(options, roleSsp('pca'), LIFETIME.pca),
    certIssuePermissions: [group(applicationsOf(options), 1, 0, APP)],
    encryptionKey: publicEncryptionKey(encryptionKey),
  };
}

export function raContent(options: ProfileOptions, encryptionKey: Point): CertificateContent {
  const applications = options.applications === 'any' ? ALL : explicit(CAMP_RA_APPLICATIONS);
  return {
    ...component(options, roleSsp('ra'), LIFETIME.ra),
    certRequestPermissions: [group(applications, 0, 0, APP)],
    encryptionKey: publicEncryptionKey(encryptionKey),
  };
}

export function laContent(options: ProfileOptions, laId: number): CertificateContent {
  return component(options, laSsp(laId), LIFETIME.la);
}

/** The components whose revocation only the root can announce: no region, CRL series 256. */
export function pgContent(options: ProfileOptions): CertificateContent {
  return specialComponent(options, roleSsp('pg'), LIFETIME.pg);
}

export function maContent(options: ProfileOptions, encryptionKey: Point): CertificateContent {
  return {
    // No SSP: the module leaves it out for the proof of concept, whose MaSsp was not settled.
    ...specialComponent(options, undefined, LIFETIME.ma),
    encryptionKey: publicEncryptionKey(encryptionKey),
  };
}

export function crlgContent(options: ProfileOptions): CertificateContent {
  const content = specialComponent(options, roleSsp('crl'), LIFETIME.crlg);
  const crls = [
    CRL_SERIES.eeEnrollment,
    CRL_SERIES.eeNonPseudonym,
    CRL_SERIES.obePseudonym,
    CRL_SERIES.scmsComponent,
  ];
  return {
    ...content,
    appPermissions: [
      ...(content.appPermissions ?? []),
      { psid: CRL_PSID, ssp: crlSsp({ associatedCraca: 'issuerIsCraca', crls }) },
    ],
  };
}

/** AES-128-CCM under ECIES on P-256, the only scheme of CAMP. */
export function publicEncryptionKey(point: Point): PublicEncryptionKey {
  return {
    supportedSymmAlg: 'aes128Ccm',
    publicKey: { type: 'eciesNistP256', value: fromPoint(point) },
  };
}

function component(
  options: ProfileOptions,
  ssp: ServiceSpecificPermissions,
  duration: Duration,
): CertificateContent {
  const { region } = options;
  const crlSeries = CRL_SERIES.scmsComponent;
  return { ...specialComponent(options, ssp, duration), crlSeries, region };
}

function specialComponent(
  { hostname, cracaId, start }: ProfileOptions,
  ssp: ServiceSpecificPermissions | undefined,
  duration: Duration,
): CertificateContent {
  return {
    id: { type: 'name', value: hostname },
    cracaId,
    crlSeries: CRL_SERIES.scmsSpecialComponent,
    validityPeriod: { start, duration },
    appPermissions: [{ psid: SECURITY_MGMT_PSID, ...(ssp && { ssp }) }],
    canRequestRollover: null,
  };
}

function applicationsOf({ applications }: ProfileOptions): SubjectPermissions {
  return applications === 'any' ? ALL : explicit(CAMP_APPLICATIONS);
}

function group(
  subjectPermissions: SubjectPermissions,
  minChainDepth: number,
  chainDepthRange: number,
  eeType: Uint8Array,
): PsidGroupPermissions {
  return { subjectPermissions, minChainDepth, chainDepthRange, eeType };
}

function explicit(
  value: Extract<SubjectPermissions, { type: 'explicit' }>['value'],
): SubjectPermissions {
  return { type: 'explicit', value };
}

/** A missing sspRange means any SSP (1609.2 §6.4.30). */
function anySsp(...psids: number[]): SubjectPermissions {
  return explicit(psids.map((psid) => ({ psid })));
}
