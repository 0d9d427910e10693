import { CoerError, decode, encode } from '@chrysalis/coer';
import {
  CryptoError,
  ecqvPrivateKey,
  equalPoints,
  type PrivateKey,
  sha256,
} from '@chrysalis/crypto';
import {
  Certificate,
  checkValidAt,
  encryptionPointOf,
  endOfValidity,
  Ieee1609Dot2Error,
  signatureInput,
  type Time32,
  ToBeSignedCertificate,
  TrustStore,
  type VerifiedCertificate,
} from '@chrysalis/ieee1609dot2';
import {
  decodeMessage,
  type EcaEeCertResponse,
  IPeriodClock,
  openSignedMessage,
  requestHash,
  ScmsDataError,
  ScmsPdu122,
} from '@chrysalis/scms';
import { BUNDLE_CERTIFICATES, type Bundle, type BundleCertificate } from './bundle.ts';
import { EeError, messageOf } from './error.ts';
import { toHex } from './json-record.ts';

/** They neither issue nor sign certificates for the device. */
const PINNED: ReadonlySet<BundleCertificate> = new Set(['ra', 'ma']);

/** What ends in the life of a device, and is replaced by what its RA sends; whoever uses one checks its period. */
const REPLACEABLE: ReadonlySet<BundleCertificate> = new Set(['pca', 'ra', 'ma', 'crlg']);

/** A device that is enrolled: all of its bundle has been verified. */
export interface Enrollment {
  readonly certificate: VerifiedCertificate;
  /** The private key of the enrollment certificate. */
  readonly key: PrivateKey;
  readonly root: VerifiedCertificate;
  /** The RA's certificate: the bundle's, or a newer one that the device has taken since. */
  readonly ra: VerifiedCertificate;
  /** The MA's certificate, for misbehavior reports, if the bundle has one. */
  readonly ma: VerifiedCertificate | undefined;
  /** The root, and the authorities of the bundle that it vouches for: those that issue or sign for others. */
  readonly trust: TrustStore;
  /** Those of them that the device goes on trusting beside a chain file: all but the ECA. */
  readonly authorities: readonly VerifiedCertificate[];
  /**
   * Besides the RA and the MA, whose permissions were not judged (`TrustStore.pin`): fielded PKIs give
   * them certIssuePermissions that no issuer could. Apart from `trust`, so that they never use them.
   */
  readonly pinned: TrustStore;
  /** RA and MA of the bundle. */
  readonly vouchedFor: readonly VerifiedCertificate[];
  readonly iPeriods: IPeriodClock;
  readonly raUrl: URL;
  /** Where the CRL store is, if the bundle says so. */
  readonly crlUrl?: URL;
  readonly x509Root: string;
  /** What is odd but does no harm. */
  readonly warnings: readonly string[];
}

/**
 * Verifies a bundle as a whole: the chains up to its root and their validity, the ECA's signature
 * over the response, the enrollment certificate as one of that ECA, and that the private key which
 * the response completes belongs to it (SEC 4 §3.6). Pure.
 *
 * @param requestKey the key of the request that the response answers
 * @param request the SignedEeEnrollmentCertRequest, where it is at hand, for the requestHash
 * @param chains of another bundle with the same certificates: who holds many devices verifies them once
 * @throws EeError `invalid-bundle`, `key-mismatch`
 *
 * @example
 * const bundle = parseBundle(await readBundleFiles((name) => storage.read(name)));
 * const { certificate, key } = verifyBundle(bundle, requestKey, undefined, timeOf(systemClock));
 */
export function verifyBundle(
  bundle: Bundle,
  requestKey: PrivateKey,
  request: Uint8Array | undefined,
  time: Time32,
  chains: BundleChains = verifyBundleChains(bundle, time),
): Enrollment {
  try {
    const { trust, pinned, certificates } = chains;
    const { root, ica, pca, crlg, eca, ra, ma } = certificates;
    if (root === undefined || eca === undefined || ra === undefined) {
      throw new EeError('invalid-bundle', 'expected the certificates of a root, an ECA and an RA');
    }
    // Checked here, so that a device does not learn of it when it wants to talk to the RA.
    encryptionPointOf(ra);
    const response = openResponse(bundle.response, trust, eca);
    const certificate = trust.verify(response.enrollmentCert);
    if (certificate.issuer !== eca) {
      throw new EeError('invalid-bundle', 'expected an enrollment certificate of the ECA');
    }
    checkValidAt(certificate, time);
    return {
      certificate,
      key: completeKey(certificate, eca, requestKey, response.privKeyReconstruction),
      root,
      ra,
      ma,
      trust,
      authorities: [ica, pca, crlg].flatMap((authority) => authority ?? []),
      pinned,
      vouchedFor: [ra, ...(ma ? [ma] : [])],
      iPeriods: new IPeriodClock(bundle.iPeriod.epoch, bundle.iPeriod.lengthSec),
      raUrl: bundle.raUrl,
      ...(bundle.crlUrl && { crlUrl: bundle.crlUrl }),
      x509Root: bundle.x509Root,
      warnings: hashWarnings(response, request),
    };
  } catch (cause) {
    if (!isDataError(cause)) throw cause;
    throw new EeError('invalid-bundle', cause.message, { cause });
  }
}

/**
 * The private key of an implicit certificate, having checked that it is the one.
 *
 * @param requestKey kU: the request key, or the cocoon key of a butterfly request
 * @param r the reconstruction value, 32 octets
 * @throws EeError `key-mismatch`
 */
export function completeKey(
  certificate: VerifiedCertificate,
  issuer: VerifiedCertificate,
  requestKey: PrivateKey,
  r: Uint8Array,
): PrivateKey {
  const toBeSigned = encode(ToBeSignedCertificate, certificate.certificate.toBeSigned);
  const e = sha256(signatureInput(toBeSigned, issuer));
  const key = ecqvPrivateKey(e, requestKey, r);
  if (!equalPoints(key.publicPoint, certificate.publicKey.point)) {
    throw new EeError(
      'key-mismatch',
      'expected a certificate for the key that was requested, saw one for another',
    );
  }
  return key;
}

/** Whether an error says that data from outside are wrong, and not that this program is. */
export function isDataError(error: unknown): error is Error {
  return (
    error instanceof CoerError ||
    error instanceof CryptoError ||
    error instanceof Ieee1609Dot2Error ||
    error instanceof ScmsDataError
  );
}

/** The authorities of a bundle, verified. */
export interface BundleChains {
  readonly trust: TrustStore;
  readonly pinned: TrustStore;
  readonly certificates: Readonly<Partial<Record<BundleCertificate, VerifiedCertificate>>>;
}

/**
 * Verifies the chains of a bundle up to its root, and their validity. Pure.
 *
 * @param state `installed` for a bundle that was verified before: what may have been replaced since, PCA,
 *   RA, MA and CRLG, may have ended
 * @throws EeError `invalid-bundle`
 */
export function verifyBundleChains(
  bundle: Pick<Bundle, 'certificates'>,
  time: Time32,
  state: 'new' | 'installed' = 'new',
): BundleChains {
  const { trust, pinned } = trustRoot(bundle.certificates.root);
  const certificates: Partial<Record<BundleCertificate, VerifiedCertificate>> = {};
  // In the order of the list each comes after the one that issued it.
  for (const name of BUNDLE_CERTIFICATES) {
    const octets = bundle.certificates[name];
    if (octets === undefined) continue;
    try {
      const certificate = decodeCertificate(name, octets);
      const verified = PINNED.has(name) ? pinned.pin(certificate) : trust.add(certificate);
      // The RA and the MA are certified by the root or the ICA.
      if (name === 'ica') pinned.add(certificate);
      const mayHaveEnded = state === 'installed' && REPLACEABLE.has(name);
      if (!mayHaveEnded || !hasEnded(verified, time)) checkValidAt(verified, time);
      certificates[name] = verified;
    } catch (cause) {
      if (!isDataError(cause)) throw cause;
      throw new EeError('invalid-bundle', `certificate ${name}: ${messageOf(cause)}`, { cause });
    }
  }
  return { trust, pinned, certificates };
}

function trustRoot(octets: Uint8Array | undefined): { trust: TrustStore; pinned: TrustStore } {
  try {
    const root = decodeCertificate('root', octets);
    return { trust: new TrustStore([root]), pinned: new TrustStore([root]) };
  } catch (cause) {
    if (!isDataError(cause)) throw cause;
    throw new EeError('invalid-bundle', cause.message, { cause });
  }
}

function hasEnded({ certificate }: VerifiedCertificate, time: Time32): boolean {
  return time >= endOfValidity(certificate.toBeSigned.validityPeriod);
}

function decodeCertificate(name: string, octets: Uint8Array | undefined): Certificate {
  if (octets === undefined) {
    throw new EeError('invalid-bundle', `expected a certificate ${name}, saw none`);
  }
  return decodeMessage(Certificate, octets, `the certificate ${name}`);
}

function openResponse(
  octets: Uint8Array,
  trust: TrustStore,
  eca: VerifiedCertificate,
): EcaEeCertResponse {
  const { payload, signer } = openSignedMessage(octets, trust);
  if (toHex(signer.hash) !== toHex(eca.hash)) {
    throw new EeError('invalid-bundle', "expected the ECA's signature, saw that of another");
  }
  const { content } = decode(ScmsPdu122, payload);
  if (content.type !== 'ecaEe' || content.value.type !== 'ecaEeCertResponse') {
    throw new EeError('invalid-bundle', `expected an EcaEeCertResponse, saw ${content.type}`);
  }
  return content.value.value;
}

/** Two fielded ECAs send the hash of the empty string: what binds a response is the key (field-clients.md). */
function hashWarnings(response: EcaEeCertResponse, request: Uint8Array | undefined): string[] {
  if (request === undefined) return [];
  const expected = toHex(requestHash(request));
  const seen = toHex(response.requestHash);
  if (seen === expected) return [];
  return [`enrollment response: expected request hash ${expected}, saw ${seen}`];
}
