import { decode, encode } from '@chrysalis/coer';
import { cocoonPoints, Expansion, pointFromUncompressed, sha256 } from '@chrysalis/crypto';
import { Certificate, fromPoint, SequenceOfPsidSsp } from '@chrysalis/ieee1609dot2';
import { ScmsPdu122, signRequest } from '@chrysalis/scms';
import type { Device } from './device-registry.ts';
import type { PeriodValues } from './linkage-supply.ts';
import type { RaOptions } from './options.ts';

/** One request to the PCA, ready to be sent. */
export interface ComposedRequest {
  readonly j: number;
  /** SecuredRaPcaCertificateRequest, COER. */
  readonly octets: Uint8Array;
  /** Hash of the pseudonym certificate request: SHA-256 of the octets (Q10). */
  readonly hpcr: Uint8Array;
}

type Expanding = Pick<RaOptions, 'identity' | 'pca' | 'la1' | 'la2'>;

/**
 * Expands a device's caterpillar keys for one period into cocoon keys and makes a request to the PCA of each
 * (section 6.1, steps 3 and 5). Neither the device nor j stands in a request.
 *
 * @param values their number is that of the certificates
 * @throws CryptoError `point-at-infinity` when the device chose keys that cannot be expanded
 */
export function composeRequests(
  device: Device,
  i: number,
  { la1: plvs1, la2: plvs2 }: PeriodValues,
  { identity, pca, la1, la2 }: Expanding,
): ComposedRequest[] {
  const signing = new Expansion(device.verify_expansion, 'signing');
  const encryption = new Expansion(device.encryption_expansion, 'encryption');
  const verifySeed = pointFromUncompressed(device.verify_seed);
  const encryptionSeed = pointFromUncompressed(device.encryption_seed);
  const cocoonB = cocoonPoints(verifySeed, signing, i, plvs1.length);
  const cocoonH = cocoonPoints(encryptionSeed, encryption, i, plvs1.length);
  const psidSsp = decode(SequenceOfPsidSsp, device.permissions);
  const { region } = decode(Certificate, device.enrollment_certificate).value.toBeSigned;

  // All are encoded, then all signed: the machine's caches hold one of the two.
  const scoped = plvs1.map((encPlv1, j) => {
    const encPlv2 = plvs2[j];
    const keyB = cocoonB[j];
    const keyH = cocoonH[j];
    if (!encPlv2 || !keyB || !keyH) throw new RangeError('expected as many values from both LAs');
    return encode(ScmsPdu122, {
      version: 1,
      content: {
        type: 'pcaRa',
        value: {
          type: 'raPcaCertRequest',
          value: {
            version: 1,
            raId: identity.hostname,
            certRequestInfo: {
              type: 'pseudonymCertReq',
              value: {
                psidSsp,
                ...(region && { region }),
                iValue: i,
                pcaId: pca.hostname,
                sigButterflyKeyB: fromPoint(keyB),
                la1Id: la1.hostname,
                la2Id: la2.hostname,
                encPlv1,
                encPlv2,
                encButterflyKeyH: fromPoint(keyH),
              },
            },
          },
        },
      },
    });
  });
  return scoped.map((pdu, j) => {
    const octets = signRequest(pdu, identity.certificate, identity.signer);
    return { j, octets, hpcr: sha256(octets) };
  });
}
