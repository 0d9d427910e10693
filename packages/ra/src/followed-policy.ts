import { Ieee1609Dot2Error } from '@chrysalis/ieee1609dot2';
import {
  DEFAULT_GLOBAL_POLICY,
  expectIPeriod,
  openLocalPolicyFile,
  type PolicyData,
  policyAt,
  ScmsDataError,
  timeOf,
} from '@chrysalis/scms';
import { FileNews } from './file-news.ts';
import { governedPolicy } from './local-policy.ts';
import type { PipelineOptions, PolicyOverrides, RaPolicy } from './options.ts';
import { type NamedFile, VersionedFileStore } from './versioned-file-store.ts';

type Surroundings = Pick<PipelineOptions, 'trust' | 'clock' | 'iPeriod' | 'log'>;

/** What a local policy file of this RA says; undefined when nobody can verify it any more: it is no policy then. */
export function policyOf(
  { octets }: NamedFile,
  surroundings: Surroundings,
): PolicyData | undefined {
  const { trust, clock, iPeriod, log } = surroundings;
  try {
    const time = timeOf(clock);
    const { policy } = openLocalPolicyFile(octets, trust, { time });
    expectIPeriod(policy, iPeriod.lengthSec, time);
    return policy;
  } catch (error) {
    if (!(error instanceof ScmsDataError || error instanceof Ieee1609Dot2Error)) throw error;
    log.warn({ err: error }, 'the policy of the last run is not obeyed');
    return undefined;
  }
}

/**
 * The policy in force for a thread or process that makes no files itself: that of the newest LPF, which the one that
 * answers devices has made.
 */
export class FollowedPolicy {
  readonly policy: RaPolicy;
  readonly #options: Surroundings;
  readonly #store: VersionedFileStore;
  readonly #news: FileNews;
  #name: string | undefined;
  #adopted: PolicyData | undefined;

  constructor(
    options: Surroundings & Pick<PipelineOptions, 'database' | 'objects'>,
    own: PolicyOverrides,
  ) {
    this.#options = options;
    this.#store = new VersionedFileStore(options.database, options.objects);
    this.#news = new FileNews(this.#store, () => this.look(), options.log);
    this.policy = governedPolicy(own, () =>
      policyAt(this.#adopted ?? { global: DEFAULT_GLOBAL_POLICY }, timeOf(options.clock)),
    );
  }

  /** Follows what other nodes make, until it is stopped. */
  start(): void {
    this.#news.start();
  }

  stop(): Promise<void> {
    return this.#news.stop();
  }

  /** Takes the newest file when it is another than before. @throws StoreError */
  async look(): Promise<void> {
    const newest = await this.#store.newest('localPolicy');
    if (newest === undefined || newest.name === this.#name) return;
    this.#name = newest.name;
    this.#adopted = policyOf(newest, this.#options) ?? this.#adopted;
  }
}
