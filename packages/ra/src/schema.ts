import type { Migration } from '@chrysalis/store';
import type { Generated } from 'kysely';
import { POSTGRES_SCHEMA } from './postgres-schema.ts';

/** What a device asked for: each has its own request, keys and files. */
export type CertificateKind = 'pseudonym' | 'identification' | 'application';

/**
 * - `active`: its supply is kept up;
 * - `paused`: it was not heard of for so long that nothing more is made until it is;
 * - `replaced`: the device asked anew, with other keys;
 * - `failed`: its keys cannot be expanded.
 */
export type DeviceStatus = 'active' | 'paused' | 'replaced' | 'failed';

/** A device's last contact is noted no more often: a note is a write, and a contact mostly none. */
export const SEEN_GRAIN_SEC = 3600;

/**
 * One row per device and kind of certificate, whatever the number of its weeks; an RSE has one per application
 * certificate that it still holds. Times are Time32; points are 65 octets uncompressed. The number i of a file is
 * the i-period for pseudonym certificates, and counts from 0 for the others.
 */
export interface DeviceTable {
  readonly id: Generated<number>;
  readonly kind: CertificateKind;
  /** HashedId8 of the POST body: the name by which the device asks for its files. */
  readonly request_hash: Uint8Array;
  /** The name under which its files lie, when that was its request hash before; null for the present one. */
  readonly files_hash: Generated<Uint8Array | null>;
  /** SHA-256 of the POST body: tells a repetition of the very same octets from everything else. */
  readonly body_hash: Uint8Array;
  /** SHA-256 of the signed request inside: tells the same request in another envelope. */
  readonly inner_hash: Uint8Array;
  /** SHA-256 of the enrollment certificate in canonical form. */
  readonly enrollment_hash: Uint8Array;
  /** COER of the enrollment certificate in canonical form. */
  readonly enrollment_certificate: Uint8Array;
  /** The first second in which it, or a certificate above it, is over; 0 when that was not noted. */
  readonly enrollment_end: Generated<number>;
  /** The reconstructed public key of the enrollment certificate. */
  readonly public_key: Uint8Array;
  /** COER of the SequenceOfPsidSsp that its certificates get. */
  readonly permissions: Uint8Array;
  /** COER of the region that was asked for (release 1.2.4); null for that of the enrollment certificate. */
  readonly region: Uint8Array | null;
  /** Caterpillar key and expansion key; of an application certificate its own key, and an empty expansion key. */
  readonly verify_seed: Uint8Array;
  readonly verify_expansion: Uint8Array;
  readonly encryption_seed: Uint8Array;
  readonly encryption_expansion: Uint8Array;
  /** The same for the encryption key in the certificate itself; null when it is to have none. */
  readonly cert_encryption_seed: Uint8Array | null;
  readonly cert_encryption_expansion: Uint8Array | null;
  readonly registered_at: number;
  /** The acknowledgement as it was sent. */
  readonly ack: Uint8Array;
  readonly available_at: number;
  /** Whether certificates are made for it. */
  readonly status: DeviceStatus;
  /** 1 while its enrollment certificate is blacklisted: nothing is generated then, whatever its status. */
  readonly blocked: Generated<number>;
  /** When it was last heard of, give or take {@link SEEN_GRAIN_SEC}. */
  readonly last_seen: Generated<number>;
  /** The last i whose file it was given, whole or in part, under these keys or those before; -1 for none. */
  readonly fetched_through: Generated<number>;
  /** When certificate 0 begins; 0 for pseudonym certificates, which begin with their period. */
  readonly first_start: number;
  /** Seconds that a certificate lasts; 0 for pseudonym certificates, whose period says it. */
  readonly lifetime_sec: number;
  /** Seconds from the beginning of one certificate to that of the next: the lifetime less the overlap; 0 likewise. */
  readonly period_sec: number;
  /** The first i of this device. */
  readonly first_i: number;
  /** The last i whose first second its enrollment certificate is valid in. */
  readonly last_i: number;
  /** Pre-linkage values are here, or used, through this period. */
  readonly linked_through: number;
  /** PCA requests were made through this period. */
  readonly expanded_through: number;
  /** Batches are filed through this period, without a gap. */
  readonly filed_through: number;
  /** Failures in a row that were this device's own, and the time before which it is not tried again; 0 and 0 without. */
  readonly failures: Generated<number>;
  readonly retry_at: Generated<number>;
  /** LinkageChainIds by which the LAs continue the chains; null before the first values. */
  readonly la1_chain: Uint8Array | null;
  readonly la2_chain: Uint8Array | null;
}

/** Pre-linkage values of a device that wait for their period to be expanded: COER of `PlvsByPeriod`, by i from i_min. */
export interface LinkageTable {
  readonly device_id: number;
  readonly i_min: number;
  readonly i_max: number;
  readonly la1_values: Uint8Array;
  readonly la2_values: Uint8Array;
}

/**
 * The PLV cache: fresh chains of both LAs that belong to no device yet, as they came. A device gets one of these, and
 * without one no device is taken (page "Request Pseudonym Certificate Batch Provisioning", precondition).
 */
export interface LinkageCacheTable {
  readonly id: Generated<number>;
  readonly i_min: number;
  readonly i_max: number;
  /** Values for each period. */
  readonly per_period: number;
  /** LinkageChainId, COER. */
  readonly la1_chain: Uint8Array;
  readonly la2_chain: Uint8Array;
  readonly la1_values: Uint8Array;
  readonly la2_values: Uint8Array;
}

/**
 * A request to the PCA that is not answered yet. Requests leave by epoch, and within an epoch by their key, which is
 * random: that is the shuffle. An epoch that is still filling up stays (`shuffle`). Requests that wait for nothing have
 * epochs below 0, by the second in which they were made.
 */
export interface PcaRequestTable {
  readonly epoch: number;
  readonly key: number;
  readonly device_id: number;
  readonly i: number;
  readonly j: number;
  /** The i-period with which it is over: i itself, or the one in which the certificate ends. */
  readonly period: number;
  /** The exact octets that are sent, and sent again. */
  readonly octets: Uint8Array;
  readonly created_at: number;
  readonly attempts: number;
  readonly next_attempt_at: number;
}

/** The one epoch that is filling up. */
export interface ShuffleTable {
  readonly epoch: number;
  /** Requests that were put in. */
  readonly size: number;
  readonly oldest_at: number;
}

/** A file that is being made. */
export interface BatchTable {
  readonly device_id: number;
  readonly i: number;
  readonly period: number;
  /** Certificates that are not here yet. */
  readonly missing: number;
  /** The epoch of the shuffle into which its requests went. */
  readonly epoch: Generated<number>;
}

/** A checked SignedEncryptedCertificateResponse whose batch is not filed yet. */
export interface ResponseTable {
  readonly device_id: number;
  readonly i: number;
  readonly j: number;
  readonly octets: Uint8Array;
}

/** Periods filed beyond the first gap; rows disappear as the gap closes. */
export interface FiledTable {
  readonly device_id: number;
  readonly i: number;
}

/** A file that will never be made: the PCA has certified its keys for requests that are not known here. Goes with its period. */
export interface GivenUpTable {
  readonly device_id: number;
  readonly i: number;
  /** The i-period with which it would be over. */
  readonly period: number;
  readonly given_up_at: number;
}

export interface BlacklistTable {
  readonly enrollment_hash: Uint8Array;
  readonly reason: string;
  readonly added_at: number;
}

/** Requests of the MA that changed the blacklist: none is carried out twice. */
export interface MaRequestTable {
  /** SHA-256 of the signed request. */
  readonly signed_hash: Uint8Array;
  readonly received_at: number;
  /** COER of the MaRaInterfacePDU that it was answered with; null when it is not repeated any more. */
  readonly answer: Uint8Array | null;
}

export interface SettingTable {
  readonly name: string;
  readonly value: number;
}

/** How much was done in each hour, for operators. */
export interface TallyTable {
  /** Time32 of its beginning. */
  readonly hour: number;
  readonly name: string;
  readonly count: number;
}

/** What went wrong last, by what: one row each, for operators. */
export interface IncidentTable {
  readonly source: string;
  readonly message: string;
  readonly first_at: number;
  readonly last_at: number;
  /** In a row. */
  readonly count: number;
}

/**
 * How many registrations are alike in what operators ask for. Triggers keep it with every change of `device`, so that no
 * question of theirs goes over a whole fleet.
 */
export interface DeviceCountTable {
  readonly kind: CertificateKind;
  readonly status: DeviceStatus;
  readonly blocked: number;
  readonly last_i: number;
  readonly filed_through: number;
  readonly count: number;
}

/** Who takes part in something that several do on one database: a lease, which is over unless it is renewed. */
export interface MemberTable {
  /** What it takes part in. */
  readonly role: string;
  /** Random, of a process or thread: none comes back. */
  readonly name: string;
  /** Unix time in milliseconds, by the clock of the database. */
  readonly joined_at: number;
  readonly until: number;
}

export interface RaSchema {
  readonly device: DeviceTable;
  readonly linkage: LinkageTable;
  readonly linkage_cache: LinkageCacheTable;
  readonly pca_request: PcaRequestTable;
  readonly shuffle: ShuffleTable;
  readonly batch: BatchTable;
  readonly response: ResponseTable;
  readonly filed: FiledTable;
  readonly given_up: GivenUpTable;
  readonly blacklist: BlacklistTable;
  readonly ma_request: MaRequestTable;
  readonly setting: SettingTable;
  readonly tally: TallyTable;
  readonly incident: IncidentTable;
  readonly device_count: DeviceCountTable;
  readonly member: MemberTable;
}

/** Of the triggers that keep `device_count`. */
const COUNT_NEW = `insert into device_count
  values (new.kind, new.status, new.blocked, new.last_i, new.filed_through, 1)
  on conflict do update set count = count + 1;`;
const OLD_COUNT = `kind = old.kind and status = old.status and blocked = old.blocked
  and last_i = old.last_i and filed_through = old.filed_through`;
const UNCOUNT_OLD = `update device_count set count = count - 1 where ${OLD_COUNT};
  delete from device_count where ${OLD_COUNT} and count = 0;`;

/** Of batches that wait in the shuffle; the others have left it. */
const NOTE_EPOCHS = `update batch set epoch = (select epoch from shuffle)
  where (device_id, i) in (
    select device_id, i from pca_request where epoch = (select epoch from shuffle))`;

/** A restored fleet may have given up a week of every device: it is looked at by time, and dropped by period. */
const GIVEN_UP_INDEXES = [
  'create index given_up_by_time on given_up (given_up_at)',
  'create index given_up_by_period on given_up (period)',
];

export const RA_MIGRATIONS: readonly Migration[] = [
  {
    name: '0001-first',
    statements: [
      `create table device (
        id integer primary key,
        kind text not null,
        request_hash blob not null unique,
        body_hash blob not null,
        inner_hash blob not null unique,
        enrollment_hash blob not null,
        enrollment_certificate blob not null,
        public_key blob not null,
        permissions blob not null,
        region blob,
        verify_seed blob not null,
        verify_expansion blob not null,
        encryption_seed blob not null,
        encryption_expansion blob not null,
        cert_encryption_seed blob,
        cert_encryption_expansion blob,
        registered_at integer not null,
        ack blob not null,
        available_at integer not null,
        status text not null,
        first_start integer not null,
        first_i integer not null,
        last_i integer not null,
        linked_through integer not null,
        expanded_through integer not null,
        filed_through integer not null,
        failures integer not null default 0,
        retry_at integer not null default 0,
        la1_chain blob,
        la2_chain blob
      ) strict`,
      // One set of keys per enrollment certificate and kind (Q17); an RSE asks for each application certificate anew.
      `create unique index device_of_enrollment on device (enrollment_hash, kind)
        where kind <> 'application'`,
      'create index device_by_enrollment on device (enrollment_hash)',
      'create index device_to_expand on device (kind, status, failures, expanded_through)',
      `create table pre_linkage (
        device_id integer not null,
        i integer not null,
        la1_values blob not null,
        la2_values blob not null,
        primary key (device_id, i)
      ) strict, without rowid`,
      `create table pca_request (
        hpcr blob primary key,
        device_id integer not null,
        i integer not null,
        j integer not null,
        period integer not null,
        octets blob not null,
        shuffle_key integer not null,
        created_at integer not null,
        released integer not null,
        attempts integer not null,
        next_attempt_at integer not null,
        response blob,
        unique (device_id, i, j)
      ) strict`,
      // Covers what the pipeline asks of it at every step, so that the rows themselves are not read.
      `create index pca_request_to_send
        on pca_request (released, shuffle_key, attempts, next_attempt_at, created_at, period)
        where response is null`,
      'create table filed (device_id integer not null, i integer not null, primary key (device_id, i)) strict, without rowid',
      `create table blacklist (
        enrollment_hash blob primary key,
        reason text not null,
        added_at integer not null
      ) strict, without rowid`,
      'create table setting (name text primary key, value integer not null) strict, without rowid',
    ],
  },
  {
    name: '0002-terms',
    statements: [
      'alter table device add column lifetime_sec integer not null default 0',
      'alter table device add column period_sec integer not null default 0',
      // Until here they were constants: 721 hours every 720, and 169 every 168.
      `update device set lifetime_sec = 2595600, period_sec = 2592000 where kind = 'identification'`,
      `update device set lifetime_sec = 608400, period_sec = 604800 where kind = 'application'`,
    ],
  },
  {
    name: '0003-fleet',
    statements: [
      'alter table device add column blocked integer not null default 0',
      'alter table device add column files_hash blob',
      'alter table device add column last_seen integer not null default 0',
      'alter table device add column fetched_through integer not null default -1',
      'update device set last_seen = registered_at',
      `update device set blocked = 1
        where enrollment_hash in (select enrollment_hash from blacklist)`,
      // Values that came for a period alone are asked for again: the LAs continue the same chains.
      'update device set linked_through = expanded_through',
      'drop table pre_linkage',
      `create table linkage (
        device_id integer not null,
        i_min integer not null,
        i_max integer not null,
        la1_values blob not null,
        la2_values blob not null
      ) strict`,
      'create unique index linkage_of_device on linkage (device_id, i_min)',
      `create table linkage_cache (
        id integer primary key,
        i_min integer not null,
        i_max integer not null,
        per_period integer not null,
        la1_chain blob not null,
        la2_chain blob not null,
        la1_values blob not null,
        la2_values blob not null
      ) strict`,
      `create table batch (
        device_id integer not null,
        i integer not null,
        period integer not null,
        missing integer not null,
        primary key (device_id, i)
      ) strict, without rowid`,
      'create index batch_complete on batch (device_id, i) where missing = 0',
      `create table response (
        device_id integer not null,
        i integer not null,
        j integer not null,
        octets blob not null,
        primary key (device_id, i, j)
      ) strict, without rowid`,
      `create table shuffle (epoch integer primary key, size integer not null, oldest_at integer not null) strict`,
      `insert into batch
        select device_id, i, max(period), sum(response is null) from pca_request group by device_id, i`,
      `insert into response select device_id, i, j, response from pca_request where response is not null`,
      'alter table pca_request rename to pca_request_of_0001',
      `create table pca_request (
        epoch integer not null,
        key integer not null,
        device_id integer not null,
        i integer not null,
        j integer not null,
        period integer not null,
        octets blob not null,
        created_at integer not null,
        attempts integer not null,
        next_attempt_at integer not null,
        primary key (epoch, key)
      ) strict, without rowid`,
      'create index pca_request_to_repeat on pca_request (next_attempt_at) where attempts > 0',
      // Requests that were let go leave first, by their keys. Two of the same key are put apart.
      `insert into pca_request
        select 1 - released, shuffle_key + row_number() over (partition by released, shuffle_key order by hpcr) - 1,
          device_id, i, j, period, octets, created_at, attempts, next_attempt_at
        from pca_request_of_0001 where response is null`,
      `insert into shuffle select 1, count(*), coalesce(min(created_at), 0) from pca_request where epoch = 1`,
      'drop table pca_request_of_0001',
      'drop index device_to_expand',
      `create index device_to_expand on device (expanded_through, id)
        where kind = 'pseudonym' and status = 'active' and blocked = 0 and failures = 0 and expanded_through < last_i`,
      `create index device_identification on device (first_start + (expanded_through + 1) * period_sec)
        where kind = 'identification' and status = 'active' and blocked = 0 and expanded_through < last_i`,
      `create index device_application on device (id)
        where kind = 'application' and status = 'active' and blocked = 0 and expanded_through < last_i`,
      `create index device_to_try_again on device (retry_at)
        where failures > 0 and status = 'active' and blocked = 0`,
      "create index device_by_contact on device (last_seen) where status = 'active'",
      // One set of keys at a time: the one that was replaced makes room.
      'drop index device_of_enrollment',
      `create unique index device_of_enrollment on device (enrollment_hash, kind)
        where kind <> 'application' and status <> 'replaced'`,
      `create table tally (
        hour integer not null,
        name text not null,
        count integer not null,
        primary key (hour, name)
      ) strict, without rowid`,
      `create table incident (
        source text primary key,
        message text not null,
        first_at integer not null,
        last_at integer not null,
        count integer not null
      ) strict, without rowid`,
    ],
  },
  {
    name: '0004-operators',
    statements: [
      'alter table device add column enrollment_end integer not null default 0',
      // Until here it was not noted. It lies in the last period of the device, and is taken for the end of that.
      `update device set enrollment_end =
          (select value from setting where name = 'iperiod_epoch')
          + (last_i + 1) * (select value from setting where name = 'iperiod_length_sec')
        where kind = 'pseudonym' and exists (select 1 from setting where name = 'iperiod_length_sec')`,
      `update device set enrollment_end = first_start + (last_i + 1) * period_sec where kind = 'identification'`,
      'create index device_by_enrollment_end on device (enrollment_end, enrollment_hash)',
      `create table device_count (
        kind text not null,
        status text not null,
        blocked integer not null,
        last_i integer not null,
        filed_through integer not null,
        count integer not null,
        primary key (kind, status, blocked, last_i, filed_through)
      ) strict, without rowid`,
      `insert into device_count select kind, status, blocked, last_i, filed_through, count(*)
        from device group by kind, status, blocked, last_i, filed_through`,
      `create trigger device_comes after insert on device begin ${COUNT_NEW} end`,
      `create trigger device_goes after delete on device begin ${UNCOUNT_OLD} end`,
      `create trigger device_moves after update of kind, status, blocked, last_i, filed_through on device
        when new.filed_through <> old.filed_through or new.blocked <> old.blocked or new.status <> old.status
          or new.last_i <> old.last_i or new.kind <> old.kind
        begin ${UNCOUNT_OLD} ${COUNT_NEW} end`,
    ],
  },
  {
    name: '0005-linkage-by-period',
    statements: [
      // The values of each period have a length of their own from here on; those that came before are asked for again.
      'update device set linked_through = expanded_through where linked_through > expanded_through',
      'delete from linkage',
      'delete from linkage_cache',
    ],
  },
  {
    name: '0006-ma-requests',
    statements: [
      `create table ma_request (
        signed_hash blob primary key,
        received_at integer not null,
        answer blob
      ) strict, without rowid`,
      'create index ma_request_with_answer on ma_request (received_at) where answer is not null',
      // A revocation identifier is the end of the hash.
      'create index device_by_rif on device (substr(enrollment_hash, -8))',
      'create index blacklist_by_rif on blacklist (substr(enrollment_hash, -8))',
    ],
  },
  // Where the schema of PostgreSQL begins: every step after this one has statements for both.
  { name: '0007-postgres', statements: [], postgres: POSTGRES_SCHEMA },
  {
    name: '0008-epoch-of-batch',
    statements: ['alter table batch add column epoch integer not null default 0', NOTE_EPOCHS],
    postgres: ['alter table batch add column epoch bigint not null default 0', NOTE_EPOCHS],
  },
  {
    name: '0009-members',
    statements: [
      `create table member (
        role text not null,
        name text not null,
        joined_at integer not null,
        until integer not null,
        primary key (role, name)
      ) strict, without rowid`,
    ],
    postgres: [
      `create table member (
        role text not null,
        name text not null,
        joined_at bigint not null,
        until bigint not null,
        primary key (role, name)
      )`,
    ],
  },
  {
    name: '0010-given-up',
    statements: [
      `create table given_up (
        device_id integer not null,
        i integer not null,
        period integer not null,
        given_up_at integer not null,
        primary key (device_id, i)
      ) strict, without rowid`,
      ...GIVEN_UP_INDEXES,
    ],
    postgres: [
      `create table given_up (
        device_id bigint not null,
        i bigint not null,
        period bigint not null,
        given_up_at bigint not null,
        primary key (device_id, i)
      )`,
      ...GIVEN_UP_INDEXES,
    ],
  },
];
