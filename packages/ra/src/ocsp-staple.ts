import { X509Certificate } from 'node:crypto';
import { timeOf } from '@chrysalis/scms';
import { Outage } from './back-off.ts';
import { type CertificateStatus, OcspError, OcspQuestion } from './ocsp-response.ts';
import type { OcspSource, RaOptions } from './options.ts';

/** How often it is looked whether an answer is due, so that a clock that was set is noticed. */
const LOOK_MS = 60_000;
/** A responder that takes longer is away. */
const ANSWER_TIMEOUT_MS = 10_000;

interface Held extends CertificateStatus {
  /** DER of OCSPResponse, as it came. */
  readonly octets: Buffer;
  readonly receivedAtMs: number;
}

export interface OcspStapleOptions extends Pick<RaOptions, 'tls' | 'clock' | 'log'> {
  readonly ocsp: OcspSource;
}

/**
 * The OCSP response that a TLS server staples (RFC 6066 §8): fetched at start, and again when half of its time is over.
 * What was fetched last goes on being stapled when the responder is away or sends what is not right, until it expires;
 * then nothing is stapled. `revoked` is stapled, because it is true; `unknown` is not, and ends what was stapled before.
 * Kept in memory only.
 */
export class OcspStaple {
  readonly #options: OcspStapleOptions;
  readonly #certificate: X509Certificate;
  readonly #issuer: X509Certificate;
  readonly #outage = new Outage();
  readonly #stopping = new AbortController();
  #question: OcspQuestion | undefined;
  #held: Held | undefined;
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @throws TypeError when `ocsp.issuerPem` did not issue the certificate of `tls` */
  constructor(options: OcspStapleOptions) {
    this.#options = options;
    this.#certificate = new X509Certificate(options.tls.certificatePem);
    this.#issuer = new X509Certificate(options.ocsp.issuerPem);
    if (!isIssuedBy(this.#certificate, this.#issuer)) {
      throw new TypeError(
        `expected the issuer of the TLS certificate, saw ${this.#issuer.subject}`,
      );
    }
  }

  /** Resolves when the responder was asked once, whatever it said. */
  async start(): Promise<void> {
    await this.wake();
    if (this.#stopping.signal.aborted) return;
    this.#timer = setInterval(() => void this.wake(), LOOK_MS);
    this.#timer.unref();
  }

  /** Asks the responder if that is due. Never rejects. */
  async wake(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#running ??= this.#fetchIfDue().finally(() => {
      this.#running = undefined;
    });
    await this.#running;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    clearInterval(this.#timer);
    await this.#running;
  }

  /** What to staple now; null when there is nothing that holds. */
  current(): Buffer | null {
    const held = this.#held;
    return held !== undefined && this.#options.clock.now() < held.untilMs ? held.octets : null;
  }

  /** After a clock was set far forward the responder, too, is asked before anybody is told that there is nothing to staple. */
  async #fetchIfDue(): Promise<void> {
    if (this.#isDue()) await this.#renew();
    if (!this.#stopping.signal.aborted) this.#dropExpired();
  }

  async #renew(): Promise<void> {
    const { clock, log } = this.#options;
    try {
      const held = await this.#fetch();
      this.#outage.succeeded();
      this.#held = held;
      const until = new Date(held.untilMs).toISOString();
      if (held.status === 'revoked') {
        log.error({ until }, 'the TLS certificate of the RA is revoked, and devices are told so');
      } else log.info({ until }, 'new OCSP response');
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      this.#outage.failed(timeOf(clock));
      const until = this.#held && new Date(this.#held.untilMs).toISOString();
      log.warn({ err: error, until }, 'no new OCSP response');
    }
  }

  #dropExpired(): void {
    if (this.#held === undefined || this.current() !== null) return;
    const until = new Date(this.#held.untilMs).toISOString();
    this.#held = undefined;
    this.#options.log.error({ until }, 'the OCSP response has expired: nothing is stapled');
  }

  #isDue(): boolean {
    const { clock } = this.#options;
    if (this.#outage.pausedUntil(timeOf(clock)) !== undefined) return false;
    if (this.#held === undefined) return true;
    const { receivedAtMs, untilMs } = this.#held;
    const now = clock.now();
    // A clock that was set back is no reason to wait longer.
    return now >= receivedAtMs + (untilMs - receivedAtMs) / 2 || now < receivedAtMs;
  }

  async #fetch(): Promise<Held> {
    const { ocsp, clock } = this.#options;
    this.#question ??= await OcspQuestion.about(this.#certificate.raw, this.#issuer.raw);
    const timeout = AbortSignal.timeout(ANSWER_TIMEOUT_MS);
    const signal = AbortSignal.any([this.#stopping.signal, timeout]);
    signal.throwIfAborted();
    const answer = await orAborted(ocsp.respond(this.#question.request, signal), signal);
    const octets = Buffer.from(answer);
    const now = clock.now();
    const checked = await this.#question.check(octets, now);
    // Whoever stands between us and the responder could send us what it said before.
    if (this.#held && checked.fromMs < this.#held.fromMs && this.#held.fromMs <= now) {
      throw new OcspError('expected no older answer than the last one');
    }
    if (checked.status === 'unknown') {
      this.#held = undefined;
      throw new OcspError("expected a responder that knows the RA's certificate, saw unknown");
    }
    return { ...checked, octets, receivedAtMs: now };
  }
}

/** Whether a certificate names an issuer, and bears its signature. */
export function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

/** A source that does not mind the signal, which has not aborted yet, is left behind. */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  return Promise.race([promise, aborted]).finally(() => {
    signal.removeEventListener('abort', abort);
  });
}
