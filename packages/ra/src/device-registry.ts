import type { Time32 } from '@chrysalis/ieee1609dot2';
import { type Database, GroupCommit } from '@chrysalis/store';
import { StoreError } from '@chrysalis/store/files';
import { type Insertable, type Selectable, sql, type Transaction } from 'kysely';
import { change } from './bulk.ts';
import { tallyAt } from './operators-view.ts';
import type { DeviceTable, RaSchema } from './schema.ts';

export type Device = Selectable<DeviceTable>;
export type NewDevice = Insertable<DeviceTable>;

/** What a request of a device needs of its row: the rest is for the pipeline, and longer. */
const KNOWN = [
  'id',
  'kind',
  'request_hash',
  'files_hash',
  'body_hash',
  'inner_hash',
  'public_key',
  'ack',
  'status',
  'registered_at',
  'available_at',
  'first_start',
  'lifetime_sec',
  'period_sec',
  'first_i',
  'last_i',
  'expanded_through',
  'filed_through',
  'failures',
  'retry_at',
  'last_seen',
  'fetched_through',
] as const satisfies readonly (keyof DeviceTable)[];

export type KnownDevice = Pick<Device, (typeof KNOWN)[number]>;

/** What the RA knows of an enrollment certificate. */
export interface KnownEnrollment {
  readonly isBlacklisted: boolean;
  /** Its rows: none, one for each kind, or one for each application certificate that it holds. */
  readonly devices: readonly KnownDevice[];
}

/** The devices that this RA has acknowledged. */
export class DeviceRegistry {
  readonly #database: Database<RaSchema>;
  readonly #writes: GroupCommit<RaSchema>;
  /** Built once: every request of every device asks it. */
  readonly #byEnrollment: ReturnType<typeof enrollmentLookUp>;

  constructor(database: Database<RaSchema>) {
    this.#database = database;
    this.#byEnrollment = enrollmentLookUp(database);
    this.#writes = new GroupCommit(database);
  }

  /**
   * Whether a certificate is on the blacklist, and its rows, in one look-up of what is committed at this moment.
   *
   * @param enrollmentHash SHA-256 of the enrollment certificate in canonical form, 32 octets.
   */
  async lookUp(enrollmentHash: Uint8Array): Promise<KnownEnrollment> {
    const rows = await this.#byEnrollment([enrollmentHash, enrollmentHash]);
    return {
      isBlacklisted: rows[0]?.blacklisted_at != null,
      // One row without a device when there is none.
      devices: rows.filter((row): row is typeof row & KnownDevice => row.id !== null),
    };
  }

  /** The whole row. */
  find(id: number): Promise<Device | undefined> {
    return this.#database.query
      .selectFrom('device')
      .selectAll()
      .where('id', '=', id)
      .executeTakeFirst();
  }

  /**
   * Gives a registration the name, and the acknowledgement, of another request for the same. Its files stay where they are.
   * False when it is not as it was known.
   */
  async rename(former: Device, { request_hash, body_hash, inner_hash, ack }: NewDevice) {
    return this.#writes.run(async (query) => {
      const renamed = await change(
        query,
        `update device set request_hash = ?, body_hash = ?, inner_hash = ?, ack = ?,
            files_hash = coalesce(files_hash, request_hash)
          where id = ? and request_hash = ? and status <> 'replaced'`,
        [request_hash, body_hash, inner_hash, ack, former.id, former.request_hash],
      );
      return renamed > 0;
    });
  }

  /**
   * Records a device. When it resolves to true, the row is on stable storage. False when this enrollment
   * certificate has a row of this kind, this request or this body has one already, whoever was first: nothing is changed
   * then. So too for an application certificate while another is there whose overlap has not begun at `now`.
   *
   * @param former the row that this one replaces: what was begun for it is forgotten
   */
  async register(device: NewDevice, now: Time32, former?: KnownDevice): Promise<boolean> {
    try {
      return await this.#writes.run(async (query) => {
        const open =
          device.kind === 'application' &&
          (await query
            .selectFrom('device')
            .select('id')
            .where('enrollment_hash', '=', device.enrollment_hash)
            .where('kind', '=', device.kind)
            .where(sql<boolean>`first_start + period_sec > ${now}`)
            .executeTakeFirst());
        if (open || (former && !(await retire(query, former)))) return false;
        const blocked = query
          .selectFrom('blacklist')
          .select(({ fn }) => fn.countAll<number>().as('blocked'))
          .where('enrollment_hash', '=', device.enrollment_hash);
        await query
          .insertInto('device')
          .values({ ...device, last_seen: now, blocked })
          .execute();
        await tallyAt(query, 'registrations', 1, now);
        return true;
      });
    } catch (error) {
      if (error instanceof StoreError && error.code === 'constraint') return false;
      throw error;
    }
  }
}

/** The rows of a certificate, each with the time since which it is on the blacklist; one row even when there are none. */
function enrollmentLookUp(database: Database<RaSchema>) {
  const hash = new Uint8Array();
  return database.lookUp(
    database.query
      .selectFrom(sql`(select 1)`.as('enrollment'))
      .leftJoin('device', (join) => join.on('device.enrollment_hash', '=', hash))
      .select(KNOWN)
      .select(({ selectFrom }) =>
        selectFrom('blacklist')
          .select('added_at')
          .where('blacklist.enrollment_hash', '=', hash)
          .as('blacklisted_at'),
      )
      .compile(),
  );
}

/** What is on its way for a row that is replaced is forgotten; false when it is not as it was known. */
async function retire(query: Transaction<RaSchema>, former: KnownDevice): Promise<boolean> {
  const retired = await change(
    query,
    `update device set status = 'replaced', linked_through = expanded_through
      where id = ? and status <> 'replaced' and fetched_through = ?`,
    [former.id, former.fetched_through],
  );
  if (retired === 0) return false;
  for (const table of ['linkage', 'pca_request', 'batch', 'response', 'filed', 'given_up']) {
    await change(query, `delete from ${table} where device_id = ?`, [former.id]);
  }
  return true;
}
