import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decode } from '@chrysalis/coer';
import { equalConstantTime, PrivateKey, PublicKey, Secret } from '@chrysalis/crypto';
import {
  Certificate,
  hashCertificate,
  issueExplicit,
  TrustStore,
  type VerifiedCertificate,
} from '@chrysalis/ieee1609dot2';
import { I_PERIOD_LENGTH_SEC, IPeriodClock } from '@chrysalis/scms';
import type { BundleFiles, CaterpillarKeys, Enrollment } from '../src/index.ts';

/** The recorded exchange of a real OBU; it lies beside the project, never in it. */
const FOLDER =
  process.env.CHRYSALIS_INTEROP_DIR ||
  join(import.meta.dirname, '../../../../shared/interop/obu-client');

/** False, or why the tests that need the recording are skipped: for node:test's `skip`. */
export const MISSING: string | false = existsSync(join(FOLDER, 'pki', 'rca.oer'))
  ? false
  : `no recorded device in ${FOLDER}: set CHRYSALIS_INTEROP_DIR`;

/** The clock of the recording: every request carries a time between these two. */
export const RECORDED_TIME = 722_380_085;
/** The i that the device was told, and the start of its certificates, which make an epoch. */
export const RECORDED_I = 0x1a9;

export function recorded(name: string): Uint8Array {
  return new Uint8Array(readFileSync(join(FOLDER, name)));
}

export function recordedNames(folder: string): string[] {
  return readdirSync(join(FOLDER, folder)).sort();
}

export function recordedCertificate(name: string): Certificate {
  return decode(Certificate, recorded(name));
}

export function recordedKeys(run: 'pseudonym1' | 'pseudonym2'): CaterpillarKeys {
  const key = (name: string) => ({
    seed: PrivateKey.fromScalar(recorded(`client/${run}/${name}.privkey`)),
    expansion: new Secret(recorded(`client/${run}/${name}.expkey`)),
  });
  return { verify: key('Initial'), respEnc: key('CertEncryption') };
}

/** A key of the throw-away PKI: `ra`, `raEnc`, `pca` and so on. */
export function recordedPkiKey(name: string): PrivateKey {
  const keys = JSON.parse(Buffer.from(recorded('pki/keys.json')).toString()) as Record<
    string,
    string
  >;
  const hex = (keys[name] ?? '').slice(2).padStart(64, '0');
  return PrivateKey.fromScalar(new Uint8Array(Buffer.from(hex, 'hex')));
}

/** Where the period of a batch starts: the mock issued from the second of the request on. */
export function recordedPeriods(run: string): IPeriodClock {
  const starts = recordedNames(`client/${run}`)
    .filter((name) => name.endsWith('.cert'))
    .map((name) => recordedCertificate(`client/${run}/${name}`))
    .map(({ value }) => value.toBeSigned.validityPeriod.start);
  return new IPeriodClock(Math.max(...starts) - RECORDED_I * I_PERIOD_LENGTH_SEC);
}

/**
 * Trust in the recorded PKI. The recorded RA certificate has certIssuePermissions of depth 0, which
 * permit nothing; ieee1609dot2 finds them outside those of the ICA all the same. So it is taken in by
 * hand, its signature unverified.
 */
export class RecordedTrust extends TrustStore {
  readonly ra: VerifiedCertificate;

  constructor() {
    super([recordedCertificate('pki/rca.oer')]);
    for (const name of ['ica', 'eca', 'pca']) this.add(recordedCertificate(`pki/${name}.oer`));
    const hashed = hashCertificate(recordedCertificate('pki/ra.oer'));
    const publicKey = PublicKey.fromPoint(recordedPkiKey('ra').publicPoint);
    const { issuer } = hashed.certificate;
    const ica = issuer.type === 'sha256AndDigest' ? super.get(issuer.value) : undefined;
    this.ra = { ...hashed, publicKey, issuer: ica };
  }

  override get(id: Uint8Array): VerifiedCertificate | undefined {
    return this.ra !== undefined && equalConstantTime(id, this.ra.id) ? this.ra : super.get(id);
  }
}

/** The recorded enrollment with the recorded RA, which `verifyBundle` would not take: see above. */
export function recordedEnrollment(): Enrollment {
  const trust = new RecordedTrust();
  return {
    certificate: trust.verify(recordedCertificate('enrolment/enrollment.oer')),
    key: PrivateKey.fromScalar(recorded('enrolment/enrollment.privkey')),
    ra: trust.ra,
    trust,
    iPeriods: recordedPeriods('pseudonym1'),
    raUrl: new URL('https://localhost:8892'),
    x509Root: '',
    warnings: [],
  };
}

/**
 * The device's enrollment in the layout that `chrysalis enroll` writes. The RA's certificate is issued
 * anew, with the same keys and without the permissions that `RecordedTrust` tells of.
 */
export function recordedBundle(): BundleFiles {
  const names = ['ica', 'eca', 'pca', 'crlg'];
  const ica = {
    certificate: hashCertificate(recordedCertificate('pki/ica.oer')),
    key: recordedPkiKey('ica'),
  };
  const { certIssuePermissions: _, ...content } =
    recordedCertificate('pki/ra.oer').value.toBeSigned;
  const ra = issueExplicit(content, recordedPkiKey('ra').publicPoint, ica);
  const bootstrap = {
    format: 1,
    raUrl: 'https://localhost:8892',
    iPeriod: { epoch: RECORDED_TIME - RECORDED_I * 604_800, lengthSec: 604_800 },
  };
  return new Map([
    ['certificates/root.oer', recorded('pki/rca.oer')],
    ['certificates/ra.oer', ra.octets],
    ...names.map((name) => [`certificates/${name}.oer`, recorded(`pki/${name}.oer`)] as const),
    ['x509-root.pem', recorded('pki/root.pem')],
    ['SignedEeEnrollmentCertResponse.oer', recorded('enrolment/ECResponse.oer')],
    ['bootstrap.json', new TextEncoder().encode(JSON.stringify(bootstrap))],
  ]);
}
