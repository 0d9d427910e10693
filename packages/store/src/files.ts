/** What needs no database: files that outlive a power cut, the errors of all stores, and which URL names a server. */
export {
  createDirectoryDurably,
  namesIn,
  readFileIfPresent,
  removeFileDurably,
  syncDirectory,
  writeFileDurably,
} from './file.ts';
export { isPostgresUrl } from './postgres-url.ts';
export {
  fileError,
  isStoreError,
  StoreError,
  type StoreErrorCode,
  systemCodeOf,
} from './store-error.ts';
