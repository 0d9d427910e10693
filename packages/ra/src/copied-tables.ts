import type { CopiedTables } from '@chrysalis/store';
import { RA_MIGRATIONS } from './migrations.ts';
import { createIndexTable, INDEX_PREFIX } from './pca-requests.ts';

const INDEX_TABLE = new RegExp(`^${INDEX_PREFIX}[0-9]+$`);

/** What a copy of an RA's database has to know of its tables. */
export const RA_TABLES: CopiedTables = {
  migrations: RA_MIGRATIONS,
  // The tables of a period come and go with it.
  create: (name, words) => (INDEX_TABLE.test(name) ? createIndexTable(name, words) : undefined),
  derived: ['device_count'],
};
