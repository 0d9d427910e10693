import { mkdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { equalConstantTime, type Random } from '@chrysalis/crypto';
import {
  type BundleChains,
  type BundleFiles,
  type Enrollment,
  installBundle,
  lockProfile,
  Profile,
  type ProfileLock,
  parseBundle,
  prepareEnrollment,
  verifyBundle,
  verifyBundleChains,
} from '@chrysalis/ee';
import type { Time32 } from '@chrysalis/ieee1609dot2';
import { type Clock, formatHex, timeOf } from '@chrysalis/scms';
import { type Database, GroupCommit, openDatabase } from '@chrysalis/store';
import { DeviceStorage } from './device-storage.ts';
import { FleetError } from './fleet-error.ts';
import { FLEET_MIGRATIONS, type FleetSchema } from './fleet-schema.ts';
import { keyStream, SEED_OCTETS } from './key-stream.ts';

const DATABASE = 'fleet.db';
/** Private keys lie in it. */
const DIRECTORY_MODE = 0o700;
/** What every device has alike. The rest of a bundle is a device's own, and bootstrap.json completes it. */
const SHARED = /^bundle\/(?:certificates\/.*|x509-root\.pem)$/;
const BUNDLE_COMPLETE = 'bundle/bootstrap.json';
/** Rows in one statement: SQLite takes 32,766 parameters. */
const ROWS_AT_ONCE = 1_000;

export interface FleetOptions {
  /** Makes the directory and the fleet's seed when there is none. */
  readonly create?: Random;
  /** Whether zips are kept, and not their digests alone. */
  readonly keepsZips?: boolean;
  /** Without it the fleet may be read while another process works on it; nothing must be written. */
  readonly lock?: boolean;
}

/** A batch that a device is to have, or has. */
export interface WantedBatch {
  readonly device: number;
  readonly i: number;
  /** SHA-256 of the zip as it was downloaded; null as long as it was not. */
  readonly digest: Uint8Array | null;
}

/**
 * Virtual devices in one directory: a seed that their keys come from, and their profiles in one SQLite file. What is
 * written is durable when the promise resolves; writes of many devices share one sync of the disk.
 *
 * Devices are numbered from 0. One process at a time writes.
 */
export class Fleet implements AsyncDisposable {
  readonly path: string;
  /** 32 octets; with it everybody knows every private key of the fleet. */
  readonly seed: Uint8Array;
  readonly #database: Database<FleetSchema>;
  readonly #writes: GroupCommit<FleetSchema>;
  readonly #lock: ProfileLock | undefined;
  readonly #keepsZips: boolean;
  readonly #shared: Map<string, { readonly octets: Uint8Array; readonly durable: Promise<void> }>;
  readonly #chains = new Map<string, BundleChains>();

  private constructor(
    path: string,
    seed: Uint8Array,
    shared: ReadonlyMap<string, Uint8Array>,
    parts: {
      readonly database: Database<FleetSchema>;
      readonly lock: ProfileLock | undefined;
      readonly keepsZips: boolean;
    },
  ) {
    this.path = path;
    this.seed = seed;
    this.#database = parts.database;
    this.#writes = new GroupCommit(parts.database);
    this.#lock = parts.lock;
    this.#keepsZips = parts.keepsZips;
    this.#shared = new Map(
      [...shared].map(([name, octets]) => [name, { octets, durable: Promise.resolve() }]),
    );
  }

  /** @throws FleetError `fleet-missing`, `fleet-damaged`; EeError `profile-locked`; StoreError */
  static async open(directory: string, options: FleetOptions = {}): Promise<Fleet> {
    const path = resolve(directory);
    const { create, keepsZips = false, lock: isLocked = true } = options;
    if (create !== undefined) await mkdir(path, { recursive: true, mode: DIRECTORY_MODE });
    else await expectFleet(path);
    const lock = isLocked ? await lockProfile(path) : undefined;
    const database = await openDatabase<FleetSchema>(
      `sqlite:${join(path, DATABASE)}`,
      FLEET_MIGRATIONS,
    );
    try {
      const seed = await readSeed(database, create);
      const rows = await database.query.selectFrom('shared_file').selectAll().execute();
      const shared = new Map(rows.map(({ name, octets }) => [name, octets]));
      return new Fleet(path, seed, shared, { database, lock, keepsZips });
    } catch (error) {
      await database.close();
      await lock?.release();
      throw error;
    }
  }

  /** The profile of a device. */
  async profile(device: number): Promise<Profile> {
    return new Profile(await this.storage(device));
  }

  /** What a device holds now. */
  async storage(device: number): Promise<DeviceStorage> {
    const rows = await this.#database.query
      .selectFrom('device_file')
      .select(['name', 'octets'])
      .where('device', '=', device)
      .execute();
    const files = new Map(rows.map(({ name, octets }) => [name, octets]));
    return new DeviceStorage(this, device, files);
  }

  /**
   * Bootstraps a device, unless it is.
   *
   * @param authority answers a SignedEeEnrollmentCertRequest with a bundle
   * @throws EeError `invalid-bundle`, `key-mismatch`, `storage`, and what `authority` throws
   */
  async enroll(
    device: number,
    authority: (request: Uint8Array) => Promise<BundleFiles>,
    clock: Clock,
  ): Promise<void> {
    const profile = await this.profile(device);
    const request = await prepareEnrollment(
      profile,
      clock,
      keyStream(this.seed, device, 'enrollment'),
    );
    await installBundle(profile, await authority(request), clock);
  }

  /**
   * The enrollment of a device, verified; the chains of the authorities once for all devices.
   *
   * @throws EeError `invalid-bundle`, `key-mismatch`; FleetError `fleet-damaged`
   */
  async enrollment(profile: Profile, time: Time32): Promise<Enrollment> {
    const bundle = parseBundle(await profile.bundleFiles());
    const key = await profile.requestKey();
    if (key === undefined) throw new FleetError('fleet-damaged', 'expected an enrollment key');
    const name = Object.values(bundle.certificates).map(formatHex).join();
    const chains = this.#chains.get(name) ?? verifyBundleChains(bundle, time);
    this.#chains.set(name, chains);
    return verifyBundle(bundle, key, await profile.enrollmentRequest(), time, chains);
  }

  /** The devices that are bootstrapped, ascending. */
  async enrolled(): Promise<number[]> {
    const rows = await this.#database.query
      .selectFrom('device_file')
      .select('device')
      .where('name', '=', BUNDLE_COMPLETE)
      .orderBy('device')
      .execute();
    return rows.map(({ device }) => device);
  }

  /** The devices that were acknowledged, with the i-period in which they were. */
  async provisioned(): Promise<Map<number, number>> {
    const rows = await this.#database.query.selectFrom('provisioned').selectAll().execute();
    return new Map(rows.map(({ device, first_i }) => [device, first_i]));
  }

  /** Notes that a device was acknowledged, and the batches that it is to have: `weeks` from `firstI` on. */
  async saveProvisioned(device: number, firstI: number, weeks: number): Promise<void> {
    await this.#writes.run(async (query) => {
      await query
        .insertInto('provisioned')
        .values({ device, first_i: firstI })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
      const values = Array.from({ length: weeks }, (_, n) => emptyBatch(device, firstI + n));
      await query
        .insertInto('batch')
        .values(values)
        .onConflict((conflict) => conflict.doNothing())
        .execute();
    });
  }

  /**
   * Notes that devices which were acknowledged earlier are to have `weeks` batches from `currentI` on. What they
   * did not fetch before it was over is not waited for any more.
   *
   * @returns how many batches were over before they were fetched
   */
  async wantWeeks(
    devices: ReadonlyMap<number, number>,
    currentI: number,
    weeks: number,
  ): Promise<number> {
    const wanted = [...devices].flatMap(([device, firstI]) =>
      Array.from({ length: weeks }, (_, n) => emptyBatch(device, Math.max(firstI, currentI) + n)),
    );
    return this.#database.transaction(async (query) => {
      for (let n = 0; n < wanted.length; n += ROWS_AT_ONCE) {
        await query
          .insertInto('batch')
          .values(wanted.slice(n, n + ROWS_AT_ONCE))
          .onConflict((conflict) => conflict.doNothing())
          .execute();
      }
      const { numDeletedRows } = await query
        .deleteFrom('batch')
        .where('digest', 'is', null)
        .where('i', '<', currentI)
        .executeTakeFirstOrThrow();
      return Number(numDeletedRows);
    });
  }

  /** All batches of a device, or of all devices, ascending by device and i. */
  async batches(device?: number): Promise<WantedBatch[]> {
    const all = this.#database.query.selectFrom('batch').select(['device', 'i', 'digest']);
    const some = device === undefined ? all : all.where('device', '=', device);
    return some.orderBy('device').orderBy('i').execute();
  }

  /** The devices that lack a batch which they are to have. */
  async incomplete(): Promise<Set<number>> {
    const rows = await this.#database.query
      .selectFrom('batch')
      .select('device')
      .distinct()
      .where('digest', 'is', null)
      .execute();
    return new Set(rows.map(({ device }) => device));
  }

  /** The devices that were given a zip of this digest. */
  async devicesWith(digest: Uint8Array): Promise<number[]> {
    const rows = await this.#database.query
      .selectFrom('batch')
      .select('device')
      .where('digest', '=', digest)
      .execute();
    return rows.map(({ device }) => device);
  }

  /** The fingerprints that the checker took from a batch; undefined when it has found none in order. */
  async verified(device: number, i: number): Promise<Uint8Array | undefined> {
    const row = await this.#database.query
      .selectFrom('verified')
      .select('fingerprints')
      .where('device', '=', device)
      .where('i', '=', i)
      .executeTakeFirst();
    return row?.fingerprints;
  }

  async saveVerified(device: number, i: number, fingerprints: Uint8Array): Promise<void> {
    await this.#writes.run((query) =>
      query
        .insertInto('verified')
        .values({ device, i, fingerprints })
        .onConflict((conflict) => conflict.columns(['device', 'i']).doUpdateSet({ fingerprints }))
        .execute(),
    );
  }

  async close(): Promise<void> {
    await this.#database.close();
    await this.#lock?.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  // What follows is for `DeviceStorage`.

  async sharedFile(name: string): Promise<Uint8Array | undefined> {
    return this.#shared.get(name)?.octets;
  }

  /** True when the octets are, durably, those that every device has under this name. */
  async share(name: string, octets: Uint8Array): Promise<boolean> {
    if (!SHARED.test(name)) return false;
    const held = this.#shared.get(name);
    if (held !== undefined) {
      await held.durable;
      return held.octets.length === octets.length && equalConstantTime(held.octets, octets);
    }
    const insert = this.#writes.run((query) =>
      query.insertInto('shared_file').values({ name, octets }).execute(),
    );
    const durable = insert.then(() => {});
    this.#shared.set(name, { octets, durable });
    durable.catch(() => this.#shared.delete(name));
    await durable;
    return true;
  }

  async saveFile(device: number, name: string, octets: Uint8Array): Promise<void> {
    await this.#writes.run((query) =>
      query
        .insertInto('device_file')
        .values({ device, name, octets })
        .onConflict((conflict) => conflict.columns(['device', 'name']).doUpdateSet({ octets }))
        .execute(),
    );
  }

  async removeFile(device: number, name: string): Promise<void> {
    await this.#writes.run((query) =>
      query
        .deleteFrom('device_file')
        .where('device', '=', device)
        .where('name', '=', name)
        .execute(),
    );
  }

  async saveZip(device: number, i: number, digest: Uint8Array, zip: Uint8Array): Promise<void> {
    const row = { digest, size: zip.length, zip: this.#keepsZips ? zip : null };
    await this.#writes.run((query) =>
      query
        .insertInto('batch')
        .values({ device, i, ...row })
        .onConflict((conflict) => conflict.columns(['device', 'i']).doUpdateSet(row))
        .execute(),
    );
  }

  async forgetZip(device: number, i: number): Promise<void> {
    await this.#writes.run((query) =>
      query
        .updateTable('batch')
        .set({ digest: null, size: null, zip: null })
        .where('device', '=', device)
        .where('i', '=', i)
        .execute(),
    );
  }

  async zip(device: number, i: number): Promise<Uint8Array | undefined> {
    const row = await this.#database.query
      .selectFrom('batch')
      .select('zip')
      .where('device', '=', device)
      .where('i', '=', i)
      .executeTakeFirst();
    return row?.zip ?? undefined;
  }

  async keptZips(device: number): Promise<number[]> {
    const rows = await this.#database.query
      .selectFrom('batch')
      .select('i')
      .where('device', '=', device)
      .where('zip', 'is not', null)
      .execute();
    return rows.map(({ i }) => i);
  }
}

function emptyBatch(device: number, i: number): FleetSchema['batch'] {
  return { device, i, digest: null, size: null, zip: null };
}

/** The enrollment's clock in i-periods, at a time of the wall clock. */
export function currentPeriod({ iPeriods }: Pick<Enrollment, 'iPeriods'>, clock: Clock): number {
  return iPeriods.at(timeOf(clock));
}

async function expectFleet(path: string): Promise<void> {
  const found = await stat(join(path, DATABASE)).catch(() => undefined);
  if (found?.isFile() !== true) {
    throw new FleetError('fleet-missing', `expected a fleet in ${path}, saw none`);
  }
}

async function readSeed(
  database: Database<FleetSchema>,
  create: Random | undefined,
): Promise<Uint8Array> {
  const held = await database.query
    .selectFrom('setting')
    .select('value')
    .where('name', '=', 'seed')
    .executeTakeFirst();
  if (held?.value.length === SEED_OCTETS) return held.value;
  if (held !== undefined || create === undefined) {
    throw new FleetError('fleet-damaged', `expected a seed of ${SEED_OCTETS} octets`);
  }
  const seed = create(SEED_OCTETS);
  await database.query.insertInto('setting').values({ name: 'seed', value: seed }).execute();
  return seed;
}
