/** `chrysalis authority export`: an authority leaves a test SCMS for a state directory of its own. */
import { chmod, copyFile, mkdir, open, readdir, readFile, rm } from 'node:fs/promises';
import { isIP } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { authorityDirectory, LIFETIME, settleRenewal } from '@chrysalis/authorities';
import { type KeyCustody, writePrivatePemFile } from '@chrysalis/authorities/keys';
import {
  issueX509ClientCertificate,
  issueX509ServerCertificate,
  type X509EndEntityOptions,
} from '@chrysalis/authorities/x509';
import { durationSeconds } from '@chrysalis/ieee1609dot2';
import { timeOf } from '@chrysalis/scms';
import { readFileIfPresent, removeFileDurably, writeFileDurably } from '@chrysalis/store/files';
import {
  AUTHORITY_CONFIG_FILE,
  AUTHORITY_PORTS,
  type AuthorityConfigFile,
  authorityConfigText,
  EXPORT_MARKER,
  loadAuthorityConfig,
  type ServableAuthority,
} from './authority-config.ts';
import { type ChrysalisConfig, loadConfig } from './config.ts';
import { withRemoteAuthority } from './config-edit.ts';
import { type CliContext, CliError } from './context.ts';
import { iPeriodOfDevices } from './i-period.ts';
import { readX509Root } from './ocsp-source.ts';
import { openRaCustody } from './open-custody.ts';
import { CONFIG_FILE, KEY_SCHEME_FILE, STATE_FILES } from './state-directory.ts';

export interface AuthorityExportOptions {
  readonly dir: string;
  readonly json?: boolean;
  /** The new directory. */
  readonly to: string;
  readonly listen: string;
  readonly port?: number;
  readonly url?: string;
}

interface Export {
  readonly context: CliContext;
  readonly name: ServableAuthority;
  /** Of the RA. */
  readonly directory: string;
  readonly config: ChrysalisConfig;
  readonly to: string;
  readonly options: AuthorityExportOptions;
  /** Of the RA; keys open at the same place below the new directory. */
  readonly keys: KeyCustody;
}

const PRIVATE_DIRECTORY_MODE = 0o700;
const PRIVATE_FILE_MODE = 0o600;
const PUBLIC_FILE_MODE = 0o644;
const DAY_MS = 86_400_000;
/** As the other certificates of a test SCMS. */
const BEGIN_EARLIER_MS = 8 * DAY_MS;

/** What lies in the new directory, beside its configuration. */
const ENTRIES = ['authorities', 'trust', 'tls'] as const;
const FILES = {
  tlsCertificate: join('tls', 'certificate.pem'),
  tlsKey: join('tls', 'private-key.pem'),
  x509Root: join('trust', 'x509-root.pem'),
  ra: join('trust', 'ra.oer'),
} as const;
/** The RA's client certificate, one for all its authorities. */
const CLIENT_FILES = {
  certificate: join('ra', 'tls-client-certificate.pem'),
  key: join('ra', 'tls-client-key.pem'),
} as const;

/** What an authority has in authorities/<name> beside its certificate, which stays with the RA as well. */
const OWN_KEYS = {
  pca: ['signing.key', 'encryption.key'],
  la1: ['signing.key', 'chain.key'],
  la2: ['signing.key', 'chain.key'],
} as const;
const LAS = ['la1', 'la2'] as const;

/**
 * Copies, then turns the RA's configuration, then removes what the RA is not to have any more. Cut off before the
 * configuration is turned, nothing has happened to the RA and the next export begins anew; cut off after it, the next one
 * goes on. The marker keeps the new directory from being served in between: there are never two that issue.
 */
export async function exportAuthority(
  context: CliContext,
  name: ServableAuthority,
  options: AuthorityExportOptions,
): Promise<void> {
  const directory = resolve(options.dir);
  const to = resolve(options.to);
  const config = await loadConfig(directory);
  const keys = await openRaCustody(config, directory, context);
  const doing: Export = { context, name, directory, config, to, options, keys };
  if (config[name].mode === 'in-process') {
    // A renewal that was cut off leaves the keys that count in another place.
    await settleRenewal(authorityDirectory(directory, name));
    await claim(to);
    await writeAuthority(doing);
    await turnConfiguration(doing);
  } else {
    await expectInterrupted(doing);
  }
  await removeOriginals(doing);
  await removeFileDurably(join(to, EXPORT_MARKER));
  report(doing, (await loadAuthorityConfig(to)).authority.port);
}

/** Makes sure that the directory is empty, or what an earlier export left half made, and marks it. */
async function claim(to: string): Promise<void> {
  await mkdir(to, { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
  const entries = await readdir(to);
  if (entries.length > 0 && !entries.includes(EXPORT_MARKER)) {
    throw new CliError(`expected an empty directory, saw ${entries[0]} in ${to}`, {
      hint: 'choose another with --to',
    });
  }
  await chmod(to, PRIVATE_DIRECTORY_MODE);
  await writeFileDurably(join(to, EXPORT_MARKER), new Uint8Array(0));
  for (const entry of [AUTHORITY_CONFIG_FILE, KEY_SCHEME_FILE, ...ENTRIES]) {
    await rm(join(to, entry), { recursive: true, force: true });
  }
}

/** The authority is remote already: either an export was cut off after it had turned the configuration, or it is done. */
async function expectInterrupted({ name, to }: Export): Promise<void> {
  const isCutOff = (await readFileIfPresent(join(to, EXPORT_MARKER))) !== undefined;
  if (isCutOff && (await loadAuthorityConfig(to)).authority.name === name) return;
  throw new CliError(`expected ${name}.mode = "in-process", saw "remote"`, {
    hint: 'it has a directory of its own already',
  });
}

async function writeAuthority(doing: Export): Promise<void> {
  const { name, directory, config, to } = doing;
  const copy = copier(directory, to);
  const own = join('authorities', name);
  await copy(config[name].certificate, join(own, 'certificate.oer'), PUBLIC_FILE_MODE);
  for (const key of OWN_KEYS[name]) await copy(join(own, key), join(own, key));
  if (doing.keys.encrypts) await copy(KEY_SCHEME_FILE, KEY_SCHEME_FILE);
  // A PCA has the keys of both LAs, an LA its own.
  for (const la of name === 'pca' ? LAS : [name]) {
    const path = join('authorities', la);
    await copy(config[la].certificate, join(path, 'certificate.oer'), PUBLIC_FILE_MODE);
    await copy(join(path, 'shared.key'), join(path, 'shared.key'));
  }
  if (name === 'pca') await copyDatabase(directory, to);
  const numbered = (kind: string, files: readonly string[]) =>
    files.map((from, n) => ({ from, file: join('trust', `${kind}-${n + 1}.oer`) }));
  const roots = numbered('root', config.trust.roots);
  const intermediates = numbered('intermediate', config.trust.intermediates);
  for (const { from, file } of [...roots, ...intermediates]) {
    await copy(from, file, PUBLIC_FILE_MODE);
  }
  await copy(config.ra.certificate, FILES.ra, PUBLIC_FILE_MODE);
  await copy(STATE_FILES.x509Root, FILES.x509Root, PUBLIC_FILE_MODE);
  await writeTls(doing);
  const text = authorityConfigText(
    await configOf(
      doing,
      roots.map(({ file }) => file),
      intermediates.map(({ file }) => file),
    ),
  );
  await writeFileDurably(join(to, AUTHORITY_CONFIG_FILE), utf8(text));
}

async function configOf(
  { context, name, directory, config, options }: Export,
  roots: string[],
  intermediates: string[],
): Promise<AuthorityConfigFile> {
  const { pca, la1, la2, ra } = config;
  const iPeriod = await iPeriodOfDevices(config, directory, timeOf(context.clock));
  return {
    authority: {
      name,
      listen: options.listen,
      port: options.port ?? AUTHORITY_PORTS[name],
      'tls-cert': FILES.tlsCertificate,
      'tls-key': FILES.tlsKey,
    },
    clients: { 'x509-root': FILES.x509Root, names: [ra.host] },
    trust: { roots, intermediates, ra: FILES.ra },
    hostnames: { pca: pca.hostname, la1: la1.hostname, la2: la2.hostname },
    iperiod: { epoch: iPeriod.epoch, 'length-sec': iPeriod.lengthSec },
  };
}

/** The server certificate of the authority, and the RA's client certificate unless it has one. */
async function writeTls({ context, name, directory, config, to, keys }: Export): Promise<void> {
  const root = await readX509Root(directory, keys);
  const start = context.clock.now() - BEGIN_EARLIER_MS;
  const named = (host: string): X509EndEntityOptions => ({
    commonName: host.slice(0, 64),
    notBefore: new Date(start),
    notAfter: new Date(start + durationSeconds(LIFETIME.ra) * 1000),
    ...(isIP(host) === 0 ? { dnsNames: [host] } : { dnsNames: [], ipAddresses: [host] }),
  });
  const server = await issueX509ServerCertificate(root, named(config[name].hostname));
  await writeFileIn(to, FILES.tlsCertificate, server.certificatePem, PUBLIC_FILE_MODE);
  // A path is resolved against the directory of the custody: the same below both is the same purpose.
  const tlsKey = await keys.sealPem(server.privateKeyPem, join(directory, FILES.tlsKey));
  await writeFileIn(to, FILES.tlsKey, tlsKey);
  const keyFile = join(directory, CLIENT_FILES.key);
  const certificateFile = join(directory, CLIENT_FILES.certificate);
  // The certificate is written last: where it is, its key is.
  if ((await readFileIfPresent(certificateFile)) !== undefined) return;
  const client = await issueX509ClientCertificate(root, named(config.ra.host));
  await writePrivatePemFile(keyFile, client.privateKeyPem, keys);
  await writeFileDurably(certificateFile, utf8(client.certificatePem), PUBLIC_FILE_MODE);
}

async function turnConfiguration({ name, directory, options }: Export): Promise<void> {
  const file = join(directory, CONFIG_FILE);
  const { url, listen, port = AUTHORITY_PORTS[name] } = options;
  const host = isIP(listen) === 6 ? `[${listen}]` : listen;
  const edited = withRemoteAuthority(await readFile(file, 'utf8'), name, {
    url: url ?? `https://${host}:${port}`,
    tlsCa: STATE_FILES.x509Root,
    tlsCert: CLIENT_FILES.certificate,
    tlsKey: CLIENT_FILES.key,
  });
  await writeFileDurably(file, utf8(edited));
}

/** A shared key stays as long as one of the two that share it runs in the RA. */
async function removeOriginals({ name, directory }: Export): Promise<void> {
  const config = await loadConfig(directory);
  const own = authorityDirectory(directory, name);
  for (const key of OWN_KEYS[name]) await removeFileDurably(join(own, key));
  if (name === 'pca') await removeFileDurably(join(own, DATABASE));
  if (config.pca.mode === 'in-process') return;
  for (const la of LAS) {
    if (config[la].mode === 'in-process') continue;
    await removeFileDurably(join(authorityDirectory(directory, la), 'shared.key'));
  }
}

const DATABASE = 'pca.db';

/** What the PCA has issued goes with it: it would certify a cocoon key twice without. */
async function copyDatabase(directory: string, to: string): Promise<void> {
  const from = join(authorityDirectory(directory, 'pca'), DATABASE);
  if (!(await isThere(from))) return;
  foldLog(from);
  const copy = join(authorityDirectory(to, 'pca'), DATABASE);
  await copyFile(from, copy);
  await using file = await open(copy, 'r+');
  await file.chmod(PRIVATE_FILE_MODE);
  await file.sync();
  await syncDirectory(dirname(copy));
}

/** Makes one file of a database and its write-ahead log. SQLite does that only when nobody else has it open. */
function foldLog(path: string): void {
  const database = new DatabaseSync(path, { timeout: 1000 });
  try {
    database.exec('pragma synchronous = full; pragma journal_mode = delete');
  } catch (cause) {
    throw new CliError(`expected ${path} for ourselves: ${(cause as Error).message}`, {
      hint: 'stop chrysalis serve first',
      cause,
    });
  } finally {
    database.close();
  }
}

function copier(directory: string, to: string) {
  return async (from: string, file: string, mode?: number): Promise<void> => {
    const octets = await readFileIfPresent(resolve(directory, from));
    if (octets === undefined) {
      throw new CliError(`expected ${from} in ${directory}, saw no file`);
    }
    await writeFileIn(to, file, octets, mode);
  };
}

async function writeFileIn(
  directory: string,
  file: string,
  content: Uint8Array | string,
  mode: number = PRIVATE_FILE_MODE,
): Promise<void> {
  const path = join(directory, file);
  await mkdir(dirname(path), { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
  await writeFileDurably(path, typeof content === 'string' ? utf8(content) : content, mode);
  // The file's name is durable; so that its directory's is, too.
  for (let above = dirname(path); above !== directory; above = dirname(above)) {
    await syncDirectory(dirname(above));
  }
}

async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, 'r');
  await directory.sync();
}

async function isThere(path: string): Promise<boolean> {
  return (await readdir(dirname(path))).includes(DATABASE);
}

function report({ context, name, to, directory, options }: Export, port: number): void {
  context.stdout.write(
    options.json
      ? `${JSON.stringify({ name, directory: to, port })}\n`
      : `${name}: ${to}\nits keys are gone from ${directory}\n`,
  );
  context.stderr.write(
    `chrysalis: next: chrysalis --dir ${to} authority serve ${name}\n` +
      'chrysalis: next: start chrysalis serve again: it reads the new configuration\n',
  );
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
