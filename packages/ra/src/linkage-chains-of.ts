import type { Database } from '@chrysalis/store';
import { sql } from 'kysely';
import { indexKey } from './pca-requests.ts';
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

/** One table for each i-period: see `pca-requests.ts`. */
async function indexTables(database: Database<RaSchema>): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    select name from sqlite_master where type = 'table' and name glob 'hpcr_[0-9]*'
  `.execute(database.query);
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
