/** `chrysalis keys`, where the passphrase comes from, and what is refused when others can read it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import {
  chmod,
  chown,
  copyFile,
  mkdir,
  readdir,
  readFile,
  stat,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { systemClock } from '@chrysalis/scms';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import type { CliContext } from '../src/context.ts';
import { askHidden, type HiddenInput } from '../src/hidden-prompt.ts';
import { run } from './run-main.ts';

const PASSPHRASE = 'correct horse battery staple';
const env = { CHRYSALIS_PASSPHRASE: PASSPHRASE };
/** The least work that is accepted. */
const COST = ['--cost', '14'];

async function state() {
  const folder = temporaryDirectory();
  const directory = join(folder, 'state');
  const at = (file: string) => join(directory, file);
  const cli = (args: readonly string[], more: Partial<CliContext> = {}) =>
    run(['--dir', directory, ...args], more);
  const done = async (args: readonly string[], more: Partial<CliContext> = {}) => {
    const outcome = await cli(args, more);
    assert.equal(outcome.status, 0, outcome.stderr);
    return outcome;
  };
  await done(['init', '--port', '0', '--processes', '1', '--weeks-ahead', '2']);
  const states = async (): Promise<Record<string, string>> => {
    const { stdout } = await done(['--json', 'keys', 'status']);
    const { keys } = JSON.parse(stdout) as { keys: { file: string; state: string }[] };
    return Object.fromEntries(keys.map(({ file, state: one }) => [file, one]));
  };
  const encrypt = (more: Partial<CliContext> = { env }) => done(['keys', 'encrypt', ...COST], more);
  return { folder, directory, at, cli, done, states, encrypt };
}

/** Every private key of a test SCMS: 16 of 1609.2, four of the LAs, two of TLS. */
const KEYS = 20;

/** Serves until it has said where, and what it logged. */
async function serves(directory: string, more: Partial<CliContext>): Promise<string> {
  const stopping = new AbortController();
  const outcome = await run(['--dir', directory, 'serve'], {
    clock: systemClock,
    signal: stopping.signal,
    stdout: { write: () => stopping.abort() },
    ...more,
  });
  assert.equal(outcome.status, 0, outcome.stderr);
  return outcome.stderr;
}

describe('chrysalis keys', () => {
  it('encrypts every private key, and decrypts it to what it was', async () => {
    const { at, states, encrypt, done } = await state();
    const before = await states();
    assert.equal(Object.keys(before).length, KEYS);
    assert.deepEqual(new Set(Object.values(before)), new Set(['plain']));
    const contents = await Promise.all(Object.keys(before).map((file) => readFile(at(file))));
    await encrypt();
    const after = await states();
    assert.deepEqual(Object.keys(after), Object.keys(before));
    assert.deepEqual(new Set(Object.values(after)), new Set(['encrypted']));
    for (const [n, file] of Object.keys(after).entries()) {
      assert.equal((await stat(at(file))).mode & 0o777, 0o600);
      assert(!(await readFile(at(file))).includes(contents[n]!.subarray(0, 32)));
    }
    await done(['keys', 'decrypt'], { env });
    const again = await Promise.all(Object.keys(before).map((file) => readFile(at(file))));
    assert.deepEqual(again, contents);
    assert(!(await readdir(at('.'))).includes('key-encryption.json'));
  });

  it('serves, renews, exports and enrolls as before, with what is made encrypted', async () => {
    const { folder, directory, at, done, states, encrypt } = await state();
    await encrypt();
    await serves(directory, { env });
    await done(['authority', 'renew', 'ra'], { env });
    await done(['authority', 'renew', 'pca'], { env });
    await done(['tls', 'renew'], { env });
    await done(['crl', 'show'], { env });
    const pca = join(folder, 'pca');
    await done(['authority', 'export', 'pca', '--to', pca], { env });
    const after = await states();
    assert(after['ra/tls-client-key.pem'] === 'encrypted');
    assert(Object.keys(after).some((file) => /^ra\/former\/[0-9a-f]{16}\.key$/.test(file)));
    assert.deepEqual(new Set(Object.values(after)), new Set(['encrypted']));
    const exported = JSON.parse((await run(['--dir', pca, '--json', 'keys', 'status'])).stdout);
    assert.equal(exported.keys.length, 5);
    assert(exported.keys.every(({ state: one }: { state: string }) => one === 'encrypted'));
    const stopping = new AbortController();
    const served = await run(['--dir', pca, 'authority', 'serve', 'pca', '--port', '0'], {
      env,
      signal: stopping.signal,
      stdout: { write: () => stopping.abort() },
    });
    assert.equal(served.status, 0, served.stderr);
    assert(!(await readdir(at('authorities/pca'))).includes('signing.key'));
  });

  it('is refused without the passphrase and with another, before anything is served', async () => {
    const { cli, encrypt } = await state();
    await encrypt();
    for (const [command, more, message] of [
      [['serve'], {}, /ra\/signing.key: expected a passphrase for the encrypted key, saw none/],
      [
        ['serve'],
        { env: { CHRYSALIS_PASSPHRASE: 'another passphrase' } },
        /expected the passphrase/,
      ],
      [['crl', 'show'], {}, /expected a passphrase for the encrypted key/],
      [['authority', 'renew', 'pg'], {}, /expected a passphrase for the encrypted key/],
      [['tls', 'renew'], {}, /expected a passphrase for the encrypted key/],
      [
        ['keys', 'encrypt'],
        { env: { CHRYSALIS_PASSPHRASE: 'another passphrase' } },
        /expected the passphrase that these keys are encrypted with already/,
      ],
      [
        ['keys', 'decrypt'],
        { env: { CHRYSALIS_PASSPHRASE: 'another passphrase' } },
        /expected the passphrase/,
      ],
    ] as const) {
      const { status, stdout, stderr } = await cli(command, more);
      assert.deepEqual([status, stdout], [1, ''], stderr);
      assert.match(stderr, message);
      assert.match(stderr, /hint: /);
      assert(!stderr.includes('another passphrase'));
    }
  });

  it('works half done, and goes on when it was killed at any moment', async () => {
    for (const command of ['encrypt', 'decrypt']) {
      const { directory, states, done, encrypt } = await state();
      if (command === 'decrypt') await encrypt();
      const wanted = command === 'encrypt' ? 'encrypted' : 'plain';
      // The scheme is one rename or removal, each key another.
      for (const killedAt of [0, 1, 2, 7]) {
        const left = Object.values(await states()).filter((one) => one !== wanted).length;
        const args = ['--dir', directory, 'keys', command, ...(command === 'encrypt' ? COST : [])];
        assert.equal(await killed(args, killedAt), 'SIGKILL');
        const now = Object.values(await states()).filter((one) => one !== wanted).length;
        assert(now <= left && now > 0, `${now} of ${left}`);
        // Whatever was cut off, all keys are read.
        await done(['authority', 'renew', 'pca'], { env });
      }
      const log = await serves(directory, { env });
      assert.equal(/keys are not encrypted/.test(log), true, 'half done, it warns');
      await done(['keys', command], { env });
      assert.deepEqual(new Set(Object.values(await states())), new Set([wanted]));
      await serves(directory, command === 'encrypt' ? { env } : {});
    }
  });

  it('leaves no octet of a key behind that a killed command had begun to write', async () => {
    const { at, encrypt } = await state();
    const remains = at('ra/.signing.key.0123456789abcdef.tmp');
    await copyFile(at('ra/signing.key'), remains);
    await encrypt();
    await assert.rejects(stat(remains), { code: 'ENOENT' });
  });
});

describe('the passphrase', () => {
  it('comes from a file that only its owner can read', async () => {
    const { folder, directory, cli, encrypt } = await state();
    const file = join(folder, 'passphrase');
    await writeFile(file, `${PASSPHRASE}\n`, { mode: 0o600 });
    const fromFile = { env: { CHRYSALIS_PASSPHRASE_FILE: file } };
    await encrypt(fromFile);
    await serves(directory, fromFile);
    await serves(directory, { env });
    await chmod(file, 0o640);
    const refused = await cli(['serve'], fromFile);
    assert.equal(refused.status, 1);
    assert.match(
      refused.stderr,
      /expected a file with a passphrase that only its owner can read, saw mode 640/,
    );
    assert(refused.stderr.includes(`hint: chmod 600 ${file}`));
    const both = await cli(['serve'], { env: { ...env, ...fromFile.env } });
    assert.match(both.stderr, /CHRYSALIS_PASSPHRASE_FILE or CHRYSALIS_PASSPHRASE, saw both/);
    for (const content of ['', '\n', 'two\nlines\n', 'x'.repeat(1025)]) {
      await writeFile(file, content);
      await chmod(file, 0o600);
      const { status, stderr } = await cli(['serve'], fromFile);
      assert.equal(status, 1);
      assert.match(stderr, /expected a passphrase of 1 to 1024 octets on one line/);
    }
  });

  it('is asked for at a terminal: twice for a new one, then once in a process', async () => {
    const { directory, cli, encrypt } = await state();
    const prompts: string[] = [];
    const typing = (...answers: string[]): Partial<CliContext> => ({
      askSecret: async (prompt) => {
        prompts.push(prompt);
        return answers[prompts.length - 1] ?? '';
      },
    });
    const differing = await cli(['keys', 'encrypt', ...COST], typing(PASSPHRASE, 'something else'));
    assert.match(differing.stderr, /expected the same passphrase twice/);
    prompts.length = 0;
    await encrypt(typing(PASSPHRASE, PASSPHRASE));
    assert.deepEqual(prompts, ['new passphrase of the keys: ', 'the same again: ']);
    prompts.length = 0;
    await serves(directory, typing(PASSPHRASE));
    assert.deepEqual(prompts, ['passphrase of the keys: ']);
  });

  it('is long, and given', async () => {
    const { cli, states } = await state();
    const short = await cli(['keys', 'encrypt'], { env: { CHRYSALIS_PASSPHRASE: 'eleven char' } });
    assert.match(short.stderr, /expected a passphrase of 12 characters or more, saw 11/);
    const none = await cli(['keys', 'encrypt']);
    assert.match(none.stderr, /expected a passphrase, saw none, and no terminal to ask at/);
    assert.deepEqual(new Set(Object.values(await states())), new Set(['plain']));
  });

  it('does not show while it is typed', async () => {
    const terminal = Object.assign(new EventEmitter(), {
      modes: [] as boolean[],
      setRawMode(isRaw: boolean) {
        this.modes.push(isRaw);
      },
      resume() {},
      pause() {},
    }) satisfies HiddenInput;
    let shown = '';
    const output = {
      write(text: string) {
        // Nothing is asked while the terminal would echo the answer.
        if (text.startsWith('passphrase')) assert.deepEqual(terminal.modes, [true]);
        shown += text;
      },
    };
    const answer = askHidden('passphrase: ', terminal, output);
    for (const typed of ['wrong\u0015sec', 'rex\u007f', 'té', '\r']) {
      terminal.emit('data', Buffer.from(typed));
    }
    assert.equal(await answer, 'secreté');
    assert.equal(shown, 'passphrase: \n');
    assert.deepEqual(terminal.modes, [true, false]);
    assert.equal(terminal.listenerCount('data'), 0);
    for (const end of ['\u0003', '\u0004']) {
      const asked = askHidden('', terminal, output);
      terminal.emit('data', Buffer.from(`half${end}`));
      await assert.rejects(asked, { name: 'AbortError' });
    }
  });
});

describe('what others can read', () => {
  it('keeps the RA from starting, and the hint mends it', async () => {
    const { directory, at, cli } = await state();
    await serves(directory, {});
    await mkdir(at('ra/former'), { mode: 0o755 });
    await copyFile(at('ra/encryption.key'), at('ra/former/0123456789abcdef.key'));
    for (const file of [
      ...['ra/signing.key', 'ra/encryption.key', 'ra/tls-key.pem', 'ra/chrysalis.db'],
      ...['ra/former/0123456789abcdef.key', 'authorities/x509-root/private-key.pem'],
      ...['authorities/la1/chain.key', 'authorities/pca/pca.db', 'authorities/ma/ma.db'],
    ]) {
      for (const mode of [0o640, 0o604, 0o620]) {
        await chmod(at(file), mode);
        const { status, stdout, stderr } = await cli(['serve'], { clock: systemClock });
        assert.deepEqual([status, stdout], [1, ''], `${file} ${mode.toString(8)}`);
        assert.match(stderr, new RegExp(`${file}: expected a .* that only its owner can read`));
        assert(stderr.includes(`hint: chmod 600 ${at(file)}`), stderr);
      }
      await chmod(at(file), 0o600);
    }
    await chmod(directory, 0o755);
    const refused = await cli(['serve'], { clock: systemClock });
    assert.match(
      refused.stderr,
      /expected a state directory that only its owner can read, saw mode 755/,
    );
    assert(refused.stderr.includes(`hint: chmod 700 ${directory}`));
    for (const args of [
      ['crl', 'show'],
      ['keys', 'encrypt'],
      ['authority', 'renew', 'pg'],
    ]) {
      const { status, stderr } = await cli(args, { env });
      assert.equal(status, 1);
      assert.match(stderr, /expected a state directory that only its owner can read/);
    }
    await chmod(directory, 0o700);
    await serves(directory, {});
  });

  it('is refused of another user as well, but not of root', {
    skip: process.getuid?.() === 0 ? false : 'only root can give files away',
  }, async () => {
    const { at, cli } = await state();
    const nobody = 65_534;
    await chown(at('ra/signing.key'), nobody, nobody);
    const { status, stderr } = await cli(['serve'], { clock: systemClock });
    assert.equal(status, 1);
    assert.match(stderr, /expected a key file of user 0, who runs this, saw that of user 65534/);
    assert.match(stderr, /hint: run this as its owner, or chown 0 /);
  });

  it('is not a certificate that a killed command had begun to write', async () => {
    const { directory, at } = await state();
    await copyFile(
      at('ra/tls-certificate.pem'),
      at('ra/.tls-certificate.pem.0123456789abcdef.tmp'),
    );
    await serves(directory, {});
  });

  it('is not made: init closes a directory that stood open, and databases are for their owner', async () => {
    const folder = temporaryDirectory();
    const directory = join(folder, 'open');
    await mkdir(directory, { mode: 0o755 });
    assert.equal(
      (await run(['--dir', directory, 'init', '--port', '0', '--processes', '1'])).status,
      0,
    );
    assert.equal((await stat(directory)).mode & 0o777, 0o700);
    await serves(directory, {});
    for (const file of ['ra/chrysalis.db', 'authorities/pca/pca.db', 'authorities/ma/ma.db']) {
      assert.equal((await stat(join(directory, file))).mode & 0o777, 0o600, file);
    }
  });
});

async function killed(args: readonly string[], at: number): Promise<string | null> {
  const child = spawn(
    process.execPath,
    ['--import', join(import.meta.dirname, 'killed-at.ts'), BIN, ...args],
    { env: { ...process.env, ...env, TEST_KILLED_AT: String(at) }, stdio: 'ignore' },
  );
  const [, signal] = (await once(child, 'exit')) as [number | null, string | null];
  return signal;
}

const BIN = join(import.meta.dirname, '../src/bin.js');
