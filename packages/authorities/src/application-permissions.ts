/** The applications that the CAMP module of certificate profiles (cert-profile.asn) lets an SCMS serve. */
import type { PsidSspRange } from '@chrysalis/ieee1609dot2';
import { MISBEHAVIOR_REPORTING_PSID } from '@chrysalis/scms';

/** Basic safety messages. */
export const BSM_PSID = 0x20;

/** The one SSP of length zero: the default permissions of a PSID and no others. */
const DEFAULT_ONLY: PsidSspRange['sspRange'] = { type: 'opaque', value: [new Uint8Array(0)] };

/** The SSPs of intersection safety (PSID 0x82) that the module lists. */
const INTERSECTION_SAFETY: PsidSspRange['sspRange'] = {
  type: 'opaque',
  value: ['9001', '90ffff01', '90ffff02', '90ffff03', '90ffff04'].map(
    (ssp) => new Uint8Array(Buffer.from(ssp, 'hex')),
  ),
};

/** First and count of the PSIDs that were set aside for the connected vehicle pilots. */
const PILOT_PSIDS = { first: 0x204088, count: 16 };

/** The 26 entries of the ICA, the ECA and the PCA. A missing range means any SSP (1609.2 §6.4.30). */
export const CAMP_APPLICATIONS: readonly PsidSspRange[] = [
  { psid: BSM_PSID, sspRange: DEFAULT_ONLY },
  { psid: MISBEHAVIOR_REPORTING_PSID },
  { psid: 0x27 },
  { psid: 0x80 },
  { psid: 0x81 },
  { psid: 0x82, sspRange: INTERSECTION_SAFETY },
  { psid: 0x83 },
  { psid: 0x87, sspRange: DEFAULT_ONLY },
  { psid: 0x4082 },
  { psid: 0x204083 },
  ...Array.from({ length: PILOT_PSIDS.count }, (_, n) => ({ psid: PILOT_PSIDS.first + n })),
];

/** The 25 entries of the RA: misbehavior reports are for the MA, the RA only passes them on. */
export const CAMP_RA_APPLICATIONS: readonly PsidSspRange[] = CAMP_APPLICATIONS.filter(
  ({ psid }) => psid !== MISBEHAVIOR_REPORTING_PSID,
);
