/**
 * `npm run test:soak`: an RA in a process of its own under twice what it can do, for an hour. Prints percentiles, what was
 * given up, memory and descriptors, and ends with status 1 when something is not as it should be.
 *
 * Parameters: CHRYSALIS_SOAK_SECONDS (3600), CHRYSALIS_SOAK_ROUND (600 seconds, after which it is measured anew what the RA
 * can do), CHRYSALIS_SOAK_FACTOR (2), CHRYSALIS_SOAK_DEVICES (200), CHRYSALIS_SOAK_NICE (0: by so much the RA goes behind
 * the generator), CHRYSALIS_SOAK_PROCESSES (that answer devices; the cores of the machine when missing), CHRYSALIS_SOAK_LEAK (the known-bad control: the RA loses so many octets with each connection, and the verdict
 * has to say so).
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chosenProcesses } from '../test/support/live-ra.ts';
import { runSoak } from './soak.ts';
import { complaintsOf } from './verdict.ts';

const number = (name: string, otherwise: number) => Number(process.env[name] ?? otherwise);
// Its RA goes with it.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
const parent = await mkdtemp(join(tmpdir(), 'chrysalis-soak-'));
try {
  const report = await runSoak({
    directory: join(parent, 'state'),
    seconds: number('CHRYSALIS_SOAK_SECONDS', 3600),
    roundSeconds: number('CHRYSALIS_SOAK_ROUND', 600),
    measureSeconds: 20,
    devices: number('CHRYSALIS_SOAK_DEVICES', 200),
    factor: number('CHRYSALIS_SOAK_FACTOR', 2),
    nice: number('CHRYSALIS_SOAK_NICE', 0),
    processes: chosenProcesses(process.env.CHRYSALIS_SOAK_PROCESSES),
    ...(process.env.CHRYSALIS_SOAK_LEAK && { leakOctets: number('CHRYSALIS_SOAK_LEAK', 0) }),
    say: (text) => console.log(text),
  });
  console.log(JSON.stringify(report, undefined, 2));
  const complaints = complaintsOf(report);
  for (const complaint of complaints) console.log(`NOT as it should be: ${complaint}`);
  if (complaints.length === 0) console.log('all as it should be');
  process.exitCode = complaints.length === 0 ? 0 : 1;
} finally {
  await rm(parent, { recursive: true, force: true });
}
