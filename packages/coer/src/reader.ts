import type { Codec } from './codec.ts';
import { CoerError, type CoerErrorCode } from './error.ts';
import type { Trace } from './inspect.ts';
import { DEFAULT_DEPTH, DEFAULT_FIELDS, MAX_DEPTH } from './limits.ts';

/** Longest length determinant that is read: 4 octets count 4 GiB, more than any input we accept. */
const MAX_LENGTH_OCTETS = 4;

/**
 * A cursor over octets that refuses to go past its end. `end` narrows while a length-prefixed field is read,
 * so that offsets in errors always count from the start of the whole input.
 */
export class Reader {
  readonly octets: Uint8Array;
  readonly path: (string | number)[] = [];
  /** Set only while `inspect` runs. */
  trace: Trace | undefined = undefined;
  offset = 0;
  #end: number;
  #fieldsLeft: number;
  readonly #maxDepth: number;

  constructor(octets: Uint8Array, maxDepth = DEFAULT_DEPTH, maxFields = DEFAULT_FIELDS) {
    this.octets = plain(octets);
    this.#end = octets.length;
    this.#maxDepth = Math.min(maxDepth, MAX_DEPTH);
    this.#fieldsLeft = maxFields;
  }

  /** Octets left in the innermost length-prefixed field. */
  get remaining(): number {
    return this.#end - this.offset;
  }

  /** Reads one component and knows its name, for error paths and for `inspect`. */
  field<T>(name: string | number, codec: Codec<T>): T {
    this.path.push(name);
    if (this.path.length > this.#maxDepth) {
      this.fail('too-deep', `expected at most ${this.#maxDepth} levels of nesting`);
    }
    if (--this.#fieldsLeft < 0) this.fail('too-many', 'expected fewer fields in all');
    const value = this.trace ? this.trace.field(this, name, codec) : codec.read(this);
    this.path.pop();
    return value;
  }

  u8(): number {
    if (this.offset >= this.#end) this.#truncated(1);
    return this.octets[this.offset++] as number;
  }

  /** An unsigned big-endian integer of 1 to 6 octets. */
  unsigned(size: number): number {
    const start = this.skip(size);
    let value = 0;
    for (let i = start; i < this.offset; i++) value = value * 256 + (this.octets[i] as number);
    return value;
  }

  /** A view, not a copy, of the next octets. */
  take(size: number): Uint8Array {
    const start = this.skip(size);
    return this.octets.subarray(start, this.offset);
  }

  /** Goes past the next octets and says where they begin. */
  skip(size: number): number {
    if (this.remaining < size) this.#truncated(size);
    const start = this.offset;
    this.offset += size;
    return start;
  }

  /** A length determinant, X.696 §8.6: short form below 128, else the long form with no octet to spare (§31.2). */
  length(): number {
    const at = this.offset;
    const first = this.u8();
    if (first < 0x80) return first;
    const size = first & 0x7f;
    if (size === 0 || size > MAX_LENGTH_OCTETS) {
      this.fail('non-canonical-length', `expected a length of 1 to 4 octets, saw ${size}`, at);
    }
    const value = this.unsigned(size);
    if (value < 0x80 || value < 256 ** (size - 1)) {
      this.fail('non-canonical-length', `expected the shortest form of length ${value}`, at);
    }
    return value;
  }

  /** Reads with `read` inside the next `size` octets, all of which it has to consume. */
  within<T>(size: number, read: () => T): T {
    if (this.remaining < size) this.#truncated(size);
    const outerEnd = this.#end;
    this.#end = this.offset + size;
    const value = read();
    this.expectEnd();
    this.#end = outerEnd;
    return value;
  }

  expectEnd(): void {
    if (this.offset !== this.#end) {
      this.fail('trailing-octets', `expected the end, saw ${this.remaining} more octets`);
    }
  }

  fail(code: CoerErrorCode, message: string, offset = this.offset): never {
    throw new CoerError(code, message, this.path, offset);
  }

  #truncated(wanted: number): never {
    this.fail('truncated', `expected ${wanted} more octets, saw ${this.remaining}`);
  }
}

/** The same octets without a subclass: views of a Buffer would be Buffers, and values would depend on the input. */
function plain(octets: Uint8Array): Uint8Array {
  if (octets.constructor === Uint8Array) return octets;
  return new Uint8Array(octets.buffer, octets.byteOffset, octets.length);
}
