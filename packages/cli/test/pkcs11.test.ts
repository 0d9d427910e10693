/** An RA whose keys are in a PKCS #11 token: a device sees no difference, and without the token there is no RA. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, it, type TestContext } from 'node:test';
import { readTestScms } from '@chrysalis/authorities';
import { readPrivateKeyFile } from '@chrysalis/authorities/keys';
import { systemRandom } from '@chrysalis/crypto';
import { systemClock, timeOf } from '@chrysalis/scms';
import { createDevice, pseudonymRequest, securedBy } from '../../../test/support/device.ts';
import { send } from '../../../test/support/https-client.ts';
import { PIN, softHsmMissing, startSoftHsm, TOKEN } from '../../../test/support/soft-hsm.ts';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { run } from './run-main.ts';

const BIN = join(import.meta.dirname, '../src/bin.js');
const missing = softHsmMissing();

describe('an RA with its keys in a PKCS #11 token', { skip: missing ?? false }, () => {
  let hsm: Awaited<ReturnType<typeof startSoftHsm>>;
  let count = 0;
  before(async () => {
    hsm = await startSoftHsm();
  });
  after(() => hsm.remove());

  /** Puts the RA's keys into the token. */
  async function moveToToken(
    at: (file: string) => string,
    { signing, encryption }: { readonly signing: string; readonly encryption: string },
  ) {
    for (const [file, label, use] of [
      ['ra/signing.key', signing, 'sign'],
      ['ra/encryption.key', encryption, 'derive'],
    ] as const) {
      hsm.importKey(label, count, await readPrivateKeyFile(at(file)), use);
      await rm(at(file));
    }
  }

  /** A state directory whose RA keys have gone into the token, or will go there, under names of their own. */
  async function state(isToKeepFiles = false) {
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
    if (!isToKeepFiles) await moveToToken(at, { signing, encryption });
    const configure = async (signingUri: string, encryptionUri: string) => {
      const text = await readFile(at('chrysalis.toml'), 'utf8');
      const edited = text
        .replace(/^signing-key = .*$/m, `signing-key = "${signingUri}"`)
        .replace(/^encryption-key = .*$/m, `encryption-key = "${encryptionUri}"`);
      await writeFile(at('chrysalis.toml'), edited);
    };
    const uri = (label: string) => `pkcs11:token=${encodeURIComponent(TOKEN)};object=${label}`;
    if (!isToKeepFiles) await configure(uri(signing), uri(encryption));
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

  /** `chrysalis serve` as a process of its own, which starts others. */
  async function spawnServe(t: TestContext, directory: string) {
    const child = spawn(process.execPath, [BIN, '--dir', directory, '--json', 'serve'], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env(), SOFTHSM2_CONF: hsm.configuration },
    });
    t.after(() => child.kill('SIGKILL'));
    const lines: string[] = [];
    const logged = createInterface({ input: child.stderr });
    logged.on('line', (line) => lines.push(line));
    const ended = once(child, 'exit');
    const failed = ended.then(() => Promise.reject(new Error(lines.join('\n'))));
    failed.catch(() => {});
    const [line] = (await Promise.race([once(child.stdout, 'data'), failed])) as [Buffer];
    const begun = () =>
      lines
        .filter((one) => one.includes('a process of the RA serves'))
        .map((one) => JSON.parse(one) as { readonly role: string; readonly pid: number })
        .filter(({ role }) => role === 'front')
        .map(({ pid }) => pid);
    return {
      url: (JSON.parse(String(line)) as { readonly url: string }).url,
      log: () => lines.join('\n'),
      /** Those that answer devices, the dead ones too, as soon as there were so many. */
      async fronts(count: number): Promise<number[]> {
        while (begun().length < count) await Promise.race([once(logged, 'line'), failed]);
        return begun();
      },
      async stop(): Promise<number | null> {
        child.kill('SIGTERM');
        const [code] = (await ended) as [number | null];
        return code;
      },
    };
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

  it('opens what was sealed to a former certificate whose key is in the token, and refuses a start without it', async (t) => {
    const { directory, at, uri, configure, signing, encryption } = await state(true);
    const { ra, ...scms } = await readTestScms(directory);
    const renewed = await run(['--dir', directory, 'authority', 'renew', 'ra'], {
      clock: systemClock,
    });
    assert.equal(renewed.status, 0, renewed.stderr);
    const former = Buffer.from(ra.certificate.id).toString('hex');
    const named = (name: string) => writeFile(at(`ra/former/${former}.uri`), `${uri(name)}\n`);
    const { certificate: present } = (await readTestScms(directory)).ra;
    await named(`former-${encryption}`);
    await configure('ra/signing.key', 'ra/encryption.key');
    await assert.rejects(serve(t, directory), /expected a key in a token or in a file, saw both/);
    await rm(at(`ra/former/${former}.key`));
    await assert.rejects(serve(t, directory), /\.uri: expected one private key .* saw none/);
    await assert.rejects(serve(t, directory, {}), /expected the library of the token/);

    hsm.importKey(`former-${encryption}`, 0x77, ra.encryptionKey!, 'derive');
    await moveToToken(at, { signing, encryption });
    await configure(uri(signing), uri(encryption));
    const running = await serve(t, directory);
    const ca = await readFile(at('authorities/x509-root/certificate.pem'), 'utf8');
    for (const to of [ra.certificate, present]) {
      const now = timeOf(systemClock);
      const device = createDevice({ ra, ...scms }, systemRandom, now);
      const body = securedBy(device, pseudonymRequest(device, now), to, systemRandom);
      const sending = { method: 'POST', body } as const;
      const url = `${running.url}/provision-pseudonym-certificate-batch`;
      assert.equal((await send(url, ca, sending)).status, 200);
    }
    assert.equal((await running.stop()).status, 0);

    await named(encryption);
    await assert.rejects(serve(t, directory), /\.uri: expected the private key of the RA's certif/);
    await writeFile(at(`ra/former/${former}.uri`), 'encryption.key\n');
    await assert.rejects(serve(t, directory), /\.uri: expected a PKCS #11 URI/);
    await rm(at(`ra/former/${former}.oer`));
    await assert.rejects(
      serve(t, directory),
      /expected the former certificate of the RA beside it/,
    );
  });

  it('answers from several processes, each with a session of its own, and from one that was started again', async (t) => {
    const { directory, at, uri, configure, signing, encryption } = await state(true);
    const scms = await readTestScms(directory);
    await moveToToken(at, { signing, encryption });
    await configure(uri(signing), uri(encryption));
    const text = await readFile(at('chrysalis.toml'), 'utf8');
    const edited = text
      .replace(/^# processes = .*$/m, 'processes = 2')
      .replace('linkage-cache = 200', 'linkage-cache = 40')
      // The machine of a test may be slow, and the test is no flood.
      .replace('client-signature-ttl-sec = 5', 'client-signature-ttl-sec = 600')
      .replace(/^(shed-\w+-ms) = .*$/gm, '$1 = 0');
    await writeFile(at('chrysalis.toml'), edited);
    const ra = await spawnServe(t, directory);
    const ca = await readFile(at('authorities/x509-root/certificate.pem'), 'utf8');
    const register = async () => {
      const now = timeOf(systemClock);
      const device = createDevice(scms, systemRandom, now);
      const to = scms.ra.certificate;
      const body = securedBy(device, pseudonymRequest(device, now), to, systemRandom);
      const url = `${ra.url}/provision-pseudonym-certificate-batch`;
      return (await send(url, ca, { method: 'POST', body })).status;
    };
    const all = () => Promise.all(Array.from({ length: 16 }, register));
    assert.deepEqual(new Set(await all()), new Set([200]));
    const before = await ra.fronts(2);
    process.kill(before[0]!, 'SIGKILL');
    const after = await ra.fronts(3);
    assert.equal(after.length, 3);
    assert.deepEqual(new Set(await all()), new Set([200]));
    assert.equal(await ra.stop(), 0, ra.log());
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
        /ra.signing-key: expected the private key of the RA's certificate/,
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
