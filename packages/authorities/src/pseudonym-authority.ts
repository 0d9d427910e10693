import { encode } from '@chrysalis/coer';
import { type Random, type Secret, sha256 } from '@chrysalis/crypto';
import {
  type Certificate,
  checkValidAt,
  hashedId8,
  Ieee1609Dot2Error,
  type Time32,
  type TrustStore,
  type VerifiedCertificate,
} from '@chrysalis/ieee1609dot2';
import {
  AuthorityUnavailableError,
  type CertificateAuthority,
  type CertRequestInfo,
  type Clock,
  decodeMessage,
  decodeSigned,
  IPeriodClock,
  type PcaRaReply,
  type RaPcaCertRequestMsg,
  ScmsDataError,
  ScmsPdu122,
  SignedCertificateRequest122,
  scmsSspOf,
  signerCertificate,
  signMessage,
  timeOf,
  verifyRequest,
} from '@chrysalis/scms';
import { StoreError } from '@chrysalis/store';
import { takeAuthorizationOrder } from './authorization-certificate.ts';
import { AuthorityError } from './error.ts';
import { PcaRefusal } from './pca-refusal.ts';
import {
  issuePseudonym,
  type PseudonymIssuer,
  type PseudonymOrder,
  takeOrder,
} from './pseudonym-certificate.ts';
import { type IssuedPseudonym, openPseudonymLog, type PseudonymLog } from './pseudonym-log.ts';
import { symmetricKeyId } from './shared-key.ts';
import { type Authority, hostnameOf } from './test-scms.ts';

export interface PseudonymAuthorityOptions {
  readonly pca: Authority;
  /** Verifies the certificates of RAs: it holds them, or their issuer. */
  readonly trust: TrustStore;
  /** By the hostname of the LA: the AES-128 key that it shares with the PCA, and its two-octet number. */
  readonly laKeys: ReadonlyMap<string, { readonly key: Secret; readonly laId: Uint8Array }>;
  readonly clock: Clock;
  readonly random: Random;
  /** `sqlite:...`, as `openDatabase` of store takes it. */
  readonly databaseUrl: string;
  /** CAMP's when missing. */
  readonly iPeriods?: IPeriodClock;
  /** Told why a request was refused: the answer says less. */
  readonly onRefusal?: (refusal: PcaRefusal) => void;
}

type KnownRequestInfo = Exclude<CertRequestInfo, { readonly type: 'unknown' }>;

/** A PCA in this process. */
export interface PseudonymAuthority extends CertificateAuthority {
  /** Everything issued, ordered by request hash. */
  log(): AsyncIterable<IssuedPseudonym>;
  /** Waits for what is under way. */
  close(): Promise<void>;
}

/**
 * Opens the PCA on its database: see the port for its guarantee. A refusal is answered with a signed failure and not
 * recorded, so that the same request may succeed later; a certificate is recorded before it is handed out. No
 * cocoon key is certified twice.
 *
 * @throws AuthorityError `unsuitable-certificate`; StoreError
 */
export async function openPseudonymAuthority(
  options: PseudonymAuthorityOptions,
): Promise<PseudonymAuthority> {
  const hostname = hostnameOf(options.pca.certificate);
  if (hostname === undefined) {
    throw new AuthorityError('unsuitable-certificate', 'expected a PCA certificate with a name');
  }
  const log = await openPseudonymLog(options.databaseUrl);
  return new InProcessPseudonymAuthority(options, hostname, log);
}

class InProcessPseudonymAuthority implements PseudonymAuthority {
  readonly #options: PseudonymAuthorityOptions;
  readonly #hostname: string;
  readonly #log: PseudonymLog;
  readonly #issuer: PseudonymIssuer;
  #isClosed = false;

  constructor(options: PseudonymAuthorityOptions, hostname: string, log: PseudonymLog) {
    this.#options = options;
    this.#hostname = hostname;
    this.#log = log;
    const laKeys = Array.from(
      options.laKeys,
      ([la, { key, laId }]) => [la, { key, laId, keyId: symmetricKeyId(key) }] as const,
    );
    this.#issuer = {
      pca: options.pca,
      laKeys: new Map(laKeys),
      iPeriods: options.iPeriods ?? new IPeriodClock(),
      random: options.random,
    };
  }

  async requestCertificate(request: Uint8Array): Promise<Uint8Array> {
    if (this.#isClosed) throw new AuthorityUnavailableError('expected a PCA that is open');
    const requestHash = sha256(request);
    try {
      return (await this.#log.find(requestHash)) ?? (await this.#certify(request, requestHash));
    } catch (error) {
      if (error instanceof PcaRefusal) return this.#refuse(requestHash, error);
      if (!(error instanceof StoreError)) throw error;
      throw new AuthorityUnavailableError('expected the PCA to store its answer', { cause: error });
    }
  }

  log(): AsyncIterable<IssuedPseudonym> {
    return this.#log.all();
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return this.#log.close();
  }

  async #certify(request: Uint8Array, requestHash: Uint8Array): Promise<Uint8Array> {
    const issuedAt = timeOf(this.#options.clock);
    const order = this.#takeOrder(this.#authenticate(request), issuedAt);
    const { certificateId, response } = issuePseudonym(this.#issuer, order);
    const answer = this.#answer(requestHash, {
      type: 'success',
      value: { type: 'signedEncrypted', value: response },
    });
    const cocoonKey = order.requestKey;
    const standing = await this.#log.record({
      requestHash,
      cocoonKey,
      certificateId,
      issuedAt,
      answer,
    });
    if (standing !== 'cocoon-key-taken') return standing;
    throw new PcaRefusal('invalidSignaturePublicKey', 'expected a cocoon key not certified before');
  }

  #takeOrder(info: KnownRequestInfo, now: Time32): PseudonymOrder {
    return info.type === 'pseudonymCertReq'
      ? takeOrder(this.#issuer, info.value, now)
      : takeAuthorizationOrder(this.#issuer, info.value, now);
  }

  /** Decodes the envelope and makes sure that an RA sent it, one that is trusted and valid now. */
  #authenticate(request: Uint8Array): KnownRequestInfo {
    try {
      const signed = decodeMessage(
        SignedCertificateRequest122,
        decodeSigned(request),
        'SignedCertificateRequest',
      );
      const ra = this.#verifyRa(signerCertificate(signed));
      const { hashId, signature, tbsRequest } = signed;
      verifyRequest({ hashId, signature, tbsRequest: tbsRequest.octets }, ra, ra.publicKey);
      return this.#requestInfo(tbsRequest.value, ra);
    } catch (cause) {
      if (!(cause instanceof ScmsDataError || cause instanceof Ieee1609Dot2Error)) throw cause;
      throw new PcaRefusal('unknownError', cause.message, { cause });
    }
  }

  /** Cheap for an RA that `trust` holds itself. */
  #verifyRa(certificate: Certificate): VerifiedCertificate {
    const ra = this.#options.trust.verify(certificate);
    checkValidAt(ra, timeOf(this.#options.clock));
    if (scmsSspOf(ra)?.type !== 'ra') {
      throw new PcaRefusal('unknownError', 'expected an RA to ask');
    }
    return ra;
  }

  #requestInfo(pdu: ScmsPdu122, ra: VerifiedCertificate): KnownRequestInfo {
    const message = pdu.content.type === 'pcaRa' ? pdu.content.value : undefined;
    if (message?.type !== 'raPcaCertRequest') {
      throw new PcaRefusal('unknownError', 'expected a RaPcaCertRequestMsg');
    }
    const { raId, certRequestInfo: info }: RaPcaCertRequestMsg = message.value;
    if (raId !== hostnameOf(ra)) {
      throw new PcaRefusal('unknownError', `expected the name of the RA that signs, saw ${raId}`);
    }
    if (info.type === 'unknown') {
      throw new PcaRefusal(
        'invalidCertificateRequestType',
        `expected pseudonymCertReq or authCertReq, saw ${info.tag}`,
      );
    }
    if (info.value.pcaId !== this.#hostname) {
      throw new PcaRefusal('unknownError', `expected ${this.#hostname}, saw ${info.value.pcaId}`);
    }
    return info;
  }

  /**
   * The answer carries the hash of the request even when that could not be read: the hash of octets can always be
   * computed. All zeros, which CAMP has for when it cannot, are never sent.
   */
  #refuse(requestHash: Uint8Array, refusal: PcaRefusal): Uint8Array {
    this.#options.onRefusal?.(refusal);
    return this.#answer(requestHash, { type: 'failure', value: refusal.toScmsError() });
  }

  #answer(requestHash: Uint8Array, reply: PcaRaReply): Uint8Array {
    const { pca } = this.#options;
    const payload = encode(ScmsPdu122, {
      version: 1,
      content: {
        type: 'pcaRa',
        value: {
          type: 'pcaRaCertResponse',
          value: { version: 1, requestHash: hashedId8(requestHash), pcaId: this.#hostname, reply },
        },
      },
    });
    return signMessage(payload, pca.certificate, pca.signingKey);
  }
}
