import type { Transaction } from 'kysely';
import { sql } from 'kysely';
import type { IssuanceEvent } from './audit-event.ts';
import { type FileOwner, fileKey, zipFile } from './batch-file.ts';
import { change } from './bulk.ts';
import { isIn, isWhole, type Share, WHOLE } from './membership.ts';
import type { OperatorsView } from './operators-view.ts';
import type { PipelineOptions } from './options.ts';
import type { RaSchema } from './schema.ts';

/** Files made in a step: their disk writes overlap, and their rows share a commit. */
const IN_STEP = 32;

interface CompleteBatch extends FileOwner {
  readonly deviceId: number;
  readonly i: number;
}

/** Zips complete batches into the object store, and then moves their devices on. */
export class Filing {
  readonly #options: PipelineOptions;
  readonly #view: OperatorsView;

  constructor(options: PipelineOptions, view: OperatorsView) {
    this.#options = options;
    this.#view = view;
  }

  /** False when no batch is complete. @throws StoreError when the object store does not take one */
  async step(share: Share = WHOLE): Promise<boolean> {
    const batches = await this.#complete(share);
    if (batches.length === 0) return false;
    const outcomes = await Promise.allSettled(batches.map((batch) => this.#put(batch)));
    const filed = outcomes.flatMap((outcome) =>
      outcome.status === 'fulfilled' && outcome.value ? [outcome.value] : [],
    );
    if (filed.length > 0) {
      // Before the rows are gone: what is interrupted is written down twice, and never not at all.
      await this.#options.audit?.record(...filed.map(issuanceEvent));
      await this.#record(filed);
    }
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
    return true;
  }

  #complete(share: Share): Promise<CompleteBatch[]> {
    const complete = this.#options.database.query
      .selectFrom('batch')
      .innerJoin('device', 'device.id', 'batch.device_id')
      .select([
        'batch.device_id as deviceId',
        'batch.i',
        'kind',
        'request_hash',
        'files_hash',
        'first_start',
        'lifetime_sec',
        'period_sec',
      ])
      .where(sql<boolean>`missing = 0`)
      .limit(IN_STEP);
    return (isWhole(share) ? complete : complete.where(isIn(share, 'device_id'))).execute();
  }

  /** The batch with the number of its certificates; undefined when another process has filed it meanwhile. */
  async #put(batch: CompleteBatch): Promise<{ batch: CompleteBatch; count: number } | undefined> {
    const { database, objects, iPeriod } = this.#options;
    const rows = await database.query
      .selectFrom('response')
      .select('octets')
      .where('device_id', '=', batch.deviceId)
      .where('i', '=', batch.i)
      .orderBy('j')
      .execute();
    if (rows.length === 0) return undefined;
    const responses = rows.map(({ octets }) => octets);
    await objects.put(fileKey(batch, batch.i, iPeriod), zipFile(batch, batch.i, responses));
    return { batch, count: rows.length };
  }

  /** What lies in the object store needs its rows no more, and the horizons of the devices move on. */
  async #record(filed: readonly { batch: CompleteBatch; count: number }[]): Promise<void> {
    await this.#options.database.transaction(async (query) => {
      let batches = 0;
      let certificates = 0;
      for (const { batch, count } of filed) {
        const { deviceId, i } = batch;
        const gone = 'delete from batch where device_id = ? and i = ?';
        if ((await change(query, gone, [deviceId, i])) === 0) continue;
        await change(query, 'delete from response where device_id = ? and i = ?', [deviceId, i]);
        await moveOn(query, deviceId, i);
        batches += 1;
        certificates += count;
      }
      await this.#view.tally(query, 'batches', batches);
      await this.#view.tally(query, 'certificates', certificates);
    });
  }
}

function issuanceEvent({ batch, count }: { batch: CompleteBatch; count: number }): IssuanceEvent {
  const requestHash = Buffer.from(batch.request_hash).toString('hex');
  return { event: 'issuance', kind: batch.kind, requestHash, i: batch.i, certificates: count };
}

/** Files without a gap count; those beyond the first gap are noted until it closes. */
export async function moveOn(
  query: Transaction<RaSchema>,
  deviceId: number,
  i: number,
): Promise<void> {
  const next = 'update device set filed_through = ? where id = ? and filed_through = ?';
  if ((await change(query, next, [i, deviceId, i - 1])) === 0) {
    await change(query, 'insert into filed (device_id, i) values (?, ?) on conflict do nothing', [
      deviceId,
      i,
    ]);
    return;
  }
  for (let through = i; ; through++) {
    const noted = 'delete from filed where device_id = ? and i = ?';
    if ((await change(query, noted, [deviceId, through + 1])) === 0) return;
    await change(query, next, [through + 1, deviceId, through]);
  }
}
