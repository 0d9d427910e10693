/** `chrysalis ee`: act as a device, through the End Entity SDK. */
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { PrivateKey } from '@chrysalis/crypto';
import {
  DirectoryStorage,
  EeError,
  EndEntity,
  type EnrollmentWishes,
  installBundle,
  lockProfile,
  Profile,
  parseRaUrl,
  prepareEnrollment,
  readBundleDirectory,
} from '@chrysalis/ee';
import { formatTime32, hashCertificate } from '@chrysalis/ieee1609dot2';
import { formatHex, ScmsDataError } from '@chrysalis/scms';
import { type Command, InvalidArgumentError } from 'commander';
import { type CliContext, CliError } from './context.ts';
import { hintOf, ProgressLines } from './ee-progress.ts';
import { profileStatus, statusText } from './ee-status.ts';

const DEFAULT_PROFILE = './chrysalis-ee';

interface CommonOptions {
  readonly profile: string;
  readonly ra?: URL;
  readonly json?: boolean;
}

interface BootstrapOptions extends CommonOptions, EnrollmentWishes {
  readonly new?: boolean;
  readonly bundle?: string;
  readonly key?: string;
  readonly country?: readonly number[];
  readonly psid?: readonly number[];
}

interface DownloadOptions extends CommonOptions {
  readonly weeks?: number;
  readonly i?: number;
}

/** Adds `ee` and its commands. They throw CliError, and print results to the context's stdout. */
export function addEeCommands(program: Command, context: CliContext): void {
  const ee = program.command('ee').description('act as a device (end entity)');
  addBootstrap(ee, context);
  withCommonOptions(ee.command('request'))
    .description('ask the RA for pseudonym certificates, once')
    .action(action(context, request));
  addDownloadOptions(withCommonOptions(ee.command('download')))
    .description('fetch and open the batches that are missing')
    .action(action(context, download));
  withCommonOptions(ee.command('info'))
    .description('ask when the next batch is expected')
    .action(action(context, info));
  withCommonOptions(ee.command('status'))
    .description('show what the profile holds; asks nobody')
    .action(action(context, status));
  withCommonOptions(ee.command('header'))
    .argument('<file>', 'as HASH_I.zip or HASH.info')
    .option('--value', 'print the value alone, without the name of the header')
    .description('print a fresh Download-Req header: curl -H "$(chrysalis ee header FILE)"')
    .action(action(context, header));
  withCommonOptions(ee.command('run'))
    .option('--weeks <number>', 'at most so many periods', positiveInteger)
    .description('one whole cycle: request if needed, wait, download, open, .info')
    .action(action(context, run));
}

function addBootstrap(ee: Command, context: CliContext): void {
  withCommonOptions(ee.command('bootstrap'))
    .description('make a key and a request for enrollment, or take in the bundle that answers it')
    .option('--new', 'make the key and SignedEeEnrollmentCertRequest.oer')
    .option('--psid <list>', 'applications, as 0x20,0x26', integerList)
    .option('--country <list>', 'countries in UN M49, as 840', integerList)
    .option('--years <number>', 'validity', positiveInteger)
    .option('--bundle <dir>', 'what `chrysalis enroll --out` wrote')
    .option('--key <file>', 'with --bundle: a request key made elsewhere, 32 octets')
    .action(action(context, bootstrap));
}

function withCommonOptions(command: Command): Command {
  return command
    .option('--profile <dir>', 'the profile directory', DEFAULT_PROFILE)
    .option('--ra <url>', "instead of the bundle's RA", raUrl)
    .option('--json', 'print JSON');
}

function addDownloadOptions(command: Command): Command {
  return command
    .option('--weeks <number>', 'at most so many periods', positiveInteger)
    .option('--i <hex>', 'this period alone', hexIndex);
}

async function bootstrap(context: CliContext, options: BootstrapOptions): Promise<void> {
  if ((options.new === true) === (options.bundle !== undefined)) {
    throw new CliError('expected either --new or --bundle DIR', {
      hint: 'first --new, then `chrysalis enroll --request FILE --out DIR`, then --bundle DIR',
    });
  }
  const storage = await DirectoryStorage.open(options.profile, { create: true });
  await using _lock = await lockProfile(storage.path);
  await storage.sweep();
  const profile = new Profile(storage);
  if (options.bundle === undefined) return bootstrapNew(context, options, storage.path, profile);
  const key = options.key === undefined ? undefined : await readKey(options.key);
  const files = await readBundleDirectory(options.bundle);
  const enrollment = await installBundle(profile, files, context.clock, key);
  for (const warning of enrollment.warnings) note(context, `warning: ${warning}`);
  note(context, `next: chrysalis ee run --profile ${options.profile}`);
  print(context, options, {
    text: `enrolled as ${formatHex(enrollment.certificate.id)} at ${enrollment.raUrl.href}`,
    json: {
      enrollment: formatHex(enrollment.certificate.id),
      ra: enrollment.raUrl.href,
      warnings: enrollment.warnings,
    },
  });
}

async function bootstrapNew(
  context: CliContext,
  options: BootstrapOptions,
  directory: string,
  profile: Profile,
): Promise<void> {
  await prepareEnrollment(profile, context.clock, context.random, {
    ...(options.psid && { psids: options.psid }),
    ...(options.country && { countries: options.country }),
    ...(options.years && { years: options.years }),
  });
  const request = join(directory, 'SignedEeEnrollmentCertRequest.oer');
  note(context, `next: chrysalis enroll --request ${request} --out BUNDLE`);
  note(context, `then: chrysalis ee bootstrap --profile ${options.profile} --bundle BUNDLE`);
  print(context, options, { text: request, json: { request } });
}

async function request(context: CliContext, options: CommonOptions): Promise<void> {
  await withDevice(context, options, async (ee) => {
    const { requestHash, certDLTime, certDLURL } = await ee.request();
    print(context, options, {
      text:
        `request hash: ${formatHex(requestHash)}\nready: ${formatTime32(certDLTime)}\n` +
        `at: ${certDLURL}`,
      json: {
        requestHash: formatHex(requestHash),
        certDLTime,
        ready: formatTime32(certDLTime),
        certDLURL,
      },
    });
  });
}

async function download(context: CliContext, options: DownloadOptions): Promise<void> {
  await withDevice(context, options, (ee) => downloadAndPrint(context, options, ee));
}

async function info(context: CliContext, options: CommonOptions): Promise<void> {
  await withDevice(context, options, (ee) => infoAndPrint(context, options, ee));
}

async function status(context: CliContext, options: CommonOptions): Promise<void> {
  const profile = new Profile(await DirectoryStorage.open(options.profile));
  const found = await profileStatus(profile, context.clock);
  print(context, options, { text: statusText(found), json: found });
}

async function header(
  context: CliContext,
  options: CommonOptions & { readonly value?: boolean },
  file: string,
): Promise<void> {
  // No lock: it changes nothing, and is of most use beside a device that is running.
  const profile = new Profile(await DirectoryStorage.open(options.profile));
  await using ee = await EndEntity.open(profile, context);
  const value = ee.downloadHeader(file);
  print(context, options, {
    text: options.value === true ? value : `Download-Req: ${value}`,
    json: { 'Download-Req': value },
  });
}

async function run(context: CliContext, options: DownloadOptions): Promise<void> {
  await withDevice(context, options, async (ee) => {
    await ee.request();
    await ee.waitUntilReady();
    const batches = await downloadAll(ee, options);
    const next = await ee.info();
    print(context, options, {
      text: `${batches.text}\n${nextText(next)}`,
      json: { ...batches.json, next: nextJson(next) },
    });
    batches.failIfAnyFailed();
  });
}

async function downloadAndPrint(
  context: CliContext,
  options: DownloadOptions,
  ee: EndEntity,
): Promise<void> {
  const batches = await downloadAll(ee, options);
  print(context, options, batches);
  batches.failIfAnyFailed();
}

async function infoAndPrint(context: CliContext, options: CommonOptions, ee: EndEntity) {
  const next = await ee.info();
  print(context, options, { text: nextText(next), json: { next: nextJson(next) } });
}

async function downloadAll(ee: EndEntity, { weeks, i }: DownloadOptions) {
  const { batches } = await ee.download({
    ...(weeks !== undefined && { weeks }),
    ...(i !== undefined && { i }),
  });
  const certificates = batches.reduce((sum, batch) => sum + batch.certificates.length, 0);
  const failures = batches.flatMap((batch) => batch.failures);
  return {
    text: `batches: ${batches.length}\ncertificates: ${certificates}`,
    json: {
      batches: batches.map((batch) => ({
        i: batch.i.toString(16).toUpperCase(),
        certificates: batch.certificates.map(({ j, certificate }) => ({
          j,
          id: formatHex(hashCertificate(certificate).id),
        })),
        failures: batch.failures.map(({ entry, error }) => ({ entry, reason: error.message })),
      })),
    },
    failIfAnyFailed() {
      const [first] = failures;
      if (first === undefined) return;
      throw new CliError(
        `${failures.length} certificates did not open; ${first.entry}: ${first.error.message}`,
        { hint: 'the others are in the profile; the next download asks for these again' },
      );
    },
  };
}

/** Opens the profile's device under the profile's lock, with progress on stderr. */
async function withDevice(
  context: CliContext,
  options: CommonOptions,
  work: (ee: EndEntity) => Promise<void>,
): Promise<void> {
  const storage = await DirectoryStorage.open(options.profile);
  await using _lock = await lockProfile(storage.path);
  await storage.sweep();
  const progress = new ProgressLines(context.stderr);
  await using ee = await EndEntity.open(new Profile(storage), {
    clock: context.clock,
    random: context.random,
    signal: context.signal,
    ...(options.ra && { raUrl: options.ra }),
    onProgress: (event) => progress.write(event),
  });
  for (const warning of ee.enrollment.warnings) note(context, `warning: ${warning}`);
  await work(ee);
}

/** An action of commander: options with those of the program, and the SDK's errors with a hint. */
function action<O extends CommonOptions>(
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
      const hint = cause instanceof EeError ? hintOf(cause.code) : undefined;
      throw new CliError(cause.message, { ...(hint !== undefined && { hint }), cause });
    }
  };
}

async function readKey(path: string): Promise<PrivateKey> {
  try {
    return PrivateKey.fromScalar(new Uint8Array(await readFile(path)));
  } catch (cause) {
    throw new CliError(`expected a private key of 32 octets in ${resolve(path)}`, { cause });
  }
}

function nextText(next: Awaited<ReturnType<EndEntity['info']>>): string {
  return next.type === 'stopped'
    ? 'next batch: none, the RA has stopped'
    : `next batch: ${formatTime32(next.time)}`;
}

function nextJson(next: Awaited<ReturnType<EndEntity['info']>>) {
  return next.type === 'stopped' ? null : { time: next.time, at: formatTime32(next.time) };
}

function print(
  context: CliContext,
  options: CommonOptions,
  result: { readonly text: string; readonly json: unknown },
): void {
  const text = options.json === true ? JSON.stringify(result.json, undefined, 2) : result.text;
  context.stdout.write(`${text}\n`);
}

function note(context: CliContext, text: string): void {
  context.stderr.write(`chrysalis: ${text}\n`);
}

function raUrl(text: string): URL {
  try {
    return parseRaUrl(text);
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
  }
}

function positiveInteger(text: string): number {
  const value = Number(text);
  if (!/^\d{1,5}$/.test(text) || value < 1) {
    throw new InvalidArgumentError('expected a number from 1 to 99999');
  }
  return value;
}

function hexIndex(text: string): number {
  if (!/^[0-9a-f]{1,8}$/i.test(text)) {
    throw new InvalidArgumentError('expected 1 to 8 hex digits, as in file names');
  }
  return Number.parseInt(text, 16);
}

function integerList(text: string): number[] {
  return text.split(',').map((item) => {
    const value = Number(item);
    if (!/^(?:0x[0-9a-f]{1,8}|\d{1,10})$/i.test(item) || value > 0xffff_ffff) {
      throw new InvalidArgumentError('expected numbers with commas, as 0x20,0x26');
    }
    return value;
  });
}
