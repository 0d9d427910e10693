export { type CopiedTables, CopyDestination } from './copy-destination.ts';
export type { CopyNote } from './copy-note.ts';
export { CopySource } from './copy-source.ts';
export { type Database, type DatabaseOptions, type Migration, openDatabase } from './database.ts';
export { copyDatabases, type DatabaseCopy } from './database-copy.ts';
export { openDirectoryObjectStore } from './directory-object-store.ts';
export { createFailingDatabase, type TransactionOutcome } from './failing-database.ts';
export {
  createFailingObjectStore,
  type ObjectStoreCall,
  type Outcome,
} from './failing-object-store.ts';
export {
  copyFencedDatabases,
  expectUnused,
  fenceDatabase,
  unfenceDatabase,
} from './fenced-database.ts';
export { GroupCommit } from './group-commit.ts';
export { createMemoryObjectStore } from './memory-object-store.ts';
export { MAX_OBJECT_OCTETS, type ObjectStore } from './object-store.ts';
export { ObjectsCopy, type ObjectsPass } from './objects-copy.ts';
export { openObjectStore } from './open-object-store.ts';
export { type CopiedTable, RowsCopy, type RowsProgress } from './rows-copy.ts';
export { type SqlWords, wordsOf } from './sql-words.ts';
