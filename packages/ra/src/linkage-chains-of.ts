import { setImmediate } from 'node:timers/promises';
import { type Database, wordsOf } from '@chrysalis/store';
import { CompiledQuery, sql } from 'kysely';
import { INDEX_PREFIX, indexKey } from './pca-requests.ts';
import type { CertificateKind, RaSchema } from './schema.ts';

/** What the RA tells the MA of a request to the PCA (section 6.2, ma-ra.asn). */
export interface RequestOrigin {
  readonly kind: CertificateKind;
  /** SHA-256 of the device's enrollment certificate in canonical form: what the blacklist takes. */
  readonly enrollmentHash: Uint8Array;
  /** Of pseudonym certificates: none of the others has linkage values. */
  readonly linkage?: {
    /** LinkageChainId, COER, by which each LA opens the chain of this device. */
    readonly la1Chain: Uint8Array;
    readonly la2Chain: Uint8Array;
    /** The last period for which certificates were asked for. */
    readonly iMax: number;
    /** The most certificates that were asked for in a period that is not over for long. */
    readonly jMax: number;
  };
}

/**
 * From the hash of a request to the PCA (HPCR) to the device that it was made for. The index of requests goes twelve
 * periods after their certificates.
 *
 * @param hpcr SHA-256 of the SecuredRaPcaCertificateRequest, 32 octets
 * @returns undefined for a request that the index does not have
 */
export async function linkageChainsOf(
  database: Database<RaSchema>,
  hpcr: Uint8Array,
): Promise<RequestOrigin | undefined> {
  const tables = await indexTables(database);
  const deviceId = await ownerOf(database, tables, hpcr);
  if (deviceId === undefined) return undefined;
  const device = await database.query
    .selectFrom('device')
    .select(['kind', 'enrollment_hash', 'la1_chain', 'la2_chain', 'expanded_through'])
    .where('id', '=', deviceId)
    .executeTakeFirst();
  if (!device) return undefined;
  const { kind, enrollment_hash: enrollmentHash, la1_chain, la2_chain } = device;
  if (kind !== 'pseudonym' || !la1_chain || !la2_chain) return { kind, enrollmentHash };
  const jMax = await mostOf(database, tables, deviceId);
  const iMax = device.expanded_through;
  return {
    kind,
    enrollmentHash,
    linkage: { la1Chain: la1_chain, la2Chain: la2_chain, iMax, jMax },
  };
}

/** What the RA tells the MA of one HPCR among many: {@link RequestOrigin} without the count that no PDU has. */
export interface BriefOrigin {
  readonly kind: CertificateKind;
  readonly enrollmentHash: Uint8Array;
  readonly linkage?: {
    readonly la1Chain: Uint8Array;
    readonly la2Chain: Uint8Array;
    /** The last period for which pre-linkage values were asked for. */
    readonly iMax: number;
  };
}

/** HPCRs, and device rows, of one statement. */
const AT_A_TIME = 500;

/**
 * As {@link linkageChainsOf}, for many at once and in between the requests of devices.
 *
 * @param hpcrs 32 octets each
 * @returns in their order; undefined for those that the index does not have
 */
export async function originsOf(
  database: Database<RaSchema>,
  hpcrs: readonly Uint8Array[],
): Promise<readonly (BriefOrigin | undefined)[]> {
  const owners = await ownersOf(database, hpcrs);
  const devices = new Map<number, BriefOrigin>();
  for (const ids of chunksOf([...new Set(owners.values())])) {
    const rows = await database.query
      .selectFrom('device')
      .select(['id', 'kind', 'enrollment_hash', 'la1_chain', 'la2_chain', 'linked_through'])
      .where('id', 'in', ids)
      .execute();
    for (const { id, kind, enrollment_hash: enrollmentHash, ...row } of rows) {
      const { la1_chain: la1Chain, la2_chain: la2Chain, linked_through: iMax } = row;
      const isLinked = kind === 'pseudonym' && la1Chain !== null && la2Chain !== null;
      devices.set(id, {
        kind,
        enrollmentHash,
        ...(isLinked && { linkage: { la1Chain, la2Chain, iMax } }),
      });
    }
    await setImmediate();
  }
  return hpcrs.map((hpcr) => devices.get(owners.get(keyOf(hpcr)) ?? NOBODY));
}

/** No id of a row. */
const NOBODY = -1;

/** By {@link keyOf}. */
async function ownersOf(
  database: Database<RaSchema>,
  hpcrs: readonly Uint8Array[],
): Promise<ReadonlyMap<string, number>> {
  const owners = new Map<string, number>();
  const { octetsOf } = wordsOf(database.query);
  const missing = new Map(hpcrs.map((hpcr) => [keyOf(hpcr), hpcr]));
  for (const table of await indexTables(database)) {
    for (const some of chunksOf([...missing.values()])) {
      // One parameter, whatever their number: a statement of hundreds costs more to parse than to run.
      const keys = JSON.stringify(some.flatMap((hpcr) => [keyOf(hpcr), hexOf(hpcr)]));
      const { rows } = await database.query.executeQuery<{ hpcr: Uint8Array; device_id: number }>(
        CompiledQuery.raw(`select hpcr, device_id from ${table} where hpcr in (${octetsOf('?')})`, [
          keys,
        ]),
      );
      for (const { hpcr, device_id } of rows) {
        owners.set(keyOf(hpcr), device_id);
        missing.delete(keyOf(hpcr));
      }
      await setImmediate();
    }
  }
  return owners;
}

function keyOf(hpcr: Uint8Array): string {
  return hexOf(indexKey(hpcr));
}

function hexOf(octets: Uint8Array): string {
  return Buffer.from(octets).toString('hex');
}

function* chunksOf<T>(all: readonly T[]): Generator<T[], void> {
  for (let n = 0; n < all.length; n += AT_A_TIME) yield all.slice(n, n + AT_A_TIME);
}

/** One table for each i-period: see `pca-requests.ts`. */
async function indexTables(database: Database<RaSchema>): Promise<string[]> {
  const { query } = database;
  const tables = wordsOf(query).tablesNumbered(INDEX_PREFIX);
  const { rows } = await query.executeQuery<{ name: string }>(CompiledQuery.raw(tables));
  return rows.map(({ name }) => name);
}

async function ownerOf(
  database: Database<RaSchema>,
  tables: readonly string[],
  hpcr: Uint8Array,
): Promise<number | undefined> {
  for (const table of tables) {
    const { rows } = await sql<{ device_id: number }>`
      select device_id from ${sql.table(table)} where hpcr in (${indexKey(hpcr)}, ${hpcr})
    `.execute(database.query);
    if (rows[0]) return rows[0].device_id;
  }
  return undefined;
}

async function mostOf(
  database: Database<RaSchema>,
  tables: readonly string[],
  deviceId: number,
): Promise<number> {
  let most = 0;
  for (const table of tables) {
    const { rows } = await sql<{ count: number }>`
      select count(*) as count from ${sql.table(table)} where device_id = ${deviceId}
    `.execute(database.query);
    most = Math.max(most, rows[0]?.count ?? 0);
  }
  return most;
}
