import { X509Certificate } from 'node:crypto';
import { endOfValidity } from '@chrysalis/ieee1609dot2';
import { timeOf } from '@chrysalis/scms';
import type { RaOptions } from './options.ts';
import type { PipelineHost } from './pipeline.ts';
import { writeSetting } from './setting.ts';

/** What an RA needs to serve devices. Stable: monitoring goes by them. */
export type ReadinessCheck =
  | 'database'
  | 'pipeline'
  | 'tls-certificate'
  | 'ra-certificate'
  | 'linkage-cache'
  | 'processes'
  | 'stopping';

/** Why an RA is not ready. */
export interface NotReady {
  readonly check: ReadinessCheck;
  /** One line for people: it may change. */
  readonly reason: string;
}

export interface ReadinessSources extends Pick<RaOptions, 'database' | 'identity' | 'clock'> {
  readonly pipeline: PipelineHost;
  /** PEM of what devices are shown now. */
  readonly tlsCertificatePem: () => string;
  readonly isStopping: () => boolean;
  /** TLS goes by the clock of the machine; Unix time in milliseconds. */
  readonly machineNowMs?: () => number;
}

/** A write that takes longer than this fails devices too. */
const WRITE_TIMEOUT_MS = 2000;
/** Each probe of the database is a durable write: asking more often gets the last answer. */
const PROBE_MAX_AGE_MS = 5000;

/** Looks whether an RA can serve devices. */
export class Readiness {
  readonly #sources: ReadinessSources;
  #probe: { readonly atMs: number; readonly reason: Promise<string | undefined> } | undefined;

  constructor(sources: ReadinessSources) {
    this.#sources = sources;
  }

  /** What is missing; empty when nothing is. */
  async missing(): Promise<readonly NotReady[]> {
    const { pipeline, isStopping } = this.#sources;
    const { state = 'running' } = pipeline;
    const reasons: Record<Exclude<ReadinessCheck, 'processes'>, string | undefined> = {
      database: await this.#database(),
      pipeline: state === 'running' ? undefined : `expected a pipeline that runs, saw it ${state}`,
      'tls-certificate': this.#tlsCertificate(),
      'ra-certificate': this.#raCertificate(),
      'linkage-cache': await this.#linkageCache(),
      stopping: isStopping() ? 'the RA stops' : undefined,
    };
    return Object.entries(reasons)
      .filter((entry): entry is [keyof typeof reasons, string] => entry[1] !== undefined)
      .map(([check, reason]) => ({ check, reason }));
  }

  #database(): Promise<string | undefined> {
    const now = performance.now();
    if (this.#probe === undefined || now - this.#probe.atMs >= PROBE_MAX_AGE_MS) {
      this.#probe = { atMs: now, reason: this.#write() };
    }
    return this.#probe.reason;
  }

  /** A durable write, as each acknowledgement needs one. */
  async #write(): Promise<string | undefined> {
    const { database, clock } = this.#sources;
    const late = Promise.withResolvers<string>();
    const timer = setTimeout(
      () => late.resolve(`expected a write within ${WRITE_TIMEOUT_MS} ms, saw none`),
      WRITE_TIMEOUT_MS,
    );
    const written = writeSetting(database.query, 'readiness_probed_at', timeOf(clock)).then(
      () => undefined,
      (error: unknown) => messageOf(error),
    );
    const reason = await Promise.race([written, late.promise]);
    clearTimeout(timer);
    return reason;
  }

  #tlsCertificate(): string | undefined {
    const { tlsCertificatePem, machineNowMs = Date.now } = this.#sources;
    const { validFromDate, validToDate } = new X509Certificate(tlsCertificatePem());
    const now = machineNowMs();
    if (now >= validFromDate.getTime() && now <= validToDate.getTime()) return undefined;
    const [from, to] = [validFromDate.toISOString(), validToDate.toISOString()];
    return `expected a TLS certificate that is valid now, saw one from ${from} to ${to}`;
  }

  #raCertificate(): string | undefined {
    const { identity, clock } = this.#sources;
    const { validityPeriod } = identity.certificate.certificate.toBeSigned;
    const [now, start, end] = [timeOf(clock), validityPeriod.start, endOfValidity(validityPeriod)];
    if (now >= start && now < end) return undefined;
    return `expected a certificate of the RA that is valid at ${now}, saw one from ${start} to ${end}`;
  }

  async #linkageCache(): Promise<string | undefined> {
    try {
      const row = await this.#sources.database.query
        .selectFrom('linkage_cache')
        .select('id')
        .limit(1)
        .executeTakeFirst();
      return row === undefined ? 'expected chains in the PLV cache, saw none' : undefined;
    } catch (error) {
      return messageOf(error);
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
