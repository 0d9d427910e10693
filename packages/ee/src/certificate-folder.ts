import { decode } from '@chrysalis/coer';
import type { PrivateKey } from '@chrysalis/crypto';
import { Certificate, endOfValidity, type Time32 } from '@chrysalis/ieee1609dot2';
import type { PartialFile } from './download.ts';
import { JsonRecord, jsonOctets, toHex } from './json-record.ts';
import type { EntryFailure, OpenedBatch } from './open-batch.ts';
import type { ProfileStorage } from './profile-storage.ts';

/** A batch as it lies in the profile: certificates and keys in the form that other programs take. */
export interface StoredBatch {
  /** The i-period, or the number of the file. */
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
  /** The private key to the certificate's encryptionKey, if it has one that was wished for. */
  readonly encryptionKey?: PrivateKey;
}

/**
 * The files and certificates of one kind in a profile, by number: the i-period of pseudonym
 * certificates, the number of an identification file, the number of an application request.
 */
export class CertificateFolder {
  readonly #storage: ProfileStorage;
  readonly #prefix: string;

  /** @param prefix of the names in the storage: empty, or ending with a slash */
  constructor(storage: ProfileStorage, prefix: string) {
    this.#storage = storage;
    this.#prefix = prefix;
  }

  async zip(i: number): Promise<Uint8Array | undefined> {
    return this.#storage.read(this.#file(i, 'zip'));
  }

  async saveZip(i: number, octets: Uint8Array): Promise<void> {
    await this.#storage.write(this.#file(i, 'zip'), octets);
    await this.#storage.remove(this.#file(i, 'part'));
    await this.#storage.remove(this.#file(i, 'etag'));
  }

  async removeZip(i: number): Promise<void> {
    await this.#storage.remove(this.#file(i, 'zip'));
  }

  /** Forgets what is left of interrupted downloads. */
  async removePartials(): Promise<void> {
    for (const i of await numbers(this.#storage, `${this.#prefix}batches`, 'etag')) {
      await this.partial(i, 0).begin(undefined);
    }
  }

  /** The numbers of the zips that are there, ascending. */
  async held(): Promise<number[]> {
    return numbers(this.#storage, `${this.#prefix}batches`, 'zip');
  }

  /** The numbers that have been opened, with or without failures, ascending. */
  async openedNumbers(): Promise<number[]> {
    return numbers(this.#storage, `${this.#prefix}certificates`, 'json');
  }

  async opened(i: number): Promise<StoredBatch | undefined> {
    const name = this.#openedFile(i);
    const octets = await this.#storage.read(name);
    return octets && decodeBatch(name, octets);
  }

  async saveOpened(batch: OpenedBatch): Promise<void> {
    await this.#storage.write(this.#openedFile(batch.i), encodeBatch(batch));
  }

  /** What is left of an interrupted download, `<I>.part`, and beside it the ETag that it belongs to. */
  partial(i: number, maxOctets: number): PartialFile {
    const storage = this.#storage;
    const [part, etagFile] = [this.#file(i, 'part'), this.#file(i, 'etag')];
    return {
      async load() {
        const etag = await storage.read(etagFile);
        const octets = etag && (await storage.read(part));
        if (!octets || octets.length === 0 || octets.length > maxOctets) return undefined;
        return { octets, etag: Buffer.from(etag).toString('latin1') };
      },
      async begin(etag) {
        // In this order a crash leaves nothing, or a part without an ETag, which is not resumed.
        await storage.remove(etagFile);
        await storage.remove(part);
        if (etag !== undefined) await storage.write(etagFile, Buffer.from(etag, 'latin1'));
      },
      append: (octets) => storage.append(part, octets),
    };
  }

  #file(i: number, extension: 'zip' | 'part' | 'etag'): string {
    return `${this.#prefix}batches/${formatNumber(i)}.${extension}`;
  }

  #openedFile(i: number): string {
    return `${this.#prefix}certificates/${formatNumber(i)}.json`;
  }
}

/** From when until when the certificates of a file are valid; undefined when none opened. */
export function validityOf(batch: StoredBatch): { start: Time32; end: Time32 } | undefined {
  const [first] = batch.certificates;
  if (first === undefined) return undefined;
  const { validityPeriod } = decode(Certificate, first.certificate).value.toBeSigned;
  return { start: validityPeriod.start, end: endOfValidity(validityPeriod) };
}

/** A number in file names: upper-case hex, as the RA writes it. */
export function formatNumber(i: number): string {
  return i.toString(16).toUpperCase();
}

/** The numbers of the files with an extension in a folder, ascending. */
export async function numbers(
  storage: ProfileStorage,
  folder: string,
  extension: 'zip' | 'etag' | 'json',
): Promise<number[]> {
  const pattern = new RegExp(`^([0-9A-F]{1,8})\\.${extension}$`);
  const found = (await storage.list(folder)).flatMap((name) => {
    const [, i] = pattern.exec(name) ?? [];
    return i === undefined ? [] : [Number.parseInt(i, 16)];
  });
  return found.sort((a, b) => a - b);
}

function encodeBatch({ i, certificates, failures }: OpenedBatch): Uint8Array {
  const reasonOf = ({ entry, error }: EntryFailure) => ({ entry, reason: error.message });
  const fromKey = (key: PrivateKey) => toHex(key.scalar().reveal());
  return jsonOctets({
    i,
    certificates: certificates.map(({ j, certificate, key, encryptionKey }) => ({
      j,
      certificate: toHex(certificate.octets),
      privateKey: fromKey(key),
      ...(encryptionKey && { encryptionPrivateKey: fromKey(encryptionKey) }),
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
      ...(certificate.has('encryptionPrivateKey') && {
        encryptionKey: certificate.privateKey('encryptionPrivateKey'),
      }),
    })),
    failures: record.records('failures').map((failure) => ({
      entry: failure.text('entry'),
      reason: failure.text('reason'),
    })),
  };
}
