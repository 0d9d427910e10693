/** The X.509 certificate by which devices know the RA, from the test X.509 root. */
import { X509Certificate } from 'node:crypto';
import { isIPv4 } from 'node:net';
import { LIFETIME } from '@chrysalis/authorities';
import { issueX509ServerCertificate, type X509Identity } from '@chrysalis/authorities/x509';
import { durationSeconds } from '@chrysalis/ieee1609dot2';

const DAY_MS = 86_400_000;
/** As the 1609.2 certificates, so that a device whose clock is behind accepts them. */
export const BEGIN_EARLIER_MS = 8 * DAY_MS;
/** RFC 5280 §4.1.2.4, upper bound of a commonName. */
const MAX_COMMON_NAME = 64;

/** A new key, and its certificate for `ra.host` and for this machine: as long as the RA's 1609.2 one, and no longer than the root's. */
export async function issueRaTlsCertificate(
  root: X509Identity,
  host: string,
  nowMs: number,
): Promise<X509Identity> {
  const names = isIPv4(host) ? [] : [host];
  const addresses = isIPv4(host) ? [host] : [];
  const startMs = nowMs - BEGIN_EARLIER_MS;
  const rootEndMs = new X509Certificate(root.certificatePem).validToDate.getTime();
  return issueX509ServerCertificate(root, {
    commonName: host.slice(0, MAX_COMMON_NAME),
    notBefore: new Date(startMs),
    notAfter: new Date(Math.min(startMs + durationSeconds(LIFETIME.ra) * 1000, rootEndMs)),
    dnsNames: [...new Set([...names, 'localhost'])],
    ipAddresses: [...new Set([...addresses, '127.0.0.1'])],
  });
}
