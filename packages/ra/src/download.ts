import { equalConstantTime } from '@chrysalis/crypto';
import {
  type DownloadFile,
  type DownloadRequest,
  parseFileName,
  ScmsDataError,
  timeOf,
} from '@chrysalis/scms';
import { StoreError } from '@chrysalis/store/files';
import type { Authenticator, IdentifiedRequest } from './authenticate.ts';
import type { KnownBacklog } from './backlog.ts';
import { fileKey, isWholeZip } from './batch-file.ts';
import type { Contacts } from './contacts.ts';
import type { KnownDevice } from './device-registry.ts';
import { nextFile } from './next-file.ts';
import type { RaOptions } from './options.ts';
import { Refusal } from './refusal.ts';
import type { CertificateKind } from './schema.ts';
import type { TriedService, Tries } from './tries.ts';

/** A file for a device. */
export interface Download {
  /** The name as the device wrote it. */
  readonly name: string;
  readonly octets: Uint8Array;
  /** Strong: the same tag means the same octets. Absent for a file that changes under its name. */
  readonly etag?: string;
  /** Told how it was answered: status, and octets of the body. */
  readonly onAnswer?: (status: number, octets: number) => void;
}

/** What an authenticated device asks for. */
interface Asked<T extends DownloadFile['type']> {
  readonly file: Extract<DownloadFile, { type: T }>;
  /** The name as the device wrote it. */
  readonly name: string;
  /** The row that the file belongs to; undefined when the sender has none such. */
  readonly device: KnownDevice | undefined;
}

/** Longest Download-Req: base64 of an envelope around a certificate with every optional field stays below 2 kB. */
const MAX_DOWNLOAD_REQ = 4096;

/**
 * The authenticated downloads. A file is served only to the enrollment certificate that asked for it; somebody
 * else's file and a file that is not there look alike.
 */
export class Downloads {
  readonly #options: RaOptions;
  readonly #authenticator: Authenticator;
  readonly #tries: Tries;
  readonly #contacts: Contacts;
  readonly #backlog: KnownBacklog;

  constructor(
    options: RaOptions,
    authenticator: Authenticator,
    tries: Tries,
    contacts: Contacts,
    backlog: KnownBacklog,
  ) {
    this.#options = options;
    this.#authenticator = authenticator;
    this.#tries = tries;
    this.#contacts = contacts;
    this.#backlog = backlog;
  }

  /** `GET /download/batch`: the zip of one i-period. @throws Refusal */
  batch(header: string | undefined): Promise<Download> {
    return this.#serve(header, 'batch', 'batch', ['pseudonym'], ({ file, name, device }) =>
      this.#certificates(device, file.i, name),
    );
  }

  /** `GET /download/identity-certificate`: the zip of one identification certificate. @throws Refusal */
  identityCertificate(header: string | undefined): Promise<Download> {
    const kinds = ['identification'] as const;
    return this.#serve(header, 'identity-certificate', 'batch', kinds, ({ file, name, device }) =>
      this.#certificates(device, file.i, name),
    );
  }

  /** `GET /download/application-certificate`: the zip of the one certificate of a request. @throws Refusal */
  applicationCertificate(header: string | undefined): Promise<Download> {
    const kinds = ['application'] as const;
    return this.#serve(header, 'application-certificate', 'application', kinds, (asked) =>
      this.#certificates(asked.device, 0, asked.name),
    );
  }

  /** `GET /download/info`: Time32 of the next batch in four octets, 0 when none will come (seed page two). @throws Refusal */
  info(header: string | undefined): Promise<Download> {
    const kinds = ['pseudonym', 'identification'] as const;
    return this.#serve(header, 'info', 'info', kinds, async ({ name, device }) => {
      if (!device)
        throw new Refusal('raNoInfoFileAvailable', `expected a device of ours, saw ${name}`);
      const octets = new Uint8Array(4);
      const now = timeOf(this.#options.clock);
      const { time } = await nextFile(device, this.#options, this.#backlog, now);
      new DataView(octets.buffer).setUint32(0, time);
      return { name, octets };
    });
  }

  async #certificates(device: KnownDevice | undefined, i: number, name: string): Promise<Download> {
    const { objects, iPeriod } = this.#options;
    const octets = device && (await objects.get(fileKey(device, i, iPeriod)));
    // A device could not tell it from a download that broke off, and would come for it again and again.
    if (octets && !isWholeZip(octets)) {
      throw new StoreError('corrupt', `expected ${name} whole, saw ${octets.length} octets of it`);
    }
    const may = octets && this.#contacts.fetched(device, i, timeOf(this.#options.clock));
    // A promise costs each download something, and mostly there is none.
    if (!octets || !(typeof may === 'object' ? await may : may)) {
      throw new Refusal('raNoCertFileAvailable', `expected a file that is there, saw ${name}`);
    }
    return { name, octets, etag: `"${name}"` };
  }

  /**
   * Authenticates, then looks whether the file belongs to the sender; its device is undefined when it does not. What fails
   * once the signature is verified counts against the sender.
   */
  async #serve<T extends DownloadFile['type']>(
    header: string | undefined,
    service: TriedService,
    type: T,
    kinds: readonly CertificateKind[],
    answer: (asked: Asked<T>) => Promise<Download>,
  ): Promise<Download> {
    const secured = decodeBase64(header);
    const identified = await this.#authenticator.identify(secured, 'download');
    const { timestamp, filename: name } = downloadRequestOf(identified);
    this.#authenticator.authenticate(identified, timestamp, 'download');
    return this.#tries.run(identified.enrollment.hash, service, async () => {
      this.#options.onStep?.('file name');
      const file = fileOf(name, type);
      this.#options.onStep?.('ownership');
      const device = identified.devices.find(
        (d) =>
          kinds.includes(d.kind) &&
          d.status !== 'replaced' &&
          equalConstantTime(d.request_hash, file.requestHash),
      );
      if (device === undefined) return answer({ file, name, device });
      await this.#contacts.seen(device, timeOf(this.#options.clock));
      return this.#audited(service, file, await answer({ file, name, device: active(device) }));
    });
  }

  /** A download leaves whether the audit log takes it or not: the device has its right to it on record already. */
  #audited(service: TriedService, file: DownloadFile, download: Download): Download {
    const { audit } = this.#options;
    if (audit === undefined) return download;
    const requestHash = Buffer.from(file.requestHash).toString('hex');
    const i = file.type === 'batch' ? { i: file.i } : file.type === 'application' ? { i: 0 } : {};
    return {
      ...download,
      onAnswer: (status, octets) =>
        audit.note({ event: 'download', service, requestHash, ...i, status, octets }),
    };
  }
}

/** One that had paused goes on from this contact on. */
function active(device: KnownDevice): KnownDevice {
  return device.status === 'paused' ? { ...device, status: 'active' } : device;
}

/** Standard alphabet, padded, one line: what Buffer would forgive is refused. */
function decodeBase64(header: string | undefined): Uint8Array {
  if (header === undefined) {
    throw new Refusal('raAuthenticationFailed', 'expected a Download-Req header');
  }
  if (header.length > MAX_DOWNLOAD_REQ) {
    throw new Refusal(
      'raWrongParameters',
      `expected at most ${MAX_DOWNLOAD_REQ} characters of Download-Req, saw ${header.length}`,
    );
  }
  const octets = Buffer.from(header, 'base64');
  if (octets.toString('base64') !== header) {
    throw new Refusal('raWrongParameters', 'expected Download-Req in padded base64');
  }
  return new Uint8Array(octets.buffer, octets.byteOffset, octets.length);
}

function downloadRequestOf({ signed }: IdentifiedRequest): DownloadRequest {
  if (signed.request.type === 'download') return signed.request;
  throw new Refusal('raWrongParameters', `expected a download request, saw ${signed.request.type}`);
}

function fileOf<T extends DownloadFile['type']>(
  name: string,
  type: T,
): Extract<DownloadFile, { type: T }> {
  try {
    const file = parseFileName(name);
    if (file.type === type) return file as Extract<DownloadFile, { type: T }>;
    throw new Refusal('raInvalidURL', `expected the name of a ${type} file here, saw ${file.type}`);
  } catch (cause) {
    if (!(cause instanceof ScmsDataError)) throw cause;
    throw new Refusal('raInvalidURL', cause.message, { cause });
  }
}
