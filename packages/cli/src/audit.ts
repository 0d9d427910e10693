/** `chrysalis audit`: what an RA has written down for auditors, and whether it is as it was written. */
import { resolve } from 'node:path';
import {
  AuditBrokenError,
  auditWriters,
  type ChainedLine,
  type KnownLine,
  type Log,
  readAuditLines,
  type VerifiedSeries,
  verifyAuditLog,
} from '@chrysalis/ra';
import { type Command, InvalidArgumentError } from 'commander';
import { auditKeys, UNSIGNED_WRITERS } from './audit-parts.ts';
import { loadConfig } from './config.ts';
import { type CliContext, CliError } from './context.ts';
import { parseHash } from './hash-argument.ts';
import { loadTrust } from './trust.ts';

interface AuditOptions {
  readonly dir: string;
  readonly json?: boolean;
  readonly audit?: string;
}

interface VerifyCommandOptions extends AuditOptions {
  readonly line: readonly KnownLine[];
}

interface ShowOptions extends AuditOptions {
  readonly since?: number;
  readonly event?: string;
  readonly device?: string;
}

/** Who configures an RA vouches for its certificate; `serve` says so. */
const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };
const AUDIT = 'where the audit log lies, when not where the configuration says';
/** The members of every line, and those of a signature. */
const FRAME: ReadonlySet<string> = new Set(['seq', 'time', 'event', 'hash', 'signer', 'signature']);

export function addAuditCommands(program: Command, context: CliContext): void {
  const audit = program
    .command('audit')
    .description('read the audit log of an RA, and tell whether it is as it was written');
  audit
    .command('verify')
    .description('read the whole chain; exit status 1 names the first place where it is broken')
    .option('--audit <dir>', AUDIT)
    .option(
      '--line <writer:seq:hash>',
      'a line that has to be there, as an earlier verify printed it; may be repeated',
      knownLine,
      [],
    )
    .addHelpText(
      'after',
      `
Any change, removal, insertion or exchange of lines or files shows, while an RA writes or not. Whoever can write the
files and holds the RA's signing key can make another log, and whoever can write the files can cut off its end: keep the
last line of each writer elsewhere, and give it as --line the next time. docs/reference/audit-log.md has the format.

Examples:
  chrysalis audit verify
  chrysalis audit verify --line server:4711:5f1c...
  chrysalis audit verify --audit /mnt/copy/audit`,
    )
    .action(async (_options: unknown, command: Command) => {
      await verify(context, command.optsWithGlobals<VerifyCommandOptions>());
    });
  audit
    .command('show')
    .description('print events, oldest first')
    .option('--since <time>', 'from this time on; ISO 8601', time)
    .option('--event <name>', 'of this kind alone: registration, download, refusal ...')
    .option(
      '--device <hash>',
      'of this device alone: request hash, or HashedId8 or SHA-256 of its enrollment certificate',
    )
    .option('--audit <dir>', AUDIT)
    .addHelpText(
      'after',
      `
Verifies nothing. --json prints the lines as they are, with their writer.

Examples:
  chrysalis audit show --event refusal --since 2026-11-21
  chrysalis --json audit show --device f1a8bd780e11d1d0 | jq -r .event`,
    )
    .action(async (_options: unknown, command: Command) => {
      await show(context, command.optsWithGlobals<ShowOptions>());
    });
}

async function verify(context: CliContext, options: VerifyCommandOptions): Promise<void> {
  const config = await loadConfig(options.dir);
  const directory = options.audit === undefined ? config.audit.directory : resolve(options.audit);
  const keys = await auditKeys(config, await loadTrust(config.trust), SILENT);
  const { line: known } = options;
  try {
    const series = await verifyAuditLog({ directory, keys, unsigned: UNSIGNED_WRITERS, known });
    context.stdout.write(
      options.json === true
        ? `${JSON.stringify({ directory, series }, undefined, 2)}\n`
        : `${series.map(lineOfSeries).join('\n')}\n`,
    );
  } catch (error) {
    if (!(error instanceof AuditBrokenError)) throw error;
    throw new CliError(`the audit log is not as it was written: ${error.message}`, {
      cause: error,
      hint: 'keep a copy as it is; what stands before this place is verified',
    });
  }
}

function lineOfSeries({ writer, files, first, last, signed, torn }: VerifiedSeries): string {
  const lines = [
    `${writer}: as written; lines ${first.seq} to ${last.seq} in ${files} ${files === 1 ? 'file' : 'files'}, ${first.time} to ${last.time}`,
    signed === undefined
      ? '  not signed'
      : `  signed by the RA through line ${signed.seq}, ${signed.time}`,
    `  last line ${writer}:${last.seq}:${last.hash}`,
    ...(torn > 0 ? [`  then ${torn} octets of a line that is being written, or was cut off`] : []),
  ];
  return lines.join('\n');
}

async function show(context: CliContext, options: ShowOptions): Promise<void> {
  const directory =
    options.audit === undefined
      ? (await loadConfig(options.dir)).audit.directory
      : resolve(options.audit);
  const isWanted = filterOf(options);
  try {
    for await (const { writer, line, text } of merged(directory)) {
      if (!isWanted(line)) continue;
      context.stdout.write(
        options.json === true
          ? `{"writer":${JSON.stringify(writer)},${text.slice(1)}\n`
          : `${lineForPerson(writer, line)}\n`,
      );
    }
  } catch (error) {
    if (!(error instanceof AuditBrokenError)) throw error;
    throw new CliError(error.message, { hint: 'chrysalis audit verify tells more' });
  }
}

function filterOf({ since, event, device }: ShowOptions): (line: ChainedLine) => boolean {
  const hash = device && Buffer.from(parseHash(device, [8, 32])).toString('hex');
  return (line) => {
    if (since !== undefined && Date.parse(line.time) < since) return false;
    if (event !== undefined && line.event !== event) return false;
    if (hash === undefined) return true;
    const { requestHash, former, enrollment } = line.members;
    return requestHash === hash || former === hash || String(enrollment ?? '').endsWith(hash);
  };
}

/** The lines of all writers in the order of their times, each writer's in its own. */
async function* merged(directory: string) {
  const streams = await Promise.all(
    (await auditWriters(directory)).map(async (writer) => {
      const lines = readAuditLines(directory, writer);
      return { writer, lines, next: await lines.next() };
    }),
  );
  for (;;) {
    let first: (typeof streams)[number] | undefined;
    for (const stream of streams) {
      if (stream.next.done === true) continue;
      if (first === undefined || stream.next.value.line.time < first.next.value!.line.time) {
        first = stream;
      }
    }
    if (first === undefined || first.next.done === true) return;
    yield { writer: first.writer, ...first.next.value };
    first.next = await first.lines.next();
  }
}

function lineForPerson(writer: string, { seq, time: at, event, members }: ChainedLine): string {
  const shown = Object.entries(members).flatMap(([key, value]) =>
    FRAME.has(key) ? [] : [`${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`],
  );
  return [at, `${writer}:${seq}`, event, ...shown].join('  ');
}

function knownLine(text: string, before: readonly KnownLine[]): readonly KnownLine[] {
  const [, writer, seq, hash] = /^([a-z]{1,20}):(\d{1,15}):([0-9a-f]{64})$/.exec(text) ?? [];
  if (writer !== undefined && hash !== undefined) {
    return [...before, { writer, seq: Number(seq), hash }];
  }
  throw new InvalidArgumentError('expected writer:seq:hash, as audit verify prints it');
}

function time(text: string): number {
  const value = /^\d{4}-\d\d-\d\d(T.+)?$/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(value)) return value;
  throw new InvalidArgumentError('expected a time like 2026-11-21 or 2026-11-21T12:00:00Z');
}
