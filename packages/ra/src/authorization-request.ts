import { decode, encode } from '@chrysalis/coer';
import {
  cocoonPoints,
  Expansion,
  type Point,
  pointFromUncompressed,
  sha256,
} from '@chrysalis/crypto';
import {
  Certificate,
  fromPoint,
  GeographicRegion,
  hashedId8,
  SequenceOfPsidSsp,
  type ToBeSignedCertificate,
} from '@chrysalis/ieee1609dot2';
import { ScmsPdu122, signRequest } from '@chrysalis/scms';
import type { Device } from './device-registry.ts';
import type { ComposedRequest } from './expand.ts';
import type { RaOptions } from './options.ts';
import { lifetimeOf, startOf } from './validity.ts';

/** A device that asked for identification or application certificates. */
export type NumberedDevice = Device & { readonly kind: 'identification' | 'application' };

/** Stands where the PCA puts its CRL series (pca-ra.asn). */
const CRL_SERIES_PLACEHOLDER = 0;

/**
 * The request to the PCA for certificate number i (IdCertRequestInfo of pca-ra.asn). An identification certificate gets
 * the cocoon keys of (i, 0); an application certificate the very keys that were sent.
 *
 * @throws CryptoError `point-at-infinity` when the device chose keys that cannot be expanded
 */
export function composeAuthorizationRequest(
  device: NumberedDevice,
  i: number,
  { identity, pca }: Pick<RaOptions, 'identity' | 'pca'>,
): ComposedRequest {
  const verifyKey = keyOf(device.verify_seed, device.verify_expansion, 'signing', i);
  const responseKey = keyOf(device.encryption_seed, device.encryption_expansion, 'encryption', i);
  const scoped = encode(ScmsPdu122, {
    version: 1,
    content: {
      type: 'pcaRa',
      value: {
        type: 'raPcaCertRequest',
        value: {
          version: 1,
          raId: identity.hostname,
          certRequestInfo: {
            type: 'authCertReq',
            value: {
              pcaId: pca.hostname,
              type: 'implicit',
              toBeSignedCert: contentOf(
                device,
                i,
                verifyKey,
                pca.certificate.certificate.toBeSigned.cracaId,
              ),
              responseEncryptionKey: fromPoint(responseKey),
            },
          },
        },
      },
    },
  });
  const octets = signRequest(scoped, identity.certificate, identity.signer);
  return { j: 0, octets, hpcr: sha256(octets) };
}

function contentOf(
  device: NumberedDevice,
  i: number,
  verifyKey: Point,
  cracaId: Uint8Array,
): ToBeSignedCertificate {
  const region = regionOf(device);
  const encryptionKey = certificateEncryptionKey(device, i);
  const point = fromPoint(verifyKey);
  return {
    // RIF: the certificate is revoked by the device's enrollment certificate (cert-profile.asn).
    id: { type: 'binaryId', value: hashedId8(device.enrollment_hash) },
    cracaId,
    crlSeries: CRL_SERIES_PLACEHOLDER,
    validityPeriod: { start: startOf(device, i), duration: lifetimeOf(device) },
    ...(region && { region }),
    appPermissions: decode(SequenceOfPsidSsp, device.permissions),
    ...(encryptionKey && {
      encryptionKey: {
        supportedSymmAlg: 'aes128Ccm',
        publicKey: { type: 'eciesNistP256', value: fromPoint(encryptionKey) },
      },
    }),
    // The module has no field that says whether keys are expanded: the kind of indicator does.
    verifyKeyIndicator:
      device.kind === 'identification'
        ? { type: 'reconstructionValue', value: point }
        : { type: 'verificationKey', value: { type: 'ecdsaNistP256', value: point } },
  };
}

function regionOf({
  region,
  enrollment_certificate,
}: NumberedDevice): GeographicRegion | undefined {
  if (region !== null) return decode(GeographicRegion, region);
  return decode(Certificate, enrollment_certificate).value.toBeSigned.region;
}

/** A third chain of keys, expanded as the encryption chain is (Q9). */
function certificateEncryptionKey(device: NumberedDevice, i: number): Point | undefined {
  const { cert_encryption_seed: seed, cert_encryption_expansion: expansion } = device;
  if (seed === null || expansion === null) return undefined;
  return keyOf(seed, expansion, 'encryption', i);
}

/** The cocoon key of (i, 0); the key itself when there is nothing to expand it with. */
function keyOf(
  seed: Uint8Array,
  expansion: Uint8Array,
  use: 'signing' | 'encryption',
  i: number,
): Point {
  const point = pointFromUncompressed(seed);
  if (expansion.length === 0) return point;
  // A batch of lanes from j = 0: one lane of it.
  return cocoonPoints(point, new Expansion(expansion, use), i, 1)[0] as Point;
}
