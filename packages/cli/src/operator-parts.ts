/** What operators look at: the database and the files of an RA, beside one that runs. No key is read. */
import { access, readFile } from 'node:fs/promises';
import { readCertificateFile } from '@chrysalis/authorities/keys';
import { asCertificate, type VerifiedCertificate } from '@chrysalis/ieee1609dot2';
import {
  type DeviceReportOptions,
  endOfPolicy,
  FollowedPolicy,
  type Log,
  type RaSchema,
  recordedIPeriod,
  type StatusSurroundings,
} from '@chrysalis/ra';
import type { Database } from '@chrysalis/store';
import { type ChrysalisConfig, loadConfig } from './config.ts';
import { type CliContext, CliError } from './context.ts';
import { createLog } from './log.ts';
import { ownPolicyOf } from './ra-parts.ts';
import { databaseFile, isSharedByNodes } from './store-places.ts';
import { openRaObjects, openRaStore } from './stores.ts';
import { loadTrust, trustConfigured } from './trust.ts';

/** `serve` says it already: who configures an RA vouches for its certificate. */
const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };

/** Everything that a report of an RA is made from. */
export type OperatorParts = StatusSurroundings & DeviceReportOptions;

/**
 * Opens what the configuration names, with the policy that the RA obeys: that of its newest policy file. What is opened is
 * closed with `resources`.
 *
 * @throws CliError when no RA was started here yet; AuthorityError, StoreError, Ieee1609Dot2Error
 */
export async function openOperatorParts(
  directory: string,
  { clock, stderr }: CliContext,
  resources: AsyncDisposableStack,
): Promise<OperatorParts> {
  const config = await loadConfig(directory);
  const log = createLog(stderr, 'warn');
  const database = await openRaDatabase(config, resources);
  const iPeriod = await recordedIPeriod(database);
  if (iPeriod === undefined) throw neverStarted(config);
  const trust = await loadTrust(config.trust);
  const add = async (file: string): Promise<VerifiedCertificate> =>
    trust.add(asCertificate(await readCertificateFile(file)));
  const peer = async ({ certificate, hostname }: ChrysalisConfig['pca' | 'la1']) => ({
    certificate: await add(certificate),
    hostname,
  });
  const certificate = await readCertificateFile(config.ra.certificate);
  trustConfigured(trust, certificate, SILENT);
  const objects = await openRaObjects(config);
  const surroundings = { trust, clock, iPeriod, log, database, objects };
  const policy = new FollowedPolicy(surroundings, ownPolicyOf(config));
  await policy.look();
  return {
    database,
    objects,
    iPeriod,
    policy: policy.policy,
    policyEnding: await endOfPolicy(database, objects, surroundings),
    linkageCache: config.pipeline.linkageCache,
    isShared: isSharedByNodes(config),
    identity: { certificate, hostname: config.ra.host },
    pca: await peer(config.pca),
    la1: await peer(config.la1),
    la2: await peer(config.la2),
    ecas: await Promise.all(config.trust.ecas.map(add)),
    tls: { certificatePem: await readFile(config.ra.tlsCert, 'utf8') },
  };
}

/**
 * The database of an RA that was started before: a look makes none.
 *
 * @throws CliError when there is none; StoreError
 */
export async function openRaDatabase(
  config: ChrysalisConfig,
  resources: AsyncDisposableStack,
): Promise<Database<RaSchema>> {
  const file = databaseFile(config);
  if (file !== undefined) {
    await access(file).catch(() => {
      throw neverStarted(config);
    });
  }
  const database = await openRaStore(config);
  resources.defer(() => database.close());
  return database;
}

function neverStarted(config: ChrysalisConfig): CliError {
  const file = databaseFile(config);
  const seen = file === undefined ? '' : ` in ${file}`;
  return new CliError(`expected the database of an RA that was started, saw none${seen}`, {
    hint: 'chrysalis serve makes it at its first start',
  });
}
