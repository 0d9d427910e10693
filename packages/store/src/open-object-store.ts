import { openDirectoryObjectStore } from './directory-object-store.ts';
import type { ObjectStore } from './object-store.ts';
import { openS3ObjectStore } from './s3-object-store.ts';
import { StoreError } from './store-error.ts';

/**
 * Opens the objects at `url`: `file:/path/to/directory`, or `s3://bucket/prefix` ({@link parseS3Url} has what else it may say).
 *
 * @throws StoreError `unsupported-url`, `io`; of S3 also `no-module`, `missing`, `away`
 */
export async function openObjectStore(url: string): Promise<ObjectStore> {
  const scheme = /^([a-z][a-z0-9]*):/.exec(url)?.[1];
  if (scheme === 'file' && url.length > 'file:'.length) {
    return openDirectoryObjectStore(url.slice('file:'.length));
  }
  if (scheme === 's3') return openS3ObjectStore(url);
  throw new StoreError(
    'unsupported-url',
    `expected file:/path/to/directory or s3://bucket/prefix, saw the scheme ${scheme ?? '(none)'}`,
  );
}
