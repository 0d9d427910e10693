import { createHash, type Hash } from 'node:crypto';
import type { TableShape } from './sqlite-tables.ts';
import { StoreError } from './store-error.ts';

/** As a database gives it. */
export type Row = Readonly<Record<string, unknown>>;

/**
 * SHA-256 over rows in the order of their keys. The octets of two rows are the same only when their values are: of each its
 * kind, its length and itself, NULL apart from what is empty.
 */
export class RowsDigest {
  readonly #hash: Hash = createHash('sha256');
  readonly #shape: TableShape;
  #count = 0;

  constructor(shape: TableShape) {
    this.#shape = shape;
  }

  get count(): number {
    return this.#count;
  }

  add(rows: readonly Row[]): void {
    for (const row of rows) this.#hash.update(octetsOfRow(this.#shape, row));
    this.#count += rows.length;
  }

  /** Hex, of what was added up to now. */
  digest(): string {
    return this.#hash.copy().digest('hex');
  }
}

/** @throws StoreError `query` for what is not of its column's kind */
export function octetsOfRow({ name, columns }: TableShape, row: Row): Uint8Array {
  const parts = columns.map((column) => {
    const value = row[column.name];
    if (value === null) return Buffer.from('n;');
    if (column.kind === 'integer' && Number.isSafeInteger(value)) return Buffer.from(`i${value};`);
    if (column.kind === 'octets' && value instanceof Uint8Array) return counted('o', value);
    if (column.kind === 'text' && typeof value === 'string') {
      return counted('t', Buffer.from(value));
    }
    const seen = value instanceof Uint8Array ? 'octets' : typeof value;
    throw new StoreError('query', `expected ${column.kind} in ${name}.${column.name}, saw ${seen}`);
  });
  return Buffer.concat(parts);
}

function counted(kind: string, octets: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(`${kind}${octets.length};`), octets]);
}
