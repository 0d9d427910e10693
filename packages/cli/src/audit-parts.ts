/** The audit log of an RA, as its configuration has it: for the server, the pipeline, and operators at the command line. */
import { createHash } from 'node:crypto';
import { dirname } from 'node:path';
import { readFormerCertificates } from '@chrysalis/authorities';
import { readCertificateFile } from '@chrysalis/authorities/keys';
import type { PublicKey } from '@chrysalis/crypto';
import type { TrustStore } from '@chrysalis/ieee1609dot2';
import {
  type AuditLogOptions,
  AuditWriter,
  Blacklist,
  BlacklistChanges,
  GoneWriters,
  type LineSigner,
  type Log,
  type RaIdentity,
  type RaSchema,
} from '@chrysalis/ra';
import type { Clock } from '@chrysalis/scms';
import type { Database } from '@chrysalis/store';
import type { ChrysalisConfig } from './config.ts';
import type { CliContext } from './context.ts';
import { createLog } from './log.ts';
import { trustConfigured } from './trust.ts';

/** The processes and threads that write, each a series of its own. */
export type AuditWriterName =
  | 'server'
  | 'pipeline'
  | 'operator'
  | `front${string}`
  | `worker${string}`;

/** The commands of an operator read no key: the server's checkpoints vouch for what they write. */
export const UNSIGNED_WRITERS: readonly AuditWriterName[] = ['operator'];

const OCTETS_PER_MB = 1_000_000;

interface AuditSurroundings {
  /** Without it, as for operators, nothing is signed. */
  readonly identity?: RaIdentity;
  readonly clock: Clock;
  readonly log: Log;
}

/** Closed with `resources`; undefined when it is not enabled. @throws StoreError */
export async function openAudit(
  { audit }: Pick<ChrysalisConfig, 'audit'>,
  writer: AuditWriterName,
  { identity, clock, log }: AuditSurroundings,
  resources: AsyncDisposableStack,
): Promise<AuditWriter | undefined> {
  if (!audit.enabled) return undefined;
  const options: AuditLogOptions = {
    directory: audit.directory,
    writer,
    maxFileOctets: audit.maxFileMb * OCTETS_PER_MB,
    // Few lines, by hand: nobody stays long enough to see that a file's time is over, whatever the clock says.
    keepDays: writer === 'operator' ? 0 : audit.keepDays,
    clock,
    log,
    ...(identity && {
      sign: signerOf(identity),
    }),
  };
  const opened = await AuditWriter.open(options);
  resources.defer(() => opened.close());
  if (looksAfterOthers(writer)) {
    const gone = new GoneWriters({ ...options, kept: UNSIGNED_WRITERS });
    resources.defer(() => gone.stop());
    gone.start();
  }
  return opened;
}

/** One in each place where processes write: those that answer devices, and the pipeline, have the server beside them. */
function looksAfterOthers(writer: AuditWriterName): boolean {
  return writer === 'server' || writer.startsWith('worker');
}

/** Whatever certificate the RA has when it signs. */
function signerOf(identity: RaIdentity): LineSigner {
  return {
    get id() {
      return hex(identity.certificate.id);
    },
    get signer() {
      return identity.signer;
    },
  };
}

/**
 * The blacklist, for an operator at the command line: what is changed there is a series of its own in the audit log, beside those
 * of an RA that serves.
 *
 * @throws StoreError
 */
export async function openOperatorBlacklist(
  config: Pick<ChrysalisConfig, 'audit'>,
  database: Database<RaSchema>,
  { clock, random, stderr }: Pick<CliContext, 'clock' | 'random' | 'stderr'>,
  resources: AsyncDisposableStack,
): Promise<Blacklist> {
  const log = createLog(stderr, 'warn');
  const audit = await openAudit(config, 'operator', { clock, log }, resources);
  const changes = audit && new BlacklistChanges({ database, audit, clock, random, log });
  return new Blacklist(database, changes);
}

/** The keys by which an audit log is verified: those of the RA's certificates, present and former. */
export async function auditKeys(
  { ra }: ChrysalisConfig,
  trust: TrustStore,
  log: Log,
): Promise<Map<string, PublicKey>> {
  const present = await readCertificateFile(ra.certificate);
  const former = await readFormerCertificates(dirname(ra.certificate));
  return new Map(
    [present, ...former].map((certificate) => {
      const { id, publicKey } = trustConfigured(trust, certificate, log);
      return [hex(id), publicKey];
    }),
  );
}

/** SHA-256 of the configuration, in JSON with keys in their order. It has no secret. */
export function configDigest(config: ChrysalisConfig): string {
  const text = JSON.stringify(config, (_key, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  );
  return createHash('sha256').update(text).digest('hex');
}

function hex(octets: Uint8Array): string {
  return Buffer.from(octets).toString('hex');
}
