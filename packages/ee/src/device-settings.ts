import type { Dialect } from '@chrysalis/scms';
import { parseRaUrl } from './bundle.ts';
import type { CertificateKind } from './download-url.ts';
import { EeError } from './error.ts';
import { JsonRecord, jsonOctets } from './json-record.ts';

/** A vehicle (on-board equipment) or a roadside unit (roadside equipment). */
export type DeviceKind = 'obe' | 'rse';

/** What a device is, and what its user has decided; outlives every contact. */
export interface DeviceSettings {
  readonly kind: DeviceKind;
  /** The release of ee-ra.asn that requests are written in. */
  readonly dialect: Dialect;
  /** Instead of the bundle's URL: where the RA is by now. */
  readonly raUrl?: URL;
  /** Where the CRL store is; without it no CRL is fetched. */
  readonly crlUrl?: URL;
  /** Whether the RA has to staple an OCSP response for its X.509 certificate. */
  readonly ocsp?: boolean;
  /** An OBE: whether it has identification certificates besides. */
  readonly identification?: boolean;
}

/** Requests of 1.2.2, which is what is in the field (Q2). */
export const DEFAULT_SETTINGS: DeviceSettings = { kind: 'obe', dialect: '1.2.2' };

export const DEVICE_KINDS: readonly DeviceKind[] = ['obe', 'rse'];
export const DIALECTS: readonly Dialect[] = ['1.2.2', '1.2.4'];

/** What a device of a kind keeps topped up. */
export function kindsOf({ kind, identification }: DeviceSettings): readonly CertificateKind[] {
  if (kind === 'rse') return ['application'];
  return identification === true ? ['pseudonym', 'identification'] : ['pseudonym'];
}

export function encodeSettings({ raUrl, crlUrl, ...settings }: DeviceSettings): Uint8Array {
  return jsonOctets({
    ...settings,
    ...(raUrl && { raUrl: raUrl.href }),
    ...(crlUrl && { crlUrl: crlUrl.href }),
  });
}

/** @throws EeError `profile-damaged` */
export function decodeSettings(name: string, octets: Uint8Array): DeviceSettings {
  const record = JsonRecord.parse(name, octets);
  return {
    kind: oneOf(DEVICE_KINDS, record, 'kind', name),
    dialect: oneOf(DIALECTS, record, 'dialect', name),
    ...(record.has('raUrl') && { raUrl: urlOf(record, name, 'raUrl') }),
    ...(record.has('crlUrl') && { crlUrl: urlOf(record, name, 'crlUrl') }),
    ...(record.has('ocsp') && { ocsp: record.flag('ocsp') }),
    ...(record.has('identification') && { identification: record.flag('identification') }),
  };
}

function oneOf<T extends string>(
  values: readonly T[],
  record: JsonRecord,
  field: string,
  name: string,
): T {
  const text = record.text(field);
  const found = values.find((value) => value === text);
  if (found !== undefined) return found;
  throw new EeError('profile-damaged', `${name}: ${field}: expected ${values.join(' or ')}`);
}

function urlOf(record: JsonRecord, name: string, field: string): URL {
  try {
    return parseRaUrl(record.text(field));
  } catch (cause) {
    throw new EeError('profile-damaged', `${name}: ${field}: expected an https URL`, { cause });
  }
}
