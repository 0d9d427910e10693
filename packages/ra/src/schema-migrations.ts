/** How the database came to be what `schema.ts` says: a step is never changed once it was released. */
import type { Migration } from '@chrysalis/store';
import { POSTGRES_SCHEMA } from './postgres-schema.ts';

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
  {
    name: '0011-blacklist-changes',
    statements: [
      `create table blacklist_change (
        id integer primary key,
        line_id blob not null,
        change text not null,
        enrollment_hash blob not null,
        reason text,
        changed_at integer not null
      ) strict`,
    ],
    postgres: [
      `create table blacklist_change (
        id bigint generated by default as identity primary key,
        line_id bytea not null,
        change text not null,
        enrollment_hash bytea not null,
        reason text,
        changed_at bigint not null
      )`,
    ],
  },
];
