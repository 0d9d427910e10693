import { encode } from '@chrysalis/coer';
import { cocoonPrivateKey, Expansion, sha256 } from '@chrysalis/crypto';
import {
  type CaterpillarKeys,
  EeError,
  type Enrollment,
  type OpenedCertificate,
  openBatch,
} from '@chrysalis/ee';
import {
  EE_TYPE_APP,
  effectiveRegion,
  endOfValidity,
  formatTime32,
  GeographicRegion,
  hashCertificate,
  type Time32,
} from '@chrysalis/ieee1609dot2';
import { FINGERPRINT_OCTETS } from './fingerprint.ts';

export interface CheckBatchOptions {
  readonly i: number;
  readonly keys: CaterpillarKeys;
  readonly enrollment: Enrollment;
  /** Certificates in a period. */
  readonly perPeriod: number;
  readonly time: Time32;
}

export interface CheckedBatch {
  /** Of the certificates that opened; see `fingerprint.ts`. */
  readonly fingerprints: Uint8Array;
  readonly certificates: number;
  /** What is wrong, in words; empty when nothing is. */
  readonly problems: readonly string[];
}

/**
 * Checks a zip as the batch of one device and period, by nothing but the device's private keys and the chain in its
 * bundle: that the PCA signed each entry and issued the certificate in it, that it decrypts with the cocoon key and the
 * private key signs what the certificate verifies (`openBatch`), and that there are certificates 0 to `perPeriod` - 1, for
 * this period and no longer than it and an hour, with the permissions and the region of the enrollment certificate.
 * Pure.
 */
export function checkBatch(zip: Uint8Array, options: CheckBatchOptions): CheckedBatch {
  const { i, keys, enrollment, time, perPeriod } = options;
  const { trust, iPeriods } = enrollment;
  const problems: string[] = [];
  let certificates: readonly OpenedCertificate[] = [];
  try {
    const opened = openBatch(zip, { i, keys, trust, iPeriods, time });
    certificates = opened.certificates;
    for (const { entry, error } of opened.failures) problems.push(`${entry}: ${error.message}`);
  } catch (error) {
    if (!(error instanceof EeError)) throw error;
    problems.push(error.message);
  }
  for (const certificate of certificates) {
    problems.push(...problemsOf(certificate, options).map((text) => `j ${certificate.j}: ${text}`));
  }
  const seen = new Set(certificates.map(({ j }) => j));
  for (let j = 0; j < perPeriod; j += 1) {
    if (!seen.delete(j)) problems.push(`j ${j}: expected a certificate, saw none`);
  }
  for (const j of seen) problems.push(`j ${j}: expected ${perPeriod} certificates, saw one more`);
  const fingerprints = takeFingerprints(certificates, options);
  return { fingerprints, certificates: certificates.length, problems };
}

function problemsOf(
  { certificate }: OpenedCertificate,
  { i, enrollment }: CheckBatchOptions,
): string[] {
  const problems: string[] = [];
  const { toBeSigned, type } = certificate.value;
  const { validityPeriod, appPermissions = [], region, verifyKeyIndicator } = toBeSigned;
  if (type !== 'implicit' || verifyKeyIndicator.type !== 'reconstructionValue') {
    problems.push(`expected an implicit certificate, saw ${type}`);
  }
  const { iPeriods } = enrollment;
  const [start, end] = [iPeriods.start(i), iPeriods.start(i + 1) + 3_600];
  if (validityPeriod.start !== start || endOfValidity(validityPeriod) !== end) {
    const seen = `${formatTime32(validityPeriod.start)} to ${formatTime32(endOfValidity(validityPeriod))}`;
    problems.push(
      `expected validity from ${formatTime32(start)} to ${formatTime32(end)}, saw ${seen}`,
    );
  }
  const expected = permittedPsids(enrollment);
  const seen = appPermissions.map(({ psid }) => psid).sort((a, b) => a - b);
  const isPlain = appPermissions.every(
    ({ ssp }) => ssp === undefined || (ssp.type === 'opaque' && ssp.value.length === 0),
  );
  if (String(seen) !== String(expected) || !isPlain) {
    problems.push(`expected permissions for ${expected} without SSPs, saw ${seen}`);
  }
  const { issuer } = certificate.value;
  const pca = issuer.type === 'sha256AndDigest' ? enrollment.trust.get(issuer.value) : undefined;
  const ours = region ?? (pca && effectiveRegion(pca));
  if (!isSame(ours, effectiveRegion(enrollment.certificate))) {
    problems.push('expected the region of the enrollment certificate, saw another');
  }
  return problems;
}

/** What the enrollment certificate lets its device ask for, as an end entity; ascending. */
function permittedPsids({ certificate }: Enrollment): number[] {
  const { certRequestPermissions = [] } = certificate.certificate.toBeSigned;
  return certRequestPermissions
    .filter(({ eeType }) => ((eeType[0] ?? 0) & EE_TYPE_APP) !== 0)
    .flatMap(({ subjectPermissions }) =>
      subjectPermissions.type === 'explicit' ? subjectPermissions.value : [],
    )
    .map(({ psid }) => psid)
    .sort((a, b) => a - b);
}

function isSame(a: GeographicRegion | undefined, b: GeographicRegion | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return Buffer.compare(encode(GeographicRegion, a), encode(GeographicRegion, b)) === 0;
}

function takeFingerprints(
  certificates: readonly OpenedCertificate[],
  { i, keys }: CheckBatchOptions,
): Uint8Array {
  const { verify, respEnc } = keys;
  const signing = new Expansion(verify.expansion, 'signing');
  const encryption = new Expansion(respEnc.expansion, 'encryption');
  const octets = new Uint8Array(certificates.length * FINGERPRINT_OCTETS);
  for (const [n, { j, certificate, key }] of certificates.entries()) {
    const { id } = certificate.value.toBeSigned;
    const parts = [
      hashCertificate(certificate).hash,
      // Of one private key there is one public key.
      sha256(key.scalar().reveal()),
      sha256(cocoonPrivateKey(verify.seed, signing, i, j).scalar().reveal()),
      sha256(cocoonPrivateKey(respEnc.seed, encryption, i, j).scalar().reveal()),
      id.type === 'linkageData' ? id.value.linkageValue : new Uint8Array(8),
    ];
    octets[n * FINGERPRINT_OCTETS] = j;
    for (const [kind, part] of parts.entries()) {
      octets.set(part.subarray(0, 8), n * FINGERPRINT_OCTETS + 1 + 8 * kind);
    }
  }
  return octets;
}
