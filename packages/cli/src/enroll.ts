/** `chrysalis enroll`: the ECA's side of bootstrapping a device, and the bundle that the device starts from. */
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import {
  authorityDirectory,
  createEnrollmentAuthority,
  EnrollmentRefusal,
  type EnrollmentRefusalReason,
  readAuthority,
} from '@chrysalis/authorities';
import { type KeyCustody, readCertificateFile } from '@chrysalis/authorities/keys';
import { decode } from '@chrysalis/coer';
import {
  endOfValidity,
  formatTime32,
  type HashedCertificate,
  hashCertificate,
  Ieee1609Dot2Data,
  signedPayload,
} from '@chrysalis/ieee1609dot2';
import { formatHex, ScmsPdu122, timeOf } from '@chrysalis/scms';
import { readFileIfPresent, writeFileDurably } from '@chrysalis/store/files';
import { type Command, InvalidArgumentError } from 'commander';
import { type ChrysalisConfig, loadConfig, publicCrlUrlOf, publicUrlOf } from './config.ts';
import { type CliContext, CliError } from './context.ts';
import { iPeriodOfDevices } from './i-period.ts';
import { openRaCustody } from './open-custody.ts';

interface EnrollOptions {
  readonly dir: string;
  readonly json?: boolean;
  readonly request: string;
  readonly out: string;
  readonly raUrl?: string;
  readonly crlUrl?: string;
  readonly maxAgeDays: number;
}

const PRIVATE_DIRECTORY_MODE = 0o700;
const DAY_SEC = 86_400;
/** A recorded request has 160 octets; no list of permissions makes it a hundred times longer. */
const MAX_REQUEST_OCTETS = 16_384;

export function addEnrollCommand(program: Command, context: CliContext): void {
  program
    .command('enroll')
    .description("sign a device's SignedEeEnrollmentCertRequest and write its bootstrap bundle")
    .requiredOption('--request <file>', 'the request; - for standard input')
    .requiredOption('--out <dir>', 'a new or empty directory for the bundle')
    .option(
      '--ra-url <url>',
      'where the device is to find the RA, when not as configured',
      httpsUrl,
    )
    .option('--crl-url <url>', 'the same for the CRL store', httpsUrl)
    .option('--max-age-days <number>', 'how old the request may be', days, 1)
    .addHelpText(
      'after',
      `
Examples:
  chrysalis enroll --request SignedEeEnrollmentCertRequest.oer --out bundle
  chrysalis ee bootstrap --bundle bundle        with our own device, afterwards`,
    )
    .action(async (_options: unknown, command: Command) => {
      await enroll(context, command.optsWithGlobals<EnrollOptions>());
    });
}

async function enroll(context: CliContext, options: EnrollOptions): Promise<void> {
  const config = await loadConfig(options.dir);
  const raUrl = options.raUrl ?? publicUrlOf(config);
  if (raUrl === undefined) {
    throw new CliError('expected a fixed port of the RA, saw ra.port = 0', {
      hint: '--ra-url https://HOST:PORT says where the device finds it',
    });
  }
  const request = await readRequest(context, options.request);
  const out = resolve(options.out);
  await expectEmpty(out);
  const crlUrl = options.crlUrl ?? publicCrlUrlOf(config);
  const keys = await openRaCustody(config, options.dir, context);
  const issue = await openEnrollment(
    options.dir,
    config,
    { ...context, keys },
    {
      raUrl,
      ...(crlUrl !== undefined && { crlUrl }),
      toleranceSec: options.maxAgeDays * DAY_SEC,
    },
  );
  const { files, response } = issue(request);
  await writeBundle(out, files);
  report(context, options, { out, raUrl, certificate: enrollmentCertificate(response) });
}

/** What an enrolled device is given. */
export interface IssuedBundle {
  /** By name; bootstrap.json comes last, and a bundle without it is half written. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** SignedEeEnrollmentCertResponse, COER; among the files, too. */
  readonly response: Uint8Array;
}

export interface EnrollmentTerms {
  readonly raUrl: string;
  readonly crlUrl?: string;
  /** How old a request may be. */
  readonly toleranceSec: number;
}

/**
 * The ECA of a state directory, with all that belongs into a bundle: answers SignedEeEnrollmentCertRequests.
 *
 * @throws CliError, AuthorityError; so does the function that is returned, for a request
 */
export async function openEnrollment(
  directory: string,
  config: ChrysalisConfig,
  { clock, random, keys }: Pick<CliContext, 'clock' | 'random'> & { readonly keys?: KeyCustody },
  { toleranceSec, ...urls }: EnrollmentTerms,
): Promise<(request: Uint8Array) => IssuedBundle> {
  const common = await readBundle(directory, config);
  const eca = await readAuthority(authorityDirectory(directory, 'eca'), 'signing only', keys);
  const ca = createEnrollmentAuthority({ eca, clock, random, toleranceSec });
  const { epoch, lengthSec } = await iPeriodOfDevices(config, directory, timeOf(clock));
  const bootstrap = { format: 1, ...urls, iPeriod: { epoch, lengthSec } };
  const json = new TextEncoder().encode(`${JSON.stringify(bootstrap, undefined, 2)}\n`);
  return (request) => {
    const response = withHint(() => ca.enroll(request));
    const files = new Map([
      ...common,
      ['SignedEeEnrollmentCertResponse.oer', response],
      ['bootstrap.json', json],
    ]);
    return { files, response };
  };
}

/** What the operator can do about the refusals that are about this SCMS rather than about the request. */
const HINTS: Partial<Record<EnrollmentRefusalReason, string>> = {
  ecaInvalidCurrentTime: '--max-age-days takes an older request',
  ecaInvalidRegion: 'chrysalis init --country says which countries a test SCMS serves',
  ecaInvalidPsid:
    'chrysalis init --applications any makes a test SCMS that serves every application',
};

function withHint<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const hint = cause instanceof EnrollmentRefusal ? HINTS[cause.reason] : undefined;
    if (hint === undefined || !(cause instanceof Error)) throw cause;
    throw new CliError(cause.message, { hint, cause });
  }
}

/** The certificates that a device needs before it talks to the RA (CAMP use case 2), and the TLS root, by file name. */
async function readBundle(
  directory: string,
  config: ChrysalisConfig,
): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  const add = async (name: string, file: string) => {
    files.set(`certificates/${name}.oer`, (await readCertificateFile(file)).octets);
  };
  for (const name of ['root', 'ica', 'eca', 'ma', 'crlg'] as const) {
    await add(name, join(authorityDirectory(directory, name), 'certificate.oer'));
  }
  await add('pca', config.pca.certificate);
  await add('ra', config.ra.certificate);
  const x509Root = await readFileIfPresent(config.trust.x509Root);
  if (x509Root === undefined) {
    throw new CliError(`expected an X.509 root in ${config.trust.x509Root}, saw no file`);
  }
  return files.set('x509-root.pem', x509Root);
}

async function writeBundle(out: string, files: IssuedBundle['files']): Promise<void> {
  await mkdir(join(out, 'certificates'), { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
  for (const [name, octets] of files) await writeFileDurably(join(out, name), octets);
}

/** The certificate inside our own response. */
function enrollmentCertificate(response: Uint8Array): HashedCertificate {
  const { content } = decode(Ieee1609Dot2Data, response);
  if (content.type !== 'signedData') throw new TypeError('expected signedData');
  const pdu = decode(ScmsPdu122, signedPayload(content.value)).content;
  if (pdu.type !== 'ecaEe' || pdu.value.type !== 'ecaEeCertResponse') {
    throw new TypeError('expected an EcaEeCertResponse');
  }
  return hashCertificate(pdu.value.value.enrollmentCert);
}

function report(
  context: CliContext,
  options: EnrollOptions,
  made: { readonly out: string; readonly raUrl: string; readonly certificate: HashedCertificate },
): void {
  const { certificate, ...rest } = made;
  const period = certificate.certificate.toBeSigned.validityPeriod;
  const enrollment = formatHex(certificate.id);
  const validUntil = formatTime32(Math.floor(endOfValidity(period)));
  const text = options.json
    ? JSON.stringify({ enrollment, validUntil, ...rest }, undefined, 2)
    : `enrolled: ${enrollment}, until ${validUntil}\nRA: ${made.raUrl}\nbundle: ${made.out}`;
  context.stdout.write(`${text}\n`);
}

async function readRequest(context: CliContext, file: string): Promise<Uint8Array> {
  const octets = file === '-' ? await readStdin(context) : await readRequestFile(file);
  if (octets.length <= MAX_REQUEST_OCTETS) return octets;
  throw new CliError(
    `expected a request of up to ${MAX_REQUEST_OCTETS} octets, saw ${octets.length}`,
  );
}

async function readRequestFile(file: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await readFile(file));
  } catch (cause) {
    throw new CliError(`expected a request in ${file}, could not read it`, { cause });
  }
}

async function readStdin({ stdin }: CliContext): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of stdin) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > MAX_REQUEST_OCTETS) break;
  }
  return new Uint8Array(Buffer.concat(chunks));
}

/** Each call issues another certificate; a bundle that a device may have started from is not replaced. */
async function expectEmpty(out: string): Promise<void> {
  const entries = await readdir(out).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new CliError(`expected a directory ${out}, saw ${error.code}`, { cause: error });
  });
  if (entries.length === 0) return;
  throw new CliError(`expected an empty directory, saw ${entries[0]} in ${out}`, {
    hint: 'choose another with --out, or remove this one',
  });
}

function httpsUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'https:' && url.search === '' && url.hash === '') {
    return text.replace(/\/+$/, '');
  }
  throw new InvalidArgumentError('expected an https URL');
}

function days(text: string): number {
  if (/^\d{1,5}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('expected a number of days');
}
