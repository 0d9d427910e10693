/** `chrysalis serve`: the RA, with the test authorities in process, until it is told to stop. */
import { availableParallelism } from 'node:os';
import { type Log, startRegistrationAuthority } from '@chrysalis/ra';
import { type Command, Option } from 'commander';
import { type ChrysalisConfig, loadConfig } from './config.ts';
import type { CliContext } from './context.ts';
import { serveCrls } from './crl-port.ts';
import { createLog, LOG_LEVELS, type LogLevel } from './log.ts';
import { serveMaPort } from './ma-port.ts';
import { movedAway, movedOver } from './moved-state.ts';
import { openCustody, warnOfPlainKeys } from './open-custody.ts';
import { placesOf } from './private-files.ts';
import type { ProcessUrls } from './process-orders.ts';
import { filesOfIdentity, filesOfTls, RenewedFiles } from './renewed-files.ts';
import { serveInProcesses } from './serve-processes.ts';
import { assemble, type Serving } from './serve-settings.ts';
import { expectSharedByNodes } from './stores.ts';
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

async function serve(context: CliContext, options: ServeOptions): Promise<void> {
  const log = createLog(context.stderr, options.logLevel);
  while ((await serveUntilMoved(context, options, log)) === 'moved') {
    log.warn({}, 'the state is moved: devices are served again when that is done');
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
  const { dir: directory, logLevel } = options;
  const config = await loadConfig(directory);
  if (!options.pipeline) expectSharedByNodes(config);
  const offset = context.env[CLOCK_OFFSET];
  if (offset) log.warn({ offsetSec: offset }, `${CLOCK_OFFSET}: not the clock of this machine`);
  await using resources = new AsyncDisposableStack();
  const places = placesOf(config, directory);
  const keys = await openCustody(places, context);
  await warnOfPlainKeys(keys, places, log);
  const makesCertificates = options.pipeline;
  const serving = { config, directory, logLevel, makesCertificates, context, keys, log, resources };
  // A clock or randomness that was given is in this process alone.
  const processes =
    context.hasThreads === true ? (config.ra.processes ?? availableParallelism()) : 1;
  const urls =
    processes > 1 ? await serveInProcesses(serving, processes) : await serveAlone(serving);
  context.stdout.write(options.json ? `${JSON.stringify(urls)}\n` : textOf(urls));
  await Promise.race([aborted(context.signal), movedAway(config, context.signal)]);
  if (!context.signal.aborted) return 'moved';
  log.info({}, 'stopping');
  return 'stopped';
}

type Urls = ProcessUrls & { readonly opsUrl?: string };

function textOf({ url, crlUrl, maUrl, opsUrl }: Urls): string {
  const lines = { RA: url, 'CRL store': crlUrl, 'for the MA': maUrl, operations: opsUrl };
  return Object.entries(lines)
    .map(([name, at]) => (at === undefined ? '' : `${name}: ${at}\n`))
    .join('');
}

/** All of it in this process; the pipeline in a thread. */
async function serveAlone(
  serving: Omit<Serving, 'writer' | 'context'> & { readonly context: CliContext },
): Promise<Urls> {
  const { config, directory, context, log, resources } = serving;
  const whole = { ...serving, writer: 'server' as const };
  const { settings, takeTls, takeIdentity } = await assemble(whole);
  const ra = await startRegistrationAuthority(settings);
  resources.defer(() => ra.close());
  const { signal, clockSteps, onRenewal, onReplacement } = context;
  const crl = await serveCrls(whole, settings);
  if (crl) resources.defer(() => crl.close());
  const maUrl = await serveMaPort(config, settings, ra.blacklist, resources);
  const renewed = new RenewedFiles(directory, log);
  resources.defer(() => renewed.stop());
  const take = async (now: ChrysalisConfig) => {
    await takeIdentity(now);
    await ra.renewed();
  };
  await renewed.start(
    [
      { name: 'ra.tls-cert', files: filesOfTls, take: takeTls },
      { name: 'ra.certificate', files: filesOfIdentity, take },
    ],
    config,
  );
  clockSteps?.addEventListener(
    'step',
    () => {
      ra.wake();
      void renewed.look();
    },
    { signal },
  );
  onRenewal?.(() => void renewed.takeAll());
  onReplacement?.(() => {
    log.warn({}, 'no process is replaced: expected ra.processes of 2 or more, saw 1');
  });
  const { url, opsUrl } = ra;
  return {
    url,
    ...(crl && { crlUrl: crl.url }),
    ...(maUrl !== undefined && { maUrl }),
    ...(opsUrl !== undefined && { opsUrl }),
  };
}

/** Resolves when the command is to end. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
