import { equalConstantTime } from '@chrysalis/crypto';
import type { Time32 } from '@chrysalis/ieee1609dot2';
import {
  type DownloadFile,
  type DownloadRequest,
  parseFileName,
  ScmsDataError,
  timeOf,
} from '@chrysalis/scms';
import type { Authenticator, IdentifiedRequest } from './authenticate.ts';
import { fileKey } from './batch-file.ts';
import type { KnownDevice } from './device-registry.ts';
import { nextBatchTime } from './horizon.ts';
import type { RaOptions } from './options.ts';
import { Refusal } from './refusal.ts';
import type { CertificateKind } from './schema.ts';

/** A file for a device. */
export interface Download {
  /** The name as the device wrote it. */
  readonly name: string;
  readonly octets: Uint8Array;
  /** Strong: the same tag means the same octets. Absent for a file that changes under its name. */
  readonly etag?: string;
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

  constructor(options: RaOptions, authenticator: Authenticator) {
    this.#options = options;
    this.#authenticator = authenticator;
  }

  /** `GET /download/batch`: the zip of one i-period. @throws Refusal */
  async batch(header: string | undefined): Promise<Download> {
    const { file, name, device } = await this.#authorize(header, 'batch', ['pseudonym']);
    return this.#certificates(device, file.i, name);
  }

  /** `GET /download/identity-certificate`: the zip of one identification certificate. @throws Refusal */
  async identityCertificate(header: string | undefined): Promise<Download> {
    const { file, name, device } = await this.#authorize(header, 'batch', ['identification']);
    return this.#certificates(device, file.i, name);
  }

  /** `GET /download/application-certificate`: the zip of the one certificate of a request. @throws Refusal */
  async applicationCertificate(header: string | undefined): Promise<Download> {
    const { name, device } = await this.#authorize(header, 'application', ['application']);
    return this.#certificates(device, 0, name);
  }

  /** `GET /download/info`: Time32 of the next batch in four octets, 0 when none will come (seed page two). @throws Refusal */
  async info(header: string | undefined): Promise<Download> {
    const { name, device } = await this.#authorize(header, 'info', ['pseudonym', 'identification']);
    if (!device)
      throw new Refusal('raNoInfoFileAvailable', `expected a device of ours, saw ${name}`);
    const octets = new Uint8Array(4);
    new DataView(octets.buffer).setUint32(0, this.#nextBatchTime(device));
    return { name, octets };
  }

  async #certificates(device: KnownDevice | undefined, i: number, name: string): Promise<Download> {
    const { objects, iPeriod } = this.#options;
    const octets = device && (await objects.get(fileKey(device, i, iPeriod)));
    if (!octets)
      throw new Refusal('raNoCertFileAvailable', `expected a file that is there, saw ${name}`);
    return { name, octets, etag: `"${name}"` };
  }

  #nextBatchTime(device: KnownDevice): Time32 {
    return nextBatchTime(device, this.#options, timeOf(this.#options.clock));
  }

  /** Authenticates, then looks whether the file belongs to the sender; its device is undefined when it does not. */
  async #authorize<T extends DownloadFile['type']>(
    header: string | undefined,
    type: T,
    kinds: readonly CertificateKind[],
  ): Promise<{
    file: Extract<DownloadFile, { type: T }>;
    name: string;
    device: KnownDevice | undefined;
  }> {
    const secured = decodeBase64(header);
    const identified = await this.#authenticator.identify(secured, 'download');
    const request = downloadRequestOf(identified);
    this.#authenticator.authenticate(identified, request.timestamp, 'download');
    this.#options.onStep?.('file name');
    const file = fileOf(request.filename, type);
    this.#options.onStep?.('ownership');
    const device = identified.devices.find(
      (d) => kinds.includes(d.kind) && equalConstantTime(d.request_hash, file.requestHash),
    );
    return { file, name: request.filename, device };
  }
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
