import type { Migration } from '@chrysalis/store';
import { CERTIFICATE_MIGRATIONS } from './former-certificates.ts';
import { REPORT_MIGRATIONS } from './report-store.ts';
import { RA_MIGRATIONS as PIPELINE_MIGRATIONS } from './schema-migrations.ts';

/** Everything in the database of an RA. */
export const RA_MIGRATIONS: readonly Migration[] = [
  ...PIPELINE_MIGRATIONS,
  ...REPORT_MIGRATIONS,
  ...CERTIFICATE_MIGRATIONS,
];
