/** What is wrong with what a soak has shown. */
import { complaintsOfMemory } from './flatness.ts';
import type { SoakReport } from './report.ts';

type Shed = SoakReport['sheds']['download'];

/** In a shorter run a heap is still finding its size. */
const FLAT_FROM_SEC = 600;
/** A run as long as this is to show a leak of a kilobyte with each visit. */
const TELLS_FROM_SEC = 3600;
/** Some 50 kB for each of 5,000 connections (`packages/ra/src/connections.ts`), all processes together, and the one that watches. */
const CONNECTIONS_MB = 450;
/** What a busy process has, whatever it does (docs/decisions/0058-flat-memory.md). */
const PROCESS_MB = 450;
/** Files that SQLite or a log opens and keeps. */
const KEPT_DESCRIPTORS = 20;

/** Empty when all is well. Pure. */
export function complaintsOf(report: SoakReport): string[] {
  const { seconds, visits, health, sheds, memoryMb, descriptors } = report;
  const found: string[] = [];
  const expect = (holds: boolean, text: string) => {
    if (!holds) found.push(text);
  };
  expect(report.faults.length === 0, `faults of the RA: ${report.faults[0]}`);
  expect(report.exitStatus === 0, `expected exit status 0, saw ${report.exitStatus}`);
  expect(report.unexpected.length === 0, `expected 200 or 500, saw ${report.unexpected[0]}`);
  expect(health.asked > 0 && health.failed === 0, `${health.failed} health checks failed`);
  expect(visits.download.served > 0, 'expected downloads to be served');
  expect(
    isShedFirst(sheds.provisioning, sheds.anonymous),
    `expected provisioning to be shed before what anybody may ask for, saw ${JSON.stringify(sheds)}`,
  );
  expect(
    isShedFirst(sheds.anonymous, sheds.download),
    `expected what anybody may ask for to be shed before downloads, saw ${JSON.stringify(sheds)}`,
  );
  // Beside several that answer devices, one makes certificates.
  const busy = report.processes === 1 ? 1 : report.processes + 1;
  const mostMb = CONNECTIONS_MB + busy * PROCESS_MB;
  expect(memoryMb.peak < mostMb, `expected less than ${mostMb} MB, saw ${memoryMb.peak}`);
  if (seconds >= FLAT_FROM_SEC) {
    found.push(...complaintsOfMemory(memoryMb, seconds >= TELLS_FROM_SEC));
  }
  expect(
    descriptors.after <= descriptors.before + KEPT_DESCRIPTORS,
    `expected ${descriptors.before} descriptors again, saw ${descriptors.after}`,
  );
  return found;
}

/** What is shed first is shed at least as often: less by no more than chance (three standard deviations) has it. */
function isShedFirst(first: Shed, then: Shed): boolean {
  const expected = then.requests === 0 ? 0 : (then.shed / then.requests) * first.requests;
  return first.shed >= expected - 3 * Math.sqrt(expected) - 1;
}
