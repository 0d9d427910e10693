import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { EeError, PATHS, type RaResponse, type RaTransport } from '@chrysalis/ee';

/** Services of the RA, and the TCP and TLS handshakes before them. */
export type Endpoint = 'connect' | 'provision' | 'batch' | 'info' | 'other';

/** Milliseconds; percentiles with three figures. */
export interface Latency {
  readonly count: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

const ENDPOINTS: readonly Endpoint[] = ['connect', 'provision', 'batch', 'info', 'other'];
/** Samples are microseconds; an hour is longer than any exchange. */
const LONGEST_US = 3_600_000_000;

/** Latencies and errors by service, in constant memory. */
export class Meter {
  readonly #latencies = new Map<Endpoint, RecordableHistogram>();
  readonly #errors = new Map<Endpoint, Map<string, number>>();

  record(endpoint: Endpoint, ms: number): void {
    let histogram = this.#latencies.get(endpoint);
    if (histogram === undefined) {
      histogram = createHistogram({ lowest: 1, highest: LONGEST_US, figures: 3 });
      this.#latencies.set(endpoint, histogram);
    }
    histogram.record(Math.min(LONGEST_US, Math.max(1, Math.round(ms * 1000))));
  }

  /** @param kind the code of an EeError, or `http-500` */
  fail(endpoint: Endpoint, kind: string): void {
    const kinds = this.#errors.get(endpoint) ?? new Map<string, number>();
    this.#errors.set(endpoint, kinds.set(kind, (kinds.get(kind) ?? 0) + 1));
  }

  get latencyMs(): Partial<Record<Endpoint, Latency>> {
    return Object.fromEntries(
      ENDPOINTS.flatMap((endpoint) => {
        const histogram = this.#latencies.get(endpoint);
        return histogram === undefined ? [] : [[endpoint, latencyOf(histogram, 1000)]];
      }),
    );
  }

  get errors(): Partial<Record<Endpoint, Readonly<Record<string, number>>>> {
    return Object.fromEntries(
      [...this.#errors].map(([endpoint, kinds]) => [endpoint, Object.fromEntries(kinds)]),
    );
  }
}

/**
 * @param perMs units of the samples in a millisecond
 * @param offsetMs what is in each sample and belongs to none
 */
export function latencyOf(
  histogram: Pick<RecordableHistogram, 'count' | 'max' | 'percentile'>,
  perMs: number,
  offsetMs = 0,
): Latency {
  const ms = (units: number) => Math.max(0, Math.round((units / perMs - offsetMs) * 1000) / 1000);
  return {
    count: histogram.count,
    p50: ms(histogram.percentile(50)),
    p95: ms(histogram.percentile(95)),
    p99: ms(histogram.percentile(99)),
    max: histogram.count === 0 ? 0 : ms(histogram.max),
  };
}

/**
 * A transport that measures another: from the moment when a request is made on a connection that is there to the
 * last octet of the answer. The other one tells of its handshakes itself (`onConnect`).
 */
export function meteredTransport(inner: RaTransport, meter: Meter): RaTransport {
  return {
    async exchange(request, signal) {
      const endpoint = endpointOf(request.url.pathname);
      let start = performance.now();
      const message = async () => {
        const made = await request.message();
        start = performance.now();
        return made;
      };
      try {
        const response = await inner.exchange({ ...request, message }, signal);
        if (response.status >= 400) meter.fail(endpoint, `http-${response.status}`);
        else if (response.status >= 300) meter.fail('other', `http-${response.status}`);
        return { ...response, body: measured(response, endpoint, () => start, meter) };
      } catch (error) {
        if (error instanceof EeError && error.code !== 'aborted') meter.fail(endpoint, error.code);
        throw error;
      }
    },
    close: () => inner.close(),
  };
}

async function* measured(
  response: RaResponse,
  endpoint: Endpoint,
  start: () => number,
  meter: Meter,
): AsyncGenerator<Uint8Array> {
  try {
    yield* response.body;
    meter.record(endpoint, performance.now() - start());
  } catch (error) {
    if (error instanceof EeError && error.code !== 'aborted') meter.fail(endpoint, error.code);
    throw error;
  }
}

function endpointOf(path: string): Endpoint {
  if (path === PATHS.info) return 'info';
  if (path === PATHS.download.pseudonym) return 'batch';
  return path === PATHS.provision.pseudonym ? 'provision' : 'other';
}
