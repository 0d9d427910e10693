import { cocoonPrivateKey, Expansion, type PrivateKey } from '@chrysalis/crypto';
import {
  asCertificate,
  type Certificate,
  checkValidAt,
  endOfValidity,
  formatTime32,
  type Time32,
  type TrustStore,
  type VerifiedCertificate,
} from '@chrysalis/ieee1609dot2';
import type { IPeriodClock } from '@chrysalis/scms';
import { type BatchEntry, readBatchZip, readSingleZip } from './batch-zip.ts';
import { isDataError } from './enrollment.ts';
import { EeError } from './error.ts';
import { openResponse } from './open-response.ts';
import type { CaterpillarKeys, PlainKeys } from './provisioning-request.ts';

/** A certificate that is ready for use. */
export interface OpenedCertificate {
  /** The i-period, or the number of the file. */
  readonly i: number;
  /** The certificate in the period; 0 where there is one. */
  readonly j: number;
  readonly certificate: Certificate;
  readonly key: PrivateKey;
  /** The private key to the certificate's encryptionKey, if one was wished for. */
  readonly encryptionKey?: PrivateKey;
}

/** An entry that did not open. */
export interface EntryFailure {
  readonly entry: string;
  /** `invalid-batch` or `key-mismatch`; the message says why. */
  readonly error: EeError;
}

export interface OpenedBatch {
  /** The i-period, or the number of the file. */
  readonly i: number;
  /** Ordered by j. */
  readonly certificates: readonly OpenedCertificate[];
  readonly failures: readonly EntryFailure[];
}

interface OpenOptions {
  /** The period that was asked for, or the number of the file. */
  readonly i: number;
  /** Knows the PCA, and nobody who should not issue certificates. */
  readonly trust: TrustStore;
  /** Now: the PCA's chain has to be valid. */
  readonly time: Time32;
}

export interface OpenBatchOptions extends OpenOptions {
  readonly keys: CaterpillarKeys;
  readonly iPeriods: IPeriodClock;
}

export interface OpenIdentificationOptions extends OpenOptions {
  readonly keys: CaterpillarKeys;
}

export interface OpenApplicationOptions extends OpenOptions {
  readonly keys: PlainKeys;
}

/**
 * Opens a batch zip of pseudonym certificates: each entry by `openResponse`, and the certificate as
 * one for this period. Pure; about 2 ms an entry.
 *
 * An entry that fails is listed with its reason and costs the others nothing.
 *
 * @throws EeError `invalid-batch` when the zip as a whole is refused, see `readBatchZip`
 *
 * @example
 * const { certificates, failures } = openBatch(zip, { i: 0x1a9, keys, trust, iPeriods, time });
 * certificates[0]?.key.sign(message);
 */
export function openBatch(zip: Uint8Array, options: OpenBatchOptions): OpenedBatch {
  const { i, trust, time } = options;
  const { entries, strangers } = readBatchZip(zip);
  const cocoon = new CocoonKeys(options.keys);
  const failures: EntryFailure[] = strangers.map((entry) => ({
    entry,
    error: new EeError('invalid-batch', `expected a name as ${hex(i)}_0`),
  }));
  const opened = openEach(i, entries, ({ i: seen, j, octets }) => {
    if (seen !== i) {
      throw new EeError('invalid-batch', `expected period ${hex(i)}, saw ${hex(seen)}`);
    }
    const keys = cocoon.at(i, j);
    const response = openResponse(octets, { keys, form: 'implicitButterfly', trust, time });
    checkPeriod(response.certificate, options);
    return response;
  });
  return { ...opened, failures: [...failures, ...opened.failures] };
}

/**
 * Opens file number i of an identification request: one certificate, of the cocoon keys (i, 0)
 * (sheet 1.9). Pure.
 *
 * @throws EeError `invalid-batch` when the zip as a whole is refused, see `readSingleZip`
 */
export function openIdentification(
  zip: Uint8Array,
  options: OpenIdentificationOptions,
): OpenedBatch {
  const keys = new CocoonKeys(options.keys).at(options.i, 0);
  return openSingle(zip, { ...options, keys, form: 'implicitButterfly' });
}

/**
 * Opens the file of an application request: one certificate, of the very keys that were sent (sheet
 * 1.10). Pure.
 *
 * @throws EeError `invalid-batch` when the zip as a whole is refused, see `readSingleZip`
 */
export function openApplication(zip: Uint8Array, options: OpenApplicationOptions): OpenedBatch {
  return openSingle(zip, { ...options, form: 'implicit' });
}

function openSingle(
  zip: Uint8Array,
  options: OpenOptions & Parameters<typeof openResponse>[1],
): OpenedBatch {
  const { i } = options;
  const entry = { name: hex(i), i, j: 0, octets: readSingleZip(zip) };
  return openEach(i, [entry], ({ octets }) => {
    const response = openResponse(octets, options);
    checkNamed(response.certificate);
    return response;
  });
}

function openEach(
  i: number,
  entries: readonly BatchEntry[],
  open: (entry: BatchEntry) => ReturnType<typeof openResponse>,
): OpenedBatch {
  const certificates: OpenedCertificate[] = [];
  const failures: EntryFailure[] = [];
  for (const entry of entries) {
    try {
      const { certificate, ...keys } = open(entry);
      certificates.push({ i, j: entry.j, certificate: asCertificate(certificate), ...keys });
    } catch (cause) {
      if (!(cause instanceof EeError) && !isDataError(cause)) throw cause;
      const error =
        cause instanceof EeError ? cause : new EeError('invalid-batch', cause.message, { cause });
      failures.push({ entry: entry.name, error });
    }
  }
  return { i, certificates, failures };
}

/** The device's side of the butterfly keys. */
class CocoonKeys {
  readonly #keys: CaterpillarKeys;
  /** f(ck, ·): for the keys of the certificates. */
  readonly #signing: Expansion;
  /** f(ek, ·): for the keys of the responses. */
  readonly #encryption: Expansion;
  /** For the encryption keys in the certificates: the encryption function with a key of its own (Q9). */
  readonly #certEncryption: Expansion | undefined;

  constructor(keys: CaterpillarKeys) {
    this.#keys = keys;
    this.#signing = new Expansion(keys.verify.expansion, 'signing');
    this.#encryption = new Expansion(keys.respEnc.expansion, 'encryption');
    this.#certEncryption = keys.certEnc && new Expansion(keys.certEnc.expansion, 'encryption');
  }

  at(i: number, j: number): PlainKeys {
    const { verify, respEnc, certEnc } = this.#keys;
    return {
      verify: cocoonPrivateKey(verify.seed, this.#signing, i, j),
      respEnc: cocoonPrivateKey(respEnc.seed, this.#encryption, i, j),
      ...(certEnc &&
        this.#certEncryption && {
          certEnc: cocoonPrivateKey(certEnc.seed, this.#certEncryption, i, j),
        }),
    };
  }
}

/** A pseudonym certificate is for one i-period and covers it. */
function checkPeriod(
  certificate: VerifiedCertificate,
  { i, iPeriods }: Pick<OpenBatchOptions, 'i' | 'iPeriods'>,
): void {
  const { id, validityPeriod } = certificate.certificate.toBeSigned;
  if (id.type !== 'linkageData' || id.value.iCert !== i) {
    const seen = id.type === 'linkageData' ? `iCert ${hex(id.value.iCert)}` : id.type;
    throw new EeError('invalid-batch', `expected iCert ${hex(i)}, saw ${seen}`);
  }
  const start = iPeriods.start(i);
  const end = iPeriods.start(i + 1);
  if (validityPeriod.start > start || endOfValidity(validityPeriod) < end) {
    throw new EeError(
      'invalid-batch',
      `expected validity from ${formatTime32(start)} to ${formatTime32(end)}, saw from ` +
        `${formatTime32(validityPeriod.start)} to ${formatTime32(endOfValidity(validityPeriod))}`,
    );
  }
  checkValidAt(certificate, start);
}

/** Identification and application certificates carry a binaryId (sheet 3.6); its value the RA chooses. */
function checkNamed(certificate: VerifiedCertificate): void {
  const { id, validityPeriod } = certificate.certificate.toBeSigned;
  if (id.type !== 'binaryId') {
    throw new EeError('invalid-batch', `expected a binaryId, saw ${id.type}`);
  }
  checkValidAt(certificate, validityPeriod.start);
}

function hex(i: number): string {
  return i.toString(16).toUpperCase();
}
