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
  // One that may issue nothing issues nothing, not even a certificate that grants nothing.
  if (issuer.length === 0) return false;
  const app = (subject.appPermissions ?? []).every((permission) =>
    issuer.some(
      (group) =>
        isOfType(group, EE_TYPE_APP) &&
        isDepthWithin(1, 1, group) &&
        covers(issuer, group, permission),
    ),
  );
  // A depth of 0 belongs in a right to request only: a certificate that may issue at depth 0 is invalid.
  const toIssue = subject.certIssuePermissions ?? [];
  const issue = toIssue.every(
    (wanted) =>
      wanted.minChainDepth >= 1 && mayDelegate(issuer, toIssue, wanted, wanted.eeType[0] ?? 0),
  );
  // A right to request is exercised by an enrollment certificate, whatever kind it asks for.
  const toRequest = subject.certRequestPermissions ?? [];
  const request = toRequest.every((wanted) =>
    mayDelegate(issuer, toRequest, wanted, EE_TYPE_ENROL),
  );
  return app && issue && request;
}

/** What one group of the subject's groups permits its holder, its issuer has to permit one level further down. */
function mayDelegate(
  issuer: readonly PsidGroupPermissions[],
  groups: readonly PsidGroupPermissions[],
  wanted: PsidGroupPermissions,
  eeType: number,
): boolean {
  const shallowest = wanted.minChainDepth + 1;
  const deepest = endOfDepth(wanted) + 1;
  const fitting = issuer.filter(
    (group) => isOfType(group, eeType) && isDepthWithin(shallowest, deepest, group),
  );
  const isCovered = (range: PsidSspRange) =>
    fitting.some((group) => coversRange(issuer, group, range));
  const subject = wanted.subjectPermissions;
  switch (subject.type) {
    case 'explicit':
      return subject.value.every(isCovered);
    case 'all':
      // The issuer's "all" leaves out what the issuer names; that, if the subject does not name it as well, lies
      // in the subject's "all" with every SSP.
      return (
        fitting.some((group) => group.subjectPermissions.type === 'all') &&
        namedBy(issuer).every((psid) => isNamed(groups, psid) || isCovered({ psid }))
      );
    default:
      return false;
  }
}

function isOfType(group: PsidGroupPermissions, eeType: number): boolean {
  return ((group.eeType[0] ?? 0) & eeType) === eeType;
}

function isDepthWithin(shallowest: number, deepest: number, group: PsidGroupPermissions): boolean {
  return shallowest >= group.minChainDepth && deepest <= endOfDepth(group);
}

function endOfDepth({ minChainDepth, chainDepthRange }: PsidGroupPermissions): number {
  return chainDepthRange === -1 ? Infinity : minChainDepth + chainDepthRange;
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
  return namedBy(groups).includes(psid);
}

function namedBy(groups: readonly PsidGroupPermissions[]): readonly number[] {
  return groups.flatMap(({ subjectPermissions: subject }) =>
    subject.type === 'explicit' ? subject.value.map((range) => range.psid) : [],
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
  return sspsOf(range.value).some((allowed) => equalConstantTime(allowed, octets));
}

function isRangeInRange(wanted: SspRange | undefined, range: SspRange | undefined): boolean {
  if (range === undefined || range.type === 'all') return true;
  if (wanted === undefined || wanted.type !== 'opaque') return false;
  return sspsOf(wanted.value).every((value) => isSspInRange({ type: 'opaque', value }, range));
}

/** A range that lists no SSP leaves the default permissions, as one that lists only the empty SSP does. */
function sspsOf(range: readonly Uint8Array[]): readonly Uint8Array[] {
  return range.length === 0 ? [NO_SSP] : range;
}
