import { CryptoError, PrivateKey } from '@chrysalis/crypto';
import { EeError } from './error.ts';

/** A JSON object of a profile or a bundle, whose fields are taken out with their types checked. */
export class JsonRecord {
  readonly #where: string;
  readonly #fields: Readonly<Record<string, unknown>>;

  private constructor(where: string, fields: Readonly<Record<string, unknown>>) {
    this.#where = where;
    this.#fields = fields;
  }

  /** @throws EeError `profile-damaged` unless the octets are the JSON of an object with `"format": 1` */
  static parse(where: string, octets: Uint8Array): JsonRecord {
    let value: unknown;
    try {
      value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(octets));
    } catch (cause) {
      throw new EeError('profile-damaged', `${where}: expected JSON`, { cause });
    }
    const record = JsonRecord.#of(where, value);
    if (record.integer('format') !== 1) {
      throw new EeError(
        'profile-damaged',
        `${where}: expected format 1, saw ${record.integer('format')}`,
      );
    }
    return record;
  }

  static #of(where: string, value: unknown): JsonRecord {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new EeError('profile-damaged', `${where}: expected an object`);
    }
    return new JsonRecord(where, value as Record<string, unknown>);
  }

  has(name: string): boolean {
    return this.#fields[name] !== undefined;
  }

  text(name: string): string {
    const value = this.#fields[name];
    return typeof value === 'string' ? value : this.#refuse(name, 'a string', value);
  }

  integer(name: string): number {
    const value = this.#fields[name];
    return Number.isSafeInteger(value)
      ? (value as number)
      : this.#refuse(name, 'an integer', value);
  }

  flag(name: string): boolean {
    const value = this.#fields[name];
    return typeof value === 'boolean' ? value : this.#refuse(name, 'true or false', value);
  }

  /** Octets written in hex; exactly `length` of them when it is given. */
  octets(name: string, length?: number): Uint8Array {
    return this.#hex(name, this.text(name), length);
  }

  /** A private key of P-256, 32 octets in hex. */
  privateKey(name: string): PrivateKey {
    try {
      return PrivateKey.fromScalar(this.octets(name, 32));
    } catch (cause) {
      if (!(cause instanceof CryptoError)) throw cause;
      throw new EeError('profile-damaged', `${this.#where}: ${name}: expected a private key`, {
        cause,
      });
    }
  }

  octetsList(name: string): Uint8Array[] {
    return this.#list(name).map((value) =>
      typeof value === 'string'
        ? this.#hex(name, value, undefined)
        : this.#refuse(name, 'hex', value),
    );
  }

  record(name: string): JsonRecord {
    return JsonRecord.#of(`${this.#where}: ${name}`, this.#fields[name]);
  }

  records(name: string): JsonRecord[] {
    return this.#list(name).map((value, n) =>
      JsonRecord.#of(`${this.#where}: ${name} ${n}`, value),
    );
  }

  #list(name: string): readonly unknown[] {
    const value = this.#fields[name];
    return Array.isArray(value) ? value : this.#refuse(name, 'a list', value);
  }

  #hex(name: string, text: string, length: number | undefined): Uint8Array {
    const isHex = /^(?:[0-9a-f]{2})*$/i.test(text);
    if (!isHex || (length !== undefined && text.length !== 2 * length)) {
      throw new EeError(
        'profile-damaged',
        `${this.#where}: ${name}: expected ${length ?? 'any number of'} octets in hex`,
      );
    }
    return new Uint8Array(Buffer.from(text, 'hex'));
  }

  /** Says the type that was seen and not the value, which may be a key. */
  #refuse(name: string, expected: string, value: unknown): never {
    throw new EeError(
      'profile-damaged',
      `${this.#where}: ${name}: expected ${expected}, saw ${typeof value}`,
    );
  }
}

/** One object as a JSON file: readable, with a line feed at its end. */
export function jsonOctets(value: object): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify({ format: 1, ...value }, undefined, 2)}\n`);
}

export function toHex(octets: Uint8Array): string {
  return Buffer.from(octets).toString('hex');
}
