import { sha256 } from '@chrysalis/crypto';
import { EeError, type ProfileStorage } from '@chrysalis/ee';
import type { Fleet } from './fleet.ts';

const ZIP = /^batches\/([0-9A-F]{1,8})\.zip$/;
/** What is left of an interrupted download. */
const PARTIAL = /^batches\/[0-9A-F]{1,8}\.(?:part|etag)$/;

/**
 * The profile of one device of a fleet, as the EE SDK sees it: rows of the fleet's database, read once when the
 * contact begins. Of a zip, digest and size are kept, and its octets if the fleet keeps zips; partial downloads
 * live as long as the contact, for a lost part is fetched again.
 */
export class DeviceStorage implements ProfileStorage {
  readonly #fleet: Fleet;
  readonly #device: number;
  readonly #files: Map<string, Uint8Array>;
  readonly #partial = new Map<string, Uint8Array>();

  /** @param files of the device alone, by name */
  constructor(fleet: Fleet, device: number, files: Map<string, Uint8Array>) {
    this.#fleet = fleet;
    this.#device = device;
    this.#files = files;
  }

  async read(name: string): Promise<Uint8Array | undefined> {
    const zip = iOf(name);
    if (zip !== undefined) return attempt(name, () => this.#fleet.zip(this.#device, zip));
    const octets = this.#partial.get(name) ?? this.#files.get(name);
    return (octets ?? (await this.#fleet.sharedFile(name)))?.slice();
  }

  async write(name: string, octets: Uint8Array): Promise<void> {
    const copy = octets.slice();
    if (PARTIAL.test(name)) {
      this.#partial.set(name, copy);
      return;
    }
    await attempt(name, async () => {
      const zip = iOf(name);
      if (zip !== undefined) {
        await this.#fleet.saveZip(this.#device, zip, sha256(copy), copy);
      } else if (!(await this.#fleet.share(name, copy))) {
        await this.#fleet.saveFile(this.#device, name, copy);
        this.#files.set(name, copy);
      }
    });
  }

  async append(name: string, octets: Uint8Array): Promise<void> {
    if (!PARTIAL.test(name)) throw new TypeError(`expected a partial download, saw ${name}`);
    const held = this.#partial.get(name) ?? new Uint8Array(0);
    this.#partial.set(name, new Uint8Array(Buffer.concat([held, octets])));
  }

  async remove(name: string): Promise<void> {
    if (this.#partial.delete(name) || PARTIAL.test(name)) return;
    await attempt(name, async () => {
      const zip = iOf(name);
      if (zip !== undefined) await this.#fleet.forgetZip(this.#device, zip);
      else if (this.#files.delete(name)) await this.#fleet.removeFile(this.#device, name);
    });
  }

  async list(folder: string): Promise<string[]> {
    const prefix = `${folder}/`;
    const names = [...this.#files.keys(), ...this.#partial.keys()]
      .filter((name) => name.startsWith(prefix))
      .map((name) => name.slice(prefix.length));
    if (folder === 'batches') {
      const kept = await attempt(folder, () => this.#fleet.keptZips(this.#device));
      names.push(...kept.map((i) => `${i.toString(16).toUpperCase()}.zip`));
    }
    return names.filter((name) => !name.includes('/')).sort();
  }
}

/** The i of a batch's zip. */
function iOf(name: string): number | undefined {
  const [, i] = ZIP.exec(name) ?? [];
  return i === undefined ? undefined : Number.parseInt(i, 16);
}

async function attempt<T>(name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const seen = cause instanceof Error ? cause.message : String(cause);
    throw new EeError('storage', `${name}: expected the fleet to keep it, saw ${seen}`, { cause });
  }
}
