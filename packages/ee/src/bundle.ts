import { EeError } from './error.ts';
import { JsonRecord } from './json-record.ts';

/** The certificates of a bundle; the first five are needed to provision, the others for later. */
export const BUNDLE_CERTIFICATES = ['root', 'ica', 'eca', 'pca', 'ra', 'ma', 'crlg'] as const;
export type BundleCertificate = (typeof BUNDLE_CERTIFICATES)[number];
export const REQUIRED_CERTIFICATES = ['root', 'ica', 'eca', 'pca', 'ra'] as const;

/** The largest file that belongs into a bundle; a certificate has some 250 octets, a root in PEM 800. */
const MAX_BUNDLE_FILE_OCTETS = 65_536;

const BOOTSTRAP_FILE = 'bootstrap.json';
const X509_FILE = 'x509-root.pem';
const RESPONSE_FILE = 'SignedEeEnrollmentCertResponse.oer';

/** What an enrolling authority hands to a device (sheet 3.8), as octets; nothing in it is verified. */
export interface Bundle {
  readonly raUrl: URL;
  /** Where the CRL store is; bundles of before did not say. */
  readonly crlUrl?: URL;
  readonly iPeriod: { readonly epoch: number; readonly lengthSec: number };
  /** The X.509 root of the RA's TLS certificate, PEM. */
  readonly x509Root: string;
  /** COER of Certificate. */
  readonly certificates: Readonly<Partial<Record<BundleCertificate, Uint8Array>>>;
  /** COER of SignedEeEnrollmentCertResponse. */
  readonly response: Uint8Array;
}

/** The files of a bundle by their names, `certificates/root.oer` and so on. */
export type BundleFiles = ReadonlyMap<string, Uint8Array>;

/** The names of all files that a bundle may have; the last one is what completes an installed bundle. */
export const BUNDLE_FILES: readonly string[] = [
  ...BUNDLE_CERTIFICATES.map(certificateFile),
  X509_FILE,
  RESPONSE_FILE,
  BOOTSTRAP_FILE,
];

/**
 * Reads a bundle from whatever holds its files.
 *
 * @throws EeError `invalid-bundle` for a file that is too large, and what `read` throws
 */
export async function readBundleFiles(
  read: (name: string) => Promise<Uint8Array | undefined>,
): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  for (const name of BUNDLE_FILES) {
    const octets = await read(name);
    if (octets === undefined) continue;
    if (octets.length > MAX_BUNDLE_FILE_OCTETS) {
      throw new EeError(
        'invalid-bundle',
        `${name}: expected at most ${MAX_BUNDLE_FILE_OCTETS} octets, saw ${octets.length}`,
      );
    }
    files.set(name, octets);
  }
  return files;
}

/** @throws EeError `invalid-bundle` when a file is missing or malformed */
export function parseBundle(files: BundleFiles): Bundle {
  const certificates: Partial<Record<BundleCertificate, Uint8Array>> = {};
  for (const name of BUNDLE_CERTIFICATES) {
    const octets = files.get(certificateFile(name));
    if (octets !== undefined) certificates[name] = octets;
  }
  for (const name of REQUIRED_CERTIFICATES) need(files, certificateFile(name));
  return {
    ...parseBootstrap(need(files, BOOTSTRAP_FILE)),
    x509Root: new TextDecoder().decode(need(files, X509_FILE)),
    certificates,
    response: need(files, RESPONSE_FILE),
  };
}

/** An https URL of an RA without user, query or fragment. @throws EeError `invalid-url` */
export function parseRaUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !isPlainHttps(url)) {
    throw new EeError('invalid-url', `expected an https URL, saw ${JSON.stringify(text)}`);
  }
  return url;
}

/** Whether a URL is https and carries nothing but host, port and path. */
export function isPlainHttps(url: URL): boolean {
  const { protocol, username, password, search, hash } = url;
  return protocol === 'https:' && `${username}${password}${search}${hash}` === '';
}

function parseBootstrap(octets: Uint8Array): Pick<Bundle, 'raUrl' | 'crlUrl' | 'iPeriod'> {
  try {
    const record = JsonRecord.parse(BOOTSTRAP_FILE, octets);
    const iPeriod = record.record('iPeriod');
    const epoch = iPeriod.integer('epoch');
    const lengthSec = iPeriod.integer('lengthSec');
    if (lengthSec < 1) {
      throw new EeError(
        'invalid-bundle',
        `${BOOTSTRAP_FILE}: expected a period of at least one second, saw ${lengthSec}`,
      );
    }
    return {
      raUrl: parseRaUrl(record.text('raUrl')),
      ...(record.has('crlUrl') && { crlUrl: parseRaUrl(record.text('crlUrl')) }),
      iPeriod: { epoch, lengthSec },
    };
  } catch (cause) {
    if (!(cause instanceof EeError)) throw cause;
    throw new EeError('invalid-bundle', cause.message, { cause });
  }
}

function need(files: BundleFiles, name: string): Uint8Array {
  const octets = files.get(name);
  if (octets === undefined) {
    throw new EeError('invalid-bundle', `expected the file ${name} in the bundle, saw none`);
  }
  return octets;
}

function certificateFile(name: BundleCertificate): string {
  return `certificates/${name}.oer`;
}
