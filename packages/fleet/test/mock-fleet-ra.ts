import { cocoonPoints, Expansion, systemRandom } from '@chrysalis/crypto';
import { type CertificateContent, hashedId3, toPoint } from '@chrysalis/ieee1609dot2';
import {
  formatEntryName,
  formatHex,
  I_PERIOD_EPOCH,
  I_PERIOD_LENGTH_SEC,
  type PseudonymRequest,
  parseFileName,
  requestHash,
} from '@chrysalis/scms';
import { PATHS } from '../../ee/src/index.ts';
import type { ArrivedRequest, MockAnswer } from '../../ee/test/mock-ra.ts';
import {
  acknowledge,
  type MockScms,
  openAsRa,
  sealedResponse,
  zipOf,
} from '../../ee/test/mock-scms.ts';

export const PER_PERIOD = 3;

/** What a certificate says, j of period i, unless a test has it say something else. */
export type ContentOf = (i: number, j: number) => Partial<CertificateContent>;

/** One registered device, as the RA sees it. */
export interface Registered {
  readonly hash: string;
  readonly request: PseudonymRequest;
}

/** An RA for many devices, and their PCA: honest until a test makes it otherwise. */
export class MockFleetRa {
  readonly #scms: MockScms;
  readonly #zips = new Map<string, Uint8Array>();
  readonly #acks = new Map<string, Uint8Array>();
  /** In the order of their requests. */
  readonly devices: Registered[] = [];
  /** What was asked for: `POST`, `info`, or a file name. */
  readonly asked: string[] = [];
  /** Batches of later periods are not there yet. */
  readyThrough = Number.POSITIVE_INFINITY;
  /** What `.info` says: a time that is past, as long as no test says another. */
  expectedAt = 0x20_00_00_00;
  /** What is sent instead of a batch; undefined for HTTP 500. */
  tamper: (zip: Uint8Array, device: Registered, i: number) => Uint8Array | undefined = (zip) => zip;
  /** Whether requests are answered. */
  isOpen = true;
  onRequest: (request: ArrivedRequest) => void = () => {};

  constructor(scms: MockScms) {
    this.#scms = scms;
  }

  handle(request: ArrivedRequest): MockAnswer {
    this.onRequest(request);
    if (!this.isOpen) return { status: 500 };
    return request.method === 'POST' ? this.#provision(request) : this.#download(request);
  }

  /** The entries of a zip: signed, encrypted responses, as the PCA makes them for this device. */
  entries(device: Registered, i: number, contentOf: ContentOf = () => ({})): Uint8Array[] {
    const { verifyKeyInfo, respEncKeyInfo } = device.request;
    const verify = cocoonPoints(
      toPoint(verifyKeyInfo.seedKey),
      new Expansion(verifyKeyInfo.expansion, 'signing'),
      i,
      PER_PERIOD,
    );
    const respEnc = cocoonPoints(
      toPoint(respEncKeyInfo.seedKey),
      new Expansion(respEncKeyInfo.expansion, 'encryption'),
      i,
      PER_PERIOD,
    );
    return verify.map((point, j) =>
      sealedResponse(
        this.#scms,
        { verify: point, respEnc: respEnc[j]! },
        { form: 'implicitButterfly', content: { ...this.#content(i), ...contentOf(i, j) } },
      ),
    );
  }

  /** What an honest RA has for a device. */
  zip(device: Registered, i: number): Uint8Array {
    const name = `${device.hash}_${i}`;
    const held = this.#zips.get(name);
    if (held !== undefined) return held;
    const made = zipOfEntries(i, this.entries(device, i));
    this.#zips.set(name, made);
    return made;
  }

  #content(i: number): CertificateContent {
    return {
      id: { type: 'linkageData', value: { iCert: i, linkageValue: systemRandom(9) } },
      cracaId: hashedId3(this.#scms.root.certificate.hash),
      crlSeries: 1,
      validityPeriod: {
        start: I_PERIOD_EPOCH + i * I_PERIOD_LENGTH_SEC,
        duration: { type: 'hours', value: 169 },
      },
      region: { type: 'identifiedRegion', value: [{ type: 'countryOnly', value: 840 }] },
      appPermissions: [{ psid: 0x20 }, { psid: 0x26 }],
    };
  }

  #provision({ body = new Uint8Array(0) }: ArrivedRequest): MockAnswer {
    this.asked.push('POST');
    const hash = formatHex(requestHash(body));
    const request = openAsRa(this.#scms, body);
    if (request.type !== 'pseudonym') return { status: 500 };
    const ack = this.#acks.get(hash) ?? acknowledge(this.#scms, body);
    if (!this.#acks.has(hash)) this.devices.push({ hash, request });
    this.#acks.set(hash, ack);
    return { status: 200, body: ack };
  }

  #download({ url, headers }: ArrivedRequest): MockAnswer {
    const value = headers['download-req'] ?? '';
    const opened = openAsRa(this.#scms, new Uint8Array(Buffer.from(value, 'base64')));
    if (opened.type !== 'download') return { status: 500 };
    const file = parseFileName(opened.filename);
    const device = this.devices.find(({ hash }) => hash === formatHex(file.requestHash));
    if (device === undefined) return { status: 500 };
    this.asked.push(url.pathname === PATHS.info ? 'info' : opened.filename);
    if (url.pathname === PATHS.info) return { status: 200, body: infoOf(this.expectedAt) };
    if (file.type !== 'batch' || file.i > this.readyThrough) return { status: 500 };
    const zip = this.tamper(this.zip(device, file.i), device, file.i);
    return zip === undefined ? { status: 500 } : { status: 200, body: zip };
  }
}

/** Time32 in four octets. */
function infoOf(time: number): Uint8Array {
  const octets = new Uint8Array(4);
  new DataView(octets.buffer).setUint32(0, time);
  return octets;
}

/** @param i in the names of the entries, whatever is in them */
export function zipOfEntries(i: number, entries: readonly Uint8Array[]): Uint8Array {
  return zipOf(Object.fromEntries(entries.map((entry, j) => [formatEntryName(i, j), entry])));
}
