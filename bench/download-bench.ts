/** Rounds of one kind of download: the RA, the references and the native cryptography in turn, so that a disturbance hits all alike. */
import { type ConnectionUse, drive, type LoadCost, type Server } from './download-load.ts';
import { DOWNLOAD_NATIVE, downloadNativeUs } from './download-native.ts';
import { type Measurement, measurementOf, percentile } from './measurement.ts';
import { median } from './native.ts';
import { rssMbOf } from './process-cost.ts';
import type { ReferenceName } from './reference-servers.ts';

/** The median counts. One more before warms up. */
export const ROUNDS = 5;

/** What else answers the same number of octets. */
export interface Reference extends Server {
  readonly name: ReferenceName;
}

export interface DownloadVariant {
  readonly variant: string;
  readonly use: ConnectionUse;
  readonly together: number;
  /** Fresh requests for one round. */
  readonly requests: () => readonly string[];
  readonly status: number;
  readonly bodyOctets: number;
  /** By which of the references the ratio goes; undefined for what they do not do. */
  readonly by: Reference['name'] | undefined;
}

interface Round {
  readonly ra: LoadCost;
  readonly references: ReadonlyMap<string, number>;
  readonly nativeUs: number;
}

export async function measureDownload(
  name: string,
  ra: Server,
  references: readonly Reference[],
  variant: DownloadVariant,
): Promise<Measurement> {
  await round(ra, references, variant);
  const rounds: Round[] = [];
  for (let n = 0; n < ROUNDS; n += 1) rounds.push(await round(ra, references, variant));
  const latencies = rounds.flatMap(({ ra: { latenciesMs } }) => latenciesMs);
  const nativeUs = Math.min(...rounds.map((one) => one.nativeUs));
  const ratioBy = (reference: ReferenceName) =>
    median(
      rounds.map(({ references, ra }) => {
        const beside = reference === 'node:https + node:crypto' ? 0 : nativeUs;
        return ((references.get(reference) ?? 0) + beside) / ra.cpuUs;
      }),
    );
  const by = references.some((one) => one.name === variant.by) ? variant.by : references[0]?.name;
  return measurementOf({
    name,
    variant: variant.variant,
    opsPerSec: 1e6 / median(rounds.map((one) => one.ra.wallUs)),
    cpuUsPerOp: median(rounds.map((one) => one.ra.cpuUs)),
    ...(variant.by !== undefined && by !== undefined && { ratioToNative: ratioBy(by) }),
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
    rssMb: rssMbOf(ra.pid),
    note: noteOf(rounds, references, nativeUs, ratioBy),
  });
}

async function round(
  ra: Server,
  references: readonly Reference[],
  { use, together, requests, status, bodyOctets }: DownloadVariant,
): Promise<Round> {
  const costs = new Map<string, number>();
  const nativeUs = downloadNativeUs();
  const load = { use, together, requests: requests(), status, bodyOctets };
  const cost = await drive(ra, load);
  for (const reference of references) {
    const { cpuUs } = await drive(reference, { ...load, status: 200 });
    costs.set(reference.name, cpuUs);
  }
  return { ra: cost, references: costs, nativeUs };
}

function noteOf(
  rounds: readonly Round[],
  references: readonly Reference[],
  nativeUs: number,
  ratioBy: (reference: ReferenceName) => number,
): string {
  const parts = references.map(({ name }) => {
    const us = median(rounds.map((one) => one.references.get(name) ?? 0));
    return `${name} ${us.toFixed(0)} us (ratio ${ratioBy(name).toFixed(2)})`;
  });
  return [...parts, `${DOWNLOAD_NATIVE} at least ${nativeUs.toFixed(0)} us`].join(', ');
}
