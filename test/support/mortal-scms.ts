/** An RA, its PCA and its LAs, each a process that may be killed, and a fleet of virtual devices that comes to the RA. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadConfig, main } from '@chrysalis/cli';
import { systemRandom } from '@chrysalis/crypto';
import { type Fleet, simulate } from '@chrysalis/fleet';
import { systemClock as clock } from '@chrysalis/scms';
import { openEnrollment } from '../../packages/cli/src/enroll.ts';
import { freePort } from './free-port.ts';
import { Mortal } from './mortal.ts';

/** In the directory of a run. */
export const RA_DATABASE = 'ra/ra/chrysalis.db';
export const PCA_LOG = 'pca/authorities/pca/pca.db';
export const NAMES = ['ra', 'pca', 'la1', 'la2'] as const;
export type Name = (typeof NAMES)[number];
/** Devices ask again within it: many contacts, many of which break; no more in a second than one machine answers beside all else. */
const POLL_SEC = 2;
const DEVICES_PER_SEC = 100;

/** What a fleet is to have. */
export interface Supply {
  readonly devices: number;
  readonly weeks: number;
  /** Certificates. */
  readonly perWeek: number;
}

/** A test SCMS whose PCA and LAs left it, all on ports that they have again after a restart. */
export async function makeAuthorities(root: string, supply: Supply): Promise<Record<Name, Mortal>> {
  return { ...(await makeScms(root, supply)), ra: raOf(join(root, 'ra')) };
}

function raOf(state: string): Mortal {
  return new Mortal('ra', ['--dir', state, '--json', 'serve', '--log-level', 'warn']);
}

/**
 * As {@link makeAuthorities}, and nobody serves the RA in `root`/ra yet.
 *
 * @param look at the state directory while it still has the keys of all authorities
 */
export async function makeScms(
  root: string,
  { weeks, perWeek }: Supply,
  look: (state: string) => Promise<void> = async () => {},
): Promise<Record<Exclude<Name, 'ra'>, Mortal>> {
  const state = join(root, 'ra');
  const port = String(await freePort());
  await command([
    '--dir',
    state,
    'init',
    '--port',
    port,
    '--processes',
    '1',
    '--weeks-ahead',
    String(weeks),
  ]);
  await command(['--dir', state, 'policy', 'set', 'min-certs-per-i-period', String(perWeek)]);
  // Nobody asks the CRL store or the operators' ports, whichever they have.
  await editConfig(state, /^((?:worker-)?port) = 889[457]$/gm, '$1 = 0');
  await look(state);
  const processes: Partial<Record<Name, Mortal>> = {};
  for (const name of ['pca', 'la1', 'la2'] as const) {
    const to = join(root, name);
    const place = ['--to', to, '--port', String(await freePort())];
    await command(['--dir', state, 'authority', 'export', name, ...place]);
    const argv = ['--dir', to, '--json', 'authority', 'serve', name, '--log-level', 'warn'];
    processes[name] = new Mortal(name, argv);
  }
  return processes as Record<Name, Mortal>;
}

/** Enrolls the devices, and returns what lets them come, so many in a second. */
export async function enrolled(fleet: Fleet, state: string, { devices, weeks }: Supply) {
  const config = await loadConfig(state);
  const raUrl = `https://localhost:${config.ra.port}`;
  const terms = { raUrl, toleranceSec: 60 };
  const issue = await openEnrollment(state, config, { clock, random: systemRandom }, terms);
  const enroll = async (request: Uint8Array) => issue(request).files;
  await Promise.all(Array.from({ length: devices }, (_, n) => fleet.enroll(n, enroll, clock)));
  return (ratePerSec: number) =>
    simulate({
      fleet,
      devices,
      weeks,
      ratePerSec,
      // More than are ever there: a device that waits before it tries again keeps its place.
      concurrency: devices,
      pollSec: Math.max(POLL_SEC, devices / DEVICES_PER_SEC),
      enroll,
      clock,
    });
}

/** A command that ends, in this process. */
export async function command(argv: readonly string[]): Promise<void> {
  let errors = '';
  const status = await main(argv, {
    stdout: { write() {} },
    stderr: { write: (text) => (errors += text) },
    stdin: (async function* () {})(),
    env: {},
    clock,
    random: systemRandom,
    signal: new AbortController().signal,
  });
  assert.equal(status, 0, errors);
}

export async function editConfig(directory: string, pattern: RegExp, replacement: string) {
  const file = join(directory, 'chrysalis.toml');
  const text = await readFile(file, 'utf8');
  assert.match(text, pattern);
  await writeFile(file, text.replace(pattern, replacement));
}

export function logsOf(processes: readonly Mortal[]): string {
  return processes.map(({ name, lines }) => `${name}: ${lines.slice(-5).join('\n')}`).join('\n');
}
