import type { Time32 } from '@chrysalis/ieee1609dot2';
import { type Database, GroupCommit, StoreError } from '@chrysalis/store';
import type { CompiledQuery, Insertable, Selectable } from 'kysely';
import type { DeviceTable, RaSchema } from './schema.ts';

export type Device = Selectable<DeviceTable>;
export type NewDevice = Insertable<DeviceTable>;

/** What a request of a device needs of its row: the rest is for the pipeline, and longer. */
const KNOWN = [
  'kind',
  'request_hash',
  'body_hash',
  'inner_hash',
  'public_key',
  'ack',
  'status',
  'registered_at',
  'available_at',
  'first_start',
  'first_i',
  'last_i',
  'filed_through',
] as const satisfies readonly (keyof DeviceTable)[];

export type KnownDevice = Pick<Device, (typeof KNOWN)[number]>;

/** The devices that this RA has acknowledged. */
export class DeviceRegistry {
  readonly #database: Database<RaSchema>;
  readonly #writes: GroupCommit<RaSchema>;
  /** Built once: every request of every device asks it. */
  readonly #byEnrollment: CompiledQuery<KnownDevice>;

  constructor(database: Database<RaSchema>) {
    this.#database = database;
    this.#byEnrollment = database.query
      .selectFrom('device')
      .select(KNOWN)
      .where('enrollment_hash', '=', new Uint8Array())
      .compile();
    this.#writes = new GroupCommit(database);
  }

  /**
   * The rows of a device: none, one for each kind, or one for each application certificate that it holds.
   *
   * @param enrollmentHash SHA-256 of the enrollment certificate in canonical form, 32 octets.
   */
  async findByEnrollment(enrollmentHash: Uint8Array): Promise<readonly KnownDevice[]> {
    const query: CompiledQuery<KnownDevice> = {
      ...this.#byEnrollment,
      parameters: [enrollmentHash],
    };
    const { rows } = await this.#database.query.executeQuery(query);
    return rows;
  }

  /**
   * Records a device. When it resolves to true, the row is on stable storage. False when this enrollment
   * certificate has a row of this kind, this request or this body has one already, whoever was first: nothing is changed
   * then. So too for an application certificate while one that began after `openSince` is there.
   */
  async register(device: NewDevice, openSince?: Time32): Promise<boolean> {
    try {
      return await this.#writes.run(async (query) => {
        const open =
          openSince !== undefined &&
          (await query
            .selectFrom('device')
            .select('id')
            .where('enrollment_hash', '=', device.enrollment_hash)
            .where('kind', '=', device.kind)
            .where('first_start', '>', openSince)
            .executeTakeFirst());
        if (open) return false;
        await query.insertInto('device').values(device).execute();
        return true;
      });
    } catch (error) {
      if (error instanceof StoreError && error.code === 'constraint') return false;
      throw error;
    }
  }
}
