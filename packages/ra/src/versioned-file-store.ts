import { formatTime32, type Time32, type Time64 } from '@chrysalis/ieee1609dot2';
import {
  formatVersionedFileName,
  parseVersionedFileName,
  ScmsDataError,
  type VersionedFile,
} from '@chrysalis/scms';
import type { Database, ObjectStore } from '@chrysalis/store';
import type { RaSchema } from './schema.ts';
import { readSetting, writeSetting } from './setting.ts';

/** The files of an RA that carry a version of its own. */
export type LocalFile = Extract<VersionedFile, { type: 'localPolicy' | 'localCertificateChains' }>;
export type LocalFileType = LocalFile['type'];

/** One version of a file, under the name that says which. */
export interface NamedFile {
  readonly name: string;
  readonly octets: Uint8Array;
}

/** Where the versions lie, and the setting that counts them. */
const PLACES = {
  localPolicy: { prefix: 'files/local-policy', counter: 'lpf_version' },
  localCertificateChains: { prefix: 'files/local-certificate-chain', counter: 'lccf_version' },
} as const;
/** Versions are Uint16. */
const LAST_VERSION = 0xffff;
/** The setting that counts files that were kept: who sees it change looks for the newest. */
const KEPT = 'files_kept';
const HALF_DAY_SEC = 43_200;
/** 64 steps in a half day: a database that is lost within it begins with another version when this time has passed. */
const STEP_SEC = 675;

/**
 * The newest version of each file. A version is counted before anything is made with it, and never given out again, so
 * that one name means one content whatever is interrupted: a device that holds the name is told 304. Versions keep up
 * with the clock, so that this holds too when the count is lost, or an old copy of it put back
 * (docs/decisions/0017-versions-of-files.md).
 */
export class VersionedFileStore {
  readonly #database: Database<RaSchema>;
  readonly #objects: ObjectStore;

  constructor(database: Database<RaSchema>, objects: ObjectStore) {
    this.#database = database;
    this.#objects = objects;
  }

  /** The newest version that was kept whole. */
  async newest(type: LocalFileType): Promise<NamedFile | undefined> {
    const newest = await this.#newestFile(type);
    if (!newest) return undefined;
    const name = formatVersionedFileName(newest);
    const octets = await this.#objects.get(keyOf(type, name));
    return octets && { name, octets };
  }

  /** Another number than before when a file was kept since, by whichever process. */
  async kept(): Promise<number> {
    return (await readSetting(this.#database.query, KEPT)) ?? 0;
  }

  /**
   * A version that no file had, counted durably: the next one, or that of the present half day when it is higher.
   *
   * @throws RangeError when there is none left
   */
  async nextVersion(type: LocalFileType, time: Time32): Promise<number> {
    const { counter } = PLACES[type];
    // The files may have outlived the database.
    const kept = await this.#newestFile(type);
    return this.#database.transaction(async (query) => {
      const counted = await readSetting(query, counter);
      const last = Math.max(counted ?? 0, kept ? localVersionOf(kept) : 0);
      const value = last === 0 ? firstVersion(time) : Math.max(last + 1, halfDay(time));
      if (value > LAST_VERSION) throw new RangeError(`expected versions of ${counter} to be left`);
      await writeSetting(query, counter, value);
      return value;
    });
  }

  /**
   * Remembers the GPF that the RA lives by from now on, durably.
   *
   * @throws ScmsDataError `policy` when it is older than one before: somebody shows an RA what the PG has replaced
   */
  noteGlobalPolicy(generationTime: Time64, gpfVersion: number): Promise<void> {
    const made = Number(generationTime);
    return this.#database.transaction(async (query) => {
      const newest = (await readSetting(query, 'gpf_generation_time')) ?? 0;
      const version = (await readSetting(query, 'gpf_version')) ?? 0;
      // The time decides; the version only between files of one moment, so that a PG that lost its count can go on.
      if (made < newest || (made === newest && gpfVersion < version)) {
        const [expected, seen] = [`${version} of ${formatTime(newest)}`, formatTime(made)];
        throw new ScmsDataError(
          'policy',
          `expected GPF version ${expected} or a later one, saw ${gpfVersion} of ${seen}`,
        );
      }
      if (made === newest && gpfVersion === version) return;
      await writeSetting(query, 'gpf_generation_time', made);
      await writeSetting(query, 'gpf_version', gpfVersion);
    });
  }

  /** Durable when it resolves; the versions before are gone then. A later one, which another process has kept, stays. */
  async keep(file: LocalFile, octets: Uint8Array): Promise<NamedFile> {
    const { prefix } = PLACES[file.type];
    const name = formatVersionedFileName(file);
    await this.#objects.put(keyOf(file.type, name), octets);
    await this.#database.transaction(async (query) => {
      await writeSetting(query, KEPT, ((await readSetting(query, KEPT)) ?? 0) + 1);
    });
    const version = localVersionOf(file);
    for await (const key of this.#objects.list(prefix)) {
      const other = fileOf(key, file.type);
      if (other === undefined || localVersionOf(other) < version) await this.#objects.delete(key);
    }
    return { name, octets };
  }

  async #newestFile(type: LocalFileType): Promise<LocalFile | undefined> {
    let newest: LocalFile | undefined;
    for await (const key of this.#objects.list(PLACES[type].prefix)) {
      const file = fileOf(key, type);
      if (file && (!newest || localVersionOf(file) > localVersionOf(newest))) newest = file;
    }
    return newest;
  }
}

/** Of microseconds since 2004: they stay exact until the year 2289. */
function formatTime(microseconds: number): string {
  return formatTime32(Math.floor(microseconds / 1_000_000));
}

/** The half days since 2004: they reach LAST_VERSION in 2093. */
function halfDay(time: Time32): number {
  return Math.floor(time / HALF_DAY_SEC);
}

/** Of a database that has counted none: apart from what another gave out in this half day, when it was lost since. */
function firstVersion(time: Time32): number {
  return halfDay(time) + Math.floor((time % HALF_DAY_SEC) / STEP_SEC);
}

function keyOf(type: LocalFileType, name: string): string {
  return `${PLACES[type].prefix}/${name}`;
}

function localVersionOf(file: LocalFile): number {
  return file.type === 'localPolicy' ? file.lpfVersion : file.lccfVersion;
}

/** Undefined for what somebody else has put there. */
function fileOf(key: string, type: LocalFileType): LocalFile | undefined {
  try {
    const file = parseVersionedFileName(key.slice(key.lastIndexOf('/') + 1));
    return file.type === type ? (file as LocalFile) : undefined;
  } catch (error) {
    if (error instanceof ScmsDataError) return undefined;
    throw error;
  }
}
