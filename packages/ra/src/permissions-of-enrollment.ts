import type { PsidSsp, PsidSspRange, ToBeSignedCertificate } from '@chrysalis/ieee1609dot2';
import { EE_TYPE_APP } from '@chrysalis/ieee1609dot2';

/**
 * The permissions that a device's certificates get: those that its enrollment certificate may request for an
 * end entity right below the PCA. CAMP's requests name none themselves (section 4.4).
 */
export function permissionsOf(enrollment: ToBeSignedCertificate): PsidSsp[] {
  return (enrollment.certRequestPermissions ?? [])
    .filter((group) => ((group.eeType[0] ?? 0) & EE_TYPE_APP) !== 0)
    .filter((group) => group.minChainDepth <= 0)
    .flatMap(({ subjectPermissions }) =>
      subjectPermissions.type === 'explicit' ? subjectPermissions.value : [],
    )
    .map(toPsidSsp)
    .filter((permission) => permission !== undefined);
}

/** One permission of a range: the only SSP that it lists, or none. A choice between several is nobody's to make. */
function toPsidSsp({ psid, sspRange }: PsidSspRange): PsidSsp | undefined {
  if (sspRange === undefined || sspRange.type === 'all') return { psid };
  if (sspRange.type !== 'opaque') return undefined;
  const [value] = sspRange.value;
  if (value === undefined) return { psid };
  if (sspRange.value.length > 1) return undefined;
  return { psid, ssp: { type: 'opaque', value } };
}
