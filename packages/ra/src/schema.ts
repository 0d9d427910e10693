import type { Migration } from '@chrysalis/store';
import type { Generated } from 'kysely';

/** What a device asked for: each has its own request, keys and files. */
export type CertificateKind = 'pseudonym' | 'identification' | 'application';

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
  /** SHA-256 of the POST body: tells a repetition of the very same octets from everything else. */
  readonly body_hash: Uint8Array;
  /** SHA-256 of the signed request inside: tells the same request in another envelope. */
  readonly inner_hash: Uint8Array;
  /** SHA-256 of the enrollment certificate in canonical form. */
  readonly enrollment_hash: Uint8Array;
  /** COER of the enrollment certificate in canonical form. */
  readonly enrollment_certificate: Uint8Array;
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
  /** `active`, or `failed` when its keys cannot be expanded. */
  readonly status: 'active' | 'failed';
  /** When certificate 0 begins; 0 for pseudonym certificates, which begin with their period. */
  readonly first_start: number;
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

/** Pre-linkage values that wait for their period to be expanded: COER of SEQUENCE OF EncryptedIndividualPLV. */
export interface PreLinkageTable {
  readonly device_id: number;
  readonly i: number;
  readonly la1_values: Uint8Array;
  readonly la2_values: Uint8Array;
}

/** A request to the PCA that is not answered yet, or whose batch is not complete. */
export interface PcaRequestTable {
  readonly hpcr: Uint8Array;
  readonly device_id: number;
  readonly i: number;
  readonly j: number;
  /** The i-period with which it is over: i itself, or the one in which the certificate ends. */
  readonly period: number;
  /** The exact octets that are sent, and sent again. */
  readonly octets: Uint8Array;
  /** Random: requests leave in the order of this key. */
  readonly shuffle_key: number;
  readonly created_at: number;
  /** 1 when it may leave the shuffle. */
  readonly released: number;
  readonly attempts: number;
  readonly next_attempt_at: number;
  /** The checked SignedEncryptedCertificateResponse; null until it is there. */
  readonly response: Uint8Array | null;
}

/** Periods filed beyond the first gap; rows disappear as the gap closes. */
export interface FiledTable {
  readonly device_id: number;
  readonly i: number;
}

export interface BlacklistTable {
  readonly enrollment_hash: Uint8Array;
  readonly reason: string;
  readonly added_at: number;
}

export interface SettingTable {
  readonly name: string;
  readonly value: number;
}

export interface RaSchema {
  readonly device: DeviceTable;
  readonly pre_linkage: PreLinkageTable;
  readonly pca_request: PcaRequestTable;
  readonly filed: FiledTable;
  readonly blacklist: BlacklistTable;
  readonly setting: SettingTable;
}

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
];
