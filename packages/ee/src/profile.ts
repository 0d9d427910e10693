import { PrivateKey } from '@chrysalis/crypto';
import { type BundleFiles, readBundleFiles } from './bundle.ts';
import type { PartialFile } from './download.ts';
import { EeError } from './error.ts';
import { decodeInfo, type Info } from './info.ts';
import { JsonRecord, jsonOctets, toHex } from './json-record.ts';
import type { EntryFailure, OpenedBatch } from './open-batch.ts';
import type { ProfileStorage } from './profile-storage.ts';
import {
  decodeProvisioningState,
  encodeProvisioningState,
  type ProvisioningState,
} from './provisioning-state.ts';

/** The files of a profile. */
const NAMES = {
  requestKey: 'enrollment-request.key',
  request: 'SignedEeEnrollmentCertRequest.oer',
  provisioning: 'provisioning.json',
  info: 'next.info',
} as const;

/** A batch as it lies in the profile: certificates and keys in the form that other programs take. */
export interface StoredBatch {
  readonly i: number;
  readonly certificates: readonly StoredCertificate[];
  /** Entries of the zip that did not open, with the reason. */
  readonly failures: readonly { readonly entry: string; readonly reason: string }[];
}

export interface StoredCertificate {
  readonly j: number;
  /** COER of Certificate. */
  readonly certificate: Uint8Array;
  readonly key: PrivateKey;
}

/** A device's profile: what is kept under which name, and in which form. */
export class Profile {
  readonly #storage: ProfileStorage;

  constructor(storage: ProfileStorage) {
    this.#storage = storage;
  }

  /** The key of the enrollment request, 32 octets raw. */
  async requestKey(): Promise<PrivateKey | undefined> {
    const octets = await this.#storage.read(NAMES.requestKey);
    if (octets === undefined) return undefined;
    try {
      return PrivateKey.fromScalar(octets);
    } catch (cause) {
      throw new EeError('profile-damaged', `${NAMES.requestKey}: expected a private key`, {
        cause,
      });
    }
  }

  async saveRequestKey(key: PrivateKey): Promise<void> {
    await this.#storage.write(NAMES.requestKey, key.scalar().reveal());
  }

  async enrollmentRequest(): Promise<Uint8Array | undefined> {
    return this.#storage.read(NAMES.request);
  }

  async saveEnrollmentRequest(octets: Uint8Array): Promise<void> {
    await this.#storage.write(NAMES.request, octets);
  }

  /** The bundle's files; without `bootstrap.json` until the bundle is there whole. */
  async bundleFiles(): Promise<Map<string, Uint8Array>> {
    return readBundleFiles((name) => this.#storage.read(`bundle/${name}`));
  }

  /** Writes the files in the order of the map, of which the last one completes the bundle. */
  async saveBundle(files: BundleFiles): Promise<void> {
    for (const [name, octets] of files) await this.#storage.write(`bundle/${name}`, octets);
  }

  /** The enrollment certificate and its key for other programs; this one makes them from the bundle. */
  async saveEnrollment(certificate: Uint8Array, key: PrivateKey): Promise<void> {
    await this.#storage.write('enrollment.key', key.scalar().reveal());
    await this.#storage.write('enrollment.oer', certificate);
  }

  async provisioning(): Promise<ProvisioningState | undefined> {
    const octets = await this.#storage.read(NAMES.provisioning);
    return octets && decodeProvisioningState(NAMES.provisioning, octets);
  }

  /** When it resolves, keys and bodies survive a power cut: only then may a body be sent. */
  async saveProvisioning(state: ProvisioningState): Promise<void> {
    await this.#storage.write(NAMES.provisioning, encodeProvisioningState(state));
  }

  /** What the RA last said of the next batch. */
  async info(): Promise<Info | undefined> {
    const octets = await this.#storage.read(NAMES.info);
    return octets && decodeInfo(octets);
  }

  async saveInfo(octets: Uint8Array): Promise<void> {
    await this.#storage.write(NAMES.info, octets);
  }

  async batchZip(i: number): Promise<Uint8Array | undefined> {
    return this.#storage.read(zipName(i));
  }

  async saveBatchZip(i: number, octets: Uint8Array): Promise<void> {
    await this.#storage.write(zipName(i), octets);
    await this.#storage.remove(partName(i));
    await this.#storage.remove(etagName(i));
  }

  async removeBatchZip(i: number): Promise<void> {
    await this.#storage.remove(zipName(i));
  }

  /** The periods whose zip is there, ascending. */
  async heldPeriods(): Promise<number[]> {
    return this.#periods('batches', /^([0-9A-F]{1,8})\.zip$/);
  }

  /** The periods that have been opened, with or without failures, ascending. */
  async openedPeriods(): Promise<number[]> {
    return this.#periods('certificates', /^([0-9A-F]{1,8})\.json$/);
  }

  async openedBatch(i: number): Promise<StoredBatch | undefined> {
    const octets = await this.#storage.read(openedName(i));
    return octets && decodeBatch(openedName(i), octets);
  }

  async saveOpenedBatch(batch: OpenedBatch): Promise<void> {
    await this.#storage.write(openedName(batch.i), encodeBatch(batch));
  }

  /** What is left of an interrupted download, `<I>.part`, and beside it the ETag that it belongs to. */
  partialBatch(i: number, maxOctets: number): PartialFile {
    const storage = this.#storage;
    return {
      async load() {
        const etag = await storage.read(etagName(i));
        const octets = etag && (await storage.read(partName(i)));
        if (!octets || octets.length === 0 || octets.length > maxOctets) return undefined;
        return { octets, etag: Buffer.from(etag).toString('latin1') };
      },
      async begin(etag) {
        // In this order a crash leaves nothing, or a part without an ETag, which is not resumed.
        await storage.remove(etagName(i));
        await storage.remove(partName(i));
        if (etag !== undefined) await storage.write(etagName(i), Buffer.from(etag, 'latin1'));
      },
      append: (octets) => storage.append(partName(i), octets),
    };
  }

  async #periods(folder: string, pattern: RegExp): Promise<number[]> {
    const names = await this.#storage.list(folder);
    const periods = names.flatMap((name) => {
      const [, i] = pattern.exec(name) ?? [];
      return i === undefined ? [] : [Number.parseInt(i, 16)];
    });
    return periods.sort((a, b) => a - b);
  }
}

function encodeBatch({ i, certificates, failures }: OpenedBatch): Uint8Array {
  const reasonOf = ({ entry, error }: EntryFailure) => ({ entry, reason: error.message });
  return jsonOctets({
    i,
    certificates: certificates.map(({ j, certificate, key }) => ({
      j,
      certificate: toHex(certificate.octets),
      privateKey: toHex(key.scalar().reveal()),
    })),
    failures: failures.map(reasonOf),
  });
}

function decodeBatch(name: string, octets: Uint8Array): StoredBatch {
  const record = JsonRecord.parse(name, octets);
  return {
    i: record.integer('i'),
    certificates: record.records('certificates').map((certificate) => ({
      j: certificate.integer('j'),
      certificate: certificate.octets('certificate'),
      key: certificate.privateKey('privateKey'),
    })),
    failures: record.records('failures').map((failure) => ({
      entry: failure.text('entry'),
      reason: failure.text('reason'),
    })),
  };
}

function hexOf(i: number): string {
  return i.toString(16).toUpperCase();
}

function zipName(i: number): string {
  return `batches/${hexOf(i)}.zip`;
}

function partName(i: number): string {
  return `batches/${hexOf(i)}.part`;
}

function etagName(i: number): string {
  return `batches/${hexOf(i)}.etag`;
}

function openedName(i: number): string {
  return `certificates/${hexOf(i)}.json`;
}
