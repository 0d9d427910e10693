/** The command line: parses arguments, runs one command, turns errors into messages and an exit status. */
import { Command, CommanderError } from 'commander';
import type { CliContext } from './context.ts';
import { explanationOf } from './explanation.ts';
import { versionOfPackage } from './version.ts';

const EXIT_OK = 0;
const EXIT_FAILED = 1;
/** What shells and getopt programs use for wrong arguments. */
const EXIT_USAGE = 2;
/** 128 + SIGINT. */
const EXIT_INTERRUPTED = 130;

const DEFAULT_DIRECTORY = './chrysalis-state';

type AddCommand = (program: Command, context: CliContext) => void;

/**
 * Each command in a file of its own, in the order of the help. A file is loaded when its command is named: an RA starts
 * without what acts as a device or a fleet of them, a quarter of all there is to load.
 */
const COMMANDS: ReadonlyMap<string, () => Promise<AddCommand>> = new Map([
  ['init', async () => (await import('./init.ts')).addInitCommand],
  ['serve', async () => (await import('./serve.ts')).addServeCommand],
  ['worker', async () => (await import('./worker.ts')).addWorkerCommand],
  ['migrate', async () => (await import('./migrate.ts')).addMigrateCommand],
  ['status', async () => (await import('./status.ts')).addStatusCommand],
  ['device', async () => (await import('./device.ts')).addDeviceCommands],
  ['blacklist', async () => (await import('./blacklist.ts')).addBlacklistCommands],
  ['audit', async () => (await import('./audit.ts')).addAuditCommands],
  ['authority', async () => (await import('./authority.ts')).addAuthorityCommands],
  ['enroll', async () => (await import('./enroll.ts')).addEnrollCommand],
  ['ee', async () => (await import('./ee.ts')).addEeCommands],
  ['inspect', async () => (await import('./inspect.ts')).addInspectCommand],
  ['ma', async () => (await import('./ma.ts')).addMaCommands],
  ['policy', async () => (await import('./policy.ts')).addPolicyCommands],
  ['simulate', async () => (await import('./simulate.ts')).addSimulateCommand],
  ['crl', async () => (await import('./crl.ts')).addCrlCommands],
  ['tls', async () => (await import('./tls.ts')).addTlsCommands],
  ['keys', async () => (await import('./keys.ts')).addKeysCommands],
  ['backup', async () => (await import('./backup.ts')).addBackupCommand],
  ['restore', async () => (await import('./restore.ts')).addRestoreCommand],
  ['copy', async () => (await import('./copy.ts')).addCopyCommand],
]);
/** Where these stand, all commands are told of. */
const HELP = ['help', '--help'];

/**
 * Runs a command in this process; touches nothing outside the context but files, sockets and what the command names.
 *
 * @param argv the arguments alone, without node and script
 * @returns the exit status
 */
export async function main(argv: readonly string[], context: CliContext): Promise<number> {
  try {
    const program = createProgram(context);
    for (const load of commandsIn(argv)) (await load())(program, context);
    await program.parseAsync([...argv], { from: 'user' });
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
  return program;
}

/** Those that are named anywhere, for what is an option's value is not known yet; all, where it takes all to answer. */
function commandsIn(argv: readonly string[]): Iterable<() => Promise<AddCommand>> {
  const named = new Set(argv.flatMap((arg) => COMMANDS.get(arg) ?? []));
  return named.size === 0 || argv.some((arg) => HELP.includes(arg)) ? COMMANDS.values() : named;
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
  const explanation = explanationOf(error);
  if (explanation !== undefined) {
    say(explanation.message);
    if (explanation.hint !== undefined) say(`hint: ${explanation.hint}`);
    if (isDebug) say(String((error as Error).stack));
    return EXIT_FAILED;
  }
  say(`internal error: ${error instanceof Error ? error.message : String(error)}`);
  if (isDebug) say(error instanceof Error ? String(error.stack) : String(error));
  else say('hint: this is a bug; CHRYSALIS_DEBUG=1 shows where');
  return EXIT_FAILED;
}
