/** What the MA must not forget: each report that it could open. Nothing is ever changed or removed. */
import type { ThreeDLocation, Time32 } from '@chrysalis/ieee1609dot2';
import { GroupCommit, type Migration, openDatabase } from '@chrysalis/store';

interface MaReportRow {
  /** Counts the reports as they arrive. */
  readonly position: number;
  /** SHA-256 of the SecuredMisbehaviorReport. */
  readonly report_hash: Uint8Array;
  readonly received_at: number;
  readonly generation_time: number;
  readonly latitude: number;
  readonly longitude: number;
  readonly elevation: number;
  readonly reporter_id: Uint8Array;
  readonly reporter_certificate: Uint8Array;
  readonly contents: Uint8Array;
}

interface MaSchema {
  ma_report: Omit<MaReportRow, 'position'> & { readonly position?: number | undefined };
}

const MIGRATIONS: readonly Migration[] = [
  {
    name: 'ma-0001-reports',
    statements: [
      `create table ma_report (
        position integer primary key autoincrement,
        report_hash blob not null unique,
        received_at integer not null,
        generation_time integer not null,
        latitude integer not null,
        longitude integer not null,
        elevation integer not null,
        reporter_id blob not null,
        reporter_certificate blob not null,
        contents blob not null
      ) strict`,
      // Append-only also for whoever has the file open.
      `create trigger ma_report_is_never_changed before update on ma_report
        begin select raise(abort, 'reports are append-only'); end`,
      `create trigger ma_report_is_never_removed before delete on ma_report
        begin select raise(abort, 'reports are append-only'); end`,
    ],
  },
];

/** Rows read at a time when the log is walked. */
const PAGE = 500;

/** A report as the MA keeps it. */
export interface StoredMisbehaviorReport {
  /** SHA-256 of the SecuredMisbehaviorReport. */
  readonly reportHash: Uint8Array;
  readonly receivedAt: Time32;
  readonly generationTime: Time32;
  readonly generationLocation: ThreeDLocation;
  /** HashedId8 of the certificate that signed. */
  readonly reporterId: Uint8Array;
  /** COER. */
  readonly reporterCertificate: Uint8Array;
  /** COER of MisbehaviorReportContents. */
  readonly contents: Uint8Array;
}

export interface MisbehaviorLog {
  /** Whether a report is there already. */
  has(reportHash: Uint8Array): Promise<boolean>;
  /** When it resolves, the report is on stable storage; one that is there already stays as it is. */
  append(report: StoredMisbehaviorReport): Promise<void>;
  /** All reports, in the order of arrival. */
  all(): AsyncIterable<StoredMisbehaviorReport>;
  close(): Promise<void>;
}

/** @throws StoreError as `openDatabase` */
export async function openMisbehaviorLog(databaseUrl: string): Promise<MisbehaviorLog> {
  const database = await openDatabase<MaSchema>(databaseUrl, MIGRATIONS);
  const writes = new GroupCommit(database);
  return {
    async has(reportHash) {
      const row = await database.query
        .selectFrom('ma_report')
        .select('report_hash')
        .where('report_hash', '=', reportHash)
        .executeTakeFirst();
      return row !== undefined;
    },

    append: (report) =>
      writes.run(async (query) => {
        await query
          .insertInto('ma_report')
          .values(toRow(report))
          .onConflict((conflict) => conflict.doNothing())
          .execute();
      }),

    async *all() {
      let after = 0;
      for (;;) {
        const rows = await database.query
          .selectFrom('ma_report')
          .selectAll()
          .where('position', '>', after)
          .orderBy('position')
          .limit(PAGE)
          .execute();
        yield* rows.map((row) => fromRow(row));
        const last = rows.at(-1)?.position;
        if (last === undefined) return;
        after = last;
      }
    },

    close: () => database.close(),
  };
}

function toRow(report: StoredMisbehaviorReport): Omit<MaReportRow, 'position'> {
  const { latitude, longitude, elevation } = report.generationLocation;
  return {
    report_hash: report.reportHash,
    received_at: report.receivedAt,
    generation_time: report.generationTime,
    latitude,
    longitude,
    elevation,
    reporter_id: report.reporterId,
    reporter_certificate: report.reporterCertificate,
    contents: report.contents,
  };
}

function fromRow(row: MaSchema['ma_report']): StoredMisbehaviorReport {
  const { latitude, longitude, elevation } = row;
  return {
    reportHash: row.report_hash,
    receivedAt: row.received_at,
    generationTime: row.generation_time,
    generationLocation: { latitude, longitude, elevation },
    reporterId: row.reporter_id,
    reporterCertificate: row.reporter_certificate,
    contents: row.contents,
  };
}
