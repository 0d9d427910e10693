/** `chrysalis serve`: the RA, with the test authorities in process, until it is told to stop. */
import { availableParallelism } from 'node:os';
import type { Log } from '@chrysalis/ra';
import { type Command, Option } from 'commander';
import { loadConfig } from './config.ts';
import type { CliContext } from './context.ts';
import { createLog, LOG_LEVELS, type LogLevel } from './log.ts';
import { movedAway } from './moved-away.ts';
import { openServedKeys } from './open-custody.ts';
import { hasPipelineThread, loadPipelineThread } from './pipeline-host.ts';
import type { ServedUrls } from './process-orders.ts';
import type { ServeOrder } from './serve-settings.ts';
import { expectSharedByNodes } from './store-places.ts';
import { CLOCK_OFFSET } from './system-context.ts';

interface ServeOptions {
  readonly dir: string;
  readonly json?: boolean;
  readonly logLevel: LogLevel;
  readonly pipeline: boolean;
}

export function addServeCommand(program: Command, context: CliContext): void {
  program
    .command('serve')
    .description(
      'run the RA, and the test authorities that are configured in process, until Ctrl-C',
    )
    .addOption(
      new Option('--log-level <level>', 'what is logged on standard error')
        .choices(LOG_LEVELS)
        .default('info'),
    )
    .option('--no-pipeline', 'make no certificates: chrysalis worker does, here or elsewhere')
    .addHelpText(
      'after',
      `
Prints its URLs when it answers. Logs are lines of JSON, or short lines at a terminal. Certificates and keys that are
replaced in their files (tls renew, authority renew ra) are taken within ten seconds, and at once on SIGHUP; connections
stay open. What will not do is refused in the log, and the former ones stay. When chrysalis copy has moved the state to
servers, it goes on from there.

Examples:
  chrysalis serve
  chrysalis --dir /srv/ra serve --log-level warn
  chrysalis --dir /srv/ra serve --no-pipeline`,
    )
    .action(async (_options: unknown, command: Command) => {
      await serve(context, command.optsWithGlobals<ServeOptions>());
    });
}

// What is imported above is little: the threads and processes in which most of it runs begin to load their code before this one
// loads the rest of its own.

async function serve(context: CliContext, options: ServeOptions): Promise<void> {
  const log = createLog(context.stderr, options.logLevel);
  while ((await serveUntilMoved(context, options, log)) === 'moved') {
    log.warn({}, 'the state is moved: devices are served again when that is done');
    const { movedOver } = await import('./moved-state.ts');
    await movedOver(options.dir, context.signal);
    if (context.signal.aborted) return;
  }
}

/** Ends when it is told to, or when the state was copied to another place and changes no more. */
async function serveUntilMoved(
  context: CliContext,
  options: ServeOptions,
  log: Log,
): Promise<'stopped' | 'moved'> {
  const { dir: directory, logLevel, pipeline: makesCertificates } = options;
  const config = await loadConfig(directory);
  if (!makesCertificates) expectSharedByNodes(config);
  const offset = context.env[CLOCK_OFFSET];
  if (offset) log.warn({ offsetSec: offset }, `${CLOCK_OFFSET}: not the clock of this machine`);
  await using resources = new AsyncDisposableStack();
  const order = { config, directory, logLevel, makesCertificates, context, log, resources };
  // A clock or randomness that was given is in this process alone.
  const processes =
    context.hasThreads === true ? (config.ra.processes ?? availableParallelism()) : 1;
  let urls: ServedUrls;
  try {
    urls = await (processes > 1 ? serveInSeveral(order, processes) : serveInOne(order));
  } catch (error) {
    // What a process says that is told to end before it has begun.
    context.signal.throwIfAborted();
    throw error;
  }
  context.stdout.write(options.json ? `${JSON.stringify(urls)}\n` : textOf(urls));
  await Promise.race([aborted(context.signal), movedAway(config, context.signal)]);
  if (!context.signal.aborted) return 'moved';
  log.info({}, 'stopping');
  return 'stopped';
}

async function serveInSeveral(order: ServeOrder, processes: number): Promise<ServedUrls> {
  const { serveInProcesses } = await import('./serve-processes.ts');
  return serveInProcesses(order, processes);
}

async function serveInOne(order: ServeOrder): Promise<ServedUrls> {
  const { config, directory, logLevel, makesCertificates, context, resources } = order;
  const thread =
    makesCertificates && hasPipelineThread(config, context)
      ? loadPipelineThread({ directory, logLevel })
      : undefined;
  // It has ended by then, unless nobody came to start it.
  resources.defer(async () => void (await thread?.worker.terminate()));
  const { serveAlone } = await import('./serve-alone.ts');
  return serveAlone({ ...order, keys: await openServedKeys(order), thread });
}

function textOf({ url, crlUrl, maUrl, opsUrl }: ServedUrls): string {
  const lines = { RA: url, 'CRL store': crlUrl, 'for the MA': maUrl, operations: opsUrl };
  return Object.entries(lines)
    .map(([name, at]) => (at === undefined ? '' : `${name}: ${at}\n`))
    .join('');
}

/** Resolves when the command is to end. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
