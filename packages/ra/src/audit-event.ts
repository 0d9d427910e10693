/**
 * What the audit log says, event by event. A type here is all that an event can carry: no address and no location of a device,
 * no octet that a stranger chose, no key, and nothing that links pseudonyms (no linkage value, cocoon key, certificate of
 * a device or hash of one). Hashes are lower case hex. docs/reference/audit-log.md is the same in prose.
 */
import type { CertificateKind } from './schema.ts';
import type { TriedService } from './tries.ts';

/** A device's request is on record: its certificates will be made. On stable storage before the acknowledgement leaves. */
export interface RegistrationEvent {
  readonly event: 'registration';
  readonly kind: CertificateKind;
  /** 8 octets: the name of the device's files from now on. */
  readonly requestHash: string;
  /** SHA-256 of the enrollment certificate; its last 16 digits are the HashedId8. */
  readonly enrollment: string;
  /**
   * `new`: the first of its kind. `replaced`: other keys than before, which count from firstI. `renamed`: the same keys in a new
   * request, which gives the registration a new name and nothing more.
   */
  readonly outcome: 'new' | 'replaced' | 'renamed';
  /** Request hash of the registration that was there before; absent when `new`. */
  readonly former?: string;
  /** The first and last period, or number, that it covers. */
  readonly firstI: number;
  readonly lastI: number;
}

/** A signed acknowledgement leaves. */
export interface AcknowledgementEvent {
  readonly event: 'acknowledgement';
  readonly kind: CertificateKind;
  readonly requestHash: string;
  /** The same octets as before, to a device that sent the same octets. */
  readonly repeated: boolean;
}

/** The PCA's certificates of one device for one period are complete: their file is there. */
export interface IssuanceEvent {
  readonly event: 'issuance';
  readonly kind: CertificateKind;
  readonly requestHash: string;
  readonly i: number;
  /** How many certificates the file holds. */
  readonly certificates: number;
}

/** An authenticated device was answered about a file of its own. */
export interface DownloadEvent {
  readonly event: 'download';
  readonly service: TriedService;
  readonly requestHash: string;
  /** Of the file; absent for `.info`. */
  readonly i?: number;
  /** 200 whole, 206 a range, 416 a range that the file does not have. */
  readonly status: number;
  /** Octets of the body. */
  readonly octets: number;
}

/** The services of the RA as the log names them; `other` is what is none of them, `connection` what never became a request. */
export type AuditedService =
  | TriedService
  | 'ra-certificate'
  | 'misbehavior-report'
  | 'local-policy'
  | 'local-certificate-chain'
  | 'other'
  | 'connection';

/** Somebody was refused: this is the true reason, whatever they were told. */
export interface RefusalEvent {
  readonly event: 'refusal';
  readonly service: AuditedService;
  /** Of the CAMP table (docs/reference/errors.md), and its name. */
  readonly code: number;
  readonly reason: string;
  /** What was expected. What was seen is a stranger's choice, and stays out. */
  readonly check: string;
  /** SHA-256 of the enrollment certificate of a call whose signature was verified; absent otherwise: anybody can show one. */
  readonly enrollment?: string;
}

/** As so many refusals, which came too fast for a line each. */
export interface RefusalsEvent {
  readonly event: 'refusals';
  readonly service: AuditedService;
  readonly code: number;
  readonly reason: string;
  readonly count: number;
}

/** Somebody was not served because of a fault of ours. */
export interface FailureEvent {
  readonly event: 'failure';
  readonly service: AuditedService;
  /** Under which the log has the whole error. */
  readonly id: string;
}

/** As so many faults of ours, which came too fast for a line each: the log has every one. */
export interface FailuresEvent {
  readonly event: 'failures';
  readonly service: AuditedService;
  readonly count: number;
}

/** The internal blacklist has changed. On stable storage before whoever asked is told; after a kill, when the RA starts again. */
export interface BlacklistEvent {
  readonly event: 'blacklist';
  readonly change: 'added' | 'removed';
  /** SHA-256 of the enrollment certificate. */
  readonly enrollment: string;
  /** As the operator gave it, 500 characters at most. */
  readonly reason?: string;
  /** 8 random octets. Two lines with the same are one change: a kill, or two processes at a time, have written it twice. */
  readonly id: string;
  /** ISO 8601, UTC: when it was changed. The line is later, if whoever made it could not write it. */
  readonly at: string;
}

/**
 * The MA has asked on its own port, in a request with its signature. On stable storage before it is answered. Which requests to
 * the PCA or which devices it asked about stays out: `blacklist` events tell what came of it.
 */
export interface MaRequestEvent {
  readonly event: 'ma-request';
  readonly request: 'blacklist' | 'blacklist-by-rif' | 'linkage-chains' | 'digests';
  /** 8 octets: in the reasons of the blacklist events as well. */
  readonly requestHash: string;
  /** HashedId8 of the MA's certificate. */
  readonly ma: string;
  readonly entries: number;
  readonly succeeded: number;
  /** Why no entry was looked at, by the name in ma-ra-errors.asn; absent when each was. */
  readonly refused?: string;
}

/** A new local policy file or local certificate chain file is served from now on. */
export interface PolicyEvent {
  readonly event: 'policy';
  /** Its name, in which the versions stand. */
  readonly file: string;
}

export interface StartEvent {
  readonly event: 'start';
  /** Of this program; absent when whoever starts it does not say. */
  readonly version?: string;
  /** SHA-256 of the configuration without secrets. */
  readonly config?: string;
  /** HashedId8 of the RA's certificate. */
  readonly ra: string;
  /** Names of the files that are served. */
  readonly policy?: string;
  readonly chain?: string;
}

/** A stop in good order: without one, a start follows a crash. */
export interface StopEvent {
  readonly event: 'stop';
}

/** What the parts of an RA write. */
export type AuditEvent =
  | RegistrationEvent
  | AcknowledgementEvent
  | IssuanceEvent
  | DownloadEvent
  | RefusalEvent
  | RefusalsEvent
  | FailureEvent
  | FailuresEvent
  | BlacklistEvent
  | MaRequestEvent
  | PolicyEvent
  | StartEvent
  | StopEvent;

/** The first line of each file. Signed, unless the writer has no key. */
export interface FileEvent {
  readonly event: 'file';
  /** Of this format. */
  readonly format: 1;
  readonly writer: string;
  /** From 1. */
  readonly number: number;
  /** Hash of the last line of the file before; zeros in the first. */
  readonly previous: string;
}

/** All that stands before it is vouched for. Signed, unless the writer has no key. */
export interface CheckpointEvent {
  readonly event: 'checkpoint';
  /** The newest checkpoints of the other writers, so that none of them can be shortened alone. */
  readonly others: Readonly<Record<string, { readonly seq: number; readonly hash: string }>>;
}

/** The oldest files are removed because their time is over: what is missing without such a line was taken away. */
export interface RetentionEvent {
  readonly event: 'retention';
  readonly keepDays: number;
  /** Each with its last line. */
  readonly files: readonly {
    readonly number: number;
    readonly lastSeq: number;
    readonly lastHash: string;
  }[];
}

/** The last line before had no end, as after a kill or a power cut, and was cut off. */
export interface RepairEvent {
  readonly event: 'repair';
  readonly octets: number;
}

/** The disk did not take the log for a while. */
export interface GapEvent {
  readonly event: 'gap';
  /** ISO 8601, UTC: when it began. */
  readonly since: string;
  /** Events that nobody waited for and that are lost. */
  readonly lost: number;
}

/** What the log writes about itself. */
export type AuditLogEvent = FileEvent | CheckpointEvent | RetentionEvent | RepairEvent | GapEvent;
