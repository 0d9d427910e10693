import {
  formatVersionedFileName,
  parseVersionedFileName,
  ScmsDataError,
  type VersionedFile,
} from '@chrysalis/scms';
import type { Database, ObjectStore } from '@chrysalis/store';
import type { RaSchema } from './schema.ts';

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

/**
 * The newest version of each file. A version is counted before anything is made with it, and never given out again, so
 * that one name means one content whatever is interrupted: a device that holds the name is told 304.
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
    let newest: LocalFile | undefined;
    for await (const key of this.#objects.list(PLACES[type].prefix)) {
      const file = fileOf(key, type);
      if (file && (!newest || localVersionOf(file) > localVersionOf(newest))) newest = file;
    }
    if (!newest) return undefined;
    const name = formatVersionedFileName(newest);
    const octets = await this.#objects.get(keyOf(type, name));
    return octets && { name, octets };
  }

  /** A version that no file had, counted durably. @throws RangeError when there is none left */
  nextVersion(type: LocalFileType): Promise<number> {
    const { counter: name } = PLACES[type];
    return this.#database.transaction(async (query) => {
      const row = await query
        .selectFrom('setting')
        .select('value')
        .where('name', '=', name)
        .executeTakeFirst();
      const value = (row?.value ?? 0) + 1;
      if (value > LAST_VERSION) throw new RangeError(`expected versions of ${name} to be left`);
      await query
        .insertInto('setting')
        .values({ name, value })
        .onConflict((conflict) => conflict.column('name').doUpdateSet({ value }))
        .execute();
      return value;
    });
  }

  /** Durable when it resolves; the versions before are gone then. */
  async keep(file: LocalFile, octets: Uint8Array): Promise<NamedFile> {
    const { prefix } = PLACES[file.type];
    const name = formatVersionedFileName(file);
    const key = keyOf(file.type, name);
    await this.#objects.put(key, octets);
    for await (const other of this.#objects.list(prefix)) {
      if (other !== key) await this.#objects.delete(other);
    }
    return { name, octets };
  }
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
