import type { Time32 } from '@chrysalis/ieee1609dot2';
import { AuthorityUnavailableError, timeOf } from '@chrysalis/scms';
import { backOffSec, Outage } from './back-off.ts';
import { RETRY_LAST_SEC } from './device-progress.ts';
import { type Share, WHOLE } from './membership.ts';
import type { OperatorsView } from './operators-view.ts';
import type { PipelineOptions } from './options.ts';
import { checkReply, PcaFailure } from './pca-conversation.ts';
import type { DueRequest, Outcome, PcaRequests } from './pca-requests.ts';

/** Requests at the PCA at a time, at first and at most: it doubles as long as all goes well. */
const FIRST_WINDOW = 8;
const WIDEST_WINDOW = 128;

/** Sends what the shuffle let go to the PCA, in its order, and records what comes back. */
export class PcaDispatch {
  readonly #options: PipelineOptions;
  readonly #requests: PcaRequests;
  readonly #view: OperatorsView;
  readonly #outage = new Outage();
  #window = FIRST_WINDOW;
  #certified = 0;
  /** The time of the last step. */
  #lastStep: Time32 = Number.POSITIVE_INFINITY;

  constructor(options: PipelineOptions, requests: PcaRequests, view: OperatorsView) {
    this.#options = options;
    this.#requests = requests;
    this.#view = view;
  }

  /** Certificates that came from the PCA since the start. */
  get certified(): number {
    return this.#certified;
  }

  /** Time before which the PCA is not asked. */
  pausedUntil(now: Time32): Time32 | undefined {
    return this.#outage.pausedUntil(now);
  }

  /** Sends a window of requests and waits for all of them; false when none is due. */
  async step(now: Time32, share: Share = WHOLE): Promise<boolean> {
    // The clock was set back, perhaps while nobody ran.
    if (now < this.#lastStep) await this.#requests.bringBack(now, RETRY_LAST_SEC);
    this.#lastStep = now;
    if (this.#outage.pausedUntil(now) !== undefined) return false;
    const { iPeriod, clock, log } = this.#options;
    const due = await this.#requests.due(now, iPeriod.at(now), this.#window, share);
    if (due.length === 0) return false;
    const results = await Promise.all(
      due.map(async (request) => ({ request, outcome: await this.#send(request) })),
    );
    this.#certified += await this.#requests.record(results);
    this.#explain(results);
    const givenUp = await this.#requests.giveUp(results, now);
    for (const week of givenUp)
      log.error({ ...week }, 'certificates are given up: the PCA has certified these keys before');
    const silent = results.filter(({ outcome }) => outcome.type === 'silent');
    if (silent.length === results.length) {
      this.#window = 1;
      this.#outage.failed(timeOf(clock));
    } else {
      this.#window = Math.min(WIDEST_WINDOW, Math.max(FIRST_WINDOW, 2 * this.#window));
      this.#outage.succeeded();
    }
    const failed = results.find(({ outcome }) => outcome.type !== 'answered');
    if (failed) await this.#view.incident('pca', errorOf(failed.outcome));
    else await this.#view.over('pca');
    return true;
  }

  async #send({ octets, attempts, failures }: DueRequest): Promise<Outcome> {
    const { pca, clock } = this.#options;
    const after = (times: number) => timeOf(clock) + backOffSec(times, RETRY_LAST_SEC);
    let reply: Uint8Array;
    try {
      reply = await pca.port.requestCertificate(octets);
    } catch (error) {
      return { type: 'silent', retryAt: after(attempts), error };
    }
    try {
      return { type: 'answered', octets: checkReply(reply, octets, this.#options) };
    } catch (error) {
      const [retryAt, deviceRetryAt] = [after(attempts), after(failures)];
      const isFinal = error instanceof PcaFailure && error.isFinal;
      return { type: 'refused', retryAt, deviceRetryAt, error, isFinal };
    }
  }

  /** One line for all that a PCA which is down did not answer; one for each that it refused. */
  #explain(results: readonly { request: DueRequest; outcome: Outcome }[]): void {
    const { log } = this.#options;
    const silent = results.filter(({ outcome }) => outcome.type === 'silent');
    const [first] = silent;
    if (first) {
      const error = errorOf(first.outcome);
      const fields = { err: error, requests: silent.length };
      // What is not the PCA's silence is a bug of the port.
      if (error instanceof AuthorityUnavailableError) log.warn(fields, 'no answer from the PCA');
      else log.error(fields, 'no answer from the PCA');
    }
    for (const { request, outcome } of results) {
      if (outcome.type !== 'refused') continue;
      const { deviceId, attempts } = request;
      const fields = { err: outcome.error, deviceId, attempts: attempts + 1 };
      log.warn(fields, 'no certificate from the PCA');
    }
  }
}

function errorOf(outcome: Outcome): unknown {
  return outcome.type === 'answered' ? undefined : outcome.error;
}
