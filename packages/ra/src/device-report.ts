/** What an RA knows of one device, for its operators: what it was given, what is on its way, what comes next. */
import { endOfChain, formatTime32, type Time32 } from '@chrysalis/ieee1609dot2';
import { formatHex } from '@chrysalis/scms';
import { type Database, type ObjectStore, wordsOf } from '@chrysalis/store';
import { sql } from 'kysely';
import { KnownBacklog } from './backlog.ts';
import { fileKey } from './batch-file.ts';
import { Blacklist, type BlacklistEntry } from './blacklist.ts';
import {
  type Horizon,
  lastPeriodIssuedBy,
  lastPeriodOfAll,
  OVERLAP_SEC,
  supplySec,
} from './horizon.ts';
import { type NextFile, nextFile } from './next-file.ts';
import type { CertificateKind, DeviceStatus, RaSchema } from './schema.ts';
import { readSetting } from './setting.ts';
import { endOf, periodOf, startOf } from './validity.ts';

/** Of a row, what operators may see: no keys, no permissions, nothing that links certificates. */
const SHOWN = [
  'id',
  'kind',
  'request_hash',
  'files_hash',
  'enrollment_hash',
  'enrollment_end',
  'registered_at',
  'available_at',
  'status',
  'last_seen',
  'fetched_through',
  'first_start',
  'lifetime_sec',
  'period_sec',
  'first_i',
  'last_i',
  'linked_through',
  'expanded_through',
  'filed_through',
  'failures',
  'retry_at',
] as const;

/** Files looked for in the object store, of each registration: ten years of weeks. */
const MOST_FILES = 520;

/** SHA-256. */
const HASH_OCTETS = 32;

export interface DeviceReportOptions extends Horizon {
  readonly database: Database<RaSchema>;
  readonly objects: ObjectStore;
}

/** An enrollment certificate that the RA knows: all that it asked for, and whether it is blacklisted. */
export interface DeviceReport {
  /** SHA-256 of the enrollment certificate in canonical form, 32 octets. Its last 8 are its HashedId8. */
  readonly enrollmentHash: Uint8Array;
  /** When it, or a certificate above it, is over; undefined when that was not noted. */
  readonly enrollmentEnd: Time32 | undefined;
  readonly blacklist: BlacklistEntry | undefined;
  /** In the order of registration. */
  readonly registrations: readonly RegistrationReport[];
}

/** Number and time of a certificate, or of all of a period. */
export interface Point {
  readonly i: number;
  /** When it begins. */
  readonly start: Time32;
  /** When it is over. */
  readonly end: Time32;
}

export interface RegistrationReport {
  readonly kind: CertificateKind;
  readonly status: DeviceStatus;
  /** The name by which the device asks for its files, 8 octets. */
  readonly requestHash: Uint8Array;
  readonly registeredAt: Time32;
  /** When the first file was promised. */
  readonly availableAt: Time32;
  /** Give or take an hour. */
  readonly lastSeenAt: Time32;
  /** What it may get: as far as its enrollment certificate reaches. */
  readonly first: Point;
  readonly last: Point;
  /** How far each step has come; undefined before its first. Linkage values are of pseudonym certificates alone. */
  readonly linkedThrough: Point | undefined;
  readonly expandedThrough: Point | undefined;
  readonly filedThrough: Point | undefined;
  readonly fetchedThrough: Point | undefined;
  /** Requests for certificates that are not here yet. */
  readonly onItsWay: {
    readonly inShuffle: number;
    readonly waiting: number;
    readonly repeated: number;
    readonly mostAttempts: number;
    readonly nextAttemptAt: Time32 | undefined;
    /** Files that lack certificates. */
    readonly batches: number;
  };
  /** Files that should lie in the object store now, and those of them that do not. */
  readonly files: { readonly expected: number; readonly missing: readonly number[] };
  /** Numbers of files whose periods are not over, that are not there and never will be, and when they were given up. */
  readonly givenUp: readonly { readonly i: number; readonly at: Time32 }[];
  /** Failures in a row that are its own, and when it is tried again. */
  readonly failures: number;
  readonly nextTryAt: Time32 | undefined;
  /** What the device would be told of its next file. */
  readonly info: InfoReport;
  /** What comes next, in one sentence. */
  readonly nextStep: string;
}

/** `.info`: a time, 0, or a refusal by the name of its code. */
export interface InfoReport {
  readonly answer: 'time' | 'none' | 'refused' | 'not served';
  readonly time?: Time32;
  readonly why: string;
}

type Row = Awaited<ReturnType<typeof registrationsOf>>[number];

/**
 * All devices with this hash: mostly one.
 *
 * @param hash 8 octets: a request hash, or the HashedId8 of an enrollment certificate; 32: the SHA-256 of one
 * @returns nothing when the RA knows no such device; a certificate that is blacklisted and asked for nothing is known
 * @throws StoreError
 */
export async function deviceReport(
  options: DeviceReportOptions,
  hash: Uint8Array,
  now: Time32,
): Promise<readonly DeviceReport[]> {
  const { database } = options;
  const hashes = await enrollmentsWith(database, hash);
  const reports = hashes.map(async (enrollmentHash): Promise<DeviceReport> => {
    const blacklist = await new Blacklist(database).find(enrollmentHash);
    const rows = await registrationsOf(database, enrollmentHash);
    const registrations = rows.map((row) => reportOf(options, row, blacklist, now));
    return {
      enrollmentHash,
      enrollmentEnd: rows.map((row) => row.enrollment_end).find((end) => end > 0),
      blacklist,
      registrations: await Promise.all(registrations),
    };
  });
  return Promise.all(reports);
}

/**
 * The enrollment certificates, by SHA-256, that the RA knows under a name.
 *
 * @param hash 8 octets: a request hash, or a HashedId8; 32: a SHA-256
 */
export async function enrollmentsWith(
  database: Database<RaSchema>,
  hash: Uint8Array,
): Promise<readonly Uint8Array[]> {
  const ofRequest = await database.query
    .selectFrom('device')
    .select('enrollment_hash')
    .where('request_hash', '=', hash)
    .execute();
  const ofCertificate = await enrollmentsOf(database, hash);
  const all = [...ofRequest.map(({ enrollment_hash }) => enrollment_hash), ...ofCertificate];
  return [...new Map(all.map((one) => [formatHex(one), one])).values()];
}

/** As {@link enrollmentsWith}, but by the hash of the certificate alone. */
export async function enrollmentsOf(
  database: Database<RaSchema>,
  hash: Uint8Array,
): Promise<readonly Uint8Array[]> {
  // For the last octets an index of whole hashes is gone through, which takes 0.1 s for a million devices.
  const isOne =
    hash.length < HASH_OCTETS
      ? sql<boolean>`${sql.raw(wordsOf(database.query).lastOctets('enrollment_hash', hash.length))} = ${hash}`
      : sql<boolean>`enrollment_hash = ${hash}`;
  const known = database.query.selectFrom('device').select('enrollment_hash').where(isOne);
  const listed = database.query.selectFrom('blacklist').select('enrollment_hash').where(isOne);
  const rows = await known.union(listed).execute();
  return rows.map(({ enrollment_hash }) => enrollment_hash);
}

function registrationsOf(database: Database<RaSchema>, enrollmentHash: Uint8Array) {
  return database.query
    .selectFrom('device')
    .select(SHOWN)
    .where('enrollment_hash', '=', enrollmentHash)
    .orderBy('id')
    .execute();
}

async function reportOf(
  options: DeviceReportOptions,
  row: Row,
  blacklist: BlacklistEntry | undefined,
  now: Time32,
): Promise<RegistrationReport> {
  const onItsWay = await onItsWayOf(options.database, row.id);
  const { files, givenUp } = await filesOf(options, row);
  const at = (i: number) => pointOf(options, row, i);
  const through = (i: number) => (i < row.first_i ? undefined : at(i));
  const isActive = row.status === 'active' && blacklist === undefined;
  // A contact sets a device that paused going again before it is answered.
  const status = row.status === 'paused' ? 'active' : row.status;
  const backlog = new KnownBacklog(options.database);
  const next = await nextFile({ ...row, status }, options, backlog, now);
  return {
    kind: row.kind,
    status: row.status,
    requestHash: row.request_hash,
    registeredAt: row.registered_at,
    availableAt: row.available_at,
    lastSeenAt: row.last_seen,
    first: at(row.first_i),
    last: at(row.last_i),
    linkedThrough: row.kind === 'pseudonym' ? through(row.linked_through) : undefined,
    expandedThrough: through(row.expanded_through),
    filedThrough: through(row.filed_through),
    fetchedThrough: row.fetched_through < 0 ? undefined : at(row.fetched_through),
    onItsWay,
    files,
    givenUp,
    failures: row.failures,
    nextTryAt: row.failures > 0 && isActive ? row.retry_at : undefined,
    info: infoOf(options, row, blacklist, { next, now }),
    nextStep: nextStepOf(options, row, { blacklist, onItsWay, next, now }),
  };
}

function pointOf({ iPeriod }: DeviceReportOptions, row: Row, i: number): Point {
  if (row.kind !== 'pseudonym') return { i, start: startOf(row, i), end: endOf(row, i) };
  return { i, start: iPeriod.start(i), end: iPeriod.start(i + 1) + OVERLAP_SEC };
}

async function onItsWayOf(
  database: Database<RaSchema>,
  deviceId: number,
): Promise<RegistrationReport['onItsWay']> {
  const filling = sql`coalesce((select epoch from shuffle), 1)`;
  const row = await database.query
    .selectFrom('pca_request')
    .select([
      sql<number>`count(*) filter (where attempts = 0 and epoch >= ${filling})`.as('inShuffle'),
      sql<number>`count(*) filter (where attempts = 0 and epoch < ${filling})`.as('waiting'),
      sql<number>`count(*) filter (where attempts > 0)`.as('repeated'),
      sql<number | null>`max(attempts)`.as('mostAttempts'),
      sql<Time32 | null>`min(next_attempt_at) filter (where attempts > 0)`.as('nextAttemptAt'),
    ])
    .where('device_id', '=', deviceId)
    .executeTakeFirstOrThrow();
  const { batches } = await database.query
    .selectFrom('batch')
    .select(({ fn }) => fn.countAll<number>().as('batches'))
    .where('device_id', '=', deviceId)
    .executeTakeFirstOrThrow();
  const { mostAttempts, nextAttemptAt, ...counts } = row;
  return {
    ...counts,
    mostAttempts: mostAttempts ?? 0,
    nextAttemptAt: nextAttemptAt ?? undefined,
    batches,
  };
}

/**
 * Files of periods that were not dropped yet, which were filed or given up: each is looked for. One that was given up may be
 * there all the same, when objects were newer than the database: then it is a file like others.
 */
async function filesOf(
  { database, objects, iPeriod }: DeviceReportOptions,
  row: Row,
): Promise<Pick<RegistrationReport, 'files' | 'givenUp'>> {
  const droppedThrough = (await readSetting(database.query, 'dropped_through')) ?? -1;
  const beyondGap = await database.query
    .selectFrom('filed')
    .select('i')
    .where('device_id', '=', row.id)
    .where('i', '>', row.filed_through)
    .orderBy('i')
    .execute();
  const count = Math.min(MOST_FILES, row.filed_through - row.first_i + 1);
  const contiguous = Array.from({ length: Math.max(0, count) }, (_, n) => row.filed_through - n);
  const expected = [...contiguous.reverse(), ...beyondGap.map(({ i }) => i)].filter(
    (i) => periodOf(row, i, iPeriod) > droppedThrough,
  );
  const missing: number[] = [];
  for (const i of expected) {
    if ((await objects.get(fileKey(row, i, iPeriod))) === undefined) missing.push(i);
  }
  const noted = await database.query
    .selectFrom('given_up')
    .select(['i', 'given_up_at as at'])
    .where('device_id', '=', row.id)
    .orderBy('i')
    .execute();
  const givenUp = noted.filter(({ i }) => missing.includes(i));
  const lost = missing.filter((i) => !givenUp.some((file) => file.i === i));
  return { files: { expected: expected.length - givenUp.length, missing: lost }, givenUp };
}

function infoOf(
  options: DeviceReportOptions,
  row: Row,
  blacklist: BlacklistEntry | undefined,
  { next: { i, time }, now }: { readonly next: NextFile; readonly now: Time32 },
): InfoReport {
  if (blacklist) return { answer: 'refused', why: 'raBlacklisted: it is blacklisted' };
  if (isOver(row, now)) {
    const why = 'chrysalisEnrollmentCertificateRefused: its enrollment certificate is over';
    return { answer: 'refused', why };
  }
  if (row.status === 'replaced') {
    return { answer: 'refused', why: 'raNoInfoFileAvailable: the device has asked anew' };
  }
  if (row.kind === 'application') {
    return { answer: 'not served', why: 'an application certificate is followed by none' };
  }
  if (time === 0) return { answer: 'none', why: whyNone(options, row, i) };
  const begun = row.expanded_through >= i ? 'is being made' : 'is expected then';
  const why = time === row.available_at ? 'as the acknowledgement says' : `i = ${i} ${begun}`;
  return { answer: 'time', time, why };
}

function isOver(row: Row, now: Time32): boolean {
  return row.enrollment_end > 0 && row.enrollment_end <= now;
}

function whyNone({ pca, iPeriod }: DeviceReportOptions, row: Row, next: number): string {
  if (row.status === 'failed') return 'its keys cannot be expanded';
  if (next > row.last_i) return 'its enrollment certificate reaches no further';
  const isCut =
    row.kind === 'pseudonym'
      ? next > lastPeriodIssuedBy(pca.certificate, iPeriod)
      : endOf(row, next) > endOfChain(pca.certificate);
  if (isCut) return `the certificate of the PCA, or one above it, ends before i = ${next} does`;
  return 'nothing is made for it';
}

function nextStepOf(
  options: DeviceReportOptions,
  row: Row,
  {
    blacklist,
    onItsWay,
    next: file,
    now,
  }: {
    readonly blacklist: BlacklistEntry | undefined;
    readonly onItsWay: RegistrationReport['onItsWay'];
    readonly next: NextFile;
    readonly now: Time32;
  },
): string {
  if (row.status === 'replaced') return 'none: the device has asked anew with other keys';
  if (blacklist) return 'none as long as it is blacklisted: nothing is made, nothing is served';
  if (row.status === 'failed') return 'none: the device has to ask anew, with other keys';
  if (row.status === 'paused') return 'its next contact: until then nothing more is made';
  if (row.failures > 0 && row.retry_at > now) {
    return `another try ${formatTime32(row.retry_at)}, after ${row.failures} failures in a row`;
  }
  if (onItsWay.repeated > 0) {
    const at = formatTime32(Math.max(now, onItsWay.nextAttemptAt ?? now));
    return `another attempt at the PCA ${at}, for ${onItsWay.repeated} requests`;
  }
  if (onItsWay.waiting > 0) return `the PCA: ${onItsWay.waiting} requests are due`;
  if (onItsWay.inShuffle > 0) {
    return `the shuffle: ${onItsWay.inShuffle} requests wait in it for others`;
  }
  const next = Math.max(row.expanded_through + 1, file.i);
  if (onItsWay.batches > 0) return 'the zip of a complete batch';
  if (next > row.last_i) return 'none: everything is made that its enrollment certificate allows';
  const scheduled = beginsAt(options, row, next, now);
  if (scheduled === undefined) return `none: ${whyNone(options, row, next)}`;
  const begins = next === file.i ? Math.max(scheduled, file.begunAt) : scheduled;
  if (begins > now) return `i = ${next}, which is begun ${formatTime32(begins)}`;
  const lacksValues = row.kind === 'pseudonym' && row.linked_through < next;
  return lacksValues
    ? `pre-linkage values of the LAs for i = ${next}`
    : `the requests to the PCA for i = ${next}`;
}

/** When number i comes within the supply; undefined when the PCA cannot make it. */
function beginsAt(
  options: DeviceReportOptions,
  row: Row,
  i: number,
  now: Time32,
): Time32 | undefined {
  const { iPeriod, policy, pca } = options;
  if (row.kind === 'pseudonym') {
    if (i > lastPeriodIssuedBy(pca.certificate, iPeriod)) return undefined;
    return i <= lastPeriodOfAll(options, now) ? now : iPeriod.start(i - policy.weeksAhead + 1);
  }
  if (endOf(row, i) > endOfChain(pca.certificate)) return undefined;
  return row.kind === 'application' ? now : startOf(row, i) - supplySec({ iPeriod, policy });
}
