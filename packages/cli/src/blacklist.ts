/** `chrysalis blacklist`: who may neither request nor download. */
import { formatTime32 } from '@chrysalis/ieee1609dot2';
import { Blacklist, type BlacklistEntry, enrollmentsOf, type RaSchema } from '@chrysalis/ra';
import { CRL_SERIES, formatHex, timeOf } from '@chrysalis/scms';
import type { Database } from '@chrysalis/store';
import type { Command } from 'commander';
import { openOperatorBlacklist } from './audit-parts.ts';
import { loadConfig } from './config.ts';
import { type CliContext, CliError } from './context.ts';
import { readCertificate, reason } from './crl.ts';
import { parseHash } from './hash-argument.ts';
import { openRaDatabase } from './operator-parts.ts';

interface BlacklistOptions {
  readonly dir: string;
  readonly json?: boolean;
  readonly certificate?: string;
  readonly reason: string;
}

const HASH = 'SHA-256 of the enrollment certificate, or its HashedId8 if the RA knows it; hex';
const CERTIFICATE = 'instead of a hash: the enrollment certificate; octets, hex or base64';

export function addBlacklistCommands(program: Command, context: CliContext): void {
  const blacklist = program
    .command('blacklist')
    .description('see or change whose requests and downloads the RA refuses')
    .addHelpText(
      'after',
      `
An entry counts from the moment the command ends, in an RA that serves too: every request asks the database. Nothing
more is made for the device, and nothing of it is published: \`crl revoke\` is what revokes.`,
    );
  blacklist
    .command('add')
    .description('refuse the device from now on')
    .argument('[hash]', HASH)
    .option('--certificate <file>', CERTIFICATE)
    .option('--reason <text>', 'kept with the entry', reason, 'not given')
    .addHelpText(
      'after',
      `
Who is listed already stays so with the first reason.

Examples:
  chrysalis blacklist add f1a8bd780e11d1d0 --reason "stolen 2026-11-20"
  chrysalis blacklist add --certificate chrysalis-ee/enrollment.oer`,
    )
    .action(async (hash: string | undefined, _options: unknown, command: Command) => {
      await add(context, hash, command.optsWithGlobals<BlacklistOptions>());
    });
  blacklist
    .command('remove')
    .description('serve the device again: what waited for it goes on')
    .argument('[hash]', HASH)
    .option('--certificate <file>', CERTIFICATE)
    .addHelpText(
      'after',
      `
A revocation stays: what \`crl revoke\` has listed, a CRL goes on listing.

Example:
  chrysalis blacklist remove f1a8bd780e11d1d0`,
    )
    .action(async (hash: string | undefined, _options: unknown, command: Command) => {
      await remove(context, hash, command.optsWithGlobals<BlacklistOptions>());
    });
  blacklist
    .command('list')
    .description('print every entry, oldest first')
    .action(async (_options: unknown, command: Command) => {
      await list(context, command.optsWithGlobals<BlacklistOptions>());
    });
}

async function add(
  context: CliContext,
  hash: string | undefined,
  options: BlacklistOptions,
): Promise<void> {
  await withBlacklist(
    options,
    async (blacklist, database) => {
      const enrollmentHash = await enrollmentNamed(hash, options, database);
      const now = timeOf(context.clock);
      const isNew = await blacklist.add(enrollmentHash, options.reason, now);
      const entry = (await blacklist.find(enrollmentHash)) ?? {
        enrollmentHash,
        reason: options.reason,
        addedAt: now,
      };
      write(context, options, { ...jsonOf(entry), isNew }, [
        `${isNew ? 'blacklisted' : 'blacklisted before'}: ${lineOf(entry)}`,
      ]);
    },
    context,
  );
}

async function remove(
  context: CliContext,
  hash: string | undefined,
  options: BlacklistOptions,
): Promise<void> {
  await withBlacklist(
    options,
    async (blacklist, database) => {
      const enrollmentHash = await enrollmentNamed(hash, options, database);
      const id = formatHex(enrollmentHash.subarray(-8));
      if (!(await blacklist.remove(enrollmentHash))) {
        throw new CliError(`expected an enrollment certificate that is blacklisted, saw ${id}`);
      }
      const removed = { enrollment: id, sha256: formatHex(enrollmentHash) };
      write(context, options, removed, [`off the blacklist: ${id}`]);
    },
    context,
  );
}

async function list(context: CliContext, options: BlacklistOptions): Promise<void> {
  await withBlacklist(options, async (blacklist) => {
    const entries = await blacklist.list();
    const lines = entries.length === 0 ? ['nobody is blacklisted'] : entries.map(lineOf);
    write(context, options, entries.map(jsonOf), lines);
  });
}

/** @param changes of a command that changes something: it is written down in the audit log */
async function withBlacklist(
  { dir }: BlacklistOptions,
  work: (blacklist: Blacklist, database: Database<RaSchema>) => Promise<void>,
  changes?: CliContext,
): Promise<void> {
  await using resources = new AsyncDisposableStack();
  const config = await loadConfig(dir);
  const database = await openRaDatabase(config, resources);
  const blacklist =
    changes === undefined
      ? new Blacklist(database)
      : await openOperatorBlacklist(config, database, changes, resources);
  await work(blacklist, database);
}

/** The certificate that is meant, as SHA-256. @throws CliError */
async function enrollmentNamed(
  text: string | undefined,
  { certificate: file }: BlacklistOptions,
  database: Database<RaSchema>,
): Promise<Uint8Array> {
  if ((text === undefined) === (file === undefined)) {
    throw new CliError('expected either a hash or --certificate FILE');
  }
  if (file !== undefined) return enrollmentIn(file);
  const hash = parseHash(text ?? '', [8, 32]);
  if (hash.length === 32) return hash;
  const [found, another] = await enrollmentsOf(database, hash);
  if (found === undefined) {
    throw new CliError(`expected the HashedId8 of an enrollment certificate of ours, saw ${text}`, {
      hint: 'of one that has asked for nothing here, give all of the SHA-256, or --certificate FILE',
    });
  }
  if (another === undefined) return found;
  throw new CliError(`expected one enrollment certificate, saw several with ${text}`, {
    hint: 'give all of the SHA-256',
  });
}

/** Any other certificate would be listed to no effect. */
async function enrollmentIn(file: string): Promise<Uint8Array> {
  const { certificate, hash } = await readCertificate(file);
  const { crlSeries } = certificate.toBeSigned;
  if (crlSeries === CRL_SERIES.eeEnrollment) return hash;
  throw new CliError(
    `${file}: expected an enrollment certificate, CRL series ${CRL_SERIES.eeEnrollment}, saw series ${crlSeries}`,
    { hint: 'crl revoke finds the device of another certificate' },
  );
}

function write(
  { stdout }: CliContext,
  { json }: BlacklistOptions,
  value: unknown,
  lines: readonly string[],
): void {
  stdout.write(json === true ? `${JSON.stringify(value)}\n` : `${lines.join('\n')}\n`);
}

function jsonOf({ enrollmentHash, reason: why, addedAt }: BlacklistEntry): object {
  return {
    enrollment: formatHex(enrollmentHash.subarray(-8)),
    sha256: formatHex(enrollmentHash),
    reason: why,
    addedAt: formatTime32(addedAt),
  };
}

function lineOf({ enrollmentHash, reason: why, addedAt }: BlacklistEntry): string {
  return `${formatTime32(addedAt)}  ${formatHex(enrollmentHash.subarray(-8))}  ${why}`;
}
