/** As much of DER (X.690) as an OCSP response takes: definite lengths, tags of one octet. */

export interface Der {
  readonly tag: number;
  readonly content: Uint8Array;
  /** With tag and length. */
  readonly whole: Uint8Array;
}

/** The values inside a constructed value. */
export class DerValues {
  readonly all: readonly Der[];
  readonly #what: string;

  /** @throws RangeError when the octets are not one value in DER, holding values */
  constructor(octets: Uint8Array, what: string) {
    const outer = readDer(octets, 0, what);
    if (outer.whole.length !== octets.length) {
      throw new RangeError(`${what}: expected no more octets`);
    }
    const all: Der[] = [];
    for (let at = 0; at < outer.content.length; ) {
      const child = readDer(outer.content, at, what);
      all.push(child);
      at += child.whole.length;
    }
    this.all = all;
    this.#what = what;
  }

  /** @throws RangeError when there are not so many */
  at(index: number): Der {
    const value = this.all[index];
    if (value !== undefined) return value;
    throw new RangeError(`${this.#what}: expected ${index + 1} values, saw ${this.all.length}`);
  }

  /** The values inside one of these. */
  inside(index: number, what: string): DerValues {
    return new DerValues(this.at(index).whole, what);
  }
}

function readDer(octets: Uint8Array, at: number, what: string): Der {
  const [tag, first] = octets.subarray(at, at + 2);
  if (tag === undefined || first === undefined) throw new RangeError(`${what}: expected a value`);
  // The long form says how many octets the length has; three hold everything here.
  const count = first < 0x80 ? 0 : first & 0x7f;
  if (count > 3 || first === 0x80) throw new RangeError(`${what}: expected a shorter length`);
  const lengthOctets = octets.subarray(at + 2, at + 2 + count);
  const length = count === 0 ? first : lengthOctets.reduce((sum, octet) => sum * 256 + octet, 0);
  const start = at + 2 + count;
  if (start + length > octets.length) throw new RangeError(`${what}: expected ${length} octets`);
  const whole = octets.subarray(at, start + length);
  return { tag, content: octets.subarray(start, start + length), whole };
}

/** A GeneralizedTime in the form that RFC 5280 §4.1.2.5.2 demands; Unix milliseconds. */
export function derTime(content: Uint8Array): number {
  const text = Buffer.from(content).toString('latin1');
  const [, ...parts] = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text) ?? [];
  if (parts.length === 0) throw new RangeError('expected a GeneralizedTime');
  const [year = 0, month = 1, day, hour, minute, second] = parts.map(Number);
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

export function hexOf(octets: Uint8Array): string {
  return Buffer.from(octets).toString('hex');
}
