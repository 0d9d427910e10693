/** Private keys in a PKCS #11 token, behind the ports `Signer` and `KeyAgreement`: they never leave it. */
import { createHash } from 'node:crypto';
import type { EcdsaSignature, KeyAgreement, Point, Secret } from '@chrysalis/crypto';
import type { Signer } from '@chrysalis/ieee1609dot2';
import {
  CK,
  CK_PARAMS_EC_DH,
  firstLine,
  type Handle,
  initialize,
  type Pkcs11Module,
  returnValueOf,
  type Template,
} from './pkcs11-module.ts';
import type { Pkcs11Uri } from './pkcs11-uri.ts';
import { TokenError } from './token-error.ts';

const SCALAR_OCTETS = 32;
const SIGNATURE_OCTETS = 64;
/** One more than there may be tells that there are several. */
const MAX_FOUND = 2;

/** A key of P-256 in a token. Each call is made in this thread, which waits for it. @throws TokenError, all of them */
export interface TokenKey extends Signer, KeyAgreement {}

/**
 * One session with one token, for all its keys. A call that fails is made once more in a new session, for a token that was
 * away or started anew; then it fails for good, until the next call.
 */
export class Token {
  readonly #module: Pkcs11Module;
  readonly #wanted: Pkcs11Uri['token'];
  readonly #pin: Secret;
  readonly #keys = new Map<string, Handle>();
  #session: Handle | undefined;
  #isPinRefused = false;

  private constructor(module: Pkcs11Module, wanted: Pkcs11Uri['token'], pin: Secret) {
    this.#module = module;
    this.#wanted = wanted;
    this.#pin = pin;
  }

  /** @throws TokenError `no-token`, `wrong-pin`, `token-failed` */
  static open(module: Pkcs11Module, wanted: Pkcs11Uri['token'], pin: Secret): Token {
    const token = new Token(module, wanted, pin);
    token.#attempt('open a session', () => token.#connected());
    return token;
  }

  /** Looks for the key at once. @throws TokenError `no-key`, and as {@link open} */
  key(uri: Pick<Pkcs11Uri, 'object' | 'id'>): TokenKey {
    this.#attempt('find a key', () => this.#handleOf(uri));
    return {
      sign: (message) => this.#attempt('sign', () => this.#sign(uri, message)),
      ecdh: (peer) => this.#attempt('derive', () => this.#derive(uri, peer)),
    };
  }

  /** Whoever has no session any more is logged out, when it was the last of this process. */
  close(): void {
    this.#forget();
  }

  /** CKM_ECDSA takes the hash and gives r || s (PKCS #11 mechanisms v2.40 §2.3.6). */
  #sign(uri: Pick<Pkcs11Uri, 'object' | 'id'>, message: Uint8Array): EcdsaSignature {
    const hash = createHash('sha256').update(message).digest();
    const [session, key] = [this.#connected(), this.#handleOf(uri)];
    this.#module.C_SignInit(session, { mechanism: CK.CKM_ECDSA }, key);
    const signature = this.#module.C_Sign(session, hash, Buffer.alloc(SIGNATURE_OCTETS));
    expectOctets(signature, SIGNATURE_OCTETS, 'r || s');
    return {
      r: Uint8Array.from(signature.subarray(0, SCALAR_OCTETS)),
      s: Uint8Array.from(signature.subarray(SCALAR_OCTETS)),
    };
  }

  /** CKM_ECDH1_DERIVE with CKD_NULL: the x of the shared point, as a secret of the session that is read and destroyed. */
  #derive(uri: Pick<Pkcs11Uri, 'object' | 'id'>, peer: Point): Uint8Array {
    const [session, key] = [this.#connected(), this.#handleOf(uri)];
    const parameter = { type: CK_PARAMS_EC_DH, kdf: CK.CKD_NULL, publicData: Buffer.from(peer) };
    const secret = this.#module.C_DeriveKey(
      session,
      { mechanism: CK.CKM_ECDH1_DERIVE, parameter },
      key,
      SHARED_SECRET,
    );
    try {
      const [x] = this.#module.C_GetAttributeValue(session, secret, [{ type: CK.CKA_VALUE }]);
      expectOctets(x?.value, SCALAR_OCTETS, 'the x of a point');
      return Uint8Array.from(x!.value);
    } finally {
      this.#module.C_DestroyObject(session, secret);
    }
  }

  /** Runs one call, and once more in a new session. */
  #attempt<T>(what: string, call: () => T): T {
    if (this.#isPinRefused) throw wrongPin(this.#wanted);
    try {
      return call();
    } catch (first) {
      if (isFinal(first)) throw first;
      this.#forget();
      try {
        return call();
      } catch (cause) {
        this.#forget();
        if (cause instanceof TokenError) throw cause;
        throw new TokenError(
          'token-failed',
          `expected ${describe(this.#wanted)} to ${what}, saw ${firstLine(cause)}`,
          { cause, hint: HINTS.get(returnValueOf(cause) ?? 0) },
        );
      }
    }
  }

  #connected(): Handle {
    if (this.#session !== undefined) return this.#session;
    initialize(this.#module);
    const session = this.#module.C_OpenSession(this.#slot(), CK.CKF_SERIAL_SESSION);
    this.#session = session;
    this.#login(session);
    return session;
  }

  /** A login counts for all sessions of the process: another thread may have been first. */
  #login(session: Handle): void {
    try {
      const pin = Buffer.from(this.#pin.reveal()).toString('utf8');
      this.#module.C_Login(session, CK.CKU_USER, pin);
    } catch (cause) {
      const value = returnValueOf(cause);
      if (value === CK.CKR_USER_ALREADY_LOGGED_IN) return;
      if (value !== CK.CKR_PIN_INCORRECT && value !== CK.CKR_PIN_LOCKED) throw cause;
      this.#isPinRefused = true;
      throw wrongPin(this.#wanted);
    }
  }

  #slot(): Handle {
    const slots = this.#module.C_GetSlotList(true).filter((slot) => {
      const info = this.#infoOf(slot);
      if (info === undefined) return false;
      const seen = {
        token: info.label,
        manufacturer: info.manufacturerID,
        model: info.model,
        serial: info.serialNumber,
      };
      // Padded with blanks to a fixed length (PKCS #11 §3.2).
      return Object.entries(this.#wanted).every(
        ([name, value]) => seen[name as keyof typeof seen].trimEnd() === value.trimEnd(),
      );
    });
    const [slot] = slots;
    if (slot !== undefined && slots.length === 1) return slot;
    throw new TokenError(
      'no-token',
      `expected ${describe(this.#wanted)}, saw ${slots.length} tokens that fit`,
    );
  }

  /** Undefined for a slot that fails: it is not to keep the token in another from being found. */
  #infoOf(slot: Handle): ReturnType<Pkcs11Module['C_GetTokenInfo']> | undefined {
    try {
      return this.#module.C_GetTokenInfo(slot);
    } catch {
      return undefined;
    }
  }

  #handleOf({ object, id }: Pick<Pkcs11Uri, 'object' | 'id'>): Handle {
    const session = this.#connected();
    const name = JSON.stringify([object, id && Buffer.from(id).toString('hex')]);
    const known = this.#keys.get(name);
    if (known !== undefined) return known;
    this.#module.C_FindObjectsInit(session, [
      { type: CK.CKA_CLASS, value: CK.CKO_PRIVATE_KEY },
      { type: CK.CKA_KEY_TYPE, value: CK.CKK_EC },
      ...(object === undefined ? [] : [{ type: CK.CKA_LABEL, value: object }]),
      ...(id === undefined ? [] : [{ type: CK.CKA_ID, value: Buffer.from(id) }]),
    ]);
    const found = this.#module.C_FindObjects(session, MAX_FOUND);
    this.#module.C_FindObjectsFinal(session);
    const [key] = found;
    if (key === undefined || found.length > 1) {
      const seen = key === undefined ? 'none' : 'several';
      throw new TokenError(
        'no-key',
        `expected one private key of an elliptic curve named ${name} in ${describe(this.#wanted)}, saw ${seen}`,
      );
    }
    this.#keys.set(name, key);
    return key;
  }

  #forget(): void {
    const session = this.#session;
    this.#session = undefined;
    this.#keys.clear();
    if (session === undefined) return;
    try {
      this.#module.C_CloseSession(session);
    } catch {
      // It was gone already: that is why it is forgotten.
    }
  }
}

const HINTS: ReadonlyMap<number, string> = new Map([
  [
    CK.CKR_KEY_FUNCTION_NOT_PERMITTED,
    'the signing key needs CKA_SIGN, the encryption key CKA_DERIVE',
  ],
]);

const SHARED_SECRET: Template = [
  { type: CK.CKA_CLASS, value: CK.CKO_SECRET_KEY },
  { type: CK.CKA_KEY_TYPE, value: CK.CKK_GENERIC_SECRET },
  { type: CK.CKA_TOKEN, value: false },
  { type: CK.CKA_SENSITIVE, value: false },
  { type: CK.CKA_EXTRACTABLE, value: true },
  { type: CK.CKA_VALUE_LEN, value: SCALAR_OCTETS },
];

/** A new session changes nothing of a PIN. */
function isFinal(error: unknown): boolean {
  return error instanceof TokenError && error.code === 'wrong-pin';
}

function wrongPin(wanted: Pkcs11Uri['token']): TokenError {
  return new TokenError(
    'wrong-pin',
    `expected the PIN of ${describe(wanted)}, saw the token refuse it`,
    { hint: 'it is not tried again before the next start: tokens lock themselves' },
  );
}

function describe(wanted: Pkcs11Uri['token']): string {
  const attributes = Object.entries(wanted).map(([name, value]) => `${name}=${value}`);
  return `the PKCS #11 token ${attributes.join(', ')}`;
}

function expectOctets(value: Uint8Array | undefined, octets: number, what: string): void {
  if (value?.length === octets) return;
  throw new Error(`expected ${octets} octets, ${what}, saw ${value?.length ?? 'nothing'}`);
}
