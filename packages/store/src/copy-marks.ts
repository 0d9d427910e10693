import type { Migration } from './migration.ts';
import { StoreError } from './store-error.ts';

/*
 * What a copy of a database marks the two sides with. Both marks are records of a migration that no program knows, so that
 * every program refuses to open what has one, those of before there were copies too.
 */

/** On the database that was copied: another has taken its place, and nothing is written here any more. */
export const MOVED_AWAY = 'moved-away';
/** On the one that is to take its place: not everything is here yet. */
export const BEING_COPIED = 'being-copied';

/** Where a copy writes down how far it is, in the database that receives it. */
export const COPY_TABLE = 'chrysalis_copy';
/** There as well: the tables that were copied whole. */
export const COPIED_TABLE = 'chrysalis_copied_table';

/** What a program does that fills a database with a copy: the mark, and the notes of the copy. */
export const BEING_COPIED_STEP: Migration = {
  name: BEING_COPIED,
  statements: notes('integer', 'strict'),
  postgres: notes('bigint', ''),
  endsFormer: true,
};

function notes(integer: string, strict: string): readonly string[] {
  return [
    `create table if not exists ${COPY_TABLE} (
      id text primary key,
      objects text not null,
      capture text not null,
      through ${integer} not null,
      is_complete ${integer} not null
    ) ${strict}`,
    `create table if not exists ${COPIED_TABLE} (
      name text primary key,
      capture text not null
    ) ${strict}`,
  ];
}

/** @throws StoreError `moved`, `incomplete` */
export function refuseMarked(applied: ReadonlySet<string>, known: ReadonlySet<string>): void {
  if (applied.has(MOVED_AWAY) && !known.has(MOVED_AWAY)) {
    throw new StoreError(
      'moved',
      'expected a database that is in use, saw one that was copied to another, which takes its place',
    );
  }
  if (applied.has(BEING_COPIED) && !known.has(BEING_COPIED)) {
    throw new StoreError('incomplete', 'expected a whole database, saw a copy that is not done');
  }
}
