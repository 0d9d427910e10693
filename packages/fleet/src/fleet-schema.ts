import type { Migration } from '@chrysalis/store';

/** The database of a fleet. Devices are numbered from 0. */
export interface FleetSchema {
  /** `seed`: 32 octets. */
  readonly setting: { readonly name: string; readonly value: Uint8Array };
  /** Files that all devices have alike: the certificates of the bundle and its X.509 root. */
  readonly shared_file: { readonly name: string; readonly octets: Uint8Array };
  /** The other files of each device's profile. */
  readonly device_file: {
    readonly device: number;
    readonly name: string;
    readonly octets: Uint8Array;
  };
  /** A row for each device that was acknowledged: the i-period in which it was. */
  readonly provisioned: { readonly device: number; readonly first_i: number };
  /** A row for each batch that a device is to have. */
  readonly batch: {
    readonly device: number;
    readonly i: number;
    /** SHA-256 of the zip; null until it has been downloaded. */
    readonly digest: Uint8Array | null;
    /** Octets of the zip. */
    readonly size: number | null;
    /** With `--keep`. */
    readonly zip: Uint8Array | null;
  };
  /** Batches in which the checker found no fault; see `fingerprint.ts`. */
  readonly verified: {
    readonly device: number;
    readonly i: number;
    readonly fingerprints: Uint8Array;
  };
}

export const FLEET_MIGRATIONS: readonly Migration[] = [
  {
    name: 'fleet-0001-devices',
    statements: [
      'create table setting (name text primary key, value blob not null) strict, without rowid',
      'create table shared_file (name text primary key, octets blob not null) strict, without rowid',
      `create table device_file (
        device integer not null,
        name text not null,
        octets blob not null,
        primary key (device, name)
      ) strict, without rowid`,
      'create table provisioned (device integer primary key, first_i integer not null) strict',
      `create table batch (
        device integer not null,
        i integer not null,
        digest blob,
        size integer,
        zip blob,
        primary key (device, i)
      ) strict`,
      `create table verified (
        device integer not null,
        i integer not null,
        fingerprints blob not null,
        primary key (device, i)
      ) strict`,
    ],
  },
];
