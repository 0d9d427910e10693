import { type Database, GroupCommit, StoreError } from '@chrysalis/store';
import type { Insertable, Selectable } from 'kysely';
import type { DeviceTable, RaSchema } from './schema.ts';

export type Device = Selectable<DeviceTable>;
export type NewDevice = Insertable<DeviceTable>;

/** The devices that this RA has acknowledged. */
export class DeviceRegistry {
  readonly #database: Database<RaSchema>;
  readonly #writes: GroupCommit<RaSchema>;

  constructor(database: Database<RaSchema>) {
    this.#database = database;
    this.#writes = new GroupCommit(database);
  }

  /** @param enrollmentHash SHA-256 of the enrollment certificate in canonical form, 32 octets. */
  findByEnrollment(enrollmentHash: Uint8Array): Promise<Device | undefined> {
    return this.#database.query
      .selectFrom('device')
      .selectAll()
      .where('enrollment_hash', '=', enrollmentHash)
      .executeTakeFirst();
  }

  /**
   * Records a device. When it resolves to true, the row is on stable storage. False when this enrollment
   * certificate, this request or this body has a row already, whoever was first: nothing is changed then.
   */
  async register(device: NewDevice): Promise<boolean> {
    try {
      await this.#writes.run((query) => query.insertInto('device').values(device).execute());
      return true;
    } catch (error) {
      if (error instanceof StoreError && error.code === 'constraint') return false;
      throw error;
    }
  }
}
