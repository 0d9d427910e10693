/** Registered devices by the million: the registry makes some thousand, each durable, in a second, and SQL ten times as many. */
import { closeSync, fsyncSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

/** Rows of one INSERT. */
const COPIED_AT_ONCE = 250_000;
/** Octets, of random columns that are unique. */
const HASHES = { request_hash: 8, body_hash: 32, inner_hash: 32, enrollment_hash: 32 };

/** Copies rows until there are `to`, under other hashes, while nobody else has the database open. `from` are there. */
export function copyRows(path: string, from: number, to: number): void {
  insertCopies(path, from, to);
  // Whoever is measured next does not write it out.
  const file = openSync(path, 'r');
  fsyncSync(file);
  closeSync(file);
}

function insertCopies(path: string, from: number, to: number): void {
  using database = new DatabaseSync(path);
  // Whoever cuts the power begins anew.
  database.exec('pragma synchronous = off; pragma cache_size = -2000000');
  const columns = database
    .prepare("select name from pragma_table_info('device') where name <> 'id'")
    .all()
    .map(({ name }) => String(name));
  const values = columns.map((name) =>
    name in HASHES ? `randomblob(${HASHES[name as keyof typeof HASHES]})` : name,
  );
  const insert = database.prepare(
    `insert into device (${columns.join()}) select ${values.join()} from device where id <= ?`,
  );
  for (let rows = from; rows < to; ) {
    const more = Math.min(rows, to - rows, COPIED_AT_ONCE);
    insert.run(more);
    rows += more;
  }
}
