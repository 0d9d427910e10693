/** `chrysalis worker`: makes certificates, and answers nobody, until it is told to stop. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { loadConfig } from './config.ts';
import type { CliContext } from './context.ts';
import { createLog, LOG_LEVELS, type LogLevel } from './log.ts';
import { openCustody, openKeysOf, warnOfPlainKeys } from './open-custody.ts';
import { openPipeline } from './open-pipeline.ts';
import { placesOf } from './private-files.ts';
import { filesOfIdentity, RenewedFiles } from './renewed-files.ts';
import { aborted } from './serve.ts';
import { expectSharedByNodes } from './stores.ts';
import { CLOCK_OFFSET } from './system-context.ts';

interface WorkerOptions {
  readonly dir: string;
  readonly json?: boolean;
  readonly logLevel: LogLevel;
  readonly name: string;
}

export function addWorkerCommand(program: Command, context: CliContext): void {
  program
    .command('worker')
    .description(
      'make the certificates of devices that chrysalis serve has registered, until Ctrl-C',
    )
    .addOption(
      new Option('--log-level <level>', 'what is logged on standard error')
        .choices(LOG_LEVELS)
        .default('info'),
    )
    .option(
      '--name <letters>',
      'of several workers with one state directory, which one: its series of the audit log',
      expectLetters,
      '',
    )
    .addHelpText(
      'after',
      `
Workers share the work with each other, and with every serve that makes certificates too: each does its part of it, and what
one leaves behind when it dies the others take up within seconds. They meet in a PostgreSQL (docs/guides/several-nodes.md).
A new certificate of the RA is taken within ten seconds, and at once on SIGHUP.

Examples:
  chrysalis worker
  chrysalis --dir /srv/ra worker --name b --log-level warn`,
    )
    .action(async (_options: unknown, command: Command) => {
      await work(context, command.optsWithGlobals<WorkerOptions>());
    });
}

async function work(context: CliContext, options: WorkerOptions): Promise<void> {
  const { dir: directory, name } = options;
  const config = await loadConfig(directory);
  expectSharedByNodes(config);
  const log = createLog(context.stderr, options.logLevel);
  const offset = context.env[CLOCK_OFFSET];
  if (offset) log.warn({ offsetSec: offset }, `${CLOCK_OFFSET}: not the clock of this machine`);
  await using resources = new AsyncDisposableStack();
  const places = placesOf(config, directory);
  const keys = await openCustody(places, context);
  await warnOfPlainKeys(keys, places, log);
  await openKeysOf(config, directory, keys);
  const { clock, random, env } = context;
  const surroundings = { clock, random, env, log, keys };
  const writer = `worker${name}` as const;
  if (config.pca.mode === 'in-process') {
    log.warn(
      {},
      'the PCA is in process: its log lies in this state directory, which all workers have to share',
    );
  }
  const { pipeline, renew, stop } = await openPipeline(
    { config, directory, surroundings, writer },
    resources,
  );
  resources.defer(stop);
  await pipeline.start();
  const renewed = new RenewedFiles(directory, log);
  resources.defer(() => renewed.stop());
  await renewed.start([{ name: 'ra.certificate', files: filesOfIdentity, take: renew }], config);
  context.onRenewal?.(() => void renewed.takeAll());
  context.stdout.write(
    options.json ? `${JSON.stringify({ working: true })}\n` : 'certificates are made\n',
  );
  await aborted(context.signal);
  log.info({}, 'stopping');
}

/** Names of series have no digits. */
function expectLetters(value: string): string {
  if (/^[a-z]{1,16}$/.test(value)) return value;
  throw new InvalidArgumentError('expected up to 16 letters a to z.');
}
