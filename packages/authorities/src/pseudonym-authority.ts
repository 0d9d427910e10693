import { setImmediate } from 'node:timers/promises';
import { encode, type Value } from '@chrysalis/coer';
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
  MAX_CERTIFICATE_REQUESTS,
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
import { StoreError } from '@chrysalis/store/files';
import { takeAuthorizationOrder } from './authorization-certificate.ts';
import { AuthorityError } from './error.ts';
import { PcaRefusal } from './pca-refusal.ts';
import {
  issuePseudonyms,
  type PseudonymIssuer,
  type PseudonymOrder,
  takeOrder,
} from './pseudonym-certificate.ts';
import { type IssuedPseudonym, openPseudonymLog, type PseudonymLog } from './pseudonym-log.ts';
import { symmetricKeyId } from './shared-key.ts';
import { Failed, stage, stageTogether, stillThere } from './stages.ts';
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

type SignedRequest = Value<typeof SignedCertificateRequest122>;
type KnownRequestInfo = Exclude<CertRequestInfo, { readonly type: 'unknown' }>;

/** A request that waits for its answer. */
interface Asked {
  readonly request: Uint8Array;
  /** SHA-256 of it. */
  readonly requestHash: Uint8Array;
  readonly resolve: (answer: Uint8Array) => void;
  readonly reject: (reason: unknown) => void;
}

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
  readonly #waiting: Asked[] = [];
  #running: Promise<void> | undefined;
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

  requestCertificate(request: Uint8Array): Promise<Uint8Array> {
    if (this.#isClosed) {
      return Promise.reject(new AuthorityUnavailableError('expected a PCA that is open'));
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ request, requestHash: sha256(request), resolve, reject });
      this.#running ??= this.#answerAll();
    });
  }

  log(): AsyncIterable<IssuedPseudonym> {
    return this.#log.all();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#running;
    await this.#log.close();
  }

  /** What is asked in one turn of the event loop is answered together. */
  async #answerAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      await setImmediate();
      const asked = this.#waiting.splice(0, MAX_CERTIFICATE_REQUESTS);
      try {
        await this.#answer(asked);
      } catch (error) {
        for (const { reject } of asked) reject(asRefusalOfService(error));
      }
    }
    this.#running = undefined;
  }

  async #answer(asked: readonly Asked[]): Promise<void> {
    const known = await Promise.all(asked.map(({ requestHash }) => this.#log.find(requestHash)));
    const fresh = asked.filter(({ resolve }, n) => {
      const answer = known[n];
      if (answer) resolve(answer);
      return answer === undefined;
    });
    const certified = await this.#certify(fresh);
    for (const [n, { requestHash, resolve, reject }] of fresh.entries()) {
      const answer = certified[n]!;
      if (!(answer instanceof Failed)) resolve(answer);
      else if (answer.error instanceof PcaRefusal) resolve(this.#refuse(requestHash, answer.error));
      else reject(answer.error);
    }
  }

  /** Each stage for all of them, and what became of each in its place. */
  async #certify(asked: readonly Asked[]): Promise<readonly (Uint8Array | Failed)[]> {
    const issuedAt = timeOf(this.#options.clock);
    const requests = stage(asked, ({ request }) => decodeRequest(request));
    const infos = stage(requests, (request) => this.#authenticate(request));
    const orders = stage(infos, (info) => this.#takeOrder(info, issuedAt));
    const sealed = issuePseudonyms(this.#issuer, orders);
    const answers = stage(sealed, ({ certificateId, response }, n) => {
      const { requestHash } = asked[n]!;
      const { requestKey: cocoonKey } = orders[n] as PseudonymOrder;
      const success = { type: 'signedEncrypted', value: response } as const;
      const answer = this.#sign(requestHash, { type: 'success', value: success });
      return { requestHash, cocoonKey, certificateId, issuedAt, answer };
    });
    const standing = await this.#log.record(stillThere(answers));
    const recorded = stageTogether(answers, () => standing);
    return stage(recorded, (answer) => {
      if (answer !== 'cocoon-key-taken') return answer;
      const expected = 'expected a cocoon key not certified before';
      throw new PcaRefusal('invalidSignaturePublicKey', expected);
    });
  }

  #takeOrder(info: KnownRequestInfo, now: Time32): PseudonymOrder {
    return info.type === 'pseudonymCertReq'
      ? takeOrder(this.#issuer, info.value, now)
      : takeAuthorizationOrder(this.#issuer, info.value, now);
  }

  /** Makes sure that an RA sent it, one that is trusted and valid now. */
  #authenticate(signed: SignedRequest): KnownRequestInfo {
    return refuseIfUntrue(() => {
      const ra = this.#verifyRa(signerCertificate(signed));
      const { hashId, signature, tbsRequest } = signed;
      verifyRequest({ hashId, signature, tbsRequest: tbsRequest.octets }, ra, ra.publicKey);
      return this.#requestInfo(tbsRequest.value, ra);
    });
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
    return this.#sign(requestHash, { type: 'failure', value: refusal.toScmsError() });
  }

  #sign(requestHash: Uint8Array, reply: PcaRaReply): Uint8Array {
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

function decodeRequest(request: Uint8Array): SignedRequest {
  return refuseIfUntrue(() =>
    decodeMessage(SignedCertificateRequest122, decodeSigned(request), 'SignedCertificateRequest'),
  );
}

/** Whatever is wrong with an envelope gets one answer: CAMP has no code for it. */
function refuseIfUntrue<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (!(cause instanceof ScmsDataError || cause instanceof Ieee1609Dot2Error)) throw cause;
    throw new PcaRefusal('unknownError', cause.message, { cause });
  }
}

function asRefusalOfService(error: unknown): unknown {
  if (!(error instanceof StoreError)) return error;
  return new AuthorityUnavailableError('expected the PCA to store its answer', { cause: error });
}
