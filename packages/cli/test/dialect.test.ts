/** `ra.dialect`: which releases of ee-ra.asn the RA takes. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { run } from './run-main.ts';

describe('an RA that is configured for', () => {
  for (const [accepted, sent, isTaken] of [
    ['1.2.2', '1.2.2', true],
    ['1.2.2', '1.2.4', false],
    ['1.2.4', '1.2.4', true],
    ['1.2.4', '1.2.2', false],
    ['auto', '1.2.4', true],
  ] as const) {
    it(`${accepted} ${isTaken ? 'takes' : 'refuses'} a request of ${sent}`, async (t) => {
      const { url, ee } = await scene(t, accepted);
      const { status, stderr } = await ee(
        ...['request', '--ra', url, '--dialect', sent, '--certificates', 'pseudonym'],
      );
      assert.equal(status, isTaken ? 0 : 1, stderr);
      if (!isTaken) assert.match(stderr, /5070/);
    });
  }
});

/** A state directory, an RA that runs on it until the test ends, and a device that is enrolled. */
async function scene(t: TestContext, dialect: string) {
  const directory = temporaryDirectory();
  const clock = { now: () => Date.now() };
  const state = join(directory, 'state');
  const cli = async (...argv: string[]) => {
    const outcome = await run(['--dir', state, ...argv], { clock });
    assert.equal(outcome.status, 0, outcome.stderr);
    return outcome;
  };
  await cli('init', '--weeks-ahead', '1', '--port', '0');
  const file = join(state, 'chrysalis.toml');
  const text = await readFile(file, 'utf8');
  await writeFile(
    file,
    text
      .replace(/^dialect = .*$/m, `dialect = "${dialect}"`)
      .replace(/^error-detail = .*$/m, 'error-detail = "qa"'),
  );
  const stop = new AbortController();
  const { promise: url, resolve } = Promise.withResolvers<string>();
  const stdout = { write: (line: string) => resolve(JSON.parse(line).url) };
  const served = run(['--dir', state, '--json', 'serve', '--log-level', 'error'], {
    clock,
    signal: stop.signal,
    stdout,
  });
  t.after(async () => {
    stop.abort();
    await served;
  });
  const profile = join(directory, 'obu');
  const ee = (command: string, ...more: string[]) =>
    run(['ee', command, '--profile', profile, ...more], { clock });
  const bundle = join(directory, 'bundle');
  const request = join(profile, 'SignedEeEnrollmentCertRequest.oer');
  assert.equal((await ee('bootstrap', '--new')).status, 0);
  await cli('enroll', '--request', request, '--out', bundle, '--ra-url', await url);
  assert.equal((await ee('bootstrap', '--bundle', bundle)).status, 0);
  return { url: await url, ee };
}
