/** `chrysalis serve` in several processes that is told to end before it has begun. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { freePort } from './support/free-port.ts';
import { done } from './support/moving-ra.ts';
import { temporaryDirectory } from './support/temporary-directory.ts';

const BIN = join(import.meta.dirname, '../packages/cli/src/bin.js');
/** Before it loads, while its processes load, and while they begin: whichever it is on this machine. */
const MOMENTS_MS = [100, 300, 600, 1200];
const GONE_MS = 10_000;
/** What a command says of a fault of ours. */
const FAULT = /internal error/;

let state: string;

describe('a start of several processes', () => {
  before(async () => {
    state = join(temporaryDirectory(), 'state');
    const port = String(await freePort());
    await done('--dir', state, 'init', '--port', port, '--processes', '2', '--weeks-ahead', '1');
    await configure(/^((?:worker-)?port) = 889[457]$/gm, '$1 = 0');
  });

  it('is interrupted at any moment as by Ctrl-C: no fault, and nobody is left behind', async () => {
    for (const moment of MOMENTS_MS) {
      const { child, said } = serve();
      await setTimeout(moment);
      // A terminal tells all processes of the group.
      process.kill(-(child.pid as number), 'SIGINT');
      const [status, signal] = await once(child, 'close');
      // The system ends one that has not begun to listen to signals.
      assert(status === 0 || status === 130 || signal === 'SIGINT', `${status} ${said()}`);
      assert.doesNotMatch(said(), FAULT);
      await expectNobodyIn(child);
    }
  });
});

function serve(): { readonly child: ChildProcess; said(): string } {
  const child = spawn(process.execPath, [BIN, '--dir', state, 'serve', '--log-level', 'warn'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let said = '';
  for (const output of [child.stdout, child.stderr]) {
    output?.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  }
  return { child, said: () => said };
}

/** Its children are of its group; what has ended is in it until the system has looked after it. */
async function expectNobodyIn({ pid }: ChildProcess): Promise<void> {
  for (const until = performance.now() + GONE_MS; performance.now() < until; await setTimeout(50)) {
    try {
      process.kill(-(pid as number), 0);
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'ESRCH');
      return;
    }
  }
  assert.fail('expected that nobody is left behind');
}

async function configure(pattern: RegExp, replacement: string): Promise<void> {
  const file = join(state, 'chrysalis.toml');
  const text = await readFile(file, 'utf8');
  assert.match(text, pattern);
  await writeFile(file, text.replace(pattern, replacement));
}
