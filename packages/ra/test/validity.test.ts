import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { openDatabase } from '@chrysalis/store';
import type { Insertable } from 'kysely';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import type { DeviceTable, RaSchema } from '../src/schema.ts';
import { RA_MIGRATIONS } from '../src/schema-migrations.ts';
import { endOf, lifetimeOf, startOf, termsOf } from '../src/validity.ts';

const HOUR = 3600;

describe('the terms of a certificate', () => {
  it('are validity and overlap of the policy for application certificates, and no policy for others', () => {
    const policy = { applicationPeriodSec: 48 * HOUR, applicationOverlapSec: 24 * HOUR };
    const terms = termsOf('application', policy);
    assert.deepEqual(terms, { lifetime_sec: 72 * HOUR, period_sec: 48 * HOUR });
    const certificates = { first_start: 1000, ...terms };
    assert.deepEqual([startOf(certificates, 1), endOf(certificates, 0)], [173_800, 260_200]);
    assert.deepEqual(lifetimeOf(terms), { type: 'hours', value: 72 });
    assert.deepEqual(lifetimeOf({ lifetime_sec: 90 }), { type: 'seconds', value: 90 });
    assert.throws(() => lifetimeOf({ lifetime_sec: 70_001 }), RangeError);
    assert.deepEqual(lifetimeOf(termsOf('identification', policy)), { type: 'hours', value: 721 });
  });

  it('are, of devices from before they were kept, the constants of then', async () => {
    const directory = temporaryDirectory();
    const url = `sqlite:${join(directory, 'ra.db')}`;
    const place = RA_MIGRATIONS.findIndex(({ name }) => name.endsWith('-terms'));
    assert(place > 0);
    const before = await openDatabase<RaSchema>(url, RA_MIGRATIONS.slice(0, place));
    for (const [n, kind] of (['pseudonym', 'identification', 'application'] as const).entries()) {
      const { lifetime_sec: _, period_sec: __, ...old } = row(n, kind);
      await before.query
        .insertInto('device')
        .values(old as Insertable<DeviceTable>)
        .execute();
    }
    await before.close();
    const after = await openDatabase<RaSchema>(url, RA_MIGRATIONS);
    const rows = await after.query
      .selectFrom('device')
      .select(['kind', 'lifetime_sec', 'period_sec'])
      .orderBy('id')
      .execute();
    await after.close();
    assert.deepEqual(
      rows.map(({ kind, lifetime_sec, period_sec }) => [kind, lifetime_sec, period_sec]),
      [
        ['pseudonym', 0, 0],
        ['identification', 721 * HOUR, 720 * HOUR],
        ['application', 169 * HOUR, 168 * HOUR],
      ],
    );
  });
});

function row(n: number, kind: DeviceTable['kind']): Insertable<DeviceTable> {
  const octets = (length: number) => new Uint8Array(length).fill(n + 1);
  return {
    kind,
    request_hash: octets(8),
    body_hash: octets(32),
    inner_hash: octets(32),
    enrollment_hash: octets(32),
    enrollment_certificate: octets(1),
    public_key: octets(65),
    permissions: octets(1),
    region: null,
    verify_seed: octets(65),
    verify_expansion: octets(16),
    encryption_seed: octets(65),
    encryption_expansion: octets(16),
    cert_encryption_seed: null,
    cert_encryption_expansion: null,
    registered_at: 0,
    ack: octets(1),
    available_at: 0,
    status: 'active',
    first_start: 0,
    lifetime_sec: 0,
    period_sec: 0,
    first_i: 0,
    last_i: 0,
    linked_through: -1,
    expanded_through: -1,
    filed_through: -1,
    la1_chain: null,
    la2_chain: null,
  };
}
