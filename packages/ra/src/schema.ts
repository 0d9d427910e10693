import type { Generated } from 'kysely';

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

/** Changes of the blacklist whose lines are not in the audit log for certain. */
export interface BlacklistChangeTable {
  /** Their order. */
  readonly id: Generated<number>;
  /** 8 octets, random: in the line too, so that one that was written twice is known by it. */
  readonly line_id: Uint8Array;
  readonly change: 'added' | 'removed';
  readonly enrollment_hash: Uint8Array;
  /** Null of one that was removed. */
  readonly reason: string | null;
  /** Unix time in milliseconds. */
  readonly changed_at: number;
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
  readonly blacklist_change: BlacklistChangeTable;
  readonly ma_request: MaRequestTable;
  readonly setting: SettingTable;
  readonly tally: TallyTable;
  readonly incident: IncidentTable;
  readonly device_count: DeviceCountTable;
  readonly member: MemberTable;
}
