import assert from 'node:assert/strict';
import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { systemRandom } from '@chrysalis/crypto';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import {
  authorityDirectory,
  createTestScms,
  readAuthority,
  readLinkageAuthority,
  readTestScms,
  type TestScms,
  writeTestScms,
} from '../src/index.ts';
import { readCertificateFile, readPrivateKeyFile, readSecretFile } from '../src/keys.ts';
import { NOW, scms } from './ra-side.ts';

const NAMES = ['root', 'ica', 'eca', 'pca', 'la1', 'la2', 'pg', 'ma', 'crlg', 'ra'] as const;

/** Everything in it that can be compared, secrets revealed. */
function plain(given: TestScms) {
  return {
    authorities: NAMES.map((name) => {
      const { certificate, signingKey, encryptionKey } = given[name];
      return [
        name,
        certificate.octets,
        signingKey.scalar().reveal(),
        encryptionKey?.scalar().reveal(),
      ];
    }),
    laIds: [given.la1Id, given.la2Id],
    secrets: [given.pcaLa1Key, given.pcaLa2Key, given.la1ChainKey, given.la2ChainKey].map(
      (secret) => secret.reveal(),
    ),
  };
}

describe('the directory of a test SCMS', () => {
  it('gives back what was written', async () => {
    const directory = temporaryDirectory();
    await writeTestScms(directory, scms);
    assert.deepEqual(plain(await readTestScms(directory)), plain(scms));
  });

  it('holds the files that ARCHITECTURE names, keys as hex for nobody but the owner', async () => {
    const directory = temporaryDirectory();
    await writeTestScms(directory, scms);
    const files = await readdir(directory, { recursive: true, withFileTypes: true });
    const keys = files.filter((file) => file.name.endsWith('.key'));
    assert.equal(keys.length, 10 + 4 + 4, 'signing, encryption, shared and chain keys');
    for (const file of files) {
      const { mode } = await stat(join(file.parentPath, file.name));
      const expected = file.isDirectory() ? 0o700 : file.name.endsWith('.key') ? 0o600 : 0o644;
      assert.equal(mode & 0o777, expected, file.name);
    }
    const text = await readFile(join(directory, 'authorities/pca/signing.key'), 'latin1');
    assert.match(text, /^[0-9a-f]{64}\n$/);
    const shared = await readFile(join(directory, 'authorities/la1/shared.key'), 'latin1');
    assert.match(shared, /^[0-9a-f]{32}\n$/);
  });

  it('reads keys as raw octets too, which is how devices keep them', async () => {
    const path = join(temporaryDirectory(), 'raw.key');
    const raw = scms.ra.signingKey.scalar().reveal();
    await writeFile(path, raw, { mode: 0o600 });
    assert.deepEqual((await readPrivateKeyFile(path)).scalar().reveal(), raw);
  });

  it('refuses a key that others can read, and says how to mend it', async () => {
    const directory = temporaryDirectory();
    await writeTestScms(directory, scms);
    const path = join(authorityDirectory(directory, 'ra'), 'signing.key');
    for (const mode of [0o640, 0o604, 0o620]) {
      await chmod(path, mode);
      await assert.rejects(readTestScms(directory), {
        code: 'insecure-key-file',
        hint: `chmod 600 ${path}`,
      });
    }
  });

  it('refuses a key of another certificate', async () => {
    const directory = temporaryDirectory();
    await writeTestScms(directory, scms);
    const ra = authorityDirectory(directory, 'ra');
    const other = createTestScms({ now: NOW, random: systemRandom, raHostname: 'ra' });
    for (const [file, key] of [
      ['signing.key', other.ra.signingKey],
      ['encryption.key', other.ra.encryptionKey!],
    ] as const) {
      const before = await readFile(join(ra, file));
      await writeFile(join(ra, file), key.scalar().reveal());
      await assert.rejects(readAuthority(ra, 'with encryption'), { code: 'key-mismatch' });
      await writeFile(join(ra, file), before);
    }
    await readAuthority(ra, 'with encryption');
  });

  it('names the file that is missing, malformed or of the wrong kind', async () => {
    const directory = temporaryDirectory();
    const path = join(directory, 'file');
    await assert.rejects(readCertificateFile(path), { code: 'missing-file', message: /file/ });
    await assert.rejects(readPrivateKeyFile(path), { code: 'missing-file' });
    await writeFile(path, '-----BEGIN CERTIFICATE-----\n', { mode: 0o600 });
    await assert.rejects(readCertificateFile(path), { code: 'malformed-certificate' });
    await assert.rejects(readPrivateKeyFile(path), { code: 'malformed-key' });
    await writeFile(path, '00'.repeat(32));
    await assert.rejects(readPrivateKeyFile(path), { code: 'malformed-key', message: /P-256/ });
    await assert.rejects(readSecretFile(path, 16), { code: 'malformed-key' });

    await writeTestScms(directory, { ...scms, la1: scms.pg });
    await assert.rejects(readLinkageAuthority(directory, 'la1'), {
      code: 'unsuitable-certificate',
    });
    await assert.rejects(readAuthority(authorityDirectory(directory, 'pg'), 'with encryption'), {
      code: 'missing-file',
    });
  });

  it('prints no secret', async () => {
    const path = join(temporaryDirectory(), 'bad.key');
    await writeFile(path, 'f'.repeat(63), { mode: 0o600 });
    await assert.rejects(readPrivateKeyFile(path), (error: Error) => !error.message.includes('ff'));
  });
});
