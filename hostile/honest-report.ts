/** What the honest devices met. */
import type { CheckReport, Endpoint, Meter, SimulationReport } from '@chrysalis/fleet';

export interface HonestReport {
  /** Until each had all that it was to have. */
  readonly load: SimulationReport;
  /** Afterwards. */
  readonly visits: Pick<Meter, 'latencyMs' | 'errors'> & { readonly count: number };
  readonly check: CheckReport;
}

/** Empty when no device failed in anything. Pure. */
export function honestFailures(report: HonestReport, devices: number): string[] {
  const { load, visits, check } = report;
  const failures = [
    ...errorsOf(load.errors, 'in its first supply'),
    ...errorsOf(visits.errors, 'later'),
  ];
  if (load.devices.complete !== devices) {
    failures.push(`expected ${devices} devices to be complete, saw ${load.devices.complete}`);
  }
  for (const { device, problem } of check.findings) failures.push(`device ${device}: ${problem}`);
  return failures;
}

/** A batch that is not made yet is refused, and is no failure: that it is not there afterwards is. */
function errorsOf(
  errors: Partial<Record<Endpoint, Readonly<Record<string, number>>>>,
  when: string,
): string[] {
  return Object.entries(errors).flatMap(([endpoint, kinds]) =>
    Object.entries(kinds)
      .filter(
        ([kind]) =>
          !(when === 'in its first supply' && endpoint === 'batch' && kind === 'http-500'),
      )
      .map(([kind, count]) => `${endpoint} ${when}: ${kind}, ${count} times`),
  );
}
