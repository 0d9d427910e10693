/** `chrysalis authority renew`: another key and certificate for an authority of a test SCMS, from its issuer there. */
import { readFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import {
  type Authority,
  authorityDirectory,
  hostnameOf,
  keepFormerCertificate,
  readAuthority,
  renewedAuthority,
  replaceAuthority,
  settleRenewal,
} from '@chrysalis/authorities';
import { type KeyCustody, readCertificateFile } from '@chrysalis/authorities/keys';
import {
  asCertificate,
  checkValidAt,
  type Duration,
  endOfValidity,
  formatTime32,
  type HashedCertificate,
  Ieee1609Dot2Error,
  type Time32,
  TrustStore,
  type ValidityPeriod,
} from '@chrysalis/ieee1609dot2';
import { formatHex, timeOf } from '@chrysalis/scms';
import { writeFileDurably } from '@chrysalis/store/files';
import { Argument, type Command, InvalidArgumentError } from 'commander';
import { type ChrysalisConfig, loadConfig } from './config.ts';
import { type CertificateList, withCertificate } from './config-edit.ts';
import { type CliContext, CliError } from './context.ts';
import { iPeriodOfDevices } from './i-period.ts';
import { openRaCustody } from './open-custody.ts';
import { CONFIG_FILE } from './state-directory.ts';

/**
 * Root and ICA are not among them: under a new ICA certificate the others would have to be issued anew in the same moment,
 * and no device takes a new root.
 */
const RENEWABLE = ['pca', 'la1', 'la2', 'ra', 'pg', 'ma', 'crlg', 'eca'] as const;
type Renewable = (typeof RENEWABLE)[number];

/** PG and CRLG are components whose revocation only the root can announce. */
const BY_ROOT: readonly Renewable[] = ['pg', 'crlg'];

/** Devices seal to these, and to a former one until they know of another: its encryption key is kept. */
const RECIPIENTS: readonly Renewable[] = ['ma', 'ra'];

/** Where the configuration names certificates that an authority had before, when devices' certificates hang on them. */
const FORMER_IN_CONFIG: Partial<Record<Renewable, CertificateList>> = {
  pca: ['pca', 'former'],
  eca: ['trust', 'ecas'],
};

/** As the other certificates of a test SCMS. */
const BEGIN_EARLIER_SEC = 8 * 86_400;
const MOST_YEARS = 70;

interface RenewOptions {
  readonly dir: string;
  readonly json?: boolean;
  readonly years?: number;
}

interface Renewal {
  readonly name: Renewable;
  readonly directory: string;
  readonly config: ChrysalisConfig;
  /** Of the authority. */
  readonly path: string;
  readonly now: Time32;
  readonly keys: KeyCustody;
}

/** What came of it. */
interface Renewed {
  readonly certificate: HashedCertificate;
  /** Undefined when an earlier renewal was brought to its end. */
  readonly former?: { readonly certificate: HashedCertificate; readonly file: string };
}

export function addAuthorityRenewCommand(authority: Command, context: CliContext): void {
  authority
    .command('renew')
    .description('give an authority of a test SCMS a new key and certificate')
    .addArgument(new Argument('<name>', 'the authority').choices(RENEWABLE))
    .option('--years <number>', 'how long the certificate lasts; as the one before', years)
    .addHelpText(
      'after',
      `
The certificate before is kept in authorities/<name>/former, or ra/former. Its keys are not, but for the encryption keys of RA
and MA, to which devices may still seal. Nothing else changes: what the LAs share with the PCA stays, since values under it wait in the RA. A running RA
takes its own within ten seconds, and at once on SIGHUP; with others it goes on with what it has until it is started again. A renewal that was cut off is ended by the next.

Examples:
  chrysalis authority renew pca
  chrysalis authority renew ra --years 2`,
    )
    .action(async (name: Renewable, _options: unknown, command: Command) => {
      await renewAuthority(context, name, command.optsWithGlobals<RenewOptions>());
    });
}

/**
 * The certificate is kept, and named in the configuration, before there is another: cut off at any moment, the authority is
 * the former one whole or the new one.
 */
async function renewAuthority(
  context: CliContext,
  name: Renewable,
  options: RenewOptions,
): Promise<void> {
  const directory = resolve(options.dir);
  const config = await loadConfig(directory);
  const path = authorityDirectory(directory, name);
  const keys = await openRaCustody(config, directory, context);
  const renewal = { name, directory, config, path, now: timeOf(context.clock), keys };
  expectInDirectory(renewal);
  const renewed = (await settleRenewal(path, keys))
    ? { certificate: await readCertificateFile(join(path, 'certificate.oer')) }
    : await renew(renewal, context, options);
  report(context, options, name, renewed);
}

async function renew(
  renewal: Renewal,
  { random }: CliContext,
  { years: lifetime }: RenewOptions,
): Promise<Renewed> {
  const { path, name, directory, keys } = renewal;
  const hasEncryption = name === 'pca' || name === 'eca' || name === 'ma' || name === 'ra';
  const present = await readAuthority(
    path,
    hasEncryption ? 'with encryption' : 'signing only',
    keys,
  );
  const { certificate } = present;
  const issuerName = BY_ROOT.includes(name) ? 'root' : 'ica';
  const issuer = await readAuthority(
    authorityDirectory(directory, issuerName),
    'signing only',
    keys,
  );
  const validityPeriod = {
    start: await startOf(certificate, renewal),
    duration: durationOf(certificate, lifetime),
  };
  expectLater(certificate, validityPeriod);
  const next = renewedAuthority(present, issuer, { validityPeriod, random });
  await expectVerifiable(next, issuer, renewal);
  const file = await keepFormerCertificate(
    path,
    RECIPIENTS.includes(name) ? present : { certificate },
    keys,
  );
  await nameInConfig(file, renewal);
  await replaceAuthority(path, next, keys);
  return { certificate: next.certificate, former: { certificate, file } };
}

/** An authority of another process has its keys elsewhere; a certificate elsewhere is not ours to replace. */
function expectInDirectory({ name, config, path }: Renewal): void {
  if ((name === 'pca' || name === 'la1' || name === 'la2') && config[name].mode === 'remote') {
    throw new CliError(`expected ${name}.mode = "in-process", saw "remote"`, {
      hint: 'its keys lie in a directory of its own',
    });
  }
  const configured: Partial<Record<Renewable, readonly string[]>> = {
    pca: [config.pca.certificate],
    la1: [config.la1.certificate],
    la2: [config.la2.certificate],
    ra: [config.ra.certificate, config.ra.signingKey, config.ra.encryptionKey],
  };
  for (const file of configured[name] ?? []) {
    if (resolve(file, '..') === path) continue;
    throw new CliError(`${name}: expected its certificate and keys in ${path}, saw ${file}`, {
      hint: 'certificates of another PKI are renewed there',
    });
  }
}

/**
 * Some days ago, as for all of a test SCMS, and later than the one before: our EE takes no RA certificate that begins with the
 * one it has. The PCA's covers the whole i-period of now, whose certificates may be made under it yet.
 */
async function startOf(
  { certificate }: HashedCertificate,
  { name, config, directory, now }: Renewal,
): Promise<Time32> {
  const before = certificate.toBeSigned.validityPeriod.start;
  const start = Math.max(now - BEGIN_EARLIER_SEC, before + 1);
  if (name !== 'pca') return start;
  const iPeriod = await iPeriodOfDevices(config, directory, now);
  return Math.max(0, Math.min(start, iPeriod.start(Math.max(0, iPeriod.at(now)))));
}

function durationOf({ certificate }: HashedCertificate, lifetime: number | undefined): Duration {
  if (lifetime === undefined) return certificate.toBeSigned.validityPeriod.duration;
  return { type: 'years', value: lifetime };
}

/** What was promised under the one before could not be made under one that ends earlier. */
function expectLater({ certificate }: HashedCertificate, validityPeriod: ValidityPeriod): void {
  const before = endOfValidity(certificate.toBeSigned.validityPeriod);
  const end = endOfValidity(validityPeriod);
  if (end > before) return;
  throw new CliError(
    `expected an end after that of the certificate before, ${formatTime32(before)}, saw ${formatTime32(end)}`,
    { hint: '--years makes it longer' },
  );
}

/** As RA and devices will: by its chain, now and until its own end. */
async function expectVerifiable(
  { certificate }: Authority,
  issuer: Authority,
  { directory, now, name }: Renewal,
): Promise<void> {
  const root = await readCertificateFile(
    join(authorityDirectory(directory, 'root'), 'certificate.oer'),
  );
  try {
    const trust = new TrustStore([asCertificate(root)]);
    trust.add(asCertificate(issuer.certificate));
    const verified = trust.verify(asCertificate(certificate));
    checkValidAt(verified, now);
    checkValidAt(verified, endOfValidity(certificate.certificate.toBeSigned.validityPeriod) - 1);
  } catch (cause) {
    if (!(cause instanceof Ieee1609Dot2Error)) throw cause;
    throw new CliError(`${name}: a certificate of this issuer would not do: ${cause.message}`, {
      hint: '--years makes it shorter',
      cause,
    });
  }
}

async function nameInConfig(file: string, { name, directory }: Renewal): Promise<void> {
  const list = FORMER_IN_CONFIG[name];
  if (list === undefined) return;
  const path = join(directory, CONFIG_FILE);
  const text = await readFile(path, 'utf8');
  const edited = withCertificate(text, list, relative(directory, file));
  if (edited !== text) await writeFileDurably(path, new TextEncoder().encode(edited));
}

function report(
  context: CliContext,
  { json }: RenewOptions,
  name: Renewable,
  { certificate, former }: Renewed,
): void {
  const described = (of: HashedCertificate) => ({
    id: formatHex(of.id),
    until: formatTime32(endOfValidity(of.certificate.toBeSigned.validityPeriod)),
  });
  const is = described(certificate);
  const was = former && { ...described(former.certificate), file: former.file };
  const text = json
    ? JSON.stringify({ name, ...is, ...(was && { former: was }) })
    : `${name}: ${hostnameOf(certificate)}, ${is.id}, until ${is.until}\n${
        was
          ? `before: ${was.id}, until ${was.until}, kept in ${was.file}`
          : 'a renewal that was cut off has come to its end'
      }`;
  context.stdout.write(`${text}\n`);
  const next =
    name === 'ra'
      ? 'nothing; chrysalis serve takes it within ten seconds, and says so in its log'
      : 'start chrysalis serve again: it goes on with both';
  context.stderr.write(`chrysalis: next: ${next}\n`);
}

function years(text: string): number {
  if (/^\d{1,2}$/.test(text) && Number(text) >= 1 && Number(text) <= MOST_YEARS)
    return Number(text);
  throw new InvalidArgumentError(`expected an integer from 1 to ${MOST_YEARS}`);
}
