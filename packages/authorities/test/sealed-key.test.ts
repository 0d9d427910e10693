/** Private keys under a passphrase: the format by an implementation of its own, and what does not open. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createDecipheriv, createHmac, generateKeyPairSync, scryptSync } from 'node:crypto';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import {
  KeyCustody,
  masterKey,
  newKdf,
  parseScheme,
  schemeOf,
  schemeText,
} from '@chrysalis/authorities/keys';
import { Secret, systemRandom } from '@chrysalis/crypto';
import { parseSealed } from '../src/sealed-key.ts';

const DIRECTORY = '/state';
const PASSPHRASE = 'correct horse battery staple';
const path = join(DIRECTORY, 'ra/signing.key');
const pemPath = join(DIRECTORY, 'ra/tls-key.pem');
const content = new TextEncoder().encode(`${'5a'.repeat(32)}\n`);
const secret = (text: string) => new Secret(Buffer.from(text));

/** The least work that is accepted: these tests derive often. */
const kdf = newKdf(systemRandom, 14);
const scheme = schemeOf(kdf, await masterKey(secret(PASSPHRASE), kdf));

function custody(passphrase = PASSPHRASE, directory = DIRECTORY): KeyCustody {
  const ask = async () => secret(passphrase);
  return new KeyCustody({ directory, passphrase: ask, scheme, random: systemRandom });
}

describe('the master key', () => {
  it('is scrypt of RFC 7914 §12: its third vector, of which we take 32 octets', async () => {
    const vector = { name: 'scrypt', n: 16384, r: 8, p: 1 } as const;
    const salt = Buffer.from('SodiumChloride').toString('base64');
    const master = await masterKey(secret('pleaseletmein'), { ...vector, salt });
    assert.equal(
      Buffer.from(master.reveal()).toString('hex'),
      '7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2',
    );
  });

  it('is the same for a passphrase that is composed otherwise', async () => {
    const [composed, decomposed] = ['é', 'e\u0301'];
    const [one, other] = await Promise.all(
      [composed, decomposed].map((text) => masterKey(secret(`caf${text} au lait`), kdf)),
    );
    assert.deepEqual(one!.reveal(), other!.reveal());
  });
});

describe('an encrypted key file', () => {
  it('opens by its documentation alone', async () => {
    const file = JSON.parse(Buffer.from(await custody().seal(content, path)).toString());
    assert.deepEqual(Object.keys(file), [
      ...['format', 'version', 'purpose', 'kdf', 'cipher', 'nonce', 'sealed'],
    ]);
    const { nonce, sealed, ...header } = file;
    assert.equal(header.purpose, 'ra/signing.key');
    const octets = (text: string) => Buffer.from(text, 'base64');
    const { n: N, r, p, salt } = header.kdf;
    const master = scryptSync(PASSPHRASE, octets(salt), 32, { N, r, p, maxmem: 2 ** 26 });
    const key = hkdf(master, `chrysalis key encryption 1\0file\0${header.purpose}`);
    const decipher = createDecipheriv('aes-256-gcm', key, octets(nonce));
    decipher.setAAD(Buffer.from(JSON.stringify(header)));
    decipher.setAuthTag(octets(sealed).subarray(-16));
    const opened = [decipher.update(octets(sealed).subarray(0, -16)), decipher.final()];
    assert.deepEqual(new Uint8Array(Buffer.concat(opened)), content);
  });

  it('opens in its place, with its passphrase, and with what was derived from it', async () => {
    const sealed = await custody().seal(content, path);
    const opener = custody();
    assert.deepEqual(await opener.open(sealed, path), content);
    const masters = await opener.masters();
    assert.equal(masters.length, 1);
    const thread = new KeyCustody({ directory: DIRECTORY, masters });
    assert.deepEqual(await thread.open(sealed, path), content);
    const moved = custody(PASSPHRASE, '/elsewhere');
    assert.deepEqual(await moved.open(sealed, '/elsewhere/ra/signing.key'), content);
  });

  it('holds nothing of the key, and no two are alike', async () => {
    const keys = custody();
    const [one, other] = [await keys.seal(content, path), await keys.seal(content, path)];
    assert.notDeepEqual(one, other);
    assert(!Buffer.from(one!).includes('5a5a'));
  });

  it('asks once for the passphrase and derives once, however many are opened', async () => {
    const sealed = await custody().seal(content, path);
    let asked = 0;
    const keys = new KeyCustody({
      directory: DIRECTORY,
      passphrase: async () => {
        asked += 1;
        return secret(PASSPHRASE);
      },
    });
    await Promise.all(Array.from({ length: 20 }, () => keys.open(sealed, path)));
    assert.equal(asked, 1);
    assert.equal((await keys.masters()).length, 1);
  });

  it('does not open in the place of another key', async () => {
    const sealed = await custody().seal(content, path);
    const other = join(DIRECTORY, 'authorities/pca/signing.key');
    await assert.rejects(custody().open(sealed, other), {
      code: 'malformed-key',
      message: /encrypted as authorities\/pca\/signing.key, saw ra\/signing.key/,
    });
    // Not even when the file says so.
    const renamed = Buffer.from(sealed).toString().replace('ra/signing', 'authorities/pca/signing');
    await assert.rejects(custody().open(Buffer.from(renamed), other), { code: 'wrong-passphrase' });
  });

  it('says the same of a wrong passphrase and of any octet that was changed', async () => {
    const sealed = await custody().seal(content, path);
    const file = JSON.parse(Buffer.from(sealed).toString());
    const errors = new Set<string>();
    const collect = async (octets: Uint8Array, keys = custody()) => {
      await assert.rejects(keys.open(octets, path), (error: Error & { code: string }) => {
        errors.add(`${error.code} ${error.message}`);
        return true;
      });
    };
    await collect(sealed, custody('correct horse battery stapler'));
    const ciphertext = Buffer.from(file.sealed, 'base64');
    for (let n = 0; n < ciphertext.length; n += 7) {
      const changed = Buffer.from(ciphertext);
      changed[n]! ^= 0x10;
      await collect(text({ ...file, sealed: changed.toString('base64') }));
    }
    await collect(text({ ...file, sealed: '' }));
    await collect(text({ ...file, nonce: Buffer.alloc(12).toString('base64') }));
    await collect(
      text({ ...file, kdf: { ...file.kdf, salt: Buffer.alloc(16).toString('base64') } }),
    );
    await collect(text({ ...file, kdf: { ...file.kdf, n: 2 * file.kdf.n } }));
    assert.equal(errors.size, 1, [...errors].join('\n'));
  });

  it('is refused before any work when it asks for too much of it, or is of another version', async () => {
    const file = JSON.parse(Buffer.from(await custody().seal(content, path)).toString());
    const refused = (changes: object) =>
      assert.throws(() => parseSealed(text({ ...file, ...changes }), path), {
        code: 'malformed-key',
      });
    for (const changes of [{ n: 2 ** 21 }, { n: 2 ** 13 }, { n: 20_000 }, { n: 2 ** 20, r: 9 }]) {
      refused({ kdf: { ...file.kdf, ...changes } });
    }
    refused({ kdf: { ...file.kdf, p: 5 } });
    refused({ kdf: { ...file.kdf, salt: 'AAAA' } });
    refused({ kdf: { ...file.kdf, name: 'pbkdf2' } });
    refused({ version: 2 });
    refused({ cipher: 'aes-256-ctr' });
    refused({ nonce: 'AAAA' });
    refused({ purpose: 1 });
    assert.throws(
      () => parseSealed(Buffer.from('{"a secret": '), path),
      (error: Error) => {
        return !error.message.includes('a secret');
      },
    );
  });

  it('is refused without a passphrase, with a hint', async () => {
    const sealed = await custody().seal(content, path);
    await assert.rejects(new KeyCustody({ directory: DIRECTORY }).open(sealed, path), {
      code: 'encrypted-key',
      hint: /CHRYSALIS_PASSPHRASE_FILE/,
    });
  });
});

describe('an encrypted PEM file', () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = String(privateKey.export({ type: 'pkcs8', format: 'pem' }));

  it('is PKCS #8 that openssl opens with 256 bits of the master key', async () => {
    const sealed = await custody().sealPem(pem, pemPath);
    assert.match(sealed, /^Chrysalis-Encrypted-Key: .*\n-----BEGIN ENCRYPTED PRIVATE KEY-----\n/);
    const master = await masterKey(secret(PASSPHRASE), kdf);
    const key = hkdf(master.reveal(), 'chrysalis key encryption 1\0pem\0ra/tls-key.pem');
    const opened = execFileSync('openssl', ['pkey', '-passin', 'env:PASS'], {
      input: sealed,
      env: { ...process.env, PASS: key.toString('base64') },
    });
    assert.equal(opened.toString(), pem);
  });

  it('opens in its place with its passphrase, and keeps what else is in it', async () => {
    const whole = `# of the RA\n${pem}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`;
    const sealed = await custody().sealPem(whole, pemPath);
    assert(sealed.includes('# of the RA') && sealed.includes('BEGIN CERTIFICATE'));
    assert(!sealed.includes('BEGIN PRIVATE KEY'));
    assert.equal(await custody().openPem(sealed, pemPath), whole);
    const wrong = { code: 'wrong-passphrase' };
    await assert.rejects(custody('another passphrase').openPem(sealed, pemPath), wrong);
    const other = join(DIRECTORY, 'ra/other.pem');
    await assert.rejects(custody().openPem(sealed, other), { code: 'malformed-key' });
    const renamed = sealed.replace('ra/tls-key.pem', 'ra/other.pem');
    await assert.rejects(custody().openPem(renamed, other), wrong);
  });

  it('of somebody else opens with the passphrase itself', async () => {
    const foreign = execFileSync(
      'openssl',
      ['pkey', '-aes-256-cbc', '-passout', `pass:${PASSPHRASE}`],
      { input: pem },
    ).toString();
    assert.equal(await custody().openPem(foreign, pemPath), pem);
    const wrong = custody('another passphrase').openPem(foreign, pemPath);
    await assert.rejects(wrong, { code: 'wrong-passphrase' });
  });
});

describe('key-encryption.json', () => {
  it('is read as it was written, and nothing else', () => {
    assert.deepEqual(parseScheme(schemeText(scheme), 'x'), scheme);
    for (const other of ['', '{}', '[]', schemeText(scheme).replace('scrypt', 'argon2')]) {
      assert.throws(() => parseScheme(other, 'x'), { code: 'malformed-key' });
    }
  });
});

function text(value: object): Uint8Array {
  return Buffer.from(JSON.stringify(value, undefined, 2));
}

/** RFC 5869 with no salt, for 32 octets: one block. */
function hkdf(secretKey: Uint8Array, info: string): Buffer {
  const prk = createHmac('sha256', Buffer.alloc(32)).update(secretKey).digest();
  return createHmac('sha256', prk).update(info).update(Buffer.of(1)).digest();
}
