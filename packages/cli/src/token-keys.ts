/** The RA's private keys, wherever they are: files of the state directory, or a PKCS #11 token. */
import { resolve } from 'node:path';
import {
  expectEncryptionKey,
  expectSigningKey,
  type KeyCustody,
  readKeyOf,
} from '@chrysalis/authorities/keys';
import {
  equalConstantTime,
  type KeyAgreement,
  PrivateKey,
  PublicKey,
  type Random,
  Secret,
} from '@chrysalis/crypto';
import {
  encryptionPointOf,
  type HashedCertificate,
  type Signer,
  toPoint,
} from '@chrysalis/ieee1609dot2';
import {
  isPkcs11Uri,
  loadPkcs11,
  type Pkcs11Uri,
  parsePkcs11Uri,
  Token,
  TokenError,
} from '@chrysalis/ra/pkcs11';
import { type CliContext, CliError } from './context.ts';
import { readSecretLine } from './own-file.ts';

export const PKCS11_MODULE = 'CHRYSALIS_PKCS11_MODULE';
export const PKCS11_PIN = 'CHRYSALIS_PKCS11_PIN';
export const PKCS11_PIN_FILE = 'CHRYSALIS_PKCS11_PIN_FILE';

const CHALLENGE_OCTETS = 32;

export interface RaKeysOptions {
  /** The state directory: a relative pin-source starts there. */
  readonly directory: string;
  readonly keys: KeyCustody;
  readonly env: CliContext['env'];
  readonly random: Random;
}

/** Opens keys by what the configuration says of them. Tokens are closed with `resources`. */
export class RaKeys {
  readonly #options: RaKeysOptions;
  readonly #tokens = new Map<string, Token>();

  constructor(options: RaKeysOptions, resources: AsyncDisposableStack) {
    this.#options = options;
    resources.defer(() => {
      for (const token of this.#tokens.values()) token.close();
    });
  }

  /** The key has to be the one of the certificate. @throws CliError, AuthorityError; StoreError */
  async signer(certificate: HashedCertificate, source: string): Promise<Signer> {
    const { keys, random } = this.#options;
    if (!isPkcs11Uri(source)) {
      return readKeyOf(certificate, source, expectSigningKey, undefined, keys);
    }
    return this.#fromToken('ra.signing-key', source, (key) => {
      const message = random(CHALLENGE_OCTETS);
      const { verifyKeyIndicator } = certificate.certificate.toBeSigned;
      const isOwn =
        verifyKeyIndicator.type === 'verificationKey' &&
        verifyKeyIndicator.value.type === 'ecdsaNistP256' &&
        PublicKey.fromPoint(toPoint(verifyKeyIndicator.value.value)).verify(
          message,
          key.sign(message),
        );
      return { key, isOwn };
    });
  }

  /**
   * As {@link signer}, for the key that opens what was encrypted to the certificate.
   *
   * @param name where the key is named, for messages
   */
  async agreement(
    certificate: HashedCertificate,
    source: string,
    name = 'ra.encryption-key',
  ): Promise<KeyAgreement> {
    const { keys, random } = this.#options;
    if (!isPkcs11Uri(source)) {
      return readKeyOf(certificate, source, expectEncryptionKey, undefined, keys);
    }
    return this.#fromToken(name, source, (key) => {
      const ephemeral = PrivateKey.generate(random);
      const expected = ephemeral.ecdh(encryptionPointOf(certificate));
      return { key, isOwn: equalConstantTime(key.ecdh(ephemeral.publicPoint), expected) };
    });
  }

  async #fromToken<T>(
    name: string,
    source: string,
    prove: (key: ReturnType<Token['key']>) => { readonly key: T; readonly isOwn: boolean },
  ): Promise<T> {
    try {
      const uri = parsePkcs11Uri(source);
      const token = await this.#token(uri);
      const { key, isOwn } = prove(token.key(uri));
      if (isOwn) return key;
    } catch (cause) {
      if (!(cause instanceof TokenError)) throw cause;
      const { hint } = cause;
      throw new CliError(`${name}: ${cause.message}`, {
        cause,
        ...(hint !== undefined && { hint }),
      });
    }
    throw new CliError(
      `${name}: expected the private key of the RA's certificate, saw another key`,
    );
  }

  async #token(uri: Pkcs11Uri): Promise<Token> {
    const path = uri.modulePath ?? this.#options.env[PKCS11_MODULE];
    if (!path) {
      throw new TokenError('no-module', 'expected the library of the token, saw none named', {
        hint: `${PKCS11_MODULE}, or ?module-path= in the URI, names it`,
      });
    }
    const name = JSON.stringify([path, Object.entries(uri.token).sort(), uri.pinFile]);
    const known = this.#tokens.get(name);
    if (known !== undefined) return known;
    const token = Token.open(await loadPkcs11(path), uri.token, await this.#pin(uri));
    this.#tokens.set(name, token);
    return token;
  }

  async #pin({ pinFile }: Pkcs11Uri): Promise<Secret> {
    const { env, directory } = this.#options;
    const file = pinFile ?? env[PKCS11_PIN_FILE];
    if (file) return new Secret(await readSecretLine(resolve(directory, file), 'a PIN'));
    const pin = env[PKCS11_PIN];
    if (pin) return new Secret(Buffer.from(pin));
    throw new CliError('expected the PIN of the PKCS #11 token, saw none', {
      hint: `${PKCS11_PIN_FILE}, or ?pin-source=file:PATH in the URI, names a file of mode 600 with it`,
    });
  }
}
