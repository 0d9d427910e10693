/** The command line: parses arguments, runs one command, turns errors into messages and an exit status. */
import { Command, CommanderError } from 'commander';
import { addAuditCommands } from './audit.ts';
import { addAuthorityCommands } from './authority.ts';
import { addBackupCommand } from './backup.ts';
import { addBlacklistCommands } from './blacklist.ts';
import type { CliContext } from './context.ts';
import { addCopyCommand } from './copy.ts';
import { addCrlCommands } from './crl.ts';
import { addDeviceCommands } from './device.ts';
import { addEeCommands } from './ee.ts';
import { addEnrollCommand } from './enroll.ts';
import { explanationOf } from './explanation.ts';
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
import { addWorkerCommand } from './worker.ts';

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
  addWorkerCommand(program, context);
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
  addCopyCommand(program, context);
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
