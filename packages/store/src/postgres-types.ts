import { StoreError } from './store-error.ts';

/** Octets, integers and all else as SQLite gives them: oids of pg_type.dat. */
const PARSERS: ReadonlyMap<number, (text: string) => unknown> = new Map<
  number,
  (text: string) => unknown
>([
  [16, (text) => (text === 't' ? 1 : 0)], // bool
  [17, octetsOf], // bytea
  [20, integerOf], // int8
  [21, Number], // int2
  [23, Number], // int4
  [700, Number], // float4
  [701, Number], // float8
  [1700, integerOf], // numeric: the sum of int8
]);

/** For pg: what a column's text becomes. What is not known here stays text. */
export function getTypeParser(oid: number): (text: string) => unknown {
  return PARSERS.get(oid) ?? String;
}

/** `\x0123`: the default of bytea_output, which the connection asks for. */
function octetsOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text.slice(2), 'hex'));
}

/** Refused rather than rounded. */
function integerOf(text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number)) {
    throw new StoreError('query', 'expected an integer below 2^53, saw another number');
  }
  return number;
}
