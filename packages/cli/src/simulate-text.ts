/** What `chrysalis simulate` says to people. */
import { stripVTControlCharacters } from 'node:util';
import type { CheckReport, Latency, SimulationProgress, SimulationReport } from '@chrysalis/fleet';
import { formatTime32, type Time32 } from '@chrysalis/ieee1609dot2';
import type { TextOutput } from './context.ts';

/** Between two progress lines: at a terminal one is written over the other. */
const TERMINAL_MS = 1_000;
const LOG_MS = 10_000;
/** To the beginning of the line, and nothing on it. */
const CLEAR = '\r\u001b[K';
/** What a terminal shows of a finding; its words may come from a zip. */
const MAX_PROBLEM_CHARACTERS = 200;

/** One line of progress, now and then. What is said last is written when it is time, though nothing more happens. */
export class RunningLine {
  readonly #output: TextOutput;
  #writtenAt = -Infinity;
  #last: (() => string) | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(output: TextOutput) {
    this.#output = output;
  }

  /** @param text is asked for when it is time to write */
  write(text: () => string): void {
    this.#last = text;
    if (this.#timer !== undefined) return;
    const leftMs =
      this.#writtenAt + (this.#output.isTTY ? TERMINAL_MS : LOG_MS) - performance.now();
    if (leftMs <= 0) this.#put();
    else this.#timer = setTimeout(() => this.#put(), leftMs).unref();
  }

  /** A line of its own, that stays. */
  note(text: string): void {
    this.#output.write(`${this.#output.isTTY ? CLEAR : ''}chrysalis: ${text}\n`);
    if (this.#output.isTTY && this.#last !== undefined) this.#put();
  }

  /** Leaves the last state on the screen. */
  end(): void {
    if (this.#last === undefined) return;
    this.#put();
    if (this.#output.isTTY) this.#output.write('\n');
  }

  #put(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writtenAt = performance.now();
    const text = `chrysalis: ${this.#last?.()}`;
    this.#output.write(this.#output.isTTY ? `${CLEAR}${text}` : `${text}\n`);
  }
}

export function simulationLine(progress: SimulationProgress, devices: number, now: Time32): string {
  const { phase, enrolled, provisioned, complete, failed, active, certificates, errors } = progress;
  if (phase === 'enrollment') return `enrolled ${enrolled} of ${devices}`;
  const { putOff, waiting, expectedAt } = progress;
  const isWaiting = active === 0 && waiting > 0 && expectedAt !== undefined && expectedAt > now;
  return (
    `of ${devices}: ${provisioned} provisioned, ${complete} complete, ${failed} given up` +
    `${putOff > 0 ? `, ${putOff} put off` : ''}; ` +
    `${active} talking, ${certificates} certificates, ${errors} errors` +
    `${isWaiting ? `; ${waiting} wait for the RA, which expects the next batch ${formatTime32(expectedAt)}` : ''}`
  );
}

/** Said when the first device is put off, while others go on. */
export function putOffNote(
  { readyWeeks = 0, expectedAt = 0 }: SimulationProgress,
  weeks: number,
  longestWaitHours: number,
): string {
  return (
    `the RA has ${readyWeeks} of ${weeks} weeks ready, and expects the next ${formatTime32(expectedAt)}: ` +
    `devices are put off, for this run waits ${longestWaitHours} hours at most (--longest-wait)`
  );
}

export function simulationText(report: SimulationReport): string {
  const { devices, requests, batches, certificates, generator, missed } = report;
  return [
    `devices: ${devices.asked}, of which ${devices.enrolled} enrolled, ${devices.provisioned} provisioned, ` +
      `${devices.complete} complete, ${devices.failed} given up, ${devices.putOff} put off`,
    `this run: ${requests} requests, ${batches} batches, ${certificates} certificates, ${report.octets} octets`,
    `enrollment: ${report.enrollmentSec} s; load: ${report.loadSec} s`,
    `certificates per second: ${report.certificatesPerSec}`,
    ...(missed > 0 ? [`over before they were fetched: ${missed} batches`] : []),
    ...table('ms', report.latencyMs),
    ...Object.entries(report.errors).flatMap(([endpoint, kinds]) =>
      Object.entries(kinds).map(([kind, count]) => `errors: ${endpoint} ${kind}: ${count}`),
    ),
    ...Object.entries(report.failures).map(([code, count]) => `given up: ${code}: ${count}`),
    ...table('of this program, ms', {
      'late by': generator.lateMs,
      'event loop': generator.eventLoopDelayMs,
    }),
    `CPU of this program: ${generator.cpuSec} s`,
  ].join('\n');
}

export function checkText(report: CheckReport): string {
  const { devices, batches, certificates, earlierCertificates, goneBatches } = report;
  const found = report.findings.map(({ device, i, problem }) => {
    const where = i === undefined ? `device ${device}` : `device ${device}, i ${hex(i)}`;
    return `${where}: ${printable(problem)}`;
  });
  const more = report.findingCount - report.findings.length;
  return [
    ...found,
    ...(more > 0 ? [`and ${more} findings more`] : []),
    `devices: ${devices}`,
    `batches: ${batches}`,
    `certificates: ${certificates} ${report.findingCount === 0 ? 'in order, each there once' : 'opened'}`,
    ...(earlierCertificates > 0
      ? [`certificates of weeks that the RA has dropped, compared only: ${earlierCertificates}`]
      : []),
    ...(goneBatches > 0 ? [`batches that the RA dropped before any check: ${goneBatches}`] : []),
    `findings: ${report.findingCount}`,
    `time: ${report.elapsedSec} s`,
  ].join('\n');
}

function table(unit: string, rows: Readonly<Record<string, Latency>>): string[] {
  const cells = Object.entries(rows).map(([name, { count, p50, p95, p99, max }]) =>
    [name, count, p50, p95, p99, max].map(String),
  );
  const all = [[unit, 'count', 'p50', 'p95', 'p99', 'max'], ...cells];
  const widths = all[0]!.map((_, n) => Math.max(...all.map((row) => row[n]!.length)));
  return all.map((row) =>
    row
      .map((cell, n) => (n === 0 ? cell.padEnd(widths[n]!) : cell.padStart(widths[n]!)))
      .join('  '),
  );
}

function printable(text: string): string {
  return stripVTControlCharacters(text)
    .replaceAll(/[^ -~]/g, '?')
    .slice(0, MAX_PROBLEM_CHARACTERS);
}

function hex(i: number): string {
  return i.toString(16).toUpperCase();
}
