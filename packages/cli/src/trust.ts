/** What a process believes: the certificates that its configuration names. */
import { readCertificateFile } from '@chrysalis/authorities/keys';
import {
  asCertificate,
  type HashedCertificate,
  Ieee1609Dot2Error,
  TrustStore,
  type VerifiedCertificate,
} from '@chrysalis/ieee1609dot2';
import type { Log } from '@chrysalis/ra';

/** Roots, and what verifies under them. @throws AuthorityError; Ieee1609Dot2Error */
export async function loadTrust(files: {
  readonly roots: readonly string[];
  readonly intermediates: readonly string[];
}): Promise<TrustStore> {
  const read = async (file: string) => asCertificate(await readCertificateFile(file));
  const trust = new TrustStore(await Promise.all(files.roots.map(read)));
  for (const file of files.intermediates) trust.add(await read(file));
  return trust;
}

/**
 * Trusts the certificate of an RA. Fielded PKIs give RAs permissions that their issuer cannot give: whoever configures
 * one vouches for it.
 */
export function trustConfigured(
  trust: TrustStore,
  certificate: HashedCertificate,
  log: Log,
): VerifiedCertificate {
  try {
    return trust.add(asCertificate(certificate));
  } catch (error) {
    if (!(error instanceof Ieee1609Dot2Error)) throw error;
    log.warn(
      { problem: error.message },
      'the certificate of the RA is trusted only because it is configured',
    );
    return trust.pin(asCertificate(certificate));
  }
}
