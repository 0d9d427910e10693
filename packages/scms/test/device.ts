/** An enrolled device of the test PKI. */
import { encode } from '@chrysalis/coer';
import { ecqvPrivateKey, type PrivateKey, sha256 } from '@chrysalis/crypto';
import {
  type Certificate,
  type CertificateId,
  fromPoint,
  type HashedCertificate,
  hashCertificate,
  issueImplicit,
  signatureInput,
  ToBeSignedCertificate,
} from '@chrysalis/ieee1609dot2';
import {
  content,
  eca,
  explicitly,
  fixedRandom,
  keyOf,
  USA,
  withoutRandomness,
} from '../../ieee1609dot2/test/pki.ts';

/** An implicit enrollment certificate of that id, and the key that its holder reconstructs. */
export function enroll(id: CertificateId): {
  readonly given: Certificate;
  readonly certificate: HashedCertificate;
  readonly key: PrivateKey;
} {
  const requestKey = keyOf('request of the device');
  const certRequestPermissions = [explicitly([{ psid: 0x20 }, { psid: 0x26 }], 0, 0)];
  const { certificate: given, reconstructionValue } = issueImplicit(
    content('device', { id, crlSeries: 4, region: USA, certRequestPermissions }),
    requestKey.publicPoint,
    eca,
    fixedRandom('enrollment of the device'),
  );
  const tbs = encode(ToBeSignedCertificate, given.value.toBeSigned);
  const e = sha256(signatureInput(tbs, eca.certificate));
  const key = withoutRandomness(ecqvPrivateKey(e, requestKey, reconstructionValue));
  return { given, certificate: hashCertificate(given), key };
}

export const device = {
  ...enroll({ type: 'name', value: 'device' }),
  seed: {
    seedKey: fromPoint(keyOf('caterpillar').publicPoint),
    expansion: new Uint8Array(16).fill(0xbb),
  },
};
