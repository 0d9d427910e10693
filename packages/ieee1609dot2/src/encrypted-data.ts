import { encode } from '@chrysalis/coer';
import {
  CryptoError,
  ccmOpen,
  ccmSeal,
  type EciesCiphertext,
  eciesUnwrap,
  eciesWrap,
  equalConstantTime,
  type KeyAgreement,
  type Point,
  type Random,
  SHA256_EMPTY,
} from '@chrysalis/crypto';
import type { HashedId8 } from './base-types.ts';
import type { HashedCertificate } from './canonical.ts';
import {
  type EncryptedData,
  type EncryptedDataEncryptionKey,
  Ieee1609Dot2Data,
  type RecipientInfo,
  type SymmetricCiphertext,
} from './data.ts';
import { Ieee1609Dot2Error } from './error.ts';
import { fromPoint, toPoint } from './point.ts';

/** AES-128 keys and CCM nonces, 1609.2 §5.3.8. */
const KEY_OCTETS = 16;
const NONCE_OCTETS = 12;

/** A private key that opens wrapped keys; it may live elsewhere, as in a hardware module. */
export interface Decrypter {
  /**
   * ECIES key unwrapping, 1609.2 §5.3.5.
   *
   * @throws CryptoError `decryption-failed` when the tag is wrong.
   */
  unwrap(ciphertext: EciesCiphertext, p1: Uint8Array): Uint8Array;
}

/** A decrypter over a private key in this process, or over one elsewhere that does the ECDH alone. */
export function decrypterOf(key: KeyAgreement): Decrypter {
  return { unwrap: (ciphertext, p1) => eciesUnwrap(key, ciphertext, p1) };
}

/** Encrypts to the encryption key in a certificate (certRecipInfo, P1 = hash of the certificate). Returns COER. */
export function encryptForCertificate(
  plaintext: Uint8Array,
  recipient: HashedCertificate,
  random: Random,
): Uint8Array {
  const publicKey = encryptionPointOf(recipient);
  return encryptToPoint(plaintext, publicKey, recipient.hash, random, (encKey) => ({
    type: 'certRecipInfo',
    value: { recipientId: recipient.id, encKey },
  }));
}

/** Encrypts to a key that stands in no certificate (rekRecipInfo, P1 = hash of the empty string). Returns COER. */
export function encryptForKey(
  plaintext: Uint8Array,
  recipient: Point,
  recipientId: HashedId8,
  random: Random,
): Uint8Array {
  return encryptToPoint(plaintext, recipient, SHA256_EMPTY, random, (encKey) => ({
    type: 'rekRecipInfo',
    value: { recipientId, encKey },
  }));
}

/**
 * Opens data that were encrypted to a certificate.
 *
 * @throws Ieee1609Dot2Error `wrong-recipient` when they name another, `decryption-failed`, `unsupported`.
 */
export function decryptForCertificate(
  data: EncryptedData,
  recipient: HashedCertificate,
  key: Decrypter,
): Uint8Array {
  const info = singleRecipient(data);
  if (info.type !== 'certRecipInfo') {
    throw new Ieee1609Dot2Error('unsupported', `expected certRecipInfo, saw ${info.type}`);
  }
  if (!equalConstantTime(info.value.recipientId, recipient.id)) {
    throw new Ieee1609Dot2Error('wrong-recipient', 'expected data encrypted to this certificate');
  }
  return open(data, info.value.encKey, recipient.hash, key);
}

/**
 * Opens data that were encrypted to a response encryption key. Whom the recipientId names is not looked at:
 * fielded PCAs put the RA's certificate there.
 *
 * @throws Ieee1609Dot2Error `decryption-failed`, `unsupported`.
 */
export function decryptForKey(data: EncryptedData, key: Decrypter): Uint8Array {
  const info = singleRecipient(data);
  if (info.type !== 'rekRecipInfo') {
    throw new Ieee1609Dot2Error('unsupported', `expected rekRecipInfo, saw ${info.type}`);
  }
  return open(data, info.value.encKey, SHA256_EMPTY, key);
}

/** Encrypts under a key that both sides share (symmRecipInfo, 1609.2 §6.3.33). */
export function encryptSymmetric(
  plaintext: Uint8Array,
  sharedKey: Uint8Array,
  recipientId: HashedId8,
  random: Random,
): EncryptedData {
  const dataKey = random(KEY_OCTETS);
  return {
    recipients: [
      { type: 'symmRecipInfo', value: { recipientId, encKey: seal(sharedKey, dataKey, random) } },
    ],
    ciphertext: seal(dataKey, plaintext, random),
  };
}

/**
 * Opens what {@link encryptSymmetric} made.
 *
 * @throws Ieee1609Dot2Error `wrong-recipient`, `decryption-failed`, `unsupported`.
 */
export function decryptSymmetric(
  data: EncryptedData,
  sharedKey: Uint8Array,
  recipientId: HashedId8,
): Uint8Array {
  const info = singleRecipient(data);
  if (info.type !== 'symmRecipInfo') {
    throw new Ieee1609Dot2Error('unsupported', `expected symmRecipInfo, saw ${info.type}`);
  }
  if (!equalConstantTime(info.value.recipientId, recipientId)) {
    throw new Ieee1609Dot2Error('wrong-recipient', 'expected data encrypted under this key');
  }
  return unseal(unseal(sharedKey, info.value.encKey), data.ciphertext);
}

/**
 * The point of the encryption key in a certificate.
 *
 * @throws Ieee1609Dot2Error `unsupported` when there is none, or not on P-256 with AES-CCM.
 */
export function encryptionPointOf(recipient: HashedCertificate): Point {
  const key = recipient.certificate.toBeSigned.encryptionKey;
  if (key?.supportedSymmAlg !== 'aes128Ccm' || key.publicKey.type !== 'eciesNistP256') {
    throw new Ieee1609Dot2Error(
      'unsupported',
      'expected a certificate with an encryption key on P-256',
    );
  }
  return toPoint(key.publicKey.value);
}

function encryptToPoint(
  plaintext: Uint8Array,
  recipient: Point,
  p1: Uint8Array,
  random: Random,
  recipientInfo: (encKey: EncryptedDataEncryptionKey) => RecipientInfo,
): Uint8Array {
  const dataKey = random(KEY_OCTETS);
  const { v, c, t } = eciesWrap(recipient, dataKey, p1, random);
  const info = recipientInfo({ type: 'eciesNistP256', value: { v: fromPoint(v), c, t } });
  return encode(Ieee1609Dot2Data, {
    protocolVersion: 3,
    content: {
      type: 'encryptedData',
      value: { recipients: [info], ciphertext: seal(dataKey, plaintext, random) },
    },
  });
}

function open(
  data: EncryptedData,
  encKey: EncryptedDataEncryptionKey,
  p1: Uint8Array,
  key: Decrypter,
): Uint8Array {
  if (encKey.type !== 'eciesNistP256') {
    throw new Ieee1609Dot2Error('unsupported', `expected ECIES on P-256, saw ${encKey.type}`);
  }
  const { v, c, t } = encKey.value;
  const point = toPoint(v);
  return unseal(
    failClosed(() => key.unwrap({ v: point, c, t }, p1)),
    data.ciphertext,
  );
}

/** HashedId8 of the certificate to which data were encrypted; undefined when it was to something else. */
export function recipientIdOf({ recipients: [info] }: EncryptedData): HashedId8 | undefined {
  return info?.type === 'certRecipInfo' ? info.value.recipientId : undefined;
}

/** CAMP sends to one recipient at a time; several would let a sender show each a different content. */
function singleRecipient(data: EncryptedData): RecipientInfo {
  const [info] = data.recipients;
  if (info === undefined || data.recipients.length !== 1) {
    throw new Ieee1609Dot2Error(
      'unsupported',
      `expected one recipient, saw ${data.recipients.length}`,
    );
  }
  return info;
}

function seal(key: Uint8Array, plaintext: Uint8Array, random: Random): SymmetricCiphertext {
  const nonce = random(NONCE_OCTETS);
  return { type: 'aes128ccm', value: { nonce, ccmCiphertext: ccmSeal(key, nonce, plaintext) } };
}

function unseal(key: Uint8Array, ciphertext: SymmetricCiphertext): Uint8Array {
  if (ciphertext.type !== 'aes128ccm') {
    throw new Ieee1609Dot2Error('unsupported', 'expected AES-128-CCM');
  }
  const { nonce, ccmCiphertext } = ciphertext.value;
  return failClosed(() => ccmOpen(key, nonce, ccmCiphertext));
}

/** Whatever goes wrong inside decryption is one error: which step failed is nobody's business. */
function failClosed<T>(decrypt: () => T): T {
  try {
    return decrypt();
  } catch (cause) {
    if (!(cause instanceof CryptoError)) throw cause;
    throw new Ieee1609Dot2Error('decryption-failed', 'expected data encrypted to this key', {
      cause,
    });
  }
}
