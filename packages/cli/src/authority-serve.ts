/** `chrysalis authority serve`: one authority of a test SCMS in a process of its own, behind mutual TLS. */
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type AuthorityServices,
  authorityDirectory,
  createLinkageAuthority,
  openPseudonymAuthority,
  readAuthority,
  readLinkageAuthority,
  servicesOf,
  startAuthorityServer,
} from '@chrysalis/authorities';
import {
  type KeyCustody,
  readCertificateFile,
  readPrivatePemFile,
} from '@chrysalis/authorities/keys';
import type { TrustStore } from '@chrysalis/ieee1609dot2';
import type { Log } from '@chrysalis/ra';
import { IPeriodClock } from '@chrysalis/scms';
import {
  type AuthorityConfig,
  EXPORT_MARKER,
  loadAuthorityConfig,
  type ServableAuthority,
} from './authority-config.ts';
import { type CliContext, CliError } from './context.ts';
import { createLog, type LogLevel } from './log.ts';
import { openCustody, warnOfPlainKeys } from './open-custody.ts';
import { linkageKeys } from './peers.ts';
import { placesOfAuthority } from './private-files.ts';
import { aborted } from './serve.ts';
import { loadTrust, trustConfigured } from './trust.ts';

export interface AuthorityServeOptions {
  readonly dir: string;
  readonly json?: boolean;
  readonly logLevel: LogLevel;
  readonly listen?: string;
  readonly port?: number;
}

interface Surroundings {
  readonly context: CliContext;
  readonly directory: string;
  readonly config: AuthorityConfig;
  readonly trust: TrustStore;
  readonly log: Log;
  readonly keys: KeyCustody;
  readonly resources: AsyncDisposableStack;
}

/** Serves until the command is told to stop; what has arrived then is answered. */
export async function serveAuthority(
  context: CliContext,
  name: ServableAuthority,
  options: AuthorityServeOptions,
): Promise<void> {
  const directory = options.dir;
  const config = await loadAuthorityConfig(directory);
  await expectServable(directory, config, name);
  const { authority, clients } = config;
  const log = createLog(context.stderr, options.logLevel);
  await using resources = new AsyncDisposableStack();
  const places = placesOfAuthority(config, directory);
  const keys = await openCustody(places, context);
  await warnOfPlainKeys(keys, places, log);
  const trust = await loadTrust(config.trust);
  trustConfigured(trust, await readCertificateFile(config.trust.ra), log);
  const open = name === 'pca' ? openPca : openLa;
  const services = await open({ context, directory, config, trust, log, keys, resources });
  const server = await startAuthorityServer({
    services,
    listen: {
      address: options.listen ?? authority.listen,
      port: options.port ?? authority.port,
    },
    tls: {
      certificatePem: await readFile(authority.tlsCert, 'utf8'),
      privateKeyPem: await readPrivatePemFile(authority.tlsKey, keys),
      clientCaPem: await readFile(clients.x509Root, 'utf8'),
    },
    clientNames: clients.names,
    onRefusal: (problem) => log.info({ problem }, 'refused'),
    onFault: (err) => log.error({ err }, 'failed'),
  });
  resources.defer(() => server.close());
  const { url } = server;
  log.info({ name, url }, 'authority started');
  context.stdout.write(options.json ? `${JSON.stringify({ name, url })}\n` : `${name}: ${url}\n`);
  await aborted(context.signal);
  log.info({}, 'stopping');
}

async function expectServable(
  directory: string,
  { authority }: AuthorityConfig,
  name: ServableAuthority,
): Promise<void> {
  if (authority.name !== name) {
    throw new CliError(`expected the directory of ${name}, saw that of ${authority.name}`);
  }
  const isHalfMade = await access(join(directory, EXPORT_MARKER)).then(
    () => true,
    () => false,
  );
  if (!isHalfMade) return;
  throw new CliError(`expected a finished export, saw ${EXPORT_MARKER} in ${directory}`, {
    hint: 'run chrysalis authority export again: it goes on',
  });
}

async function openPca(surroundings: Surroundings): Promise<AuthorityServices> {
  const { context, directory, config, trust, log, keys, resources } = surroundings;
  const path = authorityDirectory(directory, 'pca');
  const pca = await openPseudonymAuthority({
    pca: await readAuthority(path, 'with encryption', keys),
    trust,
    laKeys: await linkageKeys(directory, config.hostnames.la1, config.hostnames.la2, keys),
    clock: context.clock,
    random: context.random,
    iPeriods: new IPeriodClock(config.iperiod.epoch, config.iperiod.lengthSec),
    databaseUrl: `sqlite:${join(path, 'pca.db')}`,
    onRefusal: ({ code, message }) => {
      log.warn({ code, problem: message }, 'refused a request');
    },
  });
  resources.defer(() => pca.close());
  return servicesOf.certificateAuthority(pca);
}

async function openLa(surroundings: Surroundings): Promise<AuthorityServices> {
  const { context, directory, config, trust, keys } = surroundings;
  const { name } = config.authority;
  if (name === 'pca') throw new TypeError('expected an LA');
  const la = createLinkageAuthority({
    ...(await readLinkageAuthority(directory, name, keys)),
    trust,
    clock: context.clock,
    random: context.random,
    pcaHostname: config.hostnames.pca,
  });
  return servicesOf.linkageAuthority(la);
}
