/** `chrysalis ee bootstrap` and `chrysalis ee set-ra`: what a device is, before it talks to an RA. */
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { PrivateKey } from '@chrysalis/crypto';
import {
  type DeviceKind,
  DirectoryStorage,
  EeError,
  type EnrollmentWishes,
  installBundle,
  lockProfile,
  Profile,
  prepareEnrollment,
  RSE_PSIDS,
  readBundleDirectory,
  refuseReadableByOthers,
} from '@chrysalis/ee';
import { formatHex } from '@chrysalis/scms';
import type { Command } from 'commander';
import { type CliContext, CliError } from './context.ts';
import {
  action,
  type CommonOptions,
  integerList,
  kindOption,
  note,
  parseUrl,
  positiveInteger,
  print,
  settingsOf,
  withCommonOptions,
} from './ee-device.ts';

interface BootstrapOptions extends CommonOptions, EnrollmentWishes {
  readonly new?: boolean;
  readonly kind?: DeviceKind;
  readonly identification?: boolean;
  readonly crl?: URL;
  readonly bundle?: string;
  readonly key?: string;
  readonly country?: readonly number[];
  readonly psid?: readonly number[];
}

export function addBootstrapCommands(ee: Command, context: CliContext): void {
  withCommonOptions(ee.command('bootstrap'))
    .description('make a key and a request for enrollment, or take in the bundle that answers it')
    .option('--new', 'make the key and SignedEeEnrollmentCertRequest.oer')
    .addOption(kindOption())
    .option('--identification', 'a vehicle: identification certificates besides pseudonym ones')
    .option('--crl <url>', 'where the CRL store is', parseUrl)
    .option('--psid <list>', 'applications, as 0x20,0x26', integerList)
    .option('--country <list>', 'countries in UN M49, as 840', integerList)
    .option('--years <number>', 'validity', positiveInteger)
    .option('--bundle <dir>', 'what `chrysalis enroll --out` wrote')
    .option('--key <file>', 'with --bundle: a request key made elsewhere, 32 octets')
    .addHelpText(
      'after',
      '\n--kind, --identification, --dialect, --ra, --crl and --ocsp stay with the profile.',
    )
    .action(action(context, bootstrap));
  withCommonOptions(ee.command('set-ra'))
    .argument('<url>', 'where the RA is by now, or `bundle` for what the bundle says')
    .description("keep another URL for the RA, whose X.509 certificate is of the bundle's root")
    .action(action(context, setRa));
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
  await keepSettings(profile, options);
  if (options.bundle === undefined) return bootstrapNew(context, options, storage.path, profile);
  const key = options.key === undefined ? undefined : await readKey(options.key);
  const files = await readBundleDirectory(options.bundle);
  const enrollment = await installBundle(profile, files, context.clock, key);
  const { raUrl = enrollment.raUrl } = await profile.settings();
  for (const warning of enrollment.warnings) note(context, `warning: ${warning}`);
  note(context, `next: chrysalis ee topup --wait --profile ${options.profile}`);
  print(context, options, {
    text: `enrolled as ${formatHex(enrollment.certificate.id)} at ${raUrl.href}`,
    json: {
      enrollment: formatHex(enrollment.certificate.id),
      ra: raUrl.href,
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
  const { kind } = await profile.settings();
  const psids = options.psid ?? (kind === 'rse' ? RSE_PSIDS : undefined);
  await prepareEnrollment(profile, context.clock, context.random, {
    ...(psids && { psids }),
    ...(options.country && { countries: options.country }),
    ...(options.years && { years: options.years }),
  });
  const request = join(directory, 'SignedEeEnrollmentCertRequest.oer');
  note(context, `next: chrysalis enroll --request ${request} --out BUNDLE`);
  note(context, `then: chrysalis ee bootstrap --profile ${options.profile} --bundle BUNDLE`);
  print(context, options, { text: request, json: { request } });
}

async function keepSettings(profile: Profile, options: BootstrapOptions): Promise<void> {
  const { kind, identification, crl } = options;
  const named = { ...settingsOf(options), ...(kind && { kind }), ...(crl && { crlUrl: crl }) };
  if (Object.keys(named).length === 0 && identification === undefined) return;
  await profile.saveSettings({
    ...(await profile.settings()),
    ...named,
    ...(identification !== undefined && { identification }),
  });
}

async function setRa(context: CliContext, options: CommonOptions, argument: string): Promise<void> {
  const storage = await DirectoryStorage.open(options.profile);
  await using _lock = await lockProfile(storage.path);
  const profile = new Profile(storage);
  const { raUrl: _, ...settings } = await profile.settings();
  const raUrl = argument === 'bundle' ? undefined : urlArgument(argument);
  await profile.saveSettings({ ...settings, ...(raUrl && { raUrl }) });
  const ra = raUrl?.href ?? 'as the bundle says';
  print(context, options, { text: `ra: ${ra}`, json: { ra: raUrl?.href ?? null } });
}

function urlArgument(text: string): URL {
  try {
    return parseUrl(text);
  } catch (cause) {
    throw new CliError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

async function readKey(path: string): Promise<PrivateKey> {
  try {
    await refuseReadableByOthers(path);
    return PrivateKey.fromScalar(new Uint8Array(await readFile(path)));
  } catch (cause) {
    if (cause instanceof EeError) throw cause;
    throw new CliError(`expected a private key of 32 octets in ${resolve(path)}`, { cause });
  }
}
