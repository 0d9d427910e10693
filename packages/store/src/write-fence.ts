import { MOVED_AWAY } from './copy-marks.ts';
import type { SqliteConnection } from './sqlite-connection.ts';
import { tablesOf } from './sqlite-tables.ts';

/** Of the names of triggers. */
const PREFIX = 'chrysalis_moved_';
const CHANGES = ['insert', 'update', 'delete'] as const;

/**
 * From the commit of this on no row of the database changes, whatever program has it open, and none opens it: durable, and by
 * the database itself. Called within a transaction.
 */
export function fence(connection: SqliteConnection): void {
  for (const { name } of tablesOf(connection)) {
    for (const change of CHANGES) {
      connection.exec(
        `create trigger if not exists ${PREFIX}${change}_${name} before ${change} on ${name}
          begin select raise(abort, 'this database was moved to another'); end`,
      );
    }
  }
  connection.run('insert into chrysalis_migration (name) values (?) on conflict do nothing', [
    MOVED_AWAY,
  ]);
}

/** As before. Called within a transaction. */
export function unfence(connection: SqliteConnection): void {
  connection.run('delete from chrysalis_migration where name = ?', [MOVED_AWAY]);
  dropTriggers(connection, PREFIX);
}

/** @param prefix of their names: ours, and without anything that GLOB knows */
export function dropTriggers(connection: SqliteConnection, prefix: string): void {
  const { rows } = connection.run(
    "select name from sqlite_schema where type = 'trigger' and name glob ?",
    [`${prefix}*`],
  );
  for (const { name } of rows) connection.exec(`drop trigger ${name}`);
}
