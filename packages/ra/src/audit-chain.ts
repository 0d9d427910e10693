/**
 * The lines of the audit log, and how each hangs on the one before:
 *
 *     hash = SHA-256(hash of the line before, 64 hex digits in ASCII ‖ the line without its member "hash")
 *
 * The hash is over the octets as they stand in the file, so that nobody has to agree about a canonical form. Pure.
 */
import { createHash } from 'node:crypto';
import type { EcdsaSignature, PublicKey } from '@chrysalis/crypto';
import type { Signer } from '@chrysalis/ieee1609dot2';
import type { AuditEvent, AuditLogEvent } from './audit-event.ts';

/** A line by its number and hash: all that is needed to write the next one. */
export interface ChainLink {
  readonly seq: number;
  /** 64 hex digits, lower case. */
  readonly hash: string;
}

/** What the first line hangs on. */
export const GENESIS: ChainLink = { seq: 0, hash: '0'.repeat(64) };

/** Longest line without its end: the longest event lists 50 retired files. */
export const MAX_LINE = 16 * 1024;

/** Who signs checkpoints. */
export interface LineSigner {
  /** HashedId8 of the certificate, 16 hex digits. */
  readonly id: string;
  readonly signer: Signer;
}

/** A line as it was read, checked against the one before. */
export interface ChainedLine extends ChainLink {
  /** ISO 8601, UTC. */
  readonly time: string;
  readonly event: (AuditEvent | AuditLogEvent)['event'];
  /** Every member, `seq`, `time`, `event` and `hash` included. */
  readonly members: Readonly<Record<string, unknown>>;
  /** What its signature covers; undefined when it has none. */
  readonly signed?: {
    readonly id: string;
    readonly input: Uint8Array;
    readonly by: EcdsaSignature;
  };
}

/** The log is not what was written. */
export class AuditChainError extends Error {
  override readonly name = 'AuditChainError';
}

const SIGNATURE_OCTETS = 64;
const HASH_MEMBER = /,"hash":"([0-9a-f]{64})"\}$/;
const HASH_MEMBER_LENGTH = ',"hash":""}'.length + 64;
const SIGNATURE_MEMBER_LENGTH = ',"signature":""}'.length + 2 * SIGNATURE_OCTETS;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/**
 * The next line, with its end.
 *
 * @param sign for the lines that are signed: the signature covers what the hash would if the line had none
 */
export function chainLine(
  before: ChainLink,
  timeMs: number,
  event: AuditEvent | AuditLogEvent,
  sign?: LineSigner,
): ChainLink & { readonly text: string } {
  const seq = before.seq + 1;
  const time = new Date(timeMs).toISOString();
  let line = JSON.stringify({ seq, time, ...event, ...(sign && { signer: sign.id }) });
  if (sign) {
    const { r, s } = sign.signer.sign(Buffer.from(before.hash + line));
    line = `${line.slice(0, -1)},"signature":"${hex(r)}${hex(s)}"}`;
  }
  const hash = createHash('sha256').update(before.hash).update(line).digest('hex');
  return { seq, hash, text: `${line.slice(0, -1)},"hash":"${hash}"}\n` };
}

/**
 * Reads the line that follows `before`.
 *
 * @param octets without the end of line
 * @throws AuditChainError
 */
export function readChainLine(before: ChainLink, octets: Buffer): ChainedLine {
  const line = parseLine(octets);
  if (line.seq !== before.seq + 1) {
    throw new AuditChainError(`expected line ${before.seq + 1} of the chain, saw ${line.seq}`);
  }
  const content = Buffer.concat([octets.subarray(0, -HASH_MEMBER_LENGTH), Buffer.from('}')]);
  const hash = createHash('sha256').update(before.hash).update(content).digest('hex');
  if (hash !== line.hash) {
    throw new AuditChainError(
      `expected the hash ${hash} of line ${line.seq} after the one before, saw ${line.hash}`,
    );
  }
  const { signer, signature } = line.members;
  if (typeof signer !== 'string' || typeof signature !== 'string') return line;
  const by = Buffer.from(signature, 'hex');
  if (by.length !== SIGNATURE_OCTETS) {
    throw new AuditChainError(`expected a signature of ${SIGNATURE_OCTETS} octets`);
  }
  const input = Buffer.concat([
    Buffer.from(before.hash),
    content.subarray(0, -SIGNATURE_MEMBER_LENGTH),
    Buffer.from('}'),
  ]);
  return {
    ...line,
    signed: { id: signer, input, by: { r: by.subarray(0, 32), s: by.subarray(32) } },
  };
}

/** Whether one of the keys has made the signature of a line. */
export function isSignedBy({ signed }: ChainedLine, keys: ReadonlyMap<string, PublicKey>): boolean {
  return signed !== undefined && keys.get(signed.id)?.verify(signed.input, signed.by) === true;
}

/** A line by itself, its place in the chain unchecked. @throws AuditChainError */
export function parseLine(octets: Buffer): ChainedLine {
  const text = octets.toString('utf8');
  const hash = HASH_MEMBER.exec(text)?.[1];
  if (hash === undefined) throw new AuditChainError('expected a line that ends with its hash');
  const members = parseObject(text);
  const { seq, time, event } = members;
  if (!Number.isSafeInteger(seq) || typeof event !== 'string') {
    throw new AuditChainError('expected a line with seq and event');
  }
  if (typeof time !== 'string' || !TIME.test(time)) {
    throw new AuditChainError('expected a line with its time in ISO 8601, UTC');
  }
  return { seq: seq as number, hash, time, event: event as ChainedLine['event'], members };
}

function parseObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch (cause) {
    throw new AuditChainError('expected a line of JSON', { cause });
  }
  throw new AuditChainError('expected an object of JSON');
}

function hex(octets: Uint8Array): string {
  return Buffer.from(octets).toString('hex');
}
