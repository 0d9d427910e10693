import { decode } from '@chrysalis/coer';
import {
  Certificate,
  formatTime32,
  type Time32,
  type VerifiedCertificate,
} from '@chrysalis/ieee1609dot2';
import { formatHex } from '@chrysalis/scms';
import { validityOf } from './certificate-folder.ts';
import type { CertificateKind } from './download-url.ts';
import { type Enrollment, isDataError } from './enrollment.ts';
import { EeError } from './error.ts';
import type { Governance } from './governance.ts';
import type { Profile } from './profile.ts';

const KINDS: readonly CertificateKind[] = ['pseudonym', 'identification', 'application'];

/**
 * Makes sure that nothing of the device stands on the CRLs that it holds: its enrollment certificate,
 * the certificates that it uses now, and all above them; and that its RA does not. Linkage seeds tell
 * all later periods of a revoked device, so that the present one suffices.
 *
 * @throws EeError `revoked`
 */
export async function expectNotRevoked(
  profile: Profile,
  enrollment: Enrollment,
  { trust, revocations }: Pick<Governance, 'trust' | 'revocations'>,
  time: Time32,
): Promise<void> {
  if (revocations === undefined) return;
  const look = (what: string, certificate: VerifiedCertificate) => {
    const found = revocations.find(certificate);
    if (found === undefined) return;
    const { crlSeries, issueDate } = found.crl.contents;
    const which = found.certificate === certificate ? what : `an authority above ${what}`;
    throw new EeError(
      'revoked',
      `${which}: ${formatHex(found.certificate.id)} is on the CRL of series ${crlSeries} of ` +
        formatTime32(issueDate),
    );
  };
  look('the enrollment certificate', enrollment.certificate);
  look("the RA's certificate", enrollment.ra);
  for (const kind of KINDS) {
    for (const octets of await certificatesOfNow(profile, kind, time)) {
      const certificate = verified(octets);
      if (certificate !== undefined) look(`a certificate (${kind})`, certificate);
    }
  }

  function verified(octets: Uint8Array): VerifiedCertificate | undefined {
    try {
      return trust.verify(decode(Certificate, octets));
    } catch (error) {
      // Of a PCA that the RA's chain file has dropped: it is not the CRLs that say so.
      if (isDataError(error)) return undefined;
      throw error;
    }
  }
}

async function certificatesOfNow(
  profile: Profile,
  kind: CertificateKind,
  time: Time32,
): Promise<Uint8Array[]> {
  const folder = profile.certificates(kind);
  const found: Uint8Array[] = [];
  for (const i of (await folder.openedNumbers()).reverse()) {
    const batch = await folder.opened(i);
    const validity = batch && validityOf(batch);
    if (batch === undefined || validity === undefined) continue;
    if (validity.end <= time) break;
    if (validity.start <= time) found.push(...batch.certificates.map((c) => c.certificate));
  }
  return found;
}

/**
 * Makes sure that the CRLs of a device are no older than the policy tolerates (sheet 3.7): that none of
 * the series that it holds is further past its nextCrl than overdueCrlTolerance. A device that has
 * never held a CRL is not stopped.
 *
 * @throws EeError `crl-overdue`, also when the CRLs that are held do not verify any more
 */
export function expectCrlsInTime(
  { files, revocations, policyAt }: Pick<Governance, 'files' | 'revocations' | 'policyAt'>,
  time: Time32,
): void {
  if (files.crl === undefined) return;
  if (revocations === undefined) {
    throw new EeError(
      'crl-overdue',
      `expected CRLs that verify, saw ${files.crl.name} that does not`,
    );
  }
  const { nextDue } = revocations;
  const { overdueCrlToleranceSec } = policyAt(time);
  if (nextDue === undefined || time < nextDue + overdueCrlToleranceSec) return;
  throw new EeError(
    'crl-overdue',
    `expected a CRL that was due at ${formatTime32(nextDue)}, and by ` +
      `${formatTime32(nextDue + overdueCrlToleranceSec)} at the latest, saw none`,
  );
}
