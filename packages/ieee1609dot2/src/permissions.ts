import { equalConstantTime } from '@chrysalis/crypto';
import type { PsidSsp, PsidSspRange, ServiceSpecificPermissions, SspRange } from './base-types.ts';
import {
  EE_TYPE_APP,
  EE_TYPE_ENROL,
  type PsidGroupPermissions,
  type ToBeSignedCertificate,
} from './certificate.ts';

/**
 * Whether an issuer with these certIssuePermissions may issue a certificate with this content, 1609.2 §5.1.2.4
 * and §6.4.28: each application permission, each permission to issue and each permission to request of the
 * subject is covered by some group of the issuer at the right chain depth and for the right kind of end entity.
 */
export function mayIssue(
  issuer: readonly PsidGroupPermissions[],
  subject: ToBeSignedCertificate,
): boolean {
  const app = (subject.appPermissions ?? []).every((permission) =>
    issuer.some(
      (group) =>
        isOfType(group, EE_TYPE_APP) &&
        isDepthWithin(1, 1, group) &&
        covers(issuer, group, permission),
    ),
  );
  const issue = (subject.certIssuePermissions ?? []).every((wanted) =>
    mayDelegate(issuer, wanted, wanted.eeType[0] ?? 0),
  );
  // A right to request is exercised by an enrollment certificate, whatever kind it asks for.
  const request = (subject.certRequestPermissions ?? []).every((wanted) =>
    mayDelegate(issuer, wanted, EE_TYPE_ENROL),
  );
  return app && issue && request;
}

/** What a group of the subject permits its holder, its issuer has to permit one level further down. */
function mayDelegate(
  issuer: readonly PsidGroupPermissions[],
  wanted: PsidGroupPermissions,
  eeType: number,
): boolean {
  const shallowest = wanted.minChainDepth + 1;
  const deepest = wanted.chainDepthRange < 0 ? Infinity : shallowest + wanted.chainDepthRange;
  const fits = (group: PsidGroupPermissions) =>
    isOfType(group, eeType) && isDepthWithin(shallowest, deepest, group);
  const subject = wanted.subjectPermissions;
  if (subject.type === 'all') {
    return issuer.some((group) => group.subjectPermissions.type === 'all' && fits(group));
  }
  if (subject.type !== 'explicit') return false;
  return subject.value.every((range) =>
    issuer.some((group) => fits(group) && coversRange(issuer, group, range)),
  );
}

function isOfType(group: PsidGroupPermissions, eeType: number): boolean {
  return ((group.eeType[0] ?? 0) & eeType) === eeType;
}

function isDepthWithin(shallowest: number, deepest: number, group: PsidGroupPermissions): boolean {
  const end = group.chainDepthRange < 0 ? Infinity : group.minChainDepth + group.chainDepthRange;
  return shallowest >= group.minChainDepth && deepest <= end;
}

function covers(
  issuer: readonly PsidGroupPermissions[],
  group: PsidGroupPermissions,
  permission: PsidSsp,
): boolean {
  const { type, value } = group.subjectPermissions;
  // "all" means every application that no other group of the same certificate names.
  if (type === 'all') return !isNamed(issuer, permission.psid);
  if (type !== 'explicit') return false;
  return value.some(
    (range) => range.psid === permission.psid && isSspInRange(permission.ssp, range.sspRange),
  );
}

function coversRange(
  issuer: readonly PsidGroupPermissions[],
  group: PsidGroupPermissions,
  wanted: PsidSspRange,
): boolean {
  const { type, value } = group.subjectPermissions;
  if (type === 'all') return !isNamed(issuer, wanted.psid);
  if (type !== 'explicit') return false;
  return value.some(
    (range) => range.psid === wanted.psid && isRangeInRange(wanted.sspRange, range.sspRange),
  );
}

function isNamed(groups: readonly PsidGroupPermissions[], psid: number): boolean {
  return groups.some(
    ({ subjectPermissions: subject }) =>
      subject.type === 'explicit' && subject.value.some((range) => range.psid === psid),
  );
}

const NO_SSP = new Uint8Array(0);

/**
 * Whether an SSP lies in a range. A missing range means any SSP (1609.2 §6.4.30); a missing SSP and one of length
 * zero both mean the default permissions of the PSID, and CAMP's profiles use either.
 */
export function isSspInRange(
  ssp: ServiceSpecificPermissions | undefined,
  range: SspRange | undefined,
): boolean {
  if (range === undefined || range.type === 'all') return true;
  if (range.type !== 'opaque' || ssp?.type === 'unknown') return false;
  const octets = ssp?.value ?? NO_SSP;
  if (octets.length === 0) {
    return range.value.length === 0 || range.value.some((allowed) => allowed.length === 0);
  }
  return range.value.some((allowed) => equalConstantTime(allowed, octets));
}

function isRangeInRange(wanted: SspRange | undefined, range: SspRange | undefined): boolean {
  if (range === undefined || range.type === 'all') return true;
  if (wanted === undefined || wanted.type !== 'opaque') return false;
  return wanted.value.every((value) => isSspInRange({ type: 'opaque', value }, range));
}
