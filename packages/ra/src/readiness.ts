import { X509Certificate } from 'node:crypto';
import { endOfValidity } from '@chrysalis/ieee1609dot2';
import { timeOf } from '@chrysalis/scms';
import { DatabaseProbe, messageOf } from './database-probe.ts';
import type { RaOptions } from './options.ts';
import type { PipelineHost } from './pipeline.ts';

/** What an RA needs to serve devices, and a worker to make certificates. Stable: monitoring goes by them. */
export type ReadinessCheck =
  | 'database'
  | 'pipeline'
  | 'share'
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

/** Looks whether an RA can serve devices. */
export class Readiness {
  readonly #sources: ReadinessSources;
  readonly #probe: DatabaseProbe;

  constructor(sources: ReadinessSources) {
    this.#sources = sources;
    this.#probe = new DatabaseProbe(sources);
  }

  /** What is missing; empty when nothing is. */
  async missing(): Promise<readonly NotReady[]> {
    const { pipeline, isStopping } = this.#sources;
    return missingOf({
      database: await this.#probe.reason(),
      pipeline: whyPipelineIsMissing(pipeline),
      'tls-certificate': this.#tlsCertificate(),
      'ra-certificate': whyRaCertificateIsMissing(this.#sources),
      'linkage-cache': await this.#linkageCache(),
      stopping: isStopping() ? 'the RA stops' : undefined,
    });
  }

  #tlsCertificate(): string | undefined {
    const { tlsCertificatePem, machineNowMs = Date.now } = this.#sources;
    const { validFromDate, validToDate } = new X509Certificate(tlsCertificatePem());
    const now = machineNowMs();
    if (now >= validFromDate.getTime() && now <= validToDate.getTime()) return undefined;
    const [from, to] = [validFromDate.toISOString(), validToDate.toISOString()];
    return `expected a TLS certificate that is valid now, saw one from ${from} to ${to}`;
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

/** In the order in which they were looked at. */
export function missingOf(
  reasons: Readonly<Partial<Record<ReadinessCheck, string | undefined>>>,
): readonly NotReady[] {
  return Object.entries(reasons)
    .filter((entry): entry is [ReadinessCheck, string] => entry[1] !== undefined)
    .map(([check, reason]) => ({ check, reason }));
}

export function whyPipelineIsMissing({
  state = 'running',
}: Pick<PipelineHost, 'state'>): string | undefined {
  return state === 'running' ? undefined : `expected a pipeline that runs, saw it ${state}`;
}

export function whyRaCertificateIsMissing({
  identity,
  clock,
}: Pick<RaOptions, 'identity' | 'clock'>): string | undefined {
  const { validityPeriod } = identity.certificate.certificate.toBeSigned;
  const [now, start, end] = [timeOf(clock), validityPeriod.start, endOfValidity(validityPeriod)];
  if (now >= start && now < end) return undefined;
  return `expected a certificate of the RA that is valid at ${now}, saw one from ${start} to ${end}`;
}
