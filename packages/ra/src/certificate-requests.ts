import { CoerError, decode, encode } from '@chrysalis/coer';
import {
  AuthorityUnavailableError,
  type CertificateAnswer,
  CertificateAnswers,
  CertificateRequests,
  MAX_CERTIFICATE_OCTETS,
  MAX_CERTIFICATE_REQUEST_OCTETS,
  MAX_CERTIFICATE_REQUESTS,
} from '@chrysalis/scms';

interface Waiting {
  readonly request: Uint8Array;
  readonly resolve: (answer: Uint8Array) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * Requests for certificates that are made in one turn of the event loop go in one exchange, or in as many as they need:
 * an exchange costs more than what it carries. They keep the order in which they were made, which is that of the
 * shuffle.
 */
export class CertificateRequestBundler {
  readonly #hostname: string;
  readonly #exchange: (body: Uint8Array) => Promise<Uint8Array>;
  #waiting: Waiting[] = [];

  /**
   * @param hostname of the PCA, for messages
   * @param exchange sends CertificateRequests and resolves with CertificateAnswers, or throws AuthorityUnavailableError
   */
  constructor(hostname: string, exchange: (body: Uint8Array) => Promise<Uint8Array>) {
    this.#hostname = hostname;
    this.#exchange = exchange;
  }

  /**
   * The answer to this request, in octets of its own.
   *
   * @throws AuthorityUnavailableError when the PCA says that there is none now, when what it says is no answer to what
   *   was asked together, and when the request has more than {@link MAX_CERTIFICATE_OCTETS}; what `exchange` throws
   */
  ask(request: Uint8Array): Promise<Uint8Array> {
    const { length } = request;
    return new Promise((resolve, reject) => {
      if (length > MAX_CERTIFICATE_OCTETS) {
        const expected = `expected a request of up to ${MAX_CERTIFICATE_OCTETS} octets`;
        reject(this.#unavailable(`${expected}, saw ${length}`));
        return;
      }
      if (this.#waiting.length === 0) setImmediate(() => this.#sendAll());
      this.#waiting.push({ request, resolve, reject });
    });
  }

  /** What was not sent yet fails. */
  close(): void {
    for (const { reject } of this.#waiting) reject(this.#unavailable('closed'));
    this.#waiting = [];
  }

  #sendAll(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const bundle of bundlesOf(waiting)) void this.#send(bundle);
  }

  async #send(bundle: readonly Waiting[]): Promise<void> {
    const requests = bundle.map(({ request }) => request);
    try {
      const answers = this.#read(await this.#exchange(encode(CertificateRequests, requests)));
      if (answers.length !== bundle.length) {
        throw this.#unavailable(`expected ${bundle.length} answers, saw ${answers.length}`);
      }
      for (const [n, answer] of answers.entries()) this.#settle(bundle[n], answer);
    } catch (error) {
      for (const { reject } of bundle) reject(error);
    }
  }

  #read(answers: Uint8Array): readonly CertificateAnswer[] {
    try {
      return decode(CertificateAnswers, answers);
    } catch (cause) {
      if (!(cause instanceof CoerError)) throw cause;
      throw this.#unavailable(`expected CertificateAnswers: ${cause.message}`, { cause });
    }
  }

  #settle(waiting: Waiting | undefined, answer: CertificateAnswer): void {
    // A copy: one that is kept would keep the answers of all.
    if (answer.type === 'answer') waiting?.resolve(answer.value.slice());
    else waiting?.reject(this.#unavailable('expected an answer, saw that there is none now'));
  }

  #unavailable(message: string, options?: ErrorOptions): AuthorityUnavailableError {
    return new AuthorityUnavailableError(`${this.#hostname}: ${message}`, options);
  }
}

/** In their order, each as large as an exchange may be. */
function bundlesOf(waiting: readonly Waiting[]): readonly (readonly Waiting[])[] {
  const bundles: Waiting[][] = [];
  let bundle: Waiting[] = [];
  let octets = 0;
  for (const one of waiting) {
    const { length } = one.request;
    const isFull =
      bundle.length === MAX_CERTIFICATE_REQUESTS ||
      octets + length > MAX_CERTIFICATE_REQUEST_OCTETS;
    if (bundle.length === 0 || isFull) {
      bundle = [];
      octets = 0;
      bundles.push(bundle);
    }
    bundle.push(one);
    octets += length;
  }
  return bundles;
}
