/** `chrysalis crl`: what the test CRLG of a state directory has revoked, and what it is to revoke. */
import { readFile } from 'node:fs/promises';
import type { ListedRevocation, Revocation } from '@chrysalis/authorities';
import { CoerError, decode } from '@chrysalis/coer';
import {
  Certificate,
  formatTime32,
  type HashedCertificate,
  hashCertificate,
  Ieee1609Dot2Error,
} from '@chrysalis/ieee1609dot2';
import { CRL_SERIES, formatHex, timeOf } from '@chrysalis/scms';
import { type Command, InvalidArgumentError } from 'commander';
import { openOperatorBlacklist } from './audit-parts.ts';
import { loadConfig } from './config.ts';
import { type CliContext, CliError } from './context.ts';
import { type RevocationOutcome, revoke } from './crl-revoke.ts';
import { iPeriodOfDevices } from './i-period.ts';
import { openCrlg } from './in-process.ts';
import { fromText } from './inspect-input.ts';
import { openRaCustody } from './open-custody.ts';
import { openRaStore } from './stores.ts';

interface CrlOptions {
  readonly dir: string;
  readonly json?: boolean;
}

interface RevokeOptions extends CrlOptions {
  readonly certificate: string;
  readonly reason: string;
}

const MAX_REASON = 200;

export function addCrlCommands(program: Command, context: CliContext): void {
  const crl = program.command('crl').description('see or add to what the test CRLG has revoked');
  crl
    .command('show')
    .description('print every revocation')
    .action(async (_options: unknown, command: Command) => {
      await show(context, command.optsWithGlobals<CrlOptions>());
    });
  crl
    .command('revoke')
    .description('revoke a certificate, or the device of a pseudonym certificate')
    .requiredOption('--certificate <file>', 'the certificate: octets, hex or base64')
    .option('--reason <text>', 'kept with the revocation', reason, 'not given')
    .addHelpText(
      'after',
      `
A test SCMS only: this plays the MA, with the keys and records of PCA, RA, LAs and CRLG in one directory. By a
pseudonym certificate all of its device are revoked, by linkage seeds from the period before now on; any other
certificate is listed alone, by its hash. The RA blacklists the device. A CRL store that runs serves the new CRL at
once. There is no way back: a device gets certificates again when it is enrolled anew.

Examples:
  chrysalis crl revoke --certificate chrysalis-ee/enrollment.oer --reason "stolen"
  chrysalis crl show`,
    )
    .action(async (_options: unknown, command: Command) => {
      await revokeOne(context, command.optsWithGlobals<RevokeOptions>());
    });
}

async function show(context: CliContext, options: CrlOptions): Promise<void> {
  const { clock, stdout } = context;
  const { dir: directory, json } = options;
  const config = await loadConfig(directory);
  const iPeriod = await iPeriodOfDevices(config, directory, timeOf(clock));
  const keys = await openRaCustody(config, directory, context);
  const crlg = await openCrlg({ directory, clock, iPeriod, keys });
  try {
    const listed = await crlg.all();
    const text = listed.length === 0 ? 'nothing is revoked' : listed.map(lineOf).join('\n');
    stdout.write(`${json === true ? JSON.stringify(listed.map(jsonOf)) : text}\n`);
  } finally {
    await crlg.close();
  }
}

async function revokeOne(context: CliContext, options: RevokeOptions): Promise<void> {
  const { dir: directory, reason: why } = options;
  const { clock } = context;
  const config = await loadConfig(directory);
  const certificate = await readCertificate(options.certificate);
  await using resources = new AsyncDisposableStack();
  const iPeriod = await iPeriodOfDevices(config, directory, timeOf(clock));
  const keys = await openRaCustody(config, directory, context);
  const crlg = await openCrlg({ directory, clock, iPeriod, keys });
  resources.defer(() => crlg.close());
  const ra = await openRaStore(config);
  resources.defer(() => ra.close());
  const blacklist = await openOperatorBlacklist(config, ra, context, resources);
  const parties = { directory, config, crlg, ra, blacklist, iPeriod, now: timeOf(clock), keys };
  const outcome = await revoke(certificate, why, parties);
  const result = {
    ...describe(outcome.revocation),
    isNew: outcome.isNew,
    ...enrollmentOf(outcome),
  };
  context.stdout.write(
    options.json === true ? `${JSON.stringify(result)}\n` : `${textOf(outcome)}\n`,
  );
}

function textOf(outcome: RevocationOutcome): string {
  const { enrollment } = enrollmentOf(outcome);
  const first = `${outcome.isNew ? 'revoked' : 'revoked before'}: ${whatOf(outcome.revocation)}`;
  const second = enrollment === undefined ? 'none: of no device here' : enrollment;
  return `${first}\nblacklisted enrollment: ${second}`;
}

/** As HashedId8, the name that `enroll` and `ee bootstrap` print. */
function enrollmentOf({ blacklisted }: RevocationOutcome): { readonly enrollment?: string } {
  return blacklisted ? { enrollment: formatHex(blacklisted.subarray(-8)) } : {};
}

function lineOf({ revocation, reason: why, addedAt }: ListedRevocation): string {
  return `${formatTime32(addedAt)}  ${whatOf(revocation)}  (${why})`;
}

function jsonOf({ revocation, reason: why, addedAt }: ListedRevocation): object {
  return { ...describe(revocation), reason: why, revokedAt: formatTime32(addedAt) };
}

function whatOf(revocation: Revocation): string {
  if (revocation.type === 'certificate') {
    const { id, crlSeries, expiry } = revocation;
    return `series ${crlSeries}: certificate ${formatHex(id)}, until ${formatTime32(expiry)}`;
  }
  const { i, iMax, jMax } = revocation;
  return `series ${CRL_SERIES.obePseudonym}: a device, i ${i} to ${iMax}, ${jMax} in a period`;
}

/** Without the seeds: the CRL tells them to everybody, this need not. */
function describe(revocation: Revocation): object {
  if (revocation.type === 'certificate') {
    const { id, crlSeries, expiry } = revocation;
    return { crlSeries, certificate: formatHex(id), expiry: formatTime32(expiry) };
  }
  const { i, iMax, jMax } = revocation;
  return { crlSeries: CRL_SERIES.obePseudonym, i, iMax, jMax };
}

/** @throws CliError when there is none */
export async function readCertificate(file: string): Promise<HashedCertificate> {
  const octets = await readFile(file).catch((cause: unknown) => {
    throw new CliError(`expected a certificate in ${file}, could not read it`, { cause });
  });
  try {
    return hashCertificate(decode(Certificate, fromText(new Uint8Array(octets)).octets));
  } catch (cause) {
    if (!(cause instanceof CoerError || cause instanceof Ieee1609Dot2Error)) throw cause;
    throw new CliError(`${file}: expected an IEEE 1609.2 certificate: ${cause.message}`, { cause });
  }
}

export function reason(text: string): string {
  if (text.length > 0 && text.length <= MAX_REASON && !/\p{Cc}/u.test(text)) return text;
  throw new InvalidArgumentError(`expected up to ${MAX_REASON} characters on one line`);
}
