/** What every part of an RA is made of, as its configuration has it: the server, and the pipeline in a thread of its own. */
import { dirname } from 'node:path';
import { type KeyCustody, PLAIN_KEYS, readCertificateFile } from '@chrysalis/authorities/keys';
import type { Random } from '@chrysalis/crypto';
import {
  asCertificate,
  checkValidAt,
  decrypterOf,
  type HashedCertificate,
} from '@chrysalis/ieee1609dot2';
import {
  IdentityInForce,
  type Log,
  type PipelineOptions,
  type PolicyOverrides,
  type PolicySource,
  type RaIdentity,
  type RaSchema,
  withFormerEnds,
} from '@chrysalis/ra';
import { type Clock, timeOf } from '@chrysalis/scms';
import type { Database } from '@chrysalis/store';
import type { ChrysalisConfig } from './config.ts';
import type { CliContext } from './context.ts';
import { formerIdentities } from './former-keys.ts';
import { iPeriodOfPolicy, openIPeriod } from './i-period.ts';
import { type InProcessPolicyGenerator, openPolicyGenerator } from './in-process.ts';
import { openPeers } from './peers.ts';
import { isSharedByNodes } from './store-places.ts';
import { openRaObjects, openRaStore } from './stores.ts';
import { RaKeys } from './token-keys.ts';
import { loadTrust, trustConfigured } from './trust.ts';

const SECONDS_PER_HOUR = 3600;
const SECONDS_PER_DAY = 86_400;
const SECONDS_PER_WEEK = 604_800;

export interface RaParts extends Omit<PipelineOptions, 'policy'> {
  readonly identity: IdentityInForce;
  /**
   * Takes the certificate and the keys that lie there now, and has the PG look as well.
   *
   * @throws CliError, AuthorityError, Ieee1609Dot2Error when they will not do: the RA keeps those that it has
   */
  readonly renewIdentity: (config: ChrysalisConfig) => Promise<void>;
  /** What the configuration decides; the policy in force has the rest. */
  readonly ownPolicy: PolicyOverrides;
  readonly pg: PolicySource | undefined;
}

/**
 * Opens and checks what the configuration names. What is opened is closed with `resources`.
 *
 * @throws CliError, AuthorityError, StoreError, Ieee1609Dot2Error
 */
export async function openRaParts(
  config: ChrysalisConfig,
  directory: string,
  {
    clock,
    random,
    log,
    keys = PLAIN_KEYS,
    env = {},
  }: { clock: Clock; random: Random; log: Log; keys?: KeyCustody; env?: CliContext['env'] },
  resources: AsyncDisposableStack,
): Promise<RaParts> {
  const trust = await loadTrust(config.trust);
  const raKeys = new RaKeys({ directory, keys, env, random }, resources);
  const loaded = await loadIdentity(config, { raKeys, keys });
  trustConfigured(trust, loaded.certificate, log);
  const database = await openRaStore(config);
  resources.defer(() => database.close());
  const identity = new IdentityInForce(await withEnds(loaded, config, database, clock));
  const surroundings = { directory, trust, clock, log, keys };
  const pg = config.pg && (await openPolicySource(config, surroundings));
  const iPeriod = await openIPeriod(config, database, () =>
    iPeriodOfPolicy(pg && (() => pg.port.globalPolicyFile()), trust, clock),
  );
  const peers = await openPeers(
    { config, directory, trust, iPeriod, clock, random, log, keys },
    resources,
  );
  const { pauseAfterWeeks } = config.certificates;
  const renewIdentity = async (renewed: ChrysalisConfig) => {
    const next = await loadIdentity(renewed, { raKeys, keys });
    checkValidAt(trustConfigured(trust, next.certificate, log), timeOf(clock));
    identity.replace(await withEnds(next, renewed, database, clock));
    await pg?.port.readCertificates();
  };
  return {
    identity,
    renewIdentity,
    trust,
    ...peers,
    database,
    objects: await openRaObjects(config),
    isShared: isSharedByNodes(config),
    linkageCache: config.pipeline.linkageCache,
    ...(pauseAfterWeeks > 0 && { pauseAfterSec: pauseAfterWeeks * SECONDS_PER_WEEK }),
    iPeriod,
    clock,
    random,
    log,
    ownPolicy: ownPolicyOf(config),
    pg,
  };
}

/** What the configuration decides of the policy. */
export function ownPolicyOf({ certificates, shuffle }: ChrysalisConfig): PolicyOverrides {
  return {
    ...(certificates.perPeriod !== undefined && {
      certificatesPerPeriod: certificates.perPeriod,
    }),
    ...(certificates.weeksAhead !== undefined && { weeksAhead: certificates.weeksAhead }),
    ...(shuffle.threshold !== undefined && { shuffleThreshold: shuffle.threshold }),
    ...(shuffle.maxAgeHours !== undefined && {
      shuffleMaxAgeSec: shuffle.maxAgeHours * SECONDS_PER_HOUR,
    }),
    shuffleInitial: shuffle.initial,
  };
}

async function openPolicySource(
  { trust }: ChrysalisConfig,
  surroundings: Parameters<typeof openPolicyGenerator>[0],
): Promise<PolicySource & { readonly port: InProcessPolicyGenerator }> {
  const roots = trust.roots.map(async (file) => asCertificate(await readCertificateFile(file)));
  return { port: await openPolicyGenerator(surroundings), roots: await Promise.all(roots) };
}

/** The RA's own certificate and keys: they have to belong together. */
async function loadIdentity(
  { ra }: ChrysalisConfig,
  { raKeys, keys }: { readonly raKeys: RaKeys; readonly keys: KeyCustody },
): Promise<RaIdentity> {
  const certificate: HashedCertificate = await readCertificateFile(ra.certificate);
  const signer = await raKeys.signer(certificate, ra.signingKey);
  const agreement = await raKeys.agreement(certificate, ra.encryptionKey);
  const former = await formerIdentities(certificate, dirname(ra.certificate), { keys, raKeys });
  return { certificate, hostname: ra.host, signer, decrypter: decrypterOf(agreement), former };
}

/** Former keys count until their time is over. */
function withEnds(
  identity: RaIdentity,
  { ra }: ChrysalisConfig,
  database: Database<RaSchema>,
  clock: Clock,
): Promise<RaIdentity> {
  const keptSec = ra.formerKeyDays * SECONDS_PER_DAY;
  return withFormerEnds(identity, database, { now: timeOf(clock), keptSec });
}
