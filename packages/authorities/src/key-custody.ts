import { isAbsolute, relative, resolve, sep } from 'node:path';
import type { Random, Secret } from '@chrysalis/crypto';
import { AuthorityError } from './error.ts';
import {
  isMasterOf,
  isSealed,
  type KdfParameters,
  type KeyScheme,
  masterKey,
  openKey,
  openPem,
  parseSealed,
  pemKeyOf,
  pemPassphrase,
  type SealedKey,
  sealKey,
  sealPem,
} from './sealed-key.ts';

/** What was derived from a passphrase: it opens keys, and says nothing of the passphrase. */
export interface MasterKey {
  readonly kdf: KdfParameters;
  readonly key: Secret;
}

export interface KeyCustodyOptions {
  /** The state directory: what a key is for is the path of its file below it. */
  readonly directory: string;
  /** Asked at most once, when the first encrypted key is met. */
  readonly passphrase?: () => Promise<Secret>;
  /** What keys that are written are encrypted under; in the clear when missing. */
  readonly scheme?: KeyScheme;
  /** Known already, as in a thread. */
  readonly masters?: readonly MasterKey[];
  /** Of nonces; needed to encrypt. */
  readonly random?: Random;
}

/** Encrypted or not: reads the key files of a state directory, and writes them as the directory has them. */
export class KeyCustody {
  readonly #directory: string | undefined;
  readonly #askPassphrase: (() => Promise<Secret>) | undefined;
  readonly #scheme: KeyScheme | undefined;
  readonly #random: Random | undefined;
  readonly #masters = new Map<string, Promise<MasterKey>>();
  #passphrase: Promise<Secret> | undefined;

  constructor({ directory, passphrase, scheme, masters = [], random }: Partial<KeyCustodyOptions>) {
    this.#directory = directory === undefined ? undefined : resolve(directory);
    this.#askPassphrase = passphrase;
    this.#scheme = scheme;
    this.#random = random;
    this.learn(masters);
  }

  /** Whether keys that are written are encrypted. */
  get encrypts(): boolean {
    return this.#scheme !== undefined;
  }

  /**
   * The content of a key file, decrypted where it is encrypted.
   *
   * @throws AuthorityError `encrypted-key` without a passphrase, `wrong-passphrase`, `malformed-key`
   */
  async open(content: Uint8Array, path: string): Promise<Uint8Array> {
    if (!isSealed(content)) return content;
    const sealed = parseSealed(content, path);
    const master = await this.#masterFor(sealed, path);
    return openKey(sealed, master) ?? notOpened(path);
  }

  /** The content of a key file as it is to be written. @throws as {@link open} */
  async seal(content: Uint8Array, path: string): Promise<Uint8Array> {
    if (this.#scheme === undefined) return content;
    if (this.#random === undefined) throw new TypeError('expected a source of nonces');
    const { kdf } = this.#scheme;
    const master = await this.#master(kdf, path);
    return sealKey(content, { purpose: this.#purposeOf(path), kdf }, master, this.#random);
  }

  /** A PEM file with its private key in the clear. @throws as {@link open} */
  async openPem(text: string, path: string): Promise<string> {
    const key = pemKeyOf(text, path);
    if (key.type === 'none' || key.type === 'plain') return text;
    const passphrase =
      key.type === 'sealed'
        ? pemPassphrase(await this.#masterFor(key, path), key.purpose)
        : Buffer.from((await this.#ask(path)).reveal()).toString('utf8');
    return openPem(text, passphrase) ?? notOpened(path);
  }

  /** A PEM file as it is to be written. @throws as {@link open} */
  async sealPem(text: string, path: string): Promise<string> {
    if (this.#scheme === undefined) return text;
    const { kdf } = this.#scheme;
    const master = await this.#master(kdf, path);
    return sealPem(text, { purpose: this.#purposeOf(path), kdf }, master, path);
  }

  /** The passphrase, when it was asked for; for a process that is to open the same keys. */
  async asked(): Promise<Secret | undefined> {
    return this.#passphrase;
  }

  /** What keys that are written are encrypted under. */
  get scheme(): KeyScheme | undefined {
    return this.#scheme;
  }

  /** What has been derived so far: for a thread that is to open the same keys. */
  async masters(): Promise<MasterKey[]> {
    return Promise.all(this.#masters.values());
  }

  /** Takes what somebody else has derived, as when keys were encrypted anew while a thread runs. */
  learn(masters: readonly MasterKey[]): void {
    for (const master of masters) this.#masters.set(idOf(master.kdf), Promise.resolve(master));
  }

  #masterFor({ purpose, kdf }: SealedKey, path: string): Promise<Secret> {
    const expected = this.#purposeOf(path);
    if (purpose !== expected) {
      throw new AuthorityError(
        'malformed-key',
        `${path}: expected a key that was encrypted as ${expected}, saw ${purpose}`,
        { hint: 'an encrypted key opens only at its own place below the state directory (--dir)' },
      );
    }
    return this.#master(kdf, path);
  }

  async #master(kdf: KdfParameters, path: string): Promise<Secret> {
    const id = idOf(kdf);
    let master = this.#masters.get(id);
    if (master === undefined) {
      master = this.#derive(kdf, path);
      this.#masters.set(id, master);
    }
    return (await master).key;
  }

  async #derive(kdf: KdfParameters, path: string): Promise<MasterKey> {
    const key = await masterKey(await this.#ask(path), kdf);
    const scheme = this.#scheme;
    if (scheme !== undefined && idOf(scheme.kdf) === idOf(kdf) && !isMasterOf(scheme, key)) {
      notOpened(path);
    }
    return { kdf, key };
  }

  #ask(path: string): Promise<Secret> {
    if (this.#askPassphrase === undefined) {
      throw new AuthorityError(
        'encrypted-key',
        `${path}: expected a passphrase for the encrypted key, saw none`,
        { hint: PASSPHRASE_HINT },
      );
    }
    this.#passphrase ??= this.#askPassphrase();
    return this.#passphrase;
  }

  #purposeOf(path: string): string {
    const whole = resolve(path);
    const below = this.#directory === undefined ? whole : relative(this.#directory, whole);
    const isOutside = below.startsWith('..') || isAbsolute(below);
    return (isOutside ? whole : below).replaceAll(sep, '/');
  }
}

export const PASSPHRASE_HINT =
  'CHRYSALIS_PASSPHRASE_FILE names a file of mode 600 with it; see docs/guides/keys.md';

/** Keys in the clear alone: an encrypted one is refused. */
export const PLAIN_KEYS: KeyCustody = new KeyCustody({});

function notOpened(path: string): never {
  throw new AuthorityError(
    'wrong-passphrase',
    `${path}: expected the passphrase that it was encrypted with, and a file that nobody changed`,
    { hint: PASSPHRASE_HINT },
  );
}

function idOf({ n, r, p, salt }: KdfParameters): string {
  return `${n} ${r} ${p} ${salt}`;
}
