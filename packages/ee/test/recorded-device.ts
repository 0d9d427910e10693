import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decode } from '@chrysalis/coer';
import { PrivateKey, Secret } from '@chrysalis/crypto';
import { Certificate, TrustStore } from '@chrysalis/ieee1609dot2';
import { I_PERIOD_LENGTH_SEC, IPeriodClock } from '@chrysalis/scms';
import {
  type BundleFiles,
  type CaterpillarKeys,
  type Enrollment,
  parseBundle,
  verifyBundle,
} from '../src/index.ts';

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

export function recordedKeys(run: 'pseudonym1' | 'pseudonym2' | 'id'): CaterpillarKeys {
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

/** Trust in the recorded PKI. */
export function recordedTrust(): TrustStore {
  const trust = new TrustStore([recordedCertificate('pki/rca.oer')]);
  for (const name of ['ica', 'eca', 'pca']) trust.add(recordedCertificate(`pki/${name}.oer`));
  return trust;
}

/** The recorded enrollment. */
export function recordedEnrollment(): Enrollment {
  return verifyBundle(
    parseBundle(recordedBundle()),
    PrivateKey.fromScalar(recorded('enrolment/Initial.privkey')),
    recorded('enrolment/SignedEeEnrollmentCertRequest.oer'),
    RECORDED_TIME,
  );
}

/** The device's enrollment in the layout that `chrysalis enroll` writes. */
export function recordedBundle(): BundleFiles {
  const names = ['ica', 'eca', 'pca', 'ra', 'ma', 'crlg'];
  const bootstrap = {
    format: 1,
    raUrl: 'https://localhost:8892',
    iPeriod: { epoch: RECORDED_TIME - RECORDED_I * 604_800, lengthSec: 604_800 },
  };
  return new Map([
    ['certificates/root.oer', recorded('pki/rca.oer')],
    ...names.map((name) => [`certificates/${name}.oer`, recorded(`pki/${name}.oer`)] as const),
    ['x509-root.pem', recorded('pki/root.pem')],
    ['SignedEeEnrollmentCertResponse.oer', recorded('enrolment/ECResponse.oer')],
    ['bootstrap.json', new TextEncoder().encode(JSON.stringify(bootstrap))],
  ]);
}
