import { join } from 'node:path';
import { after, before, describe } from 'node:test';
import {
  type PostgresServer,
  startPostgres,
  withoutPostgres,
} from '../../../test/support/postgres-server.ts';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { rowsCopyConformance } from './rows-copy-conformance.ts';

describe('rows that are copied while they change', () => {
  rowsCopyConformance('to SQLite', () => `sqlite:${join(temporaryDirectory(), 'copy.db')}`);

  describe('to a server', { skip: withoutPostgres }, () => {
    let server: PostgresServer;
    before(async () => {
      server = await startPostgres();
    });
    after(() => server?.close());
    rowsCopyConformance('to PostgreSQL', () => server.newUrl());
  });
});
