/** Visits at a rate that does not wait for the RA: as many come as come, and each gives up when it has had enough. */
import { type Latency, Meter } from '@chrysalis/fleet';
import type { DeviceLine, LineFactory } from '../test/support/device-line.ts';
import type { Visit, VisitKind, Visitors } from './visitors.ts';

/** A device that has heard nothing for so long goes away. */
const PATIENCE_MS = 15_000;
/** Visits under way: memory of this process. What is beyond is counted as not sent. */
const MAX_UNDER_WAY = 4000;
/** How often it is looked how many are due. */
const LOOK_MS = 10;

export type Outcome = 'served' | 'refused' | 'broken' | 'gaveUp';
export type Outcomes = Record<Outcome, number>;

export class Generator {
  readonly #visitors: Visitors;
  readonly #lines: LineFactory;
  readonly #served = new Meter();
  readonly #refused = new Meter();
  #underWay = 0;
  #over = 0;
  #notSent = 0;
  #unexpected: string[] = [];
  readonly outcomes: Record<VisitKind, Outcomes> = {
    download: { served: 0, refused: 0, broken: 0, gaveUp: 0 },
    provisioning: { served: 0, refused: 0, broken: 0, gaveUp: 0 },
    anonymous: { served: 0, refused: 0, broken: 0, gaveUp: 0 },
  };

  constructor(visitors: Visitors, lines: LineFactory) {
    this.#visitors = visitors;
    this.#lines = lines;
  }

  get underWay(): number {
    return this.#underWay;
  }

  /** Visits that are over, however they ended. */
  get over(): number {
    return this.#over;
  }

  /** Visits that this process could not begin because too many were under way. */
  get notSent(): number {
    return this.#notSent;
  }

  /** Statuses other than 200 and 500: none is ever right here. */
  get unexpected(): readonly string[] {
    return this.#unexpected;
  }

  /** Of what was served, and of handshakes. */
  get servedMs(): Partial<Record<string, Latency>> {
    return this.#served.latencyMs;
  }

  get refusedMs(): Partial<Record<string, Latency>> {
    return this.#refused.latencyMs;
  }

  /** So many visits at a time, for so long: what the RA can do. @returns visits that were served in a second */
  async closedLoop(lanes: number, seconds: number): Promise<number> {
    const end = performance.now() + seconds * 1000;
    let served = 0;
    const lane = async () => {
      while (performance.now() < end) {
        if ((await this.#visit(this.#visitors.next())) === 'served') served += 1;
      }
    };
    const start = performance.now();
    await Promise.all(Array.from({ length: lanes }, lane));
    return served / ((performance.now() - start) / 1000);
  }

  /** So many visits in a second, for so long; resolves when the last one is over. */
  async openLoop(perSec: number, seconds: number): Promise<number> {
    const start = performance.now();
    let begun = 0;
    const visits = new Set<Promise<unknown>>();
    for (;;) {
      const elapsed = (performance.now() - start) / 1000;
      if (elapsed >= seconds) break;
      for (const due = Math.floor(elapsed * perSec); begun < due; begun += 1) {
        if (this.#underWay >= MAX_UNDER_WAY) {
          this.#notSent += 1;
          continue;
        }
        const visit = this.#visit(this.#visitors.next());
        visits.add(visit);
        void visit.finally(() => visits.delete(visit));
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    await Promise.all(visits);
    return begun;
  }

  /** So many that are connected and ask in the same moment, as devices do whose clocks say that a week begins. */
  async herd(size: number): Promise<void> {
    const gate = Promise.withResolvers<void>();
    const waiting = Array.from({ length: size }, async () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const done = this.#visit(this.#visitors.next(), () => {
        resolve();
        return gate.promise;
      });
      void done.finally(resolve);
      await promise;
      return { done };
    });
    const begun = await Promise.all(waiting);
    gate.resolve();
    await Promise.all(begun.map(({ done }) => done));
  }

  async #visit(visit: Visit, beforeAsking?: () => Promise<void>): Promise<Outcome> {
    this.#underWay += 1;
    const outcome = await this.#run(visit, beforeAsking);
    this.#underWay -= 1;
    this.#over += 1;
    this.outcomes[visit.kind][outcome] += 1;
    return outcome;
  }

  async #run(visit: Visit, beforeAsking = async () => {}): Promise<Outcome> {
    const patience = AbortSignal.timeout(PATIENCE_MS);
    const start = performance.now();
    let line: DeviceLine | undefined;
    try {
      line = await this.#lines.open(patience);
      this.#served.record('connect', performance.now() - start);
      await beforeAsking();
      for (const { service, octets } of visit.steps) {
        const answer = await line.ask(octets());
        visit.answered?.(answer);
        const { status, ms } = answer;
        const meter = status === 200 ? this.#served : this.#refused;
        meter.record(service, ms);
        if (status === 500) return 'refused';
        if (status !== 200) this.#unexpected.push(`${service}: ${status}`);
      }
      return 'served';
    } catch {
      return patience.aborted ? 'gaveUp' : 'broken';
    } finally {
      line?.close();
    }
  }
}
