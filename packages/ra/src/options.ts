import type { Random } from '@chrysalis/crypto';
import type {
  Certificate,
  Decrypter,
  HashedCertificate,
  Signer,
  Time32,
  TrustStore,
  VerifiedCertificate,
} from '@chrysalis/ieee1609dot2';
import type {
  CertificateAuthority,
  Clock,
  Dialect,
  IPeriodClock,
  LinkageAuthority,
  MisbehaviorAuthority,
  PolicyGenerator,
} from '@chrysalis/scms';
import type { Database, ObjectStore } from '@chrysalis/store';
import type { AuditLog } from './audit-log.ts';
import type { GuardLimits } from './guards.ts';
import type { PipelineHost } from './pipeline.ts';
import type { RaSchema } from './schema.ts';
import type { Siblings } from './siblings.ts';
import type { ServerTls } from './tls-in-force.ts';

/** What is written for operators: structured, without secrets and without anything that locates a device. */
export interface Log {
  /** What happens at each download: too much for every day. */
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** The RA as others know it, and its private keys, which may live elsewhere. */
export interface RaIdentity {
  readonly certificate: HashedCertificate;
  /** Its name in messages to the PCA and the LAs, and in the URL that devices are given. */
  readonly hostname: string;
  readonly signer: Signer;
  readonly decrypter: Decrypter;
  /** What it was before: until a device has heard of another certificate, it seals to the one that it has. */
  readonly former?: readonly {
    readonly certificate: HashedCertificate;
    readonly decrypter: Decrypter;
    /** The first second in which it is too late to use it; the certificate's own end when missing, or sooner. */
    readonly until?: Time32;
  }[];
}

/** An authority behind the RA: how to reach it, and the certificate by which its answers are checked. */
export interface Peer<Port> {
  readonly port: Port;
  readonly hostname: string;
  readonly certificate: VerifiedCertificate;
  /** Certificates that it had before: what it answered under them may still be on its way. */
  readonly former?: readonly VerifiedCertificate[];
}

/** The PG: its files are signed, or consist of certificates, so that it takes no certificate to know it by. */
export interface PolicySource {
  readonly port: PolicyGenerator;
  /** In which the chains of its GCCF have to end. */
  readonly roots: readonly Certificate[];
}

/** The MA, and the certificate to which devices encrypt their reports. */
export interface ReportSink {
  readonly port: MisbehaviorAuthority;
  readonly certificate: HashedCertificate;
  /** Certificates that it had before, and whose keys it still has: reports wait in devices for up to a week. */
  readonly former?: readonly HashedCertificate[];
}

/** An OCSP responder (RFC 6960): it says whether the X.509 certificate that devices are shown is good. */
export interface OcspSource {
  /** PEM; the certificate of whoever issued the one of `tls`. */
  readonly issuerPem: string;
  /**
   * Answers DER of OCSPRequest with DER of OCSPResponse, up to 64 KiB, which is checked by whoever asks. Rejects when
   * there is none, and when the signal aborts.
   */
  respond(request: Uint8Array, signal: AbortSignal): Promise<Uint8Array>;
}

/** How reports are taken from devices and handed on to the MA. */
export interface ReportPolicy {
  /** From all devices together: what is beyond is refused. */
  readonly perMinute: number;
  /** Reports that have to wait before all of them go to the MA. */
  readonly poolThreshold: number;
  /** Longest wait of a report in the pool. */
  readonly poolMaxAgeSec: number;
}

/** Failures of an enrollment certificate in an hour at one service, before it is refused there. 0: no limit. */
export interface TriesPolicy {
  /** Of authenticated provisioning requests. */
  readonly provisioningPerHour: number;
  /** Of authenticated downloads. */
  readonly downloadsPerHour: number;
}

/** What the RA gives each device, and how it hides devices from the PCA. */
export interface RaPolicy {
  /** Certificates of one i-period: 20 by CAMP's policy. */
  readonly certificatesPerPeriod: number;
  /** i-periods that are kept ready, the current one included: 156 are three years. */
  readonly weeksAhead: number;
  /** Requests that have to wait, of whatever device, before all of them go to the PCA in random order. */
  readonly shuffleThreshold: number;
  /** Longest wait of a request in the shuffle. */
  readonly shuffleMaxAgeSec: number;
  /** Whether the first certificates of a device skip the shuffle. They then arrive at the PCA together. */
  readonly shuffleInitial: 'immediate' | 'pooled';
  /** From the beginning of an application certificate to the time from which another may be asked for: 168 hours. */
  readonly applicationPeriodSec: number;
  /** By which it lasts longer than that: an hour. */
  readonly applicationOverlapSec: number;
}

/** What an RA decides for itself. The rest follows the policy in force, and CAMP's while there is none. */
export type PolicyOverrides = Pick<RaPolicy, 'shuffleInitial'> &
  Partial<Omit<RaPolicy, 'applicationPeriodSec' | 'applicationOverlapSec'>>;

/** What an RA is started with. */
export interface RaSettings extends Omit<RaOptions, 'policy'> {
  readonly policy: PolicyOverrides;
}

export interface RaOptions {
  readonly identity: RaIdentity;
  readonly listen: { readonly address: string; readonly port: number };
  readonly tls: ServerTls;
  /** Whose answers are stapled (RFC 6066 §8): without it, none are. */
  readonly ocsp?: OcspSource;
  /** Base of the URLs that devices are given, without a slash at its end; the hostname and real port when absent. */
  readonly publicUrl?: string;
  /** Roots and intermediates. */
  readonly trust: TrustStore;
  /** The ECAs whose devices this RA serves: its whitelist. */
  readonly ecas: readonly VerifiedCertificate[];
  readonly pca: Peer<CertificateAuthority>;
  readonly la1: Peer<LinkageAuthority>;
  readonly la2: Peer<LinkageAuthority>;
  /** Without it there are no policy and no chain files. */
  readonly pg?: PolicySource;
  /** Whose reports are taken: without it, none are. */
  readonly ma?: ReportSink;
  /** 1000 a minute, 10,000 pooled and a day when missing. */
  readonly reports?: Partial<ReportPolicy>;
  /** 5 provisioning requests and 600 downloads when missing (code 5071). */
  readonly tries?: Partial<TriesPolicy>;
  readonly database: Database<RaSchema>;
  readonly objects: ObjectStore;
  /** Whether nodes on other machines may work on the same database and objects; false when missing. */
  readonly isShared?: boolean;
  /** Chains in the PLV cache: 200 when missing. */
  readonly linkageCache?: number;
  /** A device that was not heard of for so long gets nothing more until it is; never when missing. */
  readonly pauseAfterSec?: number;
  /** Whether a device may ask anew with other keys, for the periods whose files it has not fetched (Q17); `replace` when missing. */
  readonly secondRequest?: 'replace' | 'refuse';
  /** Of what strangers may write into the audit log, the share of this process; all of it when missing. */
  readonly strangersShare?: number;
  /** The other processes that answer devices from the same state; none when missing. */
  readonly siblings?: Siblings;
  /** Makes the certificates; in this thread when missing. */
  readonly pipeline?: PipelineHost;
  /** May change from one look to the next. */
  readonly policy: RaPolicy;
  readonly iPeriod: IPeriodClock;
  /** `ra.client-signature-ttl-sec`: how far a device's time may lie from ours, on either side. */
  readonly toleranceSec: number;
  /** The same for provisioning requests; `toleranceSec` when missing (Q14). */
  readonly provisioningToleranceSec?: number;
  readonly errorDetail: 'production' | 'qa';
  /** Refusals leave at the next multiple of so many milliseconds after their request arrived: 100 when missing, 0 at once. */
  readonly refusalTickMs?: number;
  /** What is taken from all devices together; see `connections.ts` and `load.ts` for what holds when it is missing. */
  readonly limits?: Partial<GuardLimits>;
  /** The operators' port, on the loopback interface: without it there is none. */
  readonly ops?: { readonly port: number };
  /** Releases of ee-ra.asn that are accepted. */
  readonly dialects: readonly Dialect[];
  readonly clock: Clock;
  /** How long a period is seen to be over before it is dropped, in this process's own time; an hour when missing. */
  readonly dropGraceMs?: number;
  readonly random: Random;
  readonly log: Log;
  /** Where events are written down for auditors; without it none are. The caller closes it, after the RA. */
  readonly audit?: AuditLog;
  /** What the audit log says at the start: the version of the program, and SHA-256 of its configuration without secrets. */
  readonly about?: { readonly version: string; readonly config: string };
  /** Told about each step of authentication as it begins; for tests of their order, and for counting. */
  readonly onStep?: (step: string) => void;
}

/** What the pipeline needs of it all: wherever it runs. */
export type PipelineOptions = Pick<
  RaOptions,
  | 'identity'
  | 'trust'
  | 'pca'
  | 'la1'
  | 'la2'
  | 'database'
  | 'objects'
  | 'isShared'
  | 'policy'
  | 'iPeriod'
  | 'clock'
  | 'dropGraceMs'
  | 'linkageCache'
  | 'pauseAfterSec'
  | 'random'
  | 'log'
  | 'audit'
>;
