/** `chrysalis simulate`: virtual devices by the thousand against an RA, and the check of what they were given. */
import { EeError } from '@chrysalis/ee';
import {
  type CheckReport,
  checkFleet,
  Fleet,
  FleetError,
  type FleetErrorCode,
  type SimulationReport,
  simulate,
} from '@chrysalis/fleet';
import { timeOf } from '@chrysalis/scms';
import { type Command, InvalidArgumentError } from 'commander';
import { loadConfig, publicUrlOf } from './config.ts';
import { type CliContext, CliError } from './context.ts';
import { parseUrl } from './ee-device.ts';
import { hintOf } from './ee-progress.ts';
import { openEnrollment } from './enroll.ts';
import { openRaCustody } from './open-custody.ts';
import {
  checkText,
  putOffNote,
  RunningLine,
  simulationLine,
  simulationText,
} from './simulate-text.ts';

interface SimulateOptions {
  readonly dir: string;
  readonly json?: boolean;
  readonly fleet: string;
  readonly devices?: number;
  readonly weeks?: number;
  readonly rate: number;
  readonly concurrency: number;
  readonly pollSec: number;
  readonly longestWait: number;
  readonly ra?: URL;
  readonly keep?: boolean;
  readonly check?: boolean;
  readonly perPeriod: number;
  readonly workers: number;
}

const DEFAULT_FLEET = './chrysalis-fleet';
const DEFAULT_DEVICES = 100;
const DEFAULT_WEEKS = 4;
/** Longer than the shuffle may hold a request, by the policy of CAMP, and shorter than an i-period. */
const DEFAULT_LONGEST_WAIT_HOURS = 72;
const HOUR_SEC = 3_600;
/** Beyond it, keys and fingerprints of a fleet would not fit into a machine. */
const MAX_DEVICES = 1_000_000;
/** The request is answered in the moment when it is made. */
const ENROLLMENT_TOLERANCE_SEC = 3_600;

export function addSimulateCommand(program: Command, context: CliContext): void {
  program
    .command('simulate')
    .description('load an RA with virtual devices, or check what they were given')
    .option('--fleet <dir>', 'where the devices lie', DEFAULT_FLEET)
    .option('--devices <number>', `how many (default: ${DEFAULT_DEVICES})`, integer(1, MAX_DEVICES))
    .option(
      '--weeks <number>',
      `batches for each, from now on (default: ${DEFAULT_WEEKS})`,
      integer(1, 520),
    )
    .option('--rate <number>', 'devices that begin in a second', rate, 10)
    .option('--concurrency <number>', 'devices that talk at a time', integer(1, 10_000), 64)
    .option(
      '--poll-sec <number>',
      'the longest pause before a device asks again for what is not ready',
      integer(1, 86_400),
      60,
    )
    .option(
      '--longest-wait <hours>',
      'a device whose next batch the RA expects later is put off',
      integer(1, 100_000),
      DEFAULT_LONGEST_WAIT_HOURS,
    )
    .option('--ra <url>', 'instead of the RA of the state directory', parseUrl)
    .option('--keep', 'keep the zips, and not their digests alone')
    .option('--check', 'download everything once more, and check it by the private keys')
    .option('--per-period <number>', 'with --check: certificates in a week', integer(1, 255), 20)
    .option('--workers <number>', 'with --check: threads beside this one', integer(0, 64), 0)
    .addHelpText(
      'after',
      `
Devices are bootstrapped by the ECA of the state directory (--dir). Stop with Ctrl-C; the same command goes on where it
stopped. Once all is there it does nothing, until other weeks begin or more devices are asked for.

An RA keeps no more weeks ready than weeks-ahead of its chrysalis.toml, or its policy, says; \`.info\` tells when it makes the
next. Who asks for more --weeks is told so: devices that lack nothing else are put off, and the run ends. The same command
goes on when there is more. --longest-wait lets it wait for what comes later.

Exit status 1: a device was given up or put off, or the check found something.

Examples:
  chrysalis simulate --devices 1000 --weeks 4 --rate 20
  chrysalis simulate --devices 1000 --weeks 4 --check --workers 2
  chrysalis simulate --devices 1000 --rate 50 --json >load.json`,
    )
    .action(async (_options: unknown, command: Command) => {
      const options = command.optsWithGlobals<SimulateOptions>();
      await withHints(context, () =>
        options.check ? check(context, options) : load(context, options),
      );
    });
}

async function load(context: CliContext, options: SimulateOptions): Promise<void> {
  const { clock, signal, random } = context;
  const { devices = DEFAULT_DEVICES, weeks = DEFAULT_WEEKS, rate: ratePerSec } = options;
  const { concurrency, pollSec, longestWait, keep: keepsZips = false } = options;
  await using fleet = await Fleet.open(options.fleet, { create: random, keepsZips });
  const line = new RunningLine(context.stderr);
  let isSaid = false;
  const report = await simulate({
    ...{ fleet, devices, weeks, ratePerSec, concurrency, pollSec, clock, signal },
    longestWaitSec: longestWait * HOUR_SEC,
    enroll: lazyEnrollment(context, options),
    ...(options.ra && { raUrl: options.ra }),
    onProgress(progress) {
      if (progress.putOff > 0 && !isSaid) line.note(putOffNote(progress, weeks, longestWait));
      isSaid = progress.putOff > 0;
      line.write(() => simulationLine(progress, devices, timeOf(clock)));
    },
  });
  line.end();
  print(context, options, report, simulationText(report));
  signal.throwIfAborted();
  if (report.devices.failed > 0) {
    throw new CliError(
      `expected every device to be served, saw ${report.devices.failed} given up`,
      {
        hint: 'the same command tries them again',
      },
    );
  }
  if (report.putOff !== null) throw new CliError(...putOffError(report.putOff, weeks));
}

function putOffError(
  { readyWeeks, expectedAt }: NonNullable<SimulationReport['putOff']>,
  weeks: number,
): [string, { readonly hint: string }] {
  const fewer = readyWeeks === 0 ? '' : `--weeks ${readyWeeks} is what there is; `;
  return [
    `expected ${weeks} weeks for every device, saw an RA that has ${readyWeeks} ready and expects the next ${expectedAt}`,
    {
      hint:
        `${fewer}weeks-ahead of the RA's chrysalis.toml, or its policy, says how many it keeps; ` +
        'the same command goes on then, and --longest-wait waits',
    },
  ];
}

async function check(context: CliContext, options: SimulateOptions): Promise<void> {
  const { clock, signal } = context;
  const { devices, weeks, perPeriod, workers, ra } = options;
  await using fleet = await Fleet.open(options.fleet);
  const line = new RunningLine(context.stderr);
  const report = await checkFleet({
    ...{ fleet, perPeriod, clock, signal, workers },
    ...(devices !== undefined && { devices }),
    ...(weeks !== undefined && { weeks }),
    ...(ra && { raUrl: ra }),
    onProgress: (progress) =>
      line.write(
        () =>
          `checked ${progress.checkedDevices} of ${progress.devices} devices, ` +
          `${progress.certificates} certificates, ${progress.findings} findings`,
      ),
  });
  line.end();
  print(context, options, report, checkText(report));
  signal.throwIfAborted();
  if (report.findingCount > 0) {
    throw new CliError(`expected nothing to find, saw ${report.findingCount} findings`);
  }
}

function print(
  { stdout }: CliContext,
  { json }: SimulateOptions,
  report: SimulationReport | CheckReport,
  text: string,
): void {
  stdout.write(`${json ? JSON.stringify(report, undefined, 2) : text}\n`);
}

/** The ECA is opened for the first device that needs it: a fleet that is bootstrapped runs without a state directory. */
function lazyEnrollment(
  context: CliContext,
  { dir, ra }: SimulateOptions,
): (request: Uint8Array) => Promise<ReadonlyMap<string, Uint8Array>> {
  const open = async () => {
    const config = await loadConfig(dir);
    const raUrl = ra?.href ?? publicUrlOf(config);
    if (raUrl === undefined) {
      throw new CliError('expected a fixed port of the RA, saw ra.port = 0', {
        hint: '--ra https://HOST:PORT says where it is',
      });
    }
    const toleranceSec = ENROLLMENT_TOLERANCE_SEC;
    const keys = await openRaCustody(config, dir, context);
    return openEnrollment(dir, config, { ...context, keys }, { raUrl, toleranceSec });
  };
  let opened: ReturnType<typeof open> | undefined;
  return async (request) => {
    opened ??= open();
    return (await opened)(request).files;
  };
}

const HINTS: Partial<Record<FleetErrorCode, string>> = {
  'fleet-missing': 'chrysalis simulate makes one; --fleet names another',
  'fleet-damaged': 'choose another with --fleet; its devices are lost',
};

async function withHints(context: CliContext, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (cause) {
    if (cause instanceof EeError && cause.code === 'aborted') context.signal.throwIfAborted();
    if (!(cause instanceof EeError) && !(cause instanceof FleetError)) throw cause;
    const hint = cause instanceof EeError ? hintOf(cause) : HINTS[cause.code];
    throw new CliError(cause.message, { ...(hint !== undefined && { hint }), cause });
  }
}

function integer(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d{1,9}$/.test(text) && value >= minimum && value <= maximum) return value;
    throw new InvalidArgumentError(`expected a number from ${minimum} to ${maximum}`);
  };
}

function rate(text: string): number {
  const value = Number(text);
  if (/^\d{1,6}(?:\.\d{1,6})?$/.test(text) && value > 0) return value;
  throw new InvalidArgumentError('expected devices in a second, as 50 or 0.5');
}
