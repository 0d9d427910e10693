import type { Clock } from '@chrysalis/scms';
import type { TriesPolicy } from './options.ts';
import { RateLimit } from './rate-limit.ts';
import { Refusal } from './refusal.ts';
import type { CertificateKind } from './schema.ts';
import type { Siblings } from './siblings.ts';

/** Which service a device called: each has failures of its own. */
export type TriedService =
  | `provision-${CertificateKind}`
  | 'batch'
  | 'identity-certificate'
  | 'application-certificate'
  | 'info';

/**
 * Q15 has 5 an hour for every path. A device that comes for files is refused when nothing is wrong: it asks for the next
 * batch until there is none, and some ask every few seconds until the first is there. One in six seconds, all hour long,
 * is none of these.
 */
const DEFAULTS: TriesPolicy = { provisioningPerHour: 5, downloadsPerHour: 600 };
const HOUR_MS = 3_600_000;
/** Certificates, times services, with failures in the last hour: some 20 MB (measured). One certificate has seven at most. */
const MAX_ENTRIES = 100_000;

/**
 * Counts the failures of each enrollment certificate at each service (Q15, code 5071): a bucket that holds an hour's worth
 * and fills steadily. Only calls whose signature was verified come here, so that nobody spends another's tries. In
 * memory: a restart forgets. Processes that answer devices together tell each other.
 */
export class Tries {
  readonly #policy: TriesPolicy;
  readonly #clock: Clock;
  readonly #maxEntries: number;
  readonly #siblings: Pick<Siblings, 'countFailure'> | undefined;
  /** In the order of their last failure: a Map keeps insertion order, and one that fails again is put in anew. */
  readonly #buckets = new Map<string, RateLimit>();

  constructor(
    policy: Partial<TriesPolicy> = {},
    clock: Clock,
    maxEntries = MAX_ENTRIES,
    siblings?: Pick<Siblings, 'countFailure'>,
  ) {
    this.#policy = { ...DEFAULTS, ...policy };
    this.#clock = clock;
    this.#maxEntries = maxEntries;
    this.#siblings = siblings;
  }

  /** Pairs of certificate and service that are counted now. */
  get size(): number {
    return this.#buckets.size;
  }

  /**
   * Does the work of an authenticated call. A Refusal costs the device a try; success costs none, nor does a fault of
   * ours. Calls that come together are all let in while one try is left: each that fails counts, down to none.
   *
   * @param enrollmentHash SHA-256 of the enrollment certificate in canonical form, 32 octets
   * @throws Refusal `raMoreThanAllowedTries`, before any work; what the work throws
   */
  async run<T>(
    enrollmentHash: Uint8Array,
    service: TriedService,
    work: () => Promise<T>,
  ): Promise<T> {
    try {
      return await this.#count(enrollmentHash, service, work);
    } catch (error) {
      if (error instanceof Refusal) error.enrollmentHash = enrollmentHash;
      throw error;
    }
  }

  async #count<T>(
    enrollmentHash: Uint8Array,
    service: TriedService,
    work: () => Promise<T>,
  ): Promise<T> {
    const limit = this.#limitOf(service);
    if (limit === 0) return work();
    this.#expectTry(keyOf(enrollmentHash, service), limit);
    try {
      return await work();
    } catch (error) {
      if (error instanceof Refusal) this.charge(enrollmentHash, service);
      throw error;
    }
  }

  /** Costs a try although nothing failed: what is allowed now and then, and is not to be done all day. */
  charge(enrollmentHash: Uint8Array, service: TriedService): void {
    if (this.#limitOf(service) === 0) return;
    this.chargedElsewhere(enrollmentHash, service);
    this.#siblings?.countFailure(enrollmentHash, service);
  }

  /** As {@link charge}, when another process has said so. */
  chargedElsewhere(enrollmentHash: Uint8Array, service: TriedService): void {
    const limit = this.#limitOf(service);
    if (limit > 0) this.#spend(keyOf(enrollmentHash, service), limit);
  }

  #limitOf(service: TriedService): number {
    const { provisioningPerHour, downloadsPerHour } = this.#policy;
    return service.startsWith('provision-') ? provisioningPerHour : downloadsPerHour;
  }

  #expectTry(key: string, limit: number): void {
    const bucket = this.#buckets.get(key);
    const now = this.#clock.now();
    if (bucket === undefined || bucket.has(now)) return;
    throw new Refusal(
      'raMoreThanAllowedTries',
      `expected at most ${limit} failures in an hour at this service, saw more`,
    );
  }

  #spend(key: string, limit: number): void {
    const bucket = this.#buckets.get(key) ?? new RateLimit(limit, HOUR_MS);
    bucket.spend(this.#clock.now());
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    this.#forgetOldest();
  }

  /** Those that are full again; beyond the bound also others, which so get their tries back early. */
  #forgetOldest(): void {
    const now = this.#clock.now();
    for (const [key, bucket] of this.#buckets) {
      if (this.#buckets.size <= this.#maxEntries && !bucket.isFull(now)) return;
      this.#buckets.delete(key);
    }
  }
}

function keyOf(enrollmentHash: Uint8Array, service: TriedService): string {
  return `${service} ${Buffer.from(enrollmentHash).toString('latin1')}`;
}
