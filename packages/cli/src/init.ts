/** `chrysalis init`: a state directory with the keys and certificates of a complete test SCMS. */
import { chmod, mkdir, readdir, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import {
  type ApplicationScope,
  AUTHORITY_NAMES,
  createTestScms,
  hostnameOf,
  type TestScms,
  writeTestScms,
} from '@chrysalis/authorities';
import { createX509Root } from '@chrysalis/authorities/x509';
import { endOfValidity, formatTime32 } from '@chrysalis/ieee1609dot2';
import { formatHex, timeOf } from '@chrysalis/scms';
import { removeFileDurably, writeFileDurably } from '@chrysalis/store/files';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { MAX_PROCESSES, parseConfig } from './config.ts';
import { configFileText } from './config-file.ts';
import { type CliContext, CliError } from './context.ts';
import { CONFIG_FILE, INIT_ENTRIES, INIT_MARKER, STATE_FILES } from './state-directory.ts';
import { BEGIN_EARLIER_MS, issueRaTlsCertificate } from './tls-certificate.ts';

interface InitOptions {
  readonly dir: string;
  readonly json?: boolean;
  readonly host: string;
  readonly listen: string;
  readonly port: number;
  readonly processes?: number;
  readonly weeksAhead: number;
  readonly iPeriodHours?: number;
  readonly country: readonly number[];
  readonly applications: ApplicationScope;
}

const PRIVATE_DIRECTORY_MODE = 0o700;
const PUBLIC_FILE_MODE = 0o644;
const DAY_MS = 86_400_000;
const X509_ROOT_YEARS = 20;

export function addInitCommand(program: Command, context: CliContext): void {
  program
    .command('init')
    .description('make a state directory: configuration, keys and certificates of a test SCMS')
    .option('--host <name>', 'the name of the RA, by which devices reach it', 'localhost')
    .option('--listen <address>', 'the address it listens on', '127.0.0.1')
    .option('--port <number>', 'its port; 0 takes one that is free', integer(0, 65_535), 8892)
    .option(
      '--processes <number>',
      'processes that answer devices; as many as there are cores when missing',
      integer(1, MAX_PROCESSES),
    )
    .option('--weeks-ahead <number>', 'i-periods to keep ready', integer(1, 520), 156)
    .option(
      '--i-period-hours <number>',
      "the length of an i-period; the policy's when missing",
      integer(1, 65_534),
    )
    .option('--country <list>', 'countries that it serves, in UN M49', countries, [840])
    .addOption(
      new Option('--applications <scope>', "CAMP's list of applications, or any")
        .choices(['camp', 'any'])
        .default('camp'),
    )
    .addHelpText(
      'after',
      `
Examples:
  for devices on this machine:
    chrysalis init
  for devices on the network:
    chrysalis --dir /srv/ra init --host ra.example.com --listen 0.0.0.0
  for devices that ask for more applications than CAMP lists, in the USA and Korea:
    chrysalis init --applications any --country 840,410`,
    )
    .action(async (_options: unknown, command: Command) => {
      await init(context, command.optsWithGlobals<InitOptions>());
    });
}

async function init(context: CliContext, options: InitOptions): Promise<void> {
  const directory = resolve(options.dir);
  const scms = createTestScms({
    now: timeOf(context.clock),
    random: context.random,
    raHostname: options.host,
    countries: options.country,
    applications: options.applications,
  });
  const text = configFileText({
    ...options,
    pcaHostname: nameOf(scms, 'pca'),
    la1Hostname: nameOf(scms, 'la1'),
    la2Hostname: nameOf(scms, 'la2'),
  });
  // What is written is what will be read: a host that the schema refuses is refused before anything is made.
  parseConfig(text, directory);
  await claim(directory);
  await writeTestScms(directory, scms);
  await writeTls(directory, options.host, context.clock.now());
  // Last: from here on the directory is complete.
  await writeFileDurably(join(directory, CONFIG_FILE), utf8(text));
  await removeFileDurably(join(directory, INIT_MARKER));
  report(context, options, directory, scms);
}

/** Makes sure that the directory is empty, or what an earlier init left half made, and marks it. */
async function claim(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
  const entries = await readdir(directory);
  if (entries.includes(CONFIG_FILE)) {
    throw new CliError(`expected an empty directory, saw a chrysalis state in ${directory}`, {
      hint: 'choose another with --dir, or remove this one: its keys are lost then',
    });
  }
  const remains = entries.filter(isRemainOfInit);
  const [foreign] = entries.filter((entry) => !remains.includes(entry));
  if (foreign !== undefined && !entries.includes(INIT_MARKER)) {
    throw new CliError(`expected an empty directory, saw ${foreign} in ${directory}`, {
      hint: 'choose another with --dir',
    });
  }
  // It may have been there, empty and open to all.
  await chmod(directory, PRIVATE_DIRECTORY_MODE);
  await writeFileDurably(join(directory, INIT_MARKER), new Uint8Array(0));
  for (const entry of [...INIT_ENTRIES, ...remains.filter((name) => name !== INIT_MARKER)]) {
    await rm(join(directory, entry), { recursive: true, force: true });
  }
}

/** The marker, or the temporary file of a write by `writeFileDurably` that was cut off. */
function isRemainOfInit(entry: string): boolean {
  return [INIT_MARKER, CONFIG_FILE].some(
    (file) => entry === file || (entry.startsWith(`.${file}.`) && entry.endsWith('.tmp')),
  );
}

/** The X.509 root of the test SCMS, and the RA's TLS certificate for its host and for this machine. */
async function writeTls(directory: string, host: string, nowMs: number): Promise<void> {
  const root = await createX509Root({
    commonName: 'Chrysalis test TLS root',
    notBefore: new Date(nowMs - BEGIN_EARLIER_MS),
    notAfter: new Date(nowMs + X509_ROOT_YEARS * 365 * DAY_MS),
  });
  const server = await issueRaTlsCertificate(root, host, nowMs);
  const write = async (file: string, text: string, mode?: number) => {
    const path = join(directory, file);
    await mkdir(dirname(path), { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
    await writeFileDurably(path, utf8(text), mode);
  };
  await write(STATE_FILES.x509Root, root.certificatePem, PUBLIC_FILE_MODE);
  await write(STATE_FILES.x509RootKey, root.privateKeyPem);
  await write(STATE_FILES.tlsCertificate, server.certificatePem, PUBLIC_FILE_MODE);
  await write(STATE_FILES.tlsKey, server.privateKeyPem);
}

function report(
  context: CliContext,
  options: InitOptions,
  directory: string,
  scms: TestScms,
): void {
  const certificates = [...AUTHORITY_NAMES, 'ra' as const].map((name) => {
    const { certificate } = scms[name];
    const end = endOfValidity(certificate.certificate.toBeSigned.validityPeriod);
    return {
      authority: name,
      hostname: nameOf(scms, name),
      id: formatHex(certificate.id),
      validUntil: formatTime32(Math.floor(end)),
    };
  });
  const raUrl = options.port === 0 ? null : `https://${options.host}:${options.port}`;
  context.stderr.write(
    'chrysalis: warning: a test SCMS: all its keys lie in this directory, and shuffle.initial = "immediate"\n' +
      'chrysalis: warning: shows the PCA which first certificates belong to one device; not for production\n',
  );
  if (options.json === true) {
    const result = { directory, config: join(directory, CONFIG_FILE), raUrl, certificates };
    context.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`);
    return;
  }
  const lines = certificates.map(
    ({ authority, hostname, id, validUntil }) =>
      `  ${authority.padEnd(5)} ${id}  until ${validUntil.slice(0, 10)}  ${hostname}`,
  );
  context.stdout.write(
    `state directory: ${directory}\nRA: ${raUrl ?? `https://${options.host}, on a free port`}\n` +
      `certificates:\n${lines.join('\n')}\n`,
  );
  context.stderr.write('chrysalis: next: chrysalis serve\n');
}

function nameOf(scms: TestScms, name: (typeof AUTHORITY_NAMES)[number] | 'ra'): string {
  // Every certificate of a test SCMS is named.
  return hostnameOf(scms[name].certificate) ?? '';
}

function countries(text: string): number[] {
  return text.split(',').map(integer(1, 999));
}

function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d{1,9}$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`expected an integer from ${min} to ${max}`);
  };
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
