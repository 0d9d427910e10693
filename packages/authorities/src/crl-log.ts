/** What the CRLG must not forget: every revocation, and the CompositeCrl that it signed last. */
import { linkageSeedAt } from '@chrysalis/crypto';
import type { Time32 } from '@chrysalis/ieee1609dot2';
import { type Clock, timeOf } from '@chrysalis/scms';
import { type Database, type Migration, openDatabase } from '@chrysalis/store';
import type { CrlGenerator, Revocation } from './crl-generator.ts';

interface Listed {
  readonly position?: number;
  readonly reason: string;
  readonly added_at: number;
}

interface RevokedCertificateTable extends Listed {
  readonly id: Uint8Array;
  readonly crl_series: number;
  readonly expiry: number;
}

interface RevokedDeviceTable extends Listed {
  readonly i: number;
  readonly i_max: number;
  readonly j_max: number;
  readonly la1_id: Uint8Array;
  readonly la2_id: Uint8Array;
  readonly linkage_seed1: Uint8Array;
  readonly linkage_seed2: Uint8Array;
}

interface CrlSchema {
  revoked_certificate: RevokedCertificateTable;
  revoked_device: RevokedDeviceTable;
  /** One row, number 1. */
  composite_crl: {
    readonly number: number;
    readonly issued_at: number;
    readonly octets: Uint8Array;
  };
}

const MIGRATIONS: readonly Migration[] = [
  {
    name: 'crlg-0001-revocations',
    statements: [
      `create table revoked_certificate (
        position integer primary key autoincrement,
        id blob not null unique,
        crl_series integer not null,
        expiry integer not null,
        reason text not null,
        added_at integer not null
      ) strict`,
      `create table revoked_device (
        position integer primary key autoincrement,
        i integer not null,
        i_max integer not null,
        j_max integer not null,
        la1_id blob not null,
        la2_id blob not null,
        linkage_seed1 blob not null,
        linkage_seed2 blob not null,
        reason text not null,
        added_at integer not null
      ) strict`,
      `create table composite_crl (
        number integer primary key,
        issued_at integer not null,
        octets blob not null
      ) strict`,
    ],
  },
];

/** A CRL is good for a week: one that is made each day is never overdue at a device that looks in now and then. */
const RENEWAL_SEC = 86_400;

/** A revocation as it was ordered. */
export interface ListedRevocation {
  readonly revocation: Revocation;
  readonly reason: string;
  readonly addedAt: Time32;
}

export interface CrlLogOptions {
  /** `sqlite:...`, as `openDatabase` of store takes it. */
  readonly databaseUrl: string;
  readonly generator: CrlGenerator;
  readonly clock: Clock;
}

/** The durable memory of a CRLG. Several processes may have it open: each sees at once what another has revoked. */
export interface CrlLog {
  /**
   * Lists what is revoked and signs the next CompositeCrl with it; when it resolves, both are on stable storage. False,
   * and nothing is changed, when it is listed already.
   */
  revoke(revocation: Revocation, reason: string): Promise<boolean>;
  /** The CompositeCrl in force, COER: the last one, or a new one with the same entries when that is a day old. */
  newest(): Promise<Uint8Array>;
  /** The one that was signed last; undefined before the first. */
  last(): Promise<Uint8Array | undefined>;
  /** Everything that was ever revoked: certificates, then devices, each in the order of revocation. */
  all(): Promise<readonly ListedRevocation[]>;
  close(): Promise<void>;
}

/** @throws StoreError as `openDatabase` */
export async function openCrlLog({
  databaseUrl,
  generator,
  clock,
}: CrlLogOptions): Promise<CrlLog> {
  const database = await openDatabase<CrlSchema>(databaseUrl, MIGRATIONS);
  const last = () => lastOf(database.query);
  const isDue = (issuedAt: Time32) => timeOf(clock) >= issuedAt + RENEWAL_SEC;

  /** In one transaction with what it lists, so that no two CRLs get one number. */
  async function issue(query: Query): Promise<Uint8Array> {
    const revocations = (await listed(query)).map(({ revocation }) => revocation);
    const octets = generator.issue(revocations, (await lastOf(query))?.octets);
    const row = { number: 1, issued_at: timeOf(clock), octets };
    await query.replaceInto('composite_crl').values(row).execute();
    return octets;
  }

  return {
    revoke: (revocation, reason) =>
      database.transaction(async (query) => {
        const before = await listed(query);
        if (before.some((entry) => covers(entry.revocation, revocation))) return false;
        await insert(query, { revocation, reason, addedAt: timeOf(clock) });
        await issue(query);
        return true;
      }),

    async newest() {
      const found = await last();
      if (found && !isDue(found.issued_at)) return found.octets;
      return database.transaction(async (query) => {
        const meanwhile = await lastOf(query);
        return meanwhile && !isDue(meanwhile.issued_at) ? meanwhile.octets : issue(query);
      });
    },

    last: async () => (await last())?.octets,
    all: () => listed(database.query),
    close: () => database.close(),
  };
}

/** Of the database, or of a transaction. */
type Query = Pick<Database<CrlSchema>['query'], 'selectFrom' | 'insertInto' | 'replaceInto'>;

function lastOf(query: Query): Promise<CrlSchema['composite_crl'] | undefined> {
  return query.selectFrom('composite_crl').selectAll().executeTakeFirst();
}

async function listed(query: Query): Promise<ListedRevocation[]> {
  const certificates = await query
    .selectFrom('revoked_certificate')
    .selectAll()
    .orderBy('position')
    .execute();
  const devices = await query
    .selectFrom('revoked_device')
    .selectAll()
    .orderBy('position')
    .execute();
  return [
    ...certificates.map(({ id, crl_series: crlSeries, expiry, reason, added_at: addedAt }) => ({
      revocation: { type: 'certificate' as const, id, crlSeries, expiry },
      reason,
      addedAt,
    })),
    ...devices.map((row) => ({
      revocation: {
        type: 'linkage' as const,
        i: row.i,
        iMax: row.i_max,
        jMax: row.j_max,
        la1Id: row.la1_id,
        la2Id: row.la2_id,
        linkageSeed1: row.linkage_seed1,
        linkageSeed2: row.linkage_seed2,
      },
      reason: row.reason,
      addedAt: row.added_at,
    })),
  ];
}

async function insert(
  query: Query,
  { revocation, reason, addedAt }: ListedRevocation,
): Promise<void> {
  if (revocation.type === 'certificate') {
    const { id, crlSeries, expiry } = revocation;
    const row = { id, crl_series: crlSeries, expiry, reason, added_at: addedAt };
    await query.insertInto('revoked_certificate').values(row).execute();
    return;
  }
  const { i, iMax, jMax, la1Id, la2Id, linkageSeed1, linkageSeed2 } = revocation;
  await query
    .insertInto('revoked_device')
    .values({
      i,
      i_max: iMax,
      j_max: jMax,
      la1_id: la1Id,
      la2_id: la2Id,
      linkage_seed1: linkageSeed1,
      linkage_seed2: linkageSeed2,
      reason,
      added_at: addedAt,
    })
    .execute();
}

/** Whether an entry says all that another would: a device is the same when its earlier seeds lead to the later ones. */
function covers(before: Revocation, next: Revocation): boolean {
  if (before.type === 'certificate') return next.type === 'certificate' && same(before.id, next.id);
  if (next.type === 'certificate') return false;
  if (before.i > next.i || before.iMax < next.iMax || before.jMax < next.jMax) return false;
  if (!same(before.la1Id, next.la1Id) || !same(before.la2Id, next.la2Id)) return false;
  const steps = next.i - before.i;
  return (
    same(linkageSeedAt(next.la1Id, before.linkageSeed1, steps), next.linkageSeed1) &&
    same(linkageSeedAt(next.la2Id, before.linkageSeed2, steps), next.linkageSeed2)
  );
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
