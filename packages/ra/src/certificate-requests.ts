import { decode, encode } from '@chrysalis/coer';
import {
  AuthorityUnavailableError,
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
 * Requests for certificates that are made in one turn of the event loop, in one exchange, or as many as they need: its head
 * and its system calls cost more than what it carries. They keep the order in which they were made, which is that
 * of the shuffle. Each caller gets its own answer.
 */
export class CertificateRequestBundler {
  readonly #exchange: (body: Uint8Array) => Promise<Uint8Array>;
  #waiting: Waiting[] = [];

  /** @param exchange sends {@link CertificateRequests}; resolves with what is answered */
  constructor(exchange: (body: Uint8Array) => Promise<Uint8Array>) {
    this.#exchange = exchange;
  }

  /**
   * @throws AuthorityUnavailableError when the authority says so, when its answer is not one to what was asked, or
   *   when the request is larger than any that is sent; what `exchange` throws
   */
  ask(request: Uint8Array): Promise<Uint8Array> {
    if (request.length > MAX_CERTIFICATE_OCTETS) return Promise.reject(tooLarge(request));
    return new Promise((resolve, reject) => {
      if (this.#waiting.length === 0) setImmediate(() => this.#send());
      this.#waiting.push({ request, resolve, reject });
    });
  }

  #send(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const bundle of bundlesOf(waiting)) void this.#sendOne(bundle);
  }

  async #sendOne(bundle: readonly Waiting[]): Promise<void> {
    try {
      const body = encode(
        CertificateRequests,
        bundle.map(({ request }) => request),
      );
      const answers = readAnswers(await this.#exchange(body), bundle.length);
      for (const [n, { resolve, reject }] of bundle.entries()) {
        const answer = answers[n];
        // Octets of its own: what comes of one is not to hold the answers of all in memory.
        if (answer?.type === 'answer') resolve(answer.value.slice());
        else reject(new AuthorityUnavailableError('expected an answer, saw unavailable'));
      }
    } catch (error) {
      for (const { reject } of bundle) reject(error);
    }
  }
}

/** In their order, each as large as an exchange may be. */
function bundlesOf(waiting: readonly Waiting[]): Waiting[][] {
  const bundles: Waiting[][] = [];
  let octets = Infinity;
  for (const one of waiting) {
    const last = bundles.at(-1);
    octets += one.request.length;
    if (
      last &&
      last.length < MAX_CERTIFICATE_REQUESTS &&
      octets <= MAX_CERTIFICATE_REQUEST_OCTETS
    ) {
      last.push(one);
    } else {
      bundles.push([one]);
      octets = one.request.length;
    }
  }
  return bundles;
}
