import type { Migration } from '../src/migration.ts';

/** A small schema for the tests of this room. */
export interface DeviceSchema {
  device: { id: number; hash: Uint8Array; note: string | null };
  batch: { device: number; period: number };
}

export const DEVICE_MIGRATIONS: readonly Migration[] = [
  {
    name: 'test-0001-device',
    statements: [
      'create table device (id integer primary key, hash blob not null unique, note text) strict',
    ],
    postgres: [
      'create table device (id bigint primary key, hash bytea not null unique, note text)',
    ],
  },
  {
    name: 'test-0002-batch',
    statements: [
      `create table batch (device integer not null references device (id), period integer not null)
       strict`,
      'create index batch_period on batch (period)',
    ],
    postgres: [
      'create table batch (device bigint not null references device (id), period bigint not null)',
      'create index batch_period on batch (period)',
    ],
  },
];

/** A row whose hash is that of its id alone. */
export function deviceRow(id: number): DeviceSchema['device'] {
  const hash = new Uint8Array(32);
  new DataView(hash.buffer).setUint32(0, id);
  return { id, hash, note: null };
}
