import type { Time32 } from '@chrysalis/ieee1609dot2';
import type { CertificateKind } from './download-url.ts';
import type { EndEntity, FileOutcomes } from './end-entity.ts';
import type { Info } from './info.ts';
import type { OpenedBatch } from './open-batch.ts';
import type { SentReports } from './report-outbox.ts';

export interface TopUpOptions {
  /** Those of the device's settings when missing. */
  readonly kinds?: readonly CertificateKind[];
  /** At most so many batches of pseudonym certificates, from the current period on. */
  readonly weeks?: number;
  /** Whether to wait for what the RA has promised for later. */
  readonly wait?: boolean;
}

export interface TopUpResult {
  readonly files: FileOutcomes;
  /** What came of the misbehavior reports that waited. */
  readonly reports: SentReports;
  readonly supplies: readonly Supply[];
  /** When the next contact is due; undefined when the RA makes nothing more for this device. */
  readonly due: Time32 | undefined;
}

export interface Supply {
  readonly kind: CertificateKind;
  /** Fetched and opened now. */
  readonly batches: readonly OpenedBatch[];
  /** When the files that were asked for are expected: they are not there yet. */
  readonly ready?: Time32;
  /** What the RA says of the next file; application certificates have no such thing. */
  readonly info?: Info;
  /** When to come back for this kind; undefined for never. */
  readonly due: Time32 | undefined;
}

/** See `EndEntity.topUp`. */
export async function topUp(
  ee: EndEntity,
  now: () => Time32,
  { kinds = ee.kinds, weeks, wait = false }: TopUpOptions,
): Promise<TopUpResult> {
  const files = await ee.fetchFiles();
  const reports = await ee.sendReports();
  const supplies: Supply[] = [];
  for (const kind of kinds) supplies.push(await topUpKind(kind));
  const due = supplies.flatMap((supply) => supply.due ?? []);
  return { files, reports, supplies, due: due.length === 0 ? undefined : Math.min(...due) };

  async function topUpKind(kind: CertificateKind): Promise<Supply> {
    const { certDLTime } = await ee.request(kind);
    if (wait) await ee.waitUntilReady(kind);
    if (now() < certDLTime) return { kind, batches: [], ready: certDLTime, due: certDLTime };
    const count = kind === 'pseudonym' && weeks !== undefined ? { count: weeks } : {};
    const { batches } = await ee.download(kind, count);
    if (kind === 'application') return { kind, batches, due: await ee.renewalTime() };
    const info = await ee.info(kind);
    return { kind, batches, info, due: info.type === 'next' ? info.time : undefined };
  }
}
