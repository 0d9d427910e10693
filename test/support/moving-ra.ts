/** An RA whose state is copied while it serves, and devices that come to it meanwhile. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type CliContext, main } from '@chrysalis/cli';
import { systemRandom } from '@chrysalis/crypto';
import { systemClock } from '@chrysalis/scms';
import { freePort } from './free-port.ts';
import { Mortal } from './mortal.ts';
import { eventually, type Promised, PromisedDevices } from './promised-devices.ts';
import { temporaryDirectory } from './temporary-directory.ts';

/**
 * An RA of one process that serves; `chrysalis init` makes its state.
 *
 * @param place.existing its state directory, when there is one already
 */
export async function startRa(
  t: TestContext,
  { existing, weeks, perWeek }: { existing?: string; weeks: number; perWeek?: number },
) {
  const state = existing ?? join(temporaryDirectory(), 'state');
  if (existing === undefined) {
    const port = String(await freePort());
    const ahead = ['--weeks-ahead', String(weeks)];
    await done('--dir', state, 'init', '--port', port, '--processes', '1', ...ahead);
    if (perWeek !== undefined) {
      await done('--dir', state, 'policy', 'set', 'min-certs-per-i-period', String(perWeek));
    }
    const file = join(state, 'chrysalis.toml');
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace(/^port = 889[45]$/gm, 'port = 0'));
  }
  const text = await readFile(join(state, 'chrysalis.toml'), 'utf8');
  const [, port] = /^port = (\d+)$/m.exec(text) ?? [];
  const argv = ['--dir', state, '--json', 'serve', '--log-level', 'error'];
  const ra = new Mortal('ra', argv);
  t.after(() => ra.remove());
  const start = async () => {
    ra.start();
    await ra.ready();
  };
  await start();
  return {
    state,
    devices: await PromisedDevices.of(state, `https://localhost:${port}`),
    start,
    stop: () => ra.stop(),
    ended: () => eventually(async () => ra.faults.find((fault) => fault.startsWith('ended'))),
  };
}

/** Devices come one after the other, and one fetches again and again: as long as it is not told to stop. */
export function startLoad(devices: PromisedDevices, first: Promised, promised: Promised[]) {
  let isOver = false;
  let longestMs = 0;
  let refused = 0;
  const loop = async (act: () => Promise<unknown>) => {
    let lastMs = performance.now();
    while (!isOver) {
      if ((await act()) === undefined) refused += 1;
      else {
        longestMs = Math.max(longestMs, Math.round(performance.now() - lastMs));
        lastMs = performance.now();
      }
    }
    longestMs = Math.max(longestMs, Math.round(performance.now() - lastMs));
  };
  const loops = [
    loop(async () => {
      const device = await devices.tryToRegister();
      if (device !== undefined) promised.push(device);
      return device;
    }),
    loop(() => devices.download(first, first.firstI)),
  ];
  return {
    async stop() {
      isOver = true;
      await Promise.all(loops);
      return { longestMs, refused };
    },
  };
}

/** Of a command in this process. */
export function contextOf(
  say: (text: string) => void,
  stdout: (text: string) => void = () => {},
): CliContext {
  return {
    stdout: { write: stdout },
    stderr: { write: say },
    stdin: (async function* () {})(),
    env: {},
    clock: systemClock,
    random: systemRandom,
    signal: new AbortController().signal,
  };
}

export async function cli(...argv: string[]) {
  const written = { stdout: '', stderr: '' };
  const context = contextOf(
    (text) => (written.stderr += text),
    (text) => (written.stdout += text),
  );
  return { status: await main(argv, context), ...written };
}

/** A command that has to end well. */
export async function done(...argv: string[]) {
  const outcome = await cli(...argv);
  assert.equal(outcome.status, 0, outcome.stderr);
  return outcome;
}
