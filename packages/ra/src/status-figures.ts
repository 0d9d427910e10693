import { timeOf } from '@chrysalis/scms';
import { Gauge, type Registry } from 'prom-client';
import type { RaOptions } from './options.ts';
import { type RaStatus, raStatus, type StatusSurroundings } from './status.ts';
import { endOfPolicy } from './what-ends.ts';

/** Reading the status costs one statement; nobody needs it fresher. */
const STATUS_MAX_AGE_MS = 15_000;

/** Reads the status of the database that it is given. */
export function statusReader(
  options: StatusSurroundings & Pick<RaOptions, 'database' | 'objects' | 'clock' | 'trust'>,
): () => Promise<RaStatus> {
  return async () => {
    const { database, objects, clock } = options;
    const policyEnding = await endOfPolicy(database, objects, options);
    return raStatus(database, { ...options, policyEnding }, timeOf(clock));
  };
}

/** The figures that come from the database: they are of all who work on it, whoever tells them. */
export class StatusFigures {
  readonly #read: () => Promise<RaStatus>;
  readonly #nowMs: () => number;
  readonly #set: (status: RaStatus) => void;
  readonly #up: Gauge;
  #atMs = Number.NEGATIVE_INFINITY;

  /** @param nowMs milliseconds of a clock that nobody sets */
  constructor(registry: Registry, read: () => Promise<RaStatus>, nowMs: () => number) {
    this.#read = read;
    this.#nowMs = nowMs;
    this.#set = statusGauges(registry);
    this.#up = new Gauge({
      name: 'chrysalis_status_up',
      help: '1 when the figures that come from the database are not older than 15 seconds',
      registers: [registry],
    });
  }

  /** Never rejects. */
  async refresh(): Promise<void> {
    const now = this.#nowMs();
    if (now - this.#atMs < STATUS_MAX_AGE_MS) return;
    try {
      this.#set(await this.#read());
      this.#atMs = now;
      this.#up.set(1);
    } catch {
      // Whoever asks for figures is told so; /readyz says what is wrong with the database.
      this.#up.set(0);
    }
  }
}

/** @returns what sets all gauges that come from the database */
function statusGauges(registry: Registry): (status: RaStatus) => void {
  const gauge = (name: string, help: string, ...labelNames: string[]) =>
    new Gauge({ name, help, labelNames, registers: [registry] });
  const devices = gauge(
    'chrysalis_devices',
    'Registrations, by kind of certificate and standing',
    'kind',
    'status',
  );
  const blacklisted = gauge('chrysalis_blacklisted', 'Enrollment certificates on the blacklist');
  const filed = gauge('chrysalis_certificates_filed', 'Certificates that were filed', 'window');
  const lagging = gauge(
    'chrysalis_devices_lagging',
    'Devices that lack pseudonym certificates which the policy wants',
  );
  const chains = gauge('chrysalis_linkage_cache_chains', 'Chains in the PLV cache');
  const shuffle = gauge('chrysalis_shuffle_size', 'Requests that wait in the shuffle');
  const atPca = gauge('chrysalis_pca_requests', 'Requests for the PCA, by standing', 'state');
  const backlog = gauge(
    'chrysalis_backlog_certificates',
    'Pseudonym certificates that are to be there now and are not',
  );
  const workers = gauge(
    'chrysalis_workers',
    'Who makes certificates now: workers, and nodes that do it too',
  );
  const incidents = gauge('chrysalis_incidents_open', 'What goes wrong now, by source', 'source');
  const ends = gauge(
    'chrysalis_end_seconds',
    'Seconds until a certificate or the policy ends; negative after that',
    'role',
    'name',
  );
  return (status) => {
    for (const one of [devices, incidents, ends]) one.reset();
    for (const { kind, status: standing, blocked, count } of status.devices) {
      devices.inc({ kind, status: blocked ? 'blocked' : standing }, count);
    }
    blacklisted.set(status.blacklisted);
    const { thisHour, lastHour, last24Hours } = status.rates.certificates;
    filed.set({ window: 'this-hour' }, thisHour);
    filed.set({ window: 'last-hour' }, lastHour);
    filed.set({ window: 'last-24-hours' }, last24Hours);
    lagging.set(status.horizon.lagging);
    chains.set(status.linkageCache.chains);
    backlog.set(status.backlog.certificates);
    // With a database in a file there is one, and it takes part in nothing.
    workers.set(status.workers ?? 1);
    shuffle.set(status.shuffle.size);
    atPca.set({ state: 'waiting' }, status.pca.waiting);
    atPca.set({ state: 'repeated' }, status.pca.repeated);
    for (const { source, count } of status.incidents) {
      incidents.set({ source }, count > 0 ? 1 : 0);
    }
    // The last of a role and name is set last: the first to end counts.
    for (const { role, name, endsAt } of status.endings.toReversed()) {
      ends.set({ role, name }, endsAt - status.at);
    }
  };
}
