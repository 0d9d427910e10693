import { constants } from 'node:crypto';
import type { ServerOptions } from 'node:https';

/**
 * Suites of TLS 1.2, in our order of preference: AEAD first, then the suite that every RA has to support
 * (ECDHE-ECDSA-AES128-SHA256, seed page two) and the one of Release 1.1 (CCM; Q20). All have forward secrecy and
 * authenticate with the ECDSA key of the RA. TLS 1.3 brings its own.
 */
const SUITES = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_AES_128_CCM_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-AES128-CCM',
  'ECDHE-ECDSA-AES128-SHA256',
];

/** A peer that does not finish its handshake is given up. */
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** A device that fetches many files comes back within the hour. */
const SESSION_TIMEOUT_SEC = 3600;

/** TLS 1.2 at least, server authentication only (seed pages; Q20). */
export function tlsOptions(identity: {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}): ServerOptions {
  return {
    cert: identity.certificatePem,
    key: identity.privateKeyPem,
    minVersion: 'TLSv1.2',
    ciphers: SUITES.join(':'),
    ecdhCurve: 'P-256:X25519:P-384',
    honorCipherOrder: true,
    // Each would be a handshake that nothing counts, and no device asks for one. Node by itself lets three pass.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    // Resumption by ticket or id saves a device and us the signature; the context keeps it to this service.
    sessionIdContext: 'chrysalis-ra',
    sessionTimeout: SESSION_TIMEOUT_SEC,
  };
}
