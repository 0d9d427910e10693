/**
 * `npm run test:hostile`: 100,000 attacks of all kinds on an RA in a process of its own, while 500 honest devices in another
 * are supplied and come back. Prints what became of each kind, of the devices and of the RA, and ends with status 1 when an
 * honest device failed, the RA had a fault, or an attacker was told anything. `-- --list` prints the kinds.
 *
 * Parameters: CHRYSALIS_HOSTILE_REQUESTS (100000), CHRYSALIS_HOSTILE_DEVICES (500), CHRYSALIS_HOSTILE_RATE (5 honest devices
 * that begin in a second), CHRYSALIS_HOSTILE_LANES (24 attacks at a time, and four times as many slow ones),
 * CHRYSALIS_HOSTILE_HOLD_MS (5000: how long a slow attack holds what it holds), CHRYSALIS_HOSTILE_SHED_MS (the RA's own; 0 on a
 * machine that others use, on which an RA is late without being attacked), CHRYSALIS_HOSTILE_KINDS (names of kinds, with commas
 * between them; all when missing), CHRYSALIS_HOSTILE_PROCESSES (that answer devices; the cores of the machine when missing). Ctrl-C ends the attack and reports of what there was.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chosenProcesses } from '../test/support/live-ra.ts';
import type { Kind } from './kind.ts';
import { KINDS } from './kinds.ts';
import { runHostile } from './run.ts';
import { complaintsOf } from './verdict.ts';

const number = (name: string, otherwise: number) =>
  Number(process.env[`CHRYSALIS_HOSTILE_${name}`] ?? otherwise);

if (process.argv.includes('--list')) {
  for (const { name, does } of KINDS) console.log(`${name}: ${does}`);
} else process.exitCode = await main();

/** @throws Error when one of them is none */
function chosenKinds(): readonly Kind[] {
  const names = process.env.CHRYSALIS_HOSTILE_KINDS?.split(',').map((name) => name.trim());
  const unknown = names?.find((name) => !KINDS.some((kind) => kind.name === name));
  if (unknown !== undefined)
    throw new Error(`expected a kind that -- --list names, saw ${unknown}`);
  return names === undefined ? KINDS : KINDS.filter(({ name }) => names.includes(name));
}

async function main(): Promise<number> {
  const kinds = chosenKinds();
  const directory = await mkdtemp(join(tmpdir(), 'chrysalis-hostile-'));
  const lanes = number('LANES', 24);
  const enough = new AbortController();
  process.once('SIGINT', () => enough.abort());
  process.once('SIGTERM', () => enough.abort());
  try {
    const report = await runHostile({
      directory,
      kinds,
      requests: number('REQUESTS', 100_000),
      devices: number('DEVICES', 500),
      ratePerSec: number('RATE', 5),
      lanes,
      slowLanes: 4 * lanes,
      holdMs: number('HOLD_MS', 5000),
      crowd: 24,
      signal: enough.signal,
      processes: chosenProcesses(process.env.CHRYSALIS_HOSTILE_PROCESSES),
      ...(process.env.CHRYSALIS_HOSTILE_SHED_MS !== undefined && { shedMs: number('SHED_MS', 0) }),
      say: (text) => console.log(text),
    });
    console.log(JSON.stringify(report, undefined, 2));
    const complaints = complaintsOf(report);
    for (const complaint of complaints) console.log(`NOT as it should be: ${complaint}`);
    const { requests } = report.attack;
    if (complaints.length === 0)
      console.log(`${requests} attacks of ${kinds.length} kinds: all well`);
    return complaints.length === 0 ? 0 : 1;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
