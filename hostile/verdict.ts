/** What is wrong with what an attack has shown. */
import { complaintsOfMemory, TELLING_VISITS } from '../soak/flatness.ts';
import type { HostileReport } from './run.ts';

/** A heap that was busy keeps some of what it took, in each process that works: what a few thousand attacks can show. */
const KEPT_MB = 150;
/** Files that SQLite or a log opens and keeps. */
const KEPT_DESCRIPTORS = 20;

/** Empty when all is well. Pure. */
export function complaintsOf(report: HostileReport): string[] {
  const { attack, health, processes, before, after, flatness, faults, exitStatus } = report;
  const found = [...attack.findings, ...report.honestFailures, ...faults];
  const expect = (holds: boolean, text: string) => {
    if (!holds) found.push(text);
  };
  expect(exitStatus === 0, `expected exit status 0, saw ${exitStatus}`);
  expect(health.asked > 0 && health.failed === 0, `${health.failed} health checks failed`);
  expect(
    after.connections === 0,
    `expected no connection to be left, saw ${after.connections}: ${report.left.join('; ')}`,
  );
  expect(after.held === 0, `expected no refusal to be held, saw ${after.held}`);
  // Many show what stays with each, once the memory has found its level.
  if (flatness.visits >= TELLING_VISITS) found.push(...complaintsOfMemory(flatness, false));
  else {
    // With several that answer, one more makes certificates.
    const keptMb = KEPT_MB * (processes === 1 ? 1 : processes + 1);
    expect(
      after.rssMb <= before.rssMb + keptMb,
      `expected ${before.rssMb} MB and little more, saw ${after.rssMb}`,
    );
  }
  expect(
    after.descriptors <= before.descriptors + KEPT_DESCRIPTORS,
    `expected ${before.descriptors} descriptors again, saw ${after.descriptors}`,
  );
  return found;
}
