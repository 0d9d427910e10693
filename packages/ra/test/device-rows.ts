import { systemRandom } from '@chrysalis/crypto';
import type { RaSchema } from '@chrysalis/ra';
import type { Database } from '@chrysalis/store';
import type { NewDevice } from '../src/device-registry.ts';

/** A row as registration makes it, with octets of no meaning where nothing reads them; its id. */
export async function insertDevice(
  database: Database<RaSchema>,
  changes: Partial<NewDevice> = {},
): Promise<number> {
  const octets = (length: number) => systemRandom(length);
  const { id } = await database.query
    .insertInto('device')
    .values({
      kind: 'pseudonym',
      request_hash: octets(8),
      body_hash: octets(32),
      inner_hash: octets(32),
      enrollment_hash: octets(32),
      enrollment_certificate: octets(100),
      public_key: octets(65),
      permissions: octets(8),
      region: null,
      verify_seed: octets(65),
      verify_expansion: octets(16),
      encryption_seed: octets(65),
      encryption_expansion: octets(16),
      cert_encryption_seed: null,
      cert_encryption_expansion: null,
      registered_at: 0,
      ack: octets(10),
      available_at: 0,
      status: 'active',
      first_start: 0,
      lifetime_sec: 0,
      period_sec: 0,
      first_i: 0,
      last_i: 1000,
      linked_through: -1,
      expanded_through: -1,
      filed_through: -1,
      la1_chain: null,
      la2_chain: null,
      ...changes,
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  return id;
}
