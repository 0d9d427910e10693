/** What the commands of `ee` have in common: options, the profile's device, output. */
import {
  type CertificateKind,
  DEVICE_KINDS,
  type DeviceSettings,
  DIALECTS,
  DirectoryStorage,
  EeError,
  EndEntity,
  lockProfile,
  Profile,
  parseRaUrl,
} from '@chrysalis/ee';
import { time32FromUnix } from '@chrysalis/ieee1609dot2';
import { type Dialect, ScmsDataError } from '@chrysalis/scms';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type CliContext, CliError } from './context.ts';
import { hintOf, ProgressLines } from './ee-progress.ts';

const DEFAULT_PROFILE = './chrysalis-ee';
const KINDS: readonly CertificateKind[] = ['pseudonym', 'identification', 'application'];

export interface CommonOptions {
  readonly profile: string;
  readonly ra?: URL;
  readonly dialect?: Dialect;
  readonly ocsp?: boolean;
  readonly json?: boolean;
}

export function withCommonOptions(command: Command): Command {
  return command
    .option('--profile <dir>', 'the profile directory', DEFAULT_PROFILE)
    .option('--ra <url>', "instead of the bundle's RA", parseUrl)
    .addOption(
      new Option('--dialect <release>', 'the release of ee-ra.asn for requests').choices(DIALECTS),
    )
    .option('--ocsp', 'the RA has to staple an OCSP response')
    .option('--json', 'print JSON');
}

export function kindOption(): Option {
  return new Option('--kind <kind>', 'a vehicle or a roadside unit').choices(DEVICE_KINDS);
}

export function certificatesOption(): Option {
  return new Option('--certificates <kind>', 'of which kind').choices(KINDS);
}

/** Opens the profile's device under the profile's lock, with progress on stderr. */
export async function withDevice<T>(
  context: CliContext,
  options: CommonOptions,
  work: (ee: EndEntity) => Promise<T>,
): Promise<T> {
  const storage = await DirectoryStorage.open(options.profile);
  await using _lock = await lockProfile(storage.path);
  await storage.sweep();
  return await open(context, options, storage, work);
}

/**
 * The same, but also while another process has the profile.
 *
 * @param work gets the reason when the profile is not ours
 */
export async function withDeviceUnlessLocked<T>(
  context: CliContext,
  options: CommonOptions,
  work: (ee: EndEntity, locked: EeError | undefined) => Promise<T>,
): Promise<T> {
  try {
    return await withDevice(context, options, (ee) => work(ee, undefined));
  } catch (error) {
    if (!(error instanceof EeError) || error.code !== 'profile-locked') throw error;
    const storage = await DirectoryStorage.open(options.profile);
    return await open(context, options, storage, (ee) => work(ee, error));
  }
}

async function open<T>(
  context: CliContext,
  options: CommonOptions,
  storage: DirectoryStorage,
  work: (ee: EndEntity) => Promise<T>,
): Promise<T> {
  const progress = new ProgressLines(context.stderr);
  await using ee = await EndEntity.open(new Profile(storage), {
    clock: context.clock,
    random: context.random,
    signal: context.signal,
    settings: settingsOf(options),
    onProgress: (event) => progress.write(event),
  });
  for (const warning of ee.enrollment.warnings) note(context, `warning: ${warning}`);
  // Awaited here: lock and device are given back when the work is done, not when it has begun.
  return await work(ee);
}

/** The settings that were named on the command line. */
export function settingsOf({ ra, dialect, ocsp }: CommonOptions): Partial<DeviceSettings> {
  return {
    ...(ra && { raUrl: ra }),
    ...(dialect && { dialect }),
    ...(ocsp !== undefined && { ocsp }),
  };
}

/** An action of commander: options with those of the program, and the SDK's errors with a hint. */
export function action<O extends CommonOptions>(
  context: CliContext,
  work: (context: CliContext, options: O, argument: string) => Promise<void>,
): (...given: unknown[]) => Promise<void> {
  return async (...given) => {
    const command = given.at(-1) as Command;
    try {
      await work(context, command.optsWithGlobals<O>(), String(given[0]));
    } catch (cause) {
      // Ctrl-C: `main` knows the signal's own error, and what exit status it has.
      if (cause instanceof EeError && cause.code === 'aborted') context.signal.throwIfAborted();
      if (!(cause instanceof EeError) && !(cause instanceof ScmsDataError)) throw cause;
      const hint = cause instanceof EeError ? hintOf(cause) : undefined;
      throw new CliError(cause.message, { ...(hint !== undefined && { hint }), cause });
    }
  };
}

export function print(
  context: CliContext,
  options: CommonOptions,
  result: { readonly text: string; readonly json: unknown },
): void {
  const text = options.json === true ? JSON.stringify(result.json, undefined, 2) : result.text;
  context.stdout.write(`${text}\n`);
}

export function note(context: CliContext, text: string): void {
  context.stderr.write(`chrysalis: ${text}\n`);
}

export function parseUrl(text: string): URL {
  try {
    return parseRaUrl(text);
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
  }
}

export function positiveInteger(text: string): number {
  const value = Number(text);
  if (!/^\d{1,5}$/.test(text) || value < 1) {
    throw new InvalidArgumentError('expected a number from 1 to 99999');
  }
  return value;
}

export function hexIndex(text: string): number {
  if (!/^[0-9a-f]{1,8}$/i.test(text)) {
    throw new InvalidArgumentError('expected 1 to 8 hex digits, as in file names');
  }
  return Number.parseInt(text, 16);
}

export function integerList(text: string): number[] {
  return text.split(',').map((item) => {
    const value = Number(item);
    if (!/^(?:0x[0-9a-f]{1,8}|\d{1,10})$/i.test(item) || value > 0xffff_ffff) {
      throw new InvalidArgumentError('expected numbers with commas, as 0x20,0x26');
    }
    return value;
  });
}

/** A time as 2026-11-24T10:00:00Z; the Time32 of it. */
export function timeArgument(text: string): number {
  const isIso = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?Z$/.test(text);
  const unixMs = isIso ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(unixMs)) {
    throw new InvalidArgumentError('expected a time as 2026-11-24T10:00:00Z');
  }
  return time32FromUnix(unixMs);
}
