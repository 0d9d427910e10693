import type { Codec } from './codec.ts';
import { show } from './error.ts';

/** BOOLEAN, X.696 §9: 0x00 or 0xFF and nothing else, as the canonical rules demand (§31.3). */
export const boolean: Codec<boolean> = {
  name: 'BOOLEAN',
  minimumOctets: 1,
  read(reader) {
    const at = reader.offset;
    const octet = reader.u8();
    if (octet !== 0 && octet !== 0xff) {
      reader.fail('invalid-boolean', `expected 00 or FF, saw ${octet.toString(16)}`, at);
    }
    return octet === 0xff;
  },
  write(writer, value) {
    if (typeof value !== 'boolean') {
      writer.fail('out-of-range', `expected BOOLEAN, saw ${show(value)}`);
    }
    writer.u8(value ? 0xff : 0);
  },
};

/** NULL, X.696 §15: no octets at all. */
export const nullValue: Codec<null> = {
  name: 'NULL',
  minimumOctets: 0,
  read() {
    return null;
  },
  write(writer, value) {
    if (value !== null) writer.fail('out-of-range', `expected NULL, saw ${show(value)}`);
  },
};
