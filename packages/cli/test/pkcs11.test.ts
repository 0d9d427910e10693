/** An RA whose keys are in a PKCS #11 token: a device sees no difference, and without the token there is no RA. */
import assert from 'node:assert/strict';
import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { readPrivateKeyFile } from '@chrysalis/authorities';
import { systemClock } from '@chrysalis/scms';
import { PIN, softHsmMissing, startSoftHsm, TOKEN } from '../../../test/support/soft-hsm.ts';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { run } from './run-main.ts';

const missing = softHsmMissing();

describe('an RA with its keys in a PKCS #11 token', { skip: missing ?? false }, () => {
  let hsm: Awaited<ReturnType<typeof startSoftHsm>>;
  let count = 0;
  before(async () => {
    hsm = await startSoftHsm();
  });
  after(() => hsm.remove());

  /** A state directory whose RA keys have gone into the token, under names of their own. */
  async function state() {
    const folder = temporaryDirectory();
    const directory = join(folder, 'state');
    const at = (file: string) => join(directory, file);
    const clock = systemClock;
    const made = await run(['--dir', directory, 'init', '--port', '0', '--weeks-ahead', '1'], {
      clock,
    });
    assert.equal(made.status, 0, made.stderr);
    count += 1;
    const [signing, encryption] = [`signing-${count}`, `encryption-${count}`];
    for (const [file, label, use] of [
      ['ra/signing.key', signing, 'sign'],
      ['ra/encryption.key', encryption, 'derive'],
    ] as const) {
      hsm.importKey(label, count, await readPrivateKeyFile(at(file)), use);
      await rm(at(file));
    }
    const configure = async (signingUri: string, encryptionUri: string) => {
      const text = await readFile(at('chrysalis.toml'), 'utf8');
      const edited = text
        .replace(/^signing-key = .*$/m, `signing-key = "${signingUri}"`)
        .replace(/^encryption-key = .*$/m, `encryption-key = "${encryptionUri}"`);
      await writeFile(at('chrysalis.toml'), edited);
    };
    const uri = (label: string) => `pkcs11:token=${encodeURIComponent(TOKEN)};object=${label}`;
    await configure(uri(signing), uri(encryption));
    return { folder, directory, at, signing, encryption, uri, configure };
  }

  const env = () => ({ CHRYSALIS_PKCS11_MODULE: hsm.library, CHRYSALIS_PKCS11_PIN: PIN });

  async function serve(t: TestContext, directory: string, more: Record<string, string> = env()) {
    const stopping = new AbortController();
    t.after(() => stopping.abort());
    const started = Promise.withResolvers<string>();
    const running = run(['--dir', directory, '--json', 'serve', '--log-level', 'error'], {
      env: more,
      clock: systemClock,
      signal: stopping.signal,
      stdout: { write: (text) => started.resolve(JSON.parse(text).url) },
    });
    const failed = running.then(({ stderr }) => Promise.reject(new Error(stderr)));
    failed.catch(() => {});
    const url = await Promise.race([started.promise, failed]);
    const stop = () => {
      stopping.abort();
      return running;
    };
    return { url, stop };
  }

  it('opens requests, signs files and acknowledges, and goes on when its sessions were closed', async (t) => {
    const { folder, directory } = await state();
    const ra = await serve(t, directory);
    const clock = systemClock;
    const profile = ['--profile', join(folder, 'obu')];
    const done = async (...args: string[]) => {
      const outcome = await run(args, { clock });
      assert.equal(outcome.status, 0, outcome.stderr);
      return outcome;
    };
    await done('ee', 'bootstrap', ...profile, '--new');
    const request = join(folder, 'obu', 'SignedEeEnrollmentCertRequest.oer');
    const bundle = join(folder, 'bundle');
    const enroll = ['--dir', directory, 'enroll', '--request', request, '--out', bundle];
    await done(...enroll, '--ra-url', ra.url);
    await done('ee', 'bootstrap', ...profile, '--bundle', bundle);
    // Policy and chains are signed in the token, the request is opened in it, and what it says to PCA and LAs is signed.
    const first = await done('ee', 'run', '--once', ...profile);
    assert.match(first.stdout, /^policy: new$/m);
    assert.match(first.stdout, /^pseudonym: 1 new batches, 20 certificates/m);
    hsm.closeAllSessions();
    const again = await done('ee', 'run', '--once', ...profile);
    assert.match(again.stdout, /^pseudonym: 0 new batches/m);
    const { status, stderr } = await ra.stop();
    assert.deepEqual([status, stderr], [0, '']);
  });

  it('takes library and PIN file from the URI', async (t) => {
    const { directory, at, uri, configure, signing, encryption } = await state();
    await writeFile(at('pin'), `${PIN}\n`, { mode: 0o600 });
    const query = `?module-path=${hsm.library}&pin-source=file:pin`;
    await configure(`${uri(signing)}${query}`, `${uri(encryption)}${query}`);
    const ra = await serve(t, directory, {});
    assert.equal((await ra.stop()).status, 0);
    await chmod(at('pin'), 0o644);
    await assert.rejects(serve(t, directory, {}), /a file with a PIN that only its owner can read/);
  });

  it('does not start with the wrong key, use or PIN, or without library or PIN', async (t) => {
    const { directory, uri, configure, signing, encryption } = await state();
    const other = await state();
    const refusals: readonly [string, string, Record<string, string>, RegExp][] = [
      [
        uri(other.signing),
        uri(encryption),
        env(),
        /ra.signing-key: expected the private key of ra.certificate/,
      ],
      [
        uri(signing),
        uri(other.encryption),
        env(),
        /ra.encryption-key: expected the private key of/,
      ],
      [
        uri(encryption),
        uri(encryption),
        env(),
        /ra.signing-key: .* saw CKR_KEY_FUNCTION_NOT_PERMITTED/,
      ],
      [
        uri('nobody'),
        uri(encryption),
        env(),
        /ra.signing-key: expected one private key .* saw none/,
      ],
      ['pkcs11:token=none;object=a', uri(encryption), env(), /saw 0 tokens that fit/],
      [
        uri(signing),
        uri(encryption),
        { ...env(), CHRYSALIS_PKCS11_PIN: '' },
        /expected the PIN .* saw none/,
      ],
      [
        uri(signing),
        uri(encryption),
        { ...env(), CHRYSALIS_PKCS11_MODULE: '' },
        /expected the library/,
      ],
      [`${uri(signing)}?pin-value=918273`, uri(encryption), env(), /saw what may be a key/],
    ];
    for (const [signingUri, encryptionUri, more, message] of refusals) {
      await configure(signingUri, encryptionUri);
      await assert.rejects(serve(t, directory, more), (error: Error) => {
        assert.match(error.message, message);
        assert(!error.message.includes(PIN));
        return true;
      });
    }
    // Last: a token counts what it refused.
    await configure(uri(signing), uri(encryption));
    const wrong = { ...env(), CHRYSALIS_PKCS11_PIN: '000000' };
    await assert.rejects(
      serve(t, directory, wrong),
      /expected the PIN of .*, saw the token refuse it/,
    );
  });
});
