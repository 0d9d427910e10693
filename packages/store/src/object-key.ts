import { MAX_OBJECT_OCTETS } from './object-store.ts';
import { StoreError } from './store-error.ts';

/** Deep enough for `<kind>/<period>/<shard>/<name>`, short enough for any file system's path limit. */
export const MAX_KEY_SEGMENTS = 8;

/** A segment begins with a letter or a digit: `.`, `..` and hidden names cannot be written. */
const SEGMENT = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

/** True for one segment of a key. */
export function isKeySegment(text: string): boolean {
  return SEGMENT.test(text);
}

/**
 * Splits an object key, or a prefix of keys without its last slash, into its segments.
 * @throws StoreError `invalid-key` unless it is 1 to 8 segments of `[A-Za-z0-9][A-Za-z0-9._-]{0,99}`
 */
export function keySegments(key: string): string[] {
  const segments = key.split('/', MAX_KEY_SEGMENTS + 1);
  if (segments.length > MAX_KEY_SEGMENTS) {
    throw invalidKey(key, `expected at most ${MAX_KEY_SEGMENTS} segments`);
  }
  for (const segment of segments) {
    if (!isKeySegment(segment)) {
      throw invalidKey(key, `expected segments of [A-Za-z0-9][A-Za-z0-9._-]{0,99}`);
    }
  }
  return segments;
}

/** @throws StoreError `too-large` when the octets are more than one object may hold */
export function checkObjectSize(key: string, octets: Uint8Array): void {
  if (octets.length > MAX_OBJECT_OCTETS) {
    throw new StoreError(
      'too-large',
      `expected at most ${MAX_OBJECT_OCTETS} octets for ${key}, saw ${octets.length}`,
    );
  }
}

function invalidKey(key: string, expectation: string): StoreError {
  // The key may come from the network: what is not printable is escaped, what is long is cut.
  return new StoreError(
    'invalid-key',
    `${expectation}, saw ${JSON.stringify(key.slice(0, 200))} of length ${key.length}`,
  );
}
