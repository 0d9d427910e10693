/** The command line: parses arguments, runs one command, turns errors into messages and an exit status. */
import { AuthorityError } from '@chrysalis/authorities';
import { StoreError } from '@chrysalis/store';
import { Command, CommanderError } from 'commander';
import { addAuditCommands } from './audit.ts';
import { addAuthorityCommands } from './authority.ts';
import { addBackupCommand } from './backup.ts';
import { addBlacklistCommands } from './blacklist.ts';
import { type CliContext, CliError } from './context.ts';
import { addCrlCommands } from './crl.ts';
import { addDeviceCommands } from './device.ts';
import { addEeCommands } from './ee.ts';
import { addEnrollCommand } from './enroll.ts';
import { addInitCommand } from './init.ts';
import { addInspectCommand } from './inspect.ts';
import { addKeysCommands } from './keys.ts';
import { addMaCommands } from './ma.ts';
import { addMigrateCommand } from './migrate.ts';
import { addPolicyCommands } from './policy.ts';
import { addRestoreCommand } from './restore.ts';
import { addServeCommand } from './serve.ts';
import { addSimulateCommand } from './simulate.ts';
import { addStatusCommand } from './status.ts';
import { addTlsCommands } from './tls.ts';
import { versionOfPackage } from './version.ts';

const EXIT_OK = 0;
const EXIT_FAILED = 1;
/** What shells and getopt programs use for wrong arguments. */
const EXIT_USAGE = 2;
/** 128 + SIGINT. */
const EXIT_INTERRUPTED = 130;

const DEFAULT_DIRECTORY = './chrysalis-state';

/**
 * Runs a command in this process; touches nothing outside the context but files, sockets and what the command names.
 *
 * @param argv the arguments alone, without node and script
 * @returns the exit status
 */
export async function main(argv: readonly string[], context: CliContext): Promise<number> {
  try {
    await createProgram(context).parseAsync([...argv], { from: 'user' });
    return EXIT_OK;
  } catch (error) {
    return explain(error, context);
  }
}

function createProgram(context: CliContext): Command {
  const program = new Command('chrysalis')
    .description('A V2X Registration Authority for the CAMP SCMS, and the tools to talk to one.')
    .version(versionOfPackage(), '--version', 'print the version')
    .helpOption('--help', 'print this help')
    .option('--dir <dir>', 'the state directory', DEFAULT_DIRECTORY)
    .option('--json', 'print results as JSON')
    // Before any command is added: commands inherit these.
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void context.stdout.write(text),
      writeErr: (text) => void context.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'chrysalis: ')),
    })
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError('chrysalis: hint: --help after the command shows what it takes')
    .addHelpText(
      'after',
      `
A test SCMS and a device, from nothing to certificates:
  chrysalis init --weeks-ahead 2
  chrysalis serve &
  chrysalis ee bootstrap --new
  chrysalis enroll --request chrysalis-ee/SignedEeEnrollmentCertRequest.oer --out bundle
  chrysalis ee bootstrap --bundle bundle
  chrysalis ee topup --wait

Results go to standard output, everything else to standard error. Exit status: 0 done, 1 refused or failed,
2 wrong arguments.`,
    );
  addInitCommand(program, context);
  addServeCommand(program, context);
  addMigrateCommand(program, context);
  addStatusCommand(program, context);
  addDeviceCommands(program, context);
  addBlacklistCommands(program, context);
  addAuditCommands(program, context);
  addAuthorityCommands(program, context);
  addEnrollCommand(program, context);
  addEeCommands(program, context);
  addInspectCommand(program, context);
  addMaCommands(program, context);
  addPolicyCommands(program, context);
  addSimulateCommand(program, context);
  addCrlCommands(program, context);
  addTlsCommands(program, context);
  addKeysCommands(program, context);
  addBackupCommand(program, context);
  addRestoreCommand(program, context);
  return program;
}

function explain(error: unknown, context: CliContext): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
  const say = (text: string) => {
    for (const line of text.split('\n')) context.stderr.write(`chrysalis: ${line}\n`);
  };
  if (context.signal.aborted && error instanceof Error && error.name === 'AbortError') {
    say('interrupted');
    return EXIT_INTERRUPTED;
  }
  const isDebug = Boolean(context.env.CHRYSALIS_DEBUG);
  if (isRefusal(error)) {
    say(error.message);
    const hint = error instanceof StoreError ? STORE_HINTS[error.code] : error.hint;
    if (hint !== undefined) say(`hint: ${hint}`);
    if (isDebug) say(String(error.stack));
    return EXIT_FAILED;
  }
  const fault = systemFault(error);
  if (fault !== undefined) {
    say(fault.message);
    if (fault.hint !== undefined) say(`hint: ${fault.hint}`);
    if (isDebug) say(String((error as Error).stack));
    return EXIT_FAILED;
  }
  say(`internal error: ${error instanceof Error ? error.message : String(error)}`);
  if (isDebug) say(error instanceof Error ? String(error.stack) : String(error));
  else say('hint: this is a bug; CHRYSALIS_DEBUG=1 shows where');
  return EXIT_FAILED;
}

/** Hints for what a database or an object store refuses. */
const STORE_HINTS: Partial<Record<StoreError['code'], string>> = {
  corrupt: 'put a backup back: chrysalis restore; docs/guides/backup.md says what is lost',
  full: 'the disk is full',
  busy: 'another program holds the database locked: end it',
  'newer-schema': 'take the version of chrysalis that made it, or a later one',
  'older-schema': 'chrysalis migrate brings it up to date, while others go on',
  missing:
    'chrysalis migrate makes the tables of a database that is there; nobody makes a database or a bucket here',
  away: 'see that the server runs, and that store.url or objects.url has its address',
  'unsupported-server': 'docs/guides/postgresql.md says what a server has to promise',
};

/** Hints for what the operating system or TLS refuses: none of it is a bug of ours. */
const SYSTEM_HINTS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process listens there: stop it, or choose another port in the configuration',
  EACCES: 'this user may not do that: ports below 1024 and files of others need another user',
  ENOSPC: 'the disk is full',
  EEXIST: 'something else has that name: choose another with --dir',
  ERR_OSSL_X509_KEY_VALUES_MISMATCH:
    'tls-cert and tls-key have to belong together, each pair of them',
};

function systemFault(error: unknown): { message: string; hint: string | undefined } | undefined {
  const { code, syscall } = error as { code?: unknown; syscall?: unknown };
  if (!(error instanceof Error) || typeof code !== 'string') return undefined;
  if (typeof syscall !== 'string' && !code.startsWith('ERR_OSSL_')) return undefined;
  return {
    message: `expected the system to agree, saw ${error.message}`,
    hint: SYSTEM_HINTS[code],
  };
}

/** What the user, or whoever runs the machine, can do something about. */
function isRefusal(error: unknown): error is Error & { readonly hint?: string | undefined } {
  return (
    error instanceof CliError || error instanceof AuthorityError || error instanceof StoreError
  );
}
