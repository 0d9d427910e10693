import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Authority, TestScms } from '@chrysalis/authorities';
import { decode } from '@chrysalis/coer';
import { PrivateKey, type Random, Secret } from '@chrysalis/crypto';
import {
  asCertificate,
  Certificate,
  hashCertificate,
  hashedId3,
  issueExplicit,
  TrustStore,
} from '@chrysalis/ieee1609dot2';

/** The folder of the recorded device: beside the project, or where CHRYSALIS_INTEROP_DIR says. */
export const INTEROP_DIR =
  process.env.CHRYSALIS_INTEROP_DIR ??
  join(import.meta.dirname, '../../../shared/interop/obu-client');

/** False, or why the suites that need the folder are skipped. */
export const SKIP_INTEROP: string | false = existsSync(join(INTEROP_DIR, 'pki/keys.json'))
  ? false
  : `no recorded device in ${INTEROP_DIR}: set CHRYSALIS_INTEROP_DIR`;

export function readRecorded(path: string): Uint8Array {
  return new Uint8Array(readFileSync(join(INTEROP_DIR, path)));
}

export interface RecordedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | undefined;
}

/** One recorded exchange, `01-POST-provision-pseudonym-certificate-batch` and so on. */
export function readRecordedRequest(name: string): RecordedRequest {
  const { method, path, headers } = JSON.parse(
    readFileSync(join(INTEROP_DIR, `http/${name}.request.json`), 'utf8'),
  );
  const body = method === 'POST' ? readRecorded(`http/${name}.request.bin`) : undefined;
  return { method, path, headers, body };
}

/** The recorded PKI with fresh LAs under its ICA, as the folder's README asks. */
export function recordedScms(random: Random): { scms: TestScms; trust: TrustStore } {
  const keys = JSON.parse(readFileSync(join(INTEROP_DIR, 'pki/keys.json'), 'utf8'));
  const key = (name: string) =>
    PrivateKey.fromScalar(
      new Uint8Array(Buffer.from(BigInt(keys[name]).toString(16).padStart(64, '0'), 'hex')),
    );
  const authority = (file: string, signing: string, encryption?: string): Authority => ({
    certificate: hashCertificate(decode(Certificate, readRecorded(`pki/${file}.oer`))),
    signingKey: key(signing),
    ...(encryption && { encryptionKey: key(encryption) }),
  });
  const root = authority('rca', 'rca');
  const ica = authority('ica', 'ica');
  const la = (n: 1 | 2): Authority => {
    const signingKey = PrivateKey.generate(random);
    const { validityPeriod, region } = ica.certificate.certificate.toBeSigned;
    const certificate = issueExplicit(
      {
        id: { type: 'name', value: `la${n}.test` },
        cracaId: hashedId3(root.certificate.hash),
        crlSeries: 2,
        validityPeriod,
        ...(region && { region }),
        // LaSsp of ScmsSsp: version 1 and the number of the LA.
        appPermissions: [
          { psid: 0x23, ssp: { type: 'opaque', value: Uint8Array.of(0x88, 0, 1, 0, n) } },
        ],
      },
      signingKey.publicPoint,
      { certificate: ica.certificate, key: ica.signingKey },
    );
    return { certificate: hashCertificate(certificate), signingKey };
  };
  const secret = () => new Secret(random(16));
  const ma = authority('ma', 'ma', 'maEnc');
  const scms: TestScms = {
    root,
    ica,
    eca: authority('eca', 'eca', 'ecaEnc'),
    pca: authority('pca', 'pca', 'pcaEnc'),
    la1: la(1),
    la2: la(2),
    // There is no PG among the recorded components, and nothing here asks one.
    pg: ma,
    ma,
    crlg: authority('crlg', 'crlg'),
    ra: authority('ra', 'ra', 'raEnc'),
    la1Id: Uint8Array.of(0, 1),
    la2Id: Uint8Array.of(0, 2),
    pcaLa1Key: secret(),
    pcaLa2Key: secret(),
    la1ChainKey: secret(),
    la2ChainKey: secret(),
  };
  const trust = new TrustStore([asCertificate(root.certificate)]);
  for (const name of ['ica', 'eca', 'pca', 'la1', 'la2', 'crlg'] as const) {
    trust.add(asCertificate(scms[name].certificate));
  }
  // The recorded RA has issuing permissions that its ICA could not give: it is trusted because it is configured.
  trust.pin(asCertificate(scms.ra.certificate));
  return { scms, trust };
}
