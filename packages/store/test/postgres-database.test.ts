import { after, before, describe } from 'node:test';
import {
  type PostgresServer,
  startPostgres,
  withoutPostgres,
} from '../../../test/support/postgres-server.ts';
import { openDatabase } from '../src/database.ts';
import { databaseConformance } from './database-conformance.ts';
import { DEVICE_MIGRATIONS, type DeviceSchema } from './device-schema.ts';

describe('PostgreSQL', { skip: withoutPostgres }, () => {
  let server: PostgresServer;
  before(async () => {
    server = await startPostgres();
  });
  after(() => server?.close());

  databaseConformance('PostgreSQL', async (t) => {
    const database = await openDatabase<DeviceSchema>(server.newUrl(), DEVICE_MIGRATIONS, {
      migrates: true,
    });
    t.after(() => database.close());
    return database;
  });
});
