import { StoreError, type StoreErrorCode, systemCodeOf } from './store-error.ts';

/** Whole codes, https://www.postgresql.org/docs/current/errcodes-appendix.html; before their classes. */
const CODES: ReadonlyMap<string, StoreErrorCode> = new Map([
  ['25P02', 'rolled-back'], // in_failed_sql_transaction
  ['25P03', 'away'], // idle_in_transaction_session_timeout: it has closed the connection
  ['25006', 'io'], // read_only_sql_transaction
  ['3D000', 'missing'], // invalid_catalog_name
  ['3F000', 'missing'], // invalid_schema_name
  ['40001', 'busy'],
  ['40P01', 'busy'], // deadlock_detected
  ['53100', 'full'], // disk_full
  ['55P03', 'busy'], // lock_not_available
  ['57014', 'busy'], // query_canceled, by statement_timeout
]);

/** By the first two characters; the rest is `query`. */
const CLASSES: ReadonlyMap<string, StoreErrorCode> = new Map([
  ['08', 'away'], // connection exception
  ['23', 'constraint'],
  ['28', 'io'], // invalid authorization
  ['53', 'busy'], // insufficient resources
  ['57', 'away'], // operator intervention: it shuts down, or starts
  ['58', 'io'], // system error
  ['XX', 'corrupt'],
]);

/** Messages of these classes repeat values, which may be secret: data exceptions. */
const SHOWS_VALUES = '22';

/** The longest piece of a statement that a message shows; parameters are never shown. */
const MAX_SHOWN_SQL = 200;

/** Turns what pg throws into a StoreError. The cause is left out where the server spoke: its details repeat values. */
export function postgresError(error: unknown, doing: string): StoreError {
  if (error instanceof StoreError) return error;
  const where = `in: ${doing.slice(0, MAX_SHOWN_SQL)}`;
  const state = systemCodeOf(error);
  if (state === undefined || !isOfServer(error)) {
    // The socket's, or what pg says when it is closed.
    const seen = error instanceof Error ? error.message || (state ?? error.name) : String(error);
    return new StoreError('away', `${seen}, ${where}`, { cause: error });
  }
  const message = state.startsWith(SHOWS_VALUES) ? 'a value was refused' : error.message;
  return new StoreError(codeOf(state, error), `${message} (${state}), ${where}`);
}

/**
 * Whether another connection might do what this one cannot: a table has changed since a statement on it was prepared, or the
 * server has become a standby, and the name leads to another now.
 */
export function isOfConnection(error: unknown): boolean {
  return isStalePlan(error) || systemCodeOf(error) === '25006';
}

function isStalePlan(error: unknown): boolean {
  return isOfServer(error) && systemCodeOf(error) === '0A000' && /cached plan/.test(error.message);
}

/** What the server reports has a severity; what the system does has none. */
function isOfServer(error: unknown): error is Error & { readonly schema?: unknown } {
  return error instanceof Error && 'severity' in error && error.severity !== undefined;
}

function codeOf(state: string, error: unknown): StoreErrorCode {
  if (isStalePlan(error)) return 'busy';
  return CODES.get(state) ?? CLASSES.get(state.slice(0, 2)) ?? 'query';
}
