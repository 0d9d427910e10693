import { join } from 'node:path';

/*
 * What lies where in a state directory. The authorities and the RA's 1609.2 side have the layout of
 * `writeTestScms`; this adds the configuration and what TLS needs.
 */

/** Written last by `init`: a directory that has it is complete. */
export const CONFIG_FILE = 'chrysalis.toml';
/** The counterpart of an authority in a process of its own; written last by `authority export`. */
export const AUTHORITY_CONFIG_FILE = 'authority.toml';
/** While it is there, keys that are written are encrypted: how, and by what their passphrase is known. No secret. */
export const KEY_SCHEME_FILE = 'key-encryption.json';
/** Written first by `init` and removed last: a directory that has it and no configuration is half made. */
export const INIT_MARKER = '.chrysalis-init';
/** What `init` makes, beside the two files above. */
export const INIT_ENTRIES: readonly string[] = ['authorities', 'ra'];

/** The files that `init` makes beside those of the test SCMS, relative to the state directory. */
export const STATE_FILES = {
  x509Root: join('authorities', 'x509-root', 'certificate.pem'),
  x509RootKey: join('authorities', 'x509-root', 'private-key.pem'),
  /** A directory: a file for each certificate that `tls revoke` has revoked. */
  x509Revocations: join('authorities', 'x509-root', 'revoked'),
  /** What earlier versions had instead, and what counts as well. */
  x509RevokedBefore: join('authorities', 'x509-root', 'revoked.json'),
  /** Until `tls renew` makes others beside them, which have a serial number in their names. */
  tlsCertificate: join('ra', 'tls-certificate.pem'),
  tlsKey: join('ra', 'tls-key.pem'),
} as const;
