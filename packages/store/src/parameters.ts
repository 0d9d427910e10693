import { StoreError } from './store-error.ts';

/** What a statement may be given, in either database. */
export type Parameter = null | string | number | bigint | Uint8Array;

/**
 * Makes sure that both databases would take a value, and take it for the same.
 *
 * @throws StoreError `query`, which names the kind and never the value: it may be a secret
 */
export function expectParameter(value: unknown, index: number): Parameter {
  if (value === null || typeof value === 'bigint') return value;
  if (typeof value === 'number' && !Number.isNaN(value)) return value;
  if (value instanceof Uint8Array) return value;
  // PostgreSQL has no text with a zero in it.
  if (typeof value === 'string' && !value.includes('\0')) return value;
  throw new StoreError(
    'query',
    `expected null, number, bigint, string without NUL or Uint8Array as parameter ${index + 1}, saw ${kindOf(value)}`,
  );
}

function kindOf(value: unknown): string {
  if (typeof value === 'number') return 'NaN';
  if (typeof value === 'string') return 'a string with NUL';
  if (typeof value !== 'object' || value === null) return typeof value;
  return value.constructor?.name ?? 'object';
}
