import { timingSafeEqual } from 'node:crypto';
import { inspect } from 'node:util';

/** What a secret shows of itself to logs, JSON and the console. */
export const SECRET_TEXT = '[secret]';

/**
 * Octets that must not be printed. The constructor copies its argument, so that the caller may wipe
 * its own.
 *
 * What it does not promise: JavaScript gives no way to erase every copy of a value. The garbage
 * collector may move the octets and leave the old ones behind.
 */
export class Secret {
  readonly #octets: Uint8Array;

  constructor(octets: Uint8Array) {
    this.#octets = Uint8Array.from(octets);
  }

  /** The octets themselves, not a copy (fewer copies to leak). Read them; never write to them. */
  reveal(): Uint8Array {
    return this.#octets;
  }

  get length(): number {
    return this.#octets.length;
  }

  toString(): string {
    return SECRET_TEXT;
  }

  toJSON(): string {
    return SECRET_TEXT;
  }

  [inspect.custom](): string {
    return SECRET_TEXT;
  }
}

/**
 * Whether two strings of octets are equal, in a time that depends on their lengths only. Lengths
 * are taken to be public: arrays of different lengths are unequal at once.
 */
export function equalConstantTime(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
