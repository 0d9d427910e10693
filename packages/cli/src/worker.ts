/** `chrysalis worker`: makes certificates, and answers nobody, until it is told to stop. */
import type { OpsServer } from '@chrysalis/ra/operations';
import { startWorkerOperations } from '@chrysalis/ra/worker-operations';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { ChrysalisConfig } from './config.ts';
import type { CliContext } from './context.ts';
import { createLog, LOG_LEVELS, type LogLevel } from './log.ts';
import { openCustody, openKeysOf, warnOfPlainKeys } from './open-custody.ts';
import { type OpenedPipeline, openPipeline } from './open-pipeline.ts';
import { placesOf } from './private-files.ts';
import { filesOfIdentity, RenewedFiles } from './renewed-files.ts';
import { aborted } from './serve.ts';
import { stateAtRest } from './state-on-its-way.ts';
import { expectSharedByNodes } from './store-places.ts';
import { CLOCK_OFFSET } from './system-context.ts';

interface WorkerOptions {
  readonly dir: string;
  readonly json?: boolean;
  readonly logLevel: LogLevel;
  readonly name: string;
  readonly opsPort?: number;
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
    .option(
      '--ops-port <port>',
      'where operators look, on 127.0.0.1; ops.worker-port when missing, with --name none',
      expectPort,
    )
    .addHelpText(
      'after',
      `
Workers share the work with each other, and with every serve that makes certificates too: each does its part of it, and what
one leaves behind when it dies the others take up within seconds. They meet in a PostgreSQL (docs/guides/several-nodes.md).
A new certificate of the RA is taken within ten seconds, and at once on SIGHUP. Where chrysalis copy is moving the state to
a PostgreSQL, it begins when that is done.

Examples:
  chrysalis worker
  chrysalis --dir /srv/ra worker --name b --ops-port 8898 --log-level warn`,
    )
    .action(async (_options: unknown, command: Command) => {
      await work(context, command.optsWithGlobals<WorkerOptions>());
    });
}

async function work(context: CliContext, options: WorkerOptions): Promise<void> {
  const { dir: directory, name } = options;
  const log = createLog(context.stderr, options.logLevel);
  const config = await stateAtRest(directory, log, context.signal);
  if (context.signal.aborted) return;
  expectSharedByNodes(config);
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
  const opened = await openPipeline({ config, directory, surroundings, writer }, resources);
  let ops: OpsServer | undefined;
  resources.defer(async () => {
    await opened.stop();
    // Until everything has ended, operators see that it ends.
    await ops?.close();
  });
  const port = opsPortOf(config, options);
  if (port !== undefined) ops = await openOperations(port, opened, context.signal);
  await opened.pipeline.start();
  const renewed = new RenewedFiles(directory, log);
  resources.defer(() => renewed.stop());
  const identity = { name: 'ra.certificate', files: filesOfIdentity, take: opened.renew };
  await renewed.start([identity], config);
  context.onRenewal?.(() => void renewed.takeAll());
  context.stdout.write(options.json ? jsonOf(ops) : textOf(ops));
  await aborted(context.signal);
  log.info({}, 'stopping');
}

/** Several workers on one machine have one configuration: those with a name are told their ports, or have none. */
function opsPortOf(
  { ops, ra }: Pick<ChrysalisConfig, 'ops' | 'ra'>,
  { name, opsPort }: WorkerOptions,
): number | undefined {
  if (opsPort !== undefined) return opsPort;
  if (ops === undefined || name !== '') return undefined;
  return ra.port === 0 ? 0 : ops.workerPort;
}

function openOperations(
  port: number,
  { options, figures }: OpenedPipeline,
  signal: AbortSignal,
): Promise<OpsServer> {
  const isStopping = () => signal.aborted;
  return startWorkerOperations({ ...options, port, pipeline: figures, isStopping });
}

function jsonOf(ops: OpsServer | undefined): string {
  return `${JSON.stringify({ working: true, ...(ops && { opsUrl: ops.url }) })}\n`;
}

function textOf(ops: OpsServer | undefined): string {
  return `certificates are made\n${ops ? `operations: ${ops.url}\n` : ''}`;
}

/** Names of series have no digits. */
function expectLetters(value: string): string {
  if (/^[a-z]{1,16}$/.test(value)) return value;
  throw new InvalidArgumentError('expected up to 16 letters a to z.');
}

function expectPort(value: string): number {
  const port = Number(value);
  if (/^\d{1,5}$/.test(value) && port <= 65_535) return port;
  throw new InvalidArgumentError('expected an integer from 0 to 65535.');
}
