import type { Codec } from './codec.ts';
import { CoerError, type CoerErrorCode } from './error.ts';
import { DEFAULT_DEPTH, MAX_DEPTH } from './limits.ts';

/** Most messages of the SCMS fit without growing. */
const INITIAL_CAPACITY = 512;
/** A buffer that grew beyond this is left to the garbage collector. */
const MAX_SPARE = 64 * 1024;

const NO_OCTETS = new Uint8Array(0);

/** The buffer of the last writer that finished, in zeros: a new one costs more than the encoding of a certificate. */
let spare: Uint8Array<ArrayBuffer> | undefined;

/** Grows an encoding at its end, once: after `finish` it is spent. */
export class Writer {
  readonly path: (string | number)[] = [];
  #octets: Uint8Array<ArrayBuffer>;
  #length = 0;
  readonly #maxDepth: number;

  constructor(maxDepth = DEFAULT_DEPTH) {
    this.#octets = spare ?? new Uint8Array(INITIAL_CAPACITY);
    spare = undefined;
    this.#maxDepth = Math.min(maxDepth, MAX_DEPTH);
  }

  get length(): number {
    return this.#length;
  }

  /** Writes one component and knows its name, for error paths. */
  field<T>(name: string | number, codec: Codec<T>, value: T): void {
    this.path.push(name);
    if (this.path.length > this.#maxDepth) {
      this.fail('too-deep', `expected at most ${this.#maxDepth} levels of nesting`);
    }
    codec.write(this, value);
    this.path.pop();
  }

  u8(value: number): void {
    this.#reserve(1);
    this.#octets[this.#length++] = value;
  }

  /** A big-endian integer of 1 to 7 octets, in two's complement if negative; the caller has checked its range. */
  unsigned(value: number, size: number): void {
    this.#reserve(size);
    let rest = value;
    for (let i = size - 1; i >= 0; i--) {
      this.#octets[this.#length + i] = rest % 256;
      rest = Math.floor(rest / 256);
    }
    this.#length += size;
  }

  put(octets: Uint8Array): void {
    this.#reserve(octets.length);
    this.#octets.set(octets, this.#length);
    this.#length += octets.length;
  }

  /** Octets of zero bits, to be set one by one with `setBit`. Says where they begin. */
  zeros(size: number): number {
    this.#reserve(size);
    const start = this.#length;
    this.#length += size;
    this.#octets.fill(0, start, this.#length);
    return start;
  }

  /** Sets one of the bits that begin at the octet `start`, counted from the top of that octet. */
  setBit(start: number, bit: number): void {
    this.#octets[start + (bit >> 3)]! |= 0x80 >> (bit & 7);
  }

  /** Takes back what was written from `start` on if it is exactly `octets`. */
  retract(start: number, octets: Uint8Array): boolean {
    if (this.#length - start !== octets.length) return false;
    if (!octets.every((octet, i) => octet === this.#octets[start + i])) return false;
    this.#length = start;
    return true;
  }

  /** A length determinant, X.696 §8.6, in its shortest form. */
  lengthOf(size: number): void {
    if (size < 0x80) {
      this.u8(size);
      return;
    }
    const width = unsignedWidth(size);
    this.u8(0x80 | width);
    this.unsigned(size, width);
  }

  /** Writes with `write`, and before it the length of what it wrote. */
  prefixed(write: () => void): void {
    const start = this.#length;
    this.u8(0);
    write();
    const size = this.#length - start - 1;
    if (size < 0x80) {
      this.#octets[start] = size;
      return;
    }
    // The long form takes more room than the octet that was kept free: move what was written.
    const width = unsignedWidth(size);
    this.#reserve(width);
    this.#octets.copyWithin(start + 1 + width, start + 1, this.#length);
    this.#length = start;
    this.u8(0x80 | width);
    this.unsigned(size, width);
    this.#length += size;
  }

  finish(): Uint8Array {
    const octets = this.#octets;
    const encoding = octets.slice(0, this.#length);
    // Zeroed, as it may hold a secret.
    if (octets.length <= MAX_SPARE) spare = octets.fill(0, 0, this.#length);
    this.#octets = NO_OCTETS;
    this.#length = 0;
    return encoding;
  }

  fail(code: CoerErrorCode, message: string): never {
    throw new CoerError(code, message, this.path);
  }

  #reserve(size: number): void {
    const needed = this.#length + size;
    if (needed <= this.#octets.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#octets.length * 2));
    grown.set(this.#octets.subarray(0, this.#length));
    this.#octets = grown;
  }
}

/** Octets that an unsigned integer needs, at least one. */
export function unsignedWidth(value: number): number {
  let width = 1;
  for (let limit = 256; value >= limit; limit *= 256) width++;
  return width;
}

/** Octets that an integer needs in two's complement, at least one. */
export function signedWidth(value: number): number {
  let width = 1;
  for (let limit = 128; value < -limit || value >= limit; limit *= 256) width++;
  return width;
}
