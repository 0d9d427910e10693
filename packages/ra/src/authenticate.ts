import { CoerError } from '@chrysalis/coer';
import { CryptoError } from '@chrysalis/crypto';
import {
  type Certificate,
  checkValidAt,
  decryptForCertificate,
  type HashedCertificate,
  hashCertificate,
  Ieee1609Dot2Error,
  type Time32,
  type VerifiedCertificate,
} from '@chrysalis/ieee1609dot2';
import {
  decodeSecured,
  decodeSigned,
  decodeSignedRequest,
  type RaEeErrorName,
  ScmsDataError,
  type SignedRequest,
  signerCertificate,
  timeOf,
  verifyRequest,
} from '@chrysalis/scms';
import type { DeviceRegistry, KnownDevice } from './device-registry.ts';
import type { RaOptions } from './options.ts';
import { recipientOf } from './recipient.ts';
import { Refusal } from './refusal.ts';
import { VerificationKeys } from './verification-keys.ts';

/** The steps of authentication, in the order of seed page one and section 1.8 of the fact sheet. */
export type AuthenticationStep =
  | 'decode'
  | 'open'
  | 'signer'
  | 'blacklist'
  | 'certificate'
  | 'time'
  | 'signature';

/** With which codes a service refuses: downloads have one for everything that is not authentic. */
interface RefusalCodes {
  readonly notEncrypted: RaEeErrorName;
  readonly notOpened: RaEeErrorName;
  readonly certificate: RaEeErrorName;
  readonly signature: RaEeErrorName;
}

const CODES: Record<'download' | 'provisioning', RefusalCodes> = {
  download: {
    notEncrypted: 'raAuthenticationFailed',
    notOpened: 'raAuthenticationFailed',
    certificate: 'raAuthenticationFailed',
    signature: 'raAuthenticationFailed',
  },
  provisioning: {
    notEncrypted: 'raRequestNotEncrypted',
    notOpened: 'chrysalisDecryptionFailed',
    certificate: 'chrysalisEnrollmentCertificateRefused',
    signature: 'raInvalidSignature',
  },
};

/** A request that is open, from a device whose enrollment certificate is good; time and signature are still to be checked. */
export interface IdentifiedRequest {
  readonly signed: SignedRequest;
  readonly enrollment: VerifiedCertificate;
  /** What this enrollment certificate has registered. */
  readonly devices: readonly KnownDevice[];
}

/**
 * Finds out who sent a request. The blacklist is asked as soon as the envelope is open, before anything about
 * the certificate is checked (seed page one, step 4).
 */
export class Authenticator {
  readonly #options: RaOptions;
  readonly #registry: DeviceRegistry;
  readonly #ecas: ReadonlySet<string>;
  readonly #keys = new VerificationKeys();

  constructor(options: RaOptions, registry: DeviceRegistry) {
    this.#options = options;
    this.#registry = registry;
    this.#ecas = new Set(options.ecas.map((eca) => hex(eca.id)));
  }

  /** Steps 1 to 5: decode, open, signer, blacklist, certificate. @throws Refusal */
  async identify(
    secured: Uint8Array,
    service: 'download' | 'provisioning',
  ): Promise<IdentifiedRequest> {
    const codes = CODES[service];
    const signed = this.#open(secured, codes);
    this.#step('signer');
    const certificate = refuseAs(codes.signature, () => signerCertificate(signed));
    const hashed = refuseAs(codes.certificate, () => hashCertificate(certificate));
    const { isBlacklisted, devices } = await this.#registry.lookUp(hashed.hash);
    this.#step('blacklist');
    if (isBlacklisted) {
      throw new Refusal(
        'raBlacklisted',
        'expected an enrollment certificate that is not blacklisted',
      );
    }
    this.#step('certificate');
    const enrollment = refuseAs(codes.certificate, () =>
      this.#verifyEnrollment(certificate, hashed, devices[0]),
    );
    return { signed, enrollment, devices };
  }

  /** Steps 6 and 7: the device's time, then its signature over what it sent. @throws Refusal */
  authenticate(
    { signed, enrollment }: IdentifiedRequest,
    claimedTime: Time32,
    service: 'download' | 'provisioning',
  ): void {
    this.#step('time');
    const { clock } = this.#options;
    const toleranceSec = this.#toleranceSec(service);
    const now = timeOf(clock);
    if (Math.abs(claimedTime - now) > toleranceSec) {
      throw new Refusal(
        'chrysalisTimeOutsideTolerance',
        `expected a time within ${toleranceSec} s of ${now}, saw ${claimedTime}`,
      );
    }
    this.#step('signature');
    refuseAs(CODES[service].signature, () =>
      verifyRequest(signed, enrollment, enrollment.publicKey),
    );
  }

  #open(secured: Uint8Array, codes: RefusalCodes): SignedRequest {
    this.#step('decode');
    const encrypted = refuseDecoding(codes.notEncrypted, () => decodeSecured(secured));
    this.#step('open');
    const { identity, clock } = this.#options;
    const { certificate, decrypter } = recipientOf(identity, encrypted, timeOf(clock));
    const opened = refuseAs(codes.notOpened, () =>
      decryptForCertificate(encrypted, certificate, decrypter),
    );
    return refuseDecoding(codes.signature, () =>
      decodeSignedRequest(decodeSigned(opened), this.#options.dialects),
    );
  }

  /** An enrollment certificate of an ECA on the whitelist, valid now with all above it. */
  #verifyEnrollment(
    certificate: Certificate,
    hashed: HashedCertificate,
    device: KnownDevice | undefined,
  ): VerifiedCertificate {
    const { trust, clock } = this.#options;
    const issuer = certificate.value.issuer;
    if (issuer.type !== 'sha256AndDigest' || !this.#ecas.has(hex(issuer.value))) {
      throw new Ieee1609Dot2Error('unknown-issuer', 'expected an ECA of the whitelist as issuer');
    }
    // The row's key was reconstructed from these very octets when the device registered: no need to do it again.
    const enrollment =
      device === undefined
        ? trust.verify(certificate)
        : {
            ...hashed,
            publicKey: this.#keys.of(device.public_key),
            issuer: trust.get(issuer.value),
          };
    if (
      certificate.value.type !== 'implicit' ||
      !certificate.value.toBeSigned.certRequestPermissions
    ) {
      throw new Ieee1609Dot2Error('unsupported', 'expected an enrollment certificate');
    }
    checkValidAt(enrollment, timeOf(clock));
    return enrollment;
  }

  #toleranceSec(service: 'download' | 'provisioning'): number {
    const { toleranceSec, provisioningToleranceSec = toleranceSec } = this.#options;
    return service === 'download' ? toleranceSec : provisioningToleranceSec;
  }

  #step(step: AuthenticationStep): void {
    this.#options.onStep?.(step);
  }
}

/** Whatever is wrong with the peer's data becomes a refusal with this reason; our own bugs stay what they are. */
function refuseAs<T>(reason: RaEeErrorName, check: () => T): T {
  try {
    return check();
  } catch (cause) {
    if (!isPeersFault(cause)) throw cause;
    throw new Refusal(reason, cause.message, { cause });
  }
}

/** As {@link refuseAs}, but octets that are no message at all are wrong parameters. */
function refuseDecoding<T>(reason: RaEeErrorName, check: () => T): T {
  try {
    return check();
  } catch (cause) {
    if (!isPeersFault(cause)) throw cause;
    const isMessage = cause instanceof ScmsDataError && /^not-/.test(cause.code);
    throw new Refusal(isMessage ? reason : 'raWrongParameters', cause.message, { cause });
  }
}

function isPeersFault(error: unknown): error is Error {
  return (
    error instanceof ScmsDataError ||
    error instanceof Ieee1609Dot2Error ||
    error instanceof CoerError ||
    error instanceof CryptoError
  );
}

function hex(octets: Uint8Array): string {
  return Buffer.from(octets).toString('hex');
}
