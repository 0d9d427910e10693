import type { Time32 } from '@chrysalis/ieee1609dot2';
import { EeError } from './error.ts';

/** What a .info file says. */
export type Info =
  /** The next batch is expected then. */
  | { readonly type: 'next'; readonly time: Time32 }
  /** The RA makes no more certificates for this device. */
  | { readonly type: 'stopped' };

const TIME32_OCTETS = 4;

/**
 * Reads a .info file: a Time32 in 4 octets. One fielded RA writes the same in 8 hex digits (sheet
 * 1.6); 0 means that the RA has stopped. Pure.
 *
 * @throws EeError `invalid-info`
 */
export function decodeInfo(octets: Uint8Array): Info {
  const raw = octets.length === TIME32_OCTETS ? octets : fromAscii(octets);
  const time = new DataView(raw.buffer, raw.byteOffset, raw.byteLength).getUint32(0);
  return time === 0 ? { type: 'stopped' } : { type: 'next', time };
}

function fromAscii(octets: Uint8Array): Uint8Array {
  const text = Buffer.from(octets).toString('latin1');
  if (!/^[0-9a-f]{8}$/i.test(text)) {
    throw new EeError(
      'invalid-info',
      `expected a Time32 in ${TIME32_OCTETS} octets, saw ${octets.length}`,
    );
  }
  return new Uint8Array(Buffer.from(text, 'hex'));
}
