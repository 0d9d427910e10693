import type { Time32 } from '@chrysalis/ieee1609dot2';
import type { Database, Migration } from '@chrysalis/store';
import type { RaIdentity } from './options.ts';
import type { RaSchema } from './schema.ts';

/** A certificate that the RA has, or had. */
export interface RaCertificateTable {
  /** SHA-256 of the certificate in canonical form. */
  readonly hash: Uint8Array;
  /** Time32 from when on another was in force; null for the present one. */
  readonly replaced_at: number | null;
}

interface CertificateSchema extends RaSchema {
  readonly ra_certificate: RaCertificateTable;
}

export const CERTIFICATE_MIGRATIONS: readonly Migration[] = [
  {
    name: 'ra-certificates-0001-replaced',
    statements: [
      `create table ra_certificate (
        hash blob primary key,
        replaced_at integer
      ) strict, without rowid`,
    ],
    postgres: ['create table ra_certificate (hash bytea primary key, replaced_at bigint)'],
  },
];

/**
 * The identity with the end of each former key: so long after another certificate was first in force. When that was is
 * noted, durably, by whoever comes first; a certificate that was replaced before this RA ever saw it counts from now.
 *
 * @param keptSec how long a former key opens what devices seal
 */
export async function withFormerEnds(
  identity: RaIdentity,
  database: Database<RaSchema>,
  { now, keptSec }: { readonly now: Time32; readonly keptSec: number },
): Promise<RaIdentity> {
  const { certificate: present, hostname, signer, decrypter, former = [] } = identity;
  const hashes = former.map(({ certificate }) => certificate.hash);
  const replacedAt = await noteReplaced(database, present.hash, hashes, now);
  return {
    certificate: present,
    hostname,
    signer,
    decrypter,
    former: former.map(({ certificate, decrypter: key }) => ({
      certificate,
      decrypter: key,
      until: (replacedAt.get(hex(certificate.hash)) ?? now) + keptSec,
    })),
  };
}

/** @returns by hash in hex, from when on each former certificate was replaced */
function noteReplaced(
  database: Database<RaSchema>,
  present: Uint8Array,
  former: readonly Uint8Array[],
  now: Time32,
): Promise<ReadonlyMap<string, Time32>> {
  // The same database: its schema has more tables than the pipeline knows.
  return (database as unknown as Database<CertificateSchema>).transaction(async (query) => {
    for (const hash of former) {
      await query
        .insertInto('ra_certificate')
        .values({ hash, replaced_at: now })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
    }
    await query
      .updateTable('ra_certificate')
      .set({ replaced_at: now })
      .where('replaced_at', 'is', null)
      .where('hash', '<>', present)
      .execute();
    // One that was put back is present again.
    await query
      .insertInto('ra_certificate')
      .values({ hash: present, replaced_at: null })
      .onConflict((conflict) => conflict.column('hash').doUpdateSet({ replaced_at: null }))
      .execute();
    const rows = await query.selectFrom('ra_certificate').selectAll().execute();
    return new Map(rows.map(({ hash, replaced_at }) => [hex(hash), replaced_at ?? now]));
  });
}

function hex(octets: Uint8Array): string {
  return Buffer.from(octets).toString('hex');
}
