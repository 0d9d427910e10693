/** Keys in a token of SoftHSM, and a token that is away, locked or empty. */
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { type KeyAgreement, PrivateKey, Secret } from '@chrysalis/crypto';
import { decrypterOf } from '@chrysalis/ieee1609dot2';
import { loadPkcs11, type Pkcs11Module, Token, type TokenError } from '@chrysalis/ra/pkcs11';
import { PIN, softHsmMissing, startSoftHsm, TOKEN } from '../../../test/support/soft-hsm.ts';
import { fixedRandom } from '../../ieee1609dot2/test/pki.ts';
import {
  conformsToDecrypter,
  conformsToSigner,
} from '../../ieee1609dot2/test/private-key-conformance.ts';

const missing = softHsmMissing();
const pin = new Secret(Buffer.from(PIN));
const signing = PrivateKey.generate(fixedRandom('token signing'));
const encryption = PrivateKey.generate(fixedRandom('token encryption'));
const message = Uint8Array.of(1, 2, 3);

describe('a key in a PKCS #11 token', { skip: missing ?? false }, () => {
  let hsm: Awaited<ReturnType<typeof startSoftHsm>>;
  let token: Token;
  before(async () => {
    hsm = await startSoftHsm();
    hsm.importKey('ra-signing', 1, signing, 'sign');
    hsm.importKey('ra-encryption', 2, encryption, 'derive');
    hsm.importKey('twice', 3, signing, 'sign');
    hsm.importKey('twice', 4, signing, 'sign');
    token = Token.open(hsm.module, { token: TOKEN }, pin);
  });
  after(() => {
    token.close();
    hsm.remove();
  });

  describe('is a Signer', () =>
    conformsToSigner(signing, () => token.key({ object: 'ra-signing' })));
  describe('makes a Decrypter', () =>
    conformsToDecrypter(encryption, () => token.key({ id: Uint8Array.of(2) })));

  it('goes on in a new session when all were closed', () => {
    const signer = token.key({ object: 'ra-signing' });
    const agreement = token.key({ object: 'ra-encryption' });
    for (let n = 0; n < 3; n += 1) {
      hsm.closeAllSessions();
      assert.equal(signer.sign(message).r.length, 32);
      hsm.closeAllSessions();
      assert.equal(agreement.ecdh(signing.publicPoint).length, 32);
    }
  });

  it('leaves no object behind in the session', () => {
    const agreement = token.key({ object: 'ra-encryption' });
    const slot = hsm.module.C_GetSlotList(true)[0]!;
    const count = () => {
      const session = hsm.module.C_OpenSession(slot, 4);
      hsm.module.C_FindObjectsInit(session, []);
      const found = hsm.module.C_FindObjects(session, 1000).length;
      hsm.module.C_FindObjectsFinal(session);
      hsm.module.C_CloseSession(session);
      return found;
    };
    agreement.ecdh(signing.publicPoint);
    const objects = count();
    for (let n = 0; n < 50; n += 1) agreement.ecdh(signing.publicPoint);
    assert.equal(count(), objects);
  });

  it('is refused when there is none of that name, or several', () => {
    const failed = { name: 'TokenError', code: 'no-key' };
    assert.throws(() => token.key({ object: 'nobody' }), { ...failed, message: /saw none/ });
    assert.throws(() => token.key({ object: 'twice' }), { ...failed, message: /saw several/ });
    assert.equal(token.key({ object: 'twice', id: Uint8Array.of(4) }).sign(message).s.length, 32);
  });

  it('does only what it is for, and says what it lacks', () => {
    const failed = { name: 'TokenError', code: 'token-failed', hint: /CKA_SIGN.*CKA_DERIVE/ };
    const signer = token.key({ object: 'ra-signing' });
    assert.throws(() => signer.ecdh(signing.publicPoint), {
      ...failed,
      message: /to derive, saw CKR_KEY_FUNCTION_NOT_PERMITTED/,
    });
    assert.throws(() => token.key({ object: 'ra-encryption' }).sign(message), failed);
  });

  it('is refused in a token that is not there', () => {
    for (const wanted of [{ token: 'another' }, { token: TOKEN, serial: 'ffff' }]) {
      assert.throws(() => Token.open(hsm.module, wanted, pin), {
        name: 'TokenError',
        code: 'no-token',
        message: /saw 0 tokens that fit/,
      });
    }
  });

  it('fails closed while the token is away, as a fault of ours, and works when it is back', () => {
    // The real library behind a reader whose token is pulled out: SoftHSM itself wants a new process then.
    let isAway = false;
    const reader = watched((name) => {
      if (isAway && name !== 'C_Initialize') throw removed();
    });
    const plugged = Token.open(reader, { token: TOKEN }, pin);
    const agreement = plugged.key({ object: 'ra-encryption' });
    assert.throws(() => open(agreement), { name: 'CryptoError' });
    isAway = true;
    // No CryptoError: whoever sent it is not at fault.
    const failed = { name: 'TokenError', code: 'token-failed', message: /CKR_DEVICE_REMOVED/ };
    assert.throws(() => open(agreement), failed);
    assert.throws(() => open(agreement), failed);
    isAway = false;
    assert.throws(() => open(agreement), { name: 'CryptoError' });
    plugged.close();
  });

  it('does not try a PIN again that was refused', () => {
    hsm.closeAllSessions();
    token.close();
    let logins = 0;
    const counted = watched((name) => {
      if (name === 'C_Login') logins += 1;
    });
    const wrong = new Secret(Buffer.from('000000'));
    assert.throws(
      () => Token.open(counted, { token: TOKEN }, wrong),
      (error: Error) => {
        assert.ok(!String(error.stack).includes('000000'));
        assert.equal((error as TokenError).code, 'wrong-pin');
        return true;
      },
    );
    assert.equal(logins, 1);
  });

  it('does not try a PIN again that was changed meanwhile', () => {
    let isChanged = false;
    let logins = 0;
    const reader = watched((name) => {
      if (name !== 'C_Login') return;
      logins += 1;
      // As pkcs11js throws it.
      if (isChanged) throw Object.assign(new Error('CKR_PIN_INCORRECT'), { code: 0xa0 });
    });
    const changed = Token.open(reader, { token: TOKEN }, pin);
    const signer = changed.key({ object: 'ra-signing' });
    isChanged = true;
    hsm.closeAllSessions();
    const refused = { name: 'TokenError', code: 'wrong-pin' };
    for (let n = 0; n < 5; n += 1) assert.throws(() => signer.sign(message), refused);
    assert.equal(logins, 2);
  });

  it('fails closed when its files are gone', async () => {
    const again = Token.open(hsm.module, { token: TOKEN }, pin);
    const agreement = again.key({ object: 'ra-encryption' });
    await rm(hsm.tokenDirectory, { recursive: true });
    hsm.closeAllSessions();
    assert.throws(() => open(agreement), { name: 'TokenError' });
    assert.throws(() => open(agreement), { name: 'TokenError' });
  });

  /** The real functions, each told about before it is called. */
  function watched(before: (name: string) => void): Pkcs11Module {
    return new Proxy(hsm.module, {
      get(module, name) {
        const value = Reflect.get(module, name) as unknown;
        if (typeof value !== 'function') return value;
        return (...given: unknown[]) => {
          before(String(name));
          return Reflect.apply(value, module, given);
        };
      },
    });
  }
});

/** Whether the ECDH works: the tag is wrong, which is the peer's fault. */
function open(agreement: KeyAgreement): void {
  const wrapped = { v: signing.publicPoint, c: new Uint8Array(16), t: new Uint8Array(16) };
  decrypterOf(agreement).unwrap(wrapped, new Uint8Array(32));
}

/** As pkcs11js throws it. */
function removed(): Error {
  return Object.assign(new Error('CKR_DEVICE_REMOVED'), { code: 0x32 });
}

describe('pkcs11js', () => {
  it('is said to be missing, or the library to be none', async () => {
    await assert.rejects(loadPkcs11('/nonexistent/library.so'), {
      name: 'TokenError',
      code: 'no-module',
    });
  });
});
