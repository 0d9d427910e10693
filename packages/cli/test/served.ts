import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { type Outcome, run } from './run-main.ts';

/** A state directory, commands on it, and an RA that serves it. */
export interface Served {
  readonly directory: string;
  readonly clock: { now(): number; advance(ms: number): void };
  /** A command on the state directory. */
  cli(...args: string[]): Promise<Outcome>;
  /** As {@link cli}, with --json, and what it printed. Fails when the command does. */
  json(...args: string[]): Promise<unknown>;
  /** Starts the RA. */
  serve(
    ...args: string[]
  ): Promise<{ readonly url: string; readonly maUrl?: string; stop(): Promise<string> }>;
  /** A device that is enrolled for the RA at a URL; commands of `ee` on its profile. */
  enroll(url: string): Promise<EnrolledProfile>;
}

export interface EnrolledProfile {
  /** HashedId8 of its enrollment certificate, hex. */
  readonly id: string;
  /** The file with its enrollment certificate. */
  readonly certificate: string;
  ee(command: string, ...args: string[]): Promise<Outcome>;
  /** Contacts the RA again and again until both weeks are here. */
  topUp(): Promise<void>;
}

const HOUR_MS = 3_600_000;
/** In one of these the RA has made two weeks; each is so much later by the clock of the test. */
const MOST_TRIES = 50;
const TRY_MS = 20_000;

/** The clock stands at ten past the present hour, so that neither an hour nor an i-period ends meanwhile. */
export async function stateDirectory(t: TestContext): Promise<Served> {
  const startMs = Math.floor(Date.now() / HOUR_MS) * HOUR_MS + HOUR_MS / 6;
  const parent = temporaryDirectory();
  const directory = join(parent, 'state');
  let aheadMs = 0;
  const clock = {
    now: () => startMs + aheadMs,
    advance(ms: number) {
      aheadMs += ms;
    },
  };
  const cli = (...args: string[]) => run(['--dir', directory, ...args], { clock });
  const done = async (...args: string[]) => {
    const outcome = await cli(...args);
    assert.equal(outcome.status, 0, outcome.stderr);
    return outcome;
  };
  await done('init', '--port', '0', '--weeks-ahead', '2');
  return {
    directory,
    clock,
    cli,
    async json(...args) {
      return JSON.parse((await done('--json', ...args)).stdout);
    },
    async serve(...args) {
      const stopping = new AbortController();
      const printed = Promise.withResolvers<{ url: string; maUrl?: string }>();
      const argv = ['--dir', directory, '--json', 'serve', '--log-level', 'warn', ...args];
      const running = run(argv, {
        clock,
        signal: stopping.signal,
        stdout: { write: (text) => printed.resolve(JSON.parse(text)) },
      });
      t.after(() => stopping.abort());
      const failed = running.then((outcome) => Promise.reject(new Error(outcome.stderr)));
      failed.catch(() => {});
      const urls = await Promise.race([printed.promise, failed]);
      return {
        ...urls,
        async stop() {
          stopping.abort();
          const { status, stderr } = await running;
          assert.equal(status, 0, stderr);
          return stderr;
        },
      };
    },
    async enroll(url) {
      const [profile, bundle] = [join(parent, 'obu'), join(parent, 'bundle')];
      const ee = (command: string, ...args: string[]) =>
        run(['ee', command, '--profile', profile, ...args], { clock });
      assert.equal((await ee('bootstrap', '--new')).status, 0);
      const request = join(profile, 'SignedEeEnrollmentCertRequest.oer');
      await done('enroll', '--request', request, '--out', bundle, '--ra-url', url);
      const enrolled = await ee('bootstrap', '--bundle', bundle);
      assert.equal(enrolled.status, 0, enrolled.stderr);
      const { enrollment } = JSON.parse((await ee('status', '--json')).stdout);
      const topUp = async () => {
        for (let n = 0; n < MOST_TRIES; n++) {
          const { stderr } = await ee('topup');
          const { supplies } = JSON.parse((await ee('status', '--json')).stdout);
          if (supplies[0].batches.length === 2) return;
          assert(n + 1 < MOST_TRIES, `expected two weeks, saw ${stderr}`);
          clock.advance(TRY_MS);
          await setTimeout(50);
        }
      };
      return { id: enrollment.id, certificate: join(profile, 'enrollment.oer'), ee, topUp };
    },
  };
}
