import { isPlainHttps } from './bundle.ts';
import { EeError } from './error.ts';

/** The RA's services for devices (sheet 1.0). */
export const RA_PORT = 8892;

/** What a device may have certificates for: pseudonym and identification an OBE, application an RSE. */
export type CertificateKind = 'pseudonym' | 'identification' | 'application';

/** Paths of the sheet's table 1.1. */
export const PATHS = {
  provision: {
    pseudonym: '/provision-pseudonym-certificate-batch',
    identification: '/provision-identity-certificate',
    application: '/provision-application-certificate',
  },
  download: {
    pseudonym: '/download/batch',
    identification: '/download/identity-certificate',
    application: '/download/application-certificate',
  },
  info: '/download/info',
  policy: '/download/policy/local',
  chains: '/download/local-certificate-chain',
  crl: '/download-crl/',
  raCertificate: '/retrieve-ra-certificate',
  report: '/process-misbehavior-report',
} as const satisfies Record<string, string | Record<CertificateKind, string>>;

/**
 * Where the files are: certDLURL as the RA wrote it if it has a path, else its host with port 8892
 * and the path of the interface (Q21). Fielded RAs send the full URL, `https://host:port` or a bare
 * host.
 *
 * Another host than the one that was asked is followed: the URL comes in an acknowledgement that the
 * RA signed, the connection is checked against the same X.509 root, and what is sent is encrypted to
 * the RA's certificate. `override` is the user's word and replaces scheme, host and port.
 *
 * @throws EeError `invalid-url`: not https, or with user, query or fragment
 */
export function resolveDownloadUrl(kind: CertificateKind, certDLURL: string, override?: URL): URL {
  const text = certDLURL.includes('://') ? certDLURL : `https://${certDLURL}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !isPlainHttps(url)) {
    throw new EeError(
      'invalid-url',
      `expected an https URL as certDLURL, saw ${JSON.stringify(certDLURL)}`,
    );
  }
  if (url.pathname === '/') {
    url.pathname = PATHS.download[kind];
    if (url.port === '') url.port = String(RA_PORT);
  }
  return override === undefined ? url : new URL(url.pathname, override);
}

/** Where the CRLs are: the URL of a CRL store as it was given, or with the path of the interface (sheet C1). */
export function crlStoreUrl(url: URL): URL {
  return url.pathname === '/' ? new URL(PATHS.crl, url) : url;
}

/** A service of the RA by its path. */
export function serviceUrl(raUrl: URL, path: string): URL {
  return new URL(path, raUrl);
}
