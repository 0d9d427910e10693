import { RA_EE_ERRORS } from '@chrysalis/scms';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Guards } from './guards.ts';
import type { Figures } from './process-figures.ts';
import { Refusal } from './refusal.ts';
import type { RaStatus } from './status.ts';
import { StatusFigures } from './status-figures.ts';

/** Up to what a device gives up. Files take a millisecond, acknowledgements wait for the disk. */
const DURATION_BUCKETS = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

const OUTCOMES: Readonly<Record<number, string>> = {
  200: 'served',
  206: 'part',
  304: 'held',
  416: 'no-such-range',
};

export interface MetricsSources extends Pick<Guards, 'tick' | 'connections' | 'load'> {
  /** Read at most every 15 seconds; times in it are Time32. Missing where another process tells it. */
  readonly status?: () => Promise<RaStatus>;
  /** Milliseconds of a clock that nobody sets. */
  readonly nowMs: () => number;
}

/**
 * What the RA counts for its operators, as Prometheus has it (docs/reference/metrics.md). Labels are names of ours and of
 * authorities, all of them few: nothing here names a device, and no count is of one device.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #requests: Counter<'route' | 'outcome'>;
  readonly #durations: Histogram<'route'>;
  readonly #refusals: Counter<'code'>;
  readonly #status: StatusFigures | undefined;

  constructor(sources: MetricsSources) {
    const registers = [this.#registry];
    this.#requests = new Counter({
      name: 'chrysalis_requests_total',
      help: 'Requests by service and by what became of them',
      labelNames: ['route', 'outcome'],
      registers,
    });
    this.#durations = new Histogram({
      name: 'chrysalis_request_duration_seconds',
      help: 'From the head of a request until its answer was ready, without the wait for the tick of refusals',
      labelNames: ['route'],
      buckets: DURATION_BUCKETS,
      registers,
    });
    this.#refusals = new Counter({
      name: 'chrysalis_refusals_total',
      help: 'Refusals by code, docs/reference/errors.md',
      labelNames: ['code'],
      registers,
    });
    const { status, nowMs } = sources;
    this.#status = status && new StatusFigures(this.#registry, status, nowMs);
    addGauges(this.#registry, sources);
    collectDefaultMetrics({ register: this.#registry });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** @param route of Fastify; undefined when no service of ours was asked for */
  served(route: string | undefined, status: number, seconds: number): void {
    this.#count(route, OUTCOMES[status] ?? 'failed', seconds);
  }

  refused(route: string | undefined, error: unknown, seconds: number): void {
    const isOurs = !(error instanceof Refusal);
    const reason = isOurs ? 'chrysalisInternalError' : error.reason;
    this.#refusals.inc({ code: String(RA_EE_ERRORS[reason]) });
    const outcome = reason === 'chrysalisOverloaded' ? 'shed' : 'refused';
    this.#count(route, isOurs ? 'failed' : outcome, seconds);
  }

  /** The text format 0.0.4. */
  async text(): Promise<string> {
    await this.#status?.refresh();
    return this.#registry.metrics();
  }

  /** For {@link textOfAll}. */
  async figures(): Promise<Figures> {
    await this.#status?.refresh();
    return this.#registry.getMetricsAsJSON();
  }

  #count(route = 'none', outcome: string, seconds: number): void {
    this.#requests.inc({ route, outcome });
    this.#durations.observe({ route }, seconds);
  }
}

function addGauges(registry: Registry, { tick, connections, load }: MetricsSources): void {
  const registers = [registry];
  const gauge = (name: string, help: string, read: () => number, ofAll: 'sum' | 'max' = 'sum') =>
    new Gauge({
      name,
      help,
      registers,
      aggregator: ofAll,
      collect() {
        this.set(read());
      },
    });
  gauge('chrysalis_connections', 'TCP connections of devices', () => connections.open);
  gauge('chrysalis_handshakes', 'TLS handshakes that are not over', () => connections.handshakes);
  gauge('chrysalis_held_refusals', 'Refusals that wait for their tick', () => tick.held);
  gauge(
    'chrysalis_event_loop_lag_seconds',
    'Mean delay of the event loop in the last half second: what shedding goes by',
    () => load.lagMs / 1000,
    'max',
  );
  counter(registry, {
    name: 'chrysalis_dropped_refusals_total',
    help: 'Refusals whose peers were cut off without an answer, for too many others waited',
    read: () => [[{}, tick.dropped]],
  });
  counter(registry, {
    name: 'chrysalis_sheds_total',
    help: 'Requests that were refused because there was too much to do, by class',
    label: 'class',
    read: () => Object.entries(load.shed).map(([name, count]) => [{ class: name }, count]),
  });
  counter(registry, {
    name: 'chrysalis_anonymous_over_budget_total',
    help: 'Anonymous requests that were refused because there were too many in a second: of the class of that name above',
    read: () => [[{}, load.overBudget]],
  });
  counter(registry, {
    name: 'chrysalis_connections_closed_total',
    help: 'Connections that were closed because there were too many, by limit',
    label: 'limit',
    read: () => Object.entries(connections.closed).map(([name, count]) => [{ limit: name }, count]),
  });
  new Gauge({
    name: 'chrysalis_requests_under_way',
    help: 'Requests whose answers are being made, by class',
    labelNames: ['class'],
    registers,
    collect() {
      for (const [name, count] of Object.entries(load.underWay)) this.set({ class: name }, count);
    },
  });
}

/** A counter that counts elsewhere. */
function counter(
  registry: Registry,
  source: {
    readonly name: string;
    readonly help: string;
    readonly label?: string;
    readonly read: () => [Record<string, string>, number][];
  },
): void {
  const { name, help, label, read } = source;
  new Counter({
    name,
    help,
    labelNames: label === undefined ? [] : [label],
    registers: [registry],
    collect() {
      this.reset();
      for (const [labels, count] of read()) this.inc(labels, count);
    },
  });
}
