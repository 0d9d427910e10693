import { Ieee1609Dot2Error, type Time32 } from '@chrysalis/ieee1609dot2';
import {
  DEFAULT_GLOBAL_POLICY,
  type PolicyData,
  parseVersionedFileName,
  policyAt,
  ScmsDataError,
  timeOf,
} from '@chrysalis/scms';
import { Outage } from './back-off.ts';
import type { Download } from './download.ts';
import { FileNews } from './file-news.ts';
import { policyOf } from './followed-policy.ts';
import { localChainOf } from './local-chain.ts';
import { governedPolicy, localPolicyOf, saysTheSame, signedLocalPolicy } from './local-policy.ts';
import type { PolicySource, RaPolicy, RaSettings } from './options.ts';
import { Refusal } from './refusal.ts';
import { type NamedFile, VersionedFileStore } from './versioned-file-store.ts';

/** How often it is looked whether a retrieval is due, so that a clock that was set is noticed. */
const LOOK_MS = 60_000;

type Pg = PolicySource['port'];

/**
 * LPF and LCCF, the files that a device fetches at each contact: made from the files of the PG at start and after each
 * retrieval interval, and only if something in them has changed. What was made last goes on being served when the PG is
 * down, or sends what is not right.
 */
export class LocalFiles {
  /** For the whole of the RA: it follows the policy in force. */
  readonly policy: RaPolicy;
  readonly #options: RaSettings;
  readonly #store: VersionedFileStore;
  readonly #outage = new Outage();
  #chain: NamedFile | undefined;
  #policy: NamedFile | undefined;
  #adopted: PolicyData | undefined;
  #retrievedAt: Time32 | undefined;
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopping = false;
  readonly #onFile: () => void;
  /** What other nodes make is followed; undefined where there are none. */
  readonly #news: FileNews | undefined;
  readonly #isMaker: () => boolean;

  /**
   * @param onFile called when there is a new file: others who follow may look
   * @param isMaker whether this process makes files now, and no other: of a PG that there is
   */
  constructor(options: RaSettings, onFile = () => {}, isMaker = () => true) {
    this.#options = options;
    this.#onFile = onFile;
    this.#isMaker = isMaker;
    this.policy = governedPolicy(options.policy, () => this.#values());
    this.#store = new VersionedFileStore(options.database, options.objects);
    this.#news = options.isShared
      ? new FileNews(this.#store, () => this.#take(), options.log)
      : undefined;
  }

  /** Resolves when the files of the last run are there, and the PG was asked once. @throws StoreError */
  async start(): Promise<void> {
    await this.#follow();
    await this.wake();
    this.#news?.start();
    this.#timer = setInterval(() => void this.wake(), LOOK_MS);
    this.#timer.unref();
  }

  /** Retrieves if that is due. Never rejects. */
  async wake(): Promise<void> {
    if (this.#stopping) return;
    this.#running ??= this.#retrieveIfDue().finally(() => {
      this.#running = undefined;
    });
    await this.#running;
  }

  /** What the files are made of has changed: retrieves at once. Never rejects. */
  async renew(): Promise<void> {
    await this.#running;
    this.#retrievedAt = undefined;
    this.#outage.succeeded();
    await this.wake();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#timer);
    await this.#news?.stop();
    await this.#running;
  }

  /** What is served, by name. */
  get names(): { readonly policy?: string; readonly chain?: string } {
    return {
      ...(this.#policy && { policy: this.#policy.name }),
      ...(this.#chain && { chain: this.#chain.name }),
    };
  }

  /** `GET /download/local-certificate-chain`. @throws Refusal */
  localCertificateChain(): Download {
    if (this.#chain) return downloadOf(this.#chain);
    throw new Refusal(
      'raNoPcaCertificateChainFileAvailable',
      'expected a local certificate chain file, saw none yet',
    );
  }

  /** `GET /download/policy/local`. CAMP's number for a policy that is not there is in no public copy (Q8). @throws Refusal */
  localPolicy(): Download {
    if (this.#policy) return downloadOf(this.#policy);
    throw new Refusal('raNoCertFileAvailable', 'expected a local policy file, saw none yet');
  }

  async #retrieveIfDue(): Promise<void> {
    const { pg, clock, log } = this.#options;
    const now = timeOf(clock);
    if (pg === undefined || !this.#isMaker()) return this.#lookForNewer();
    if (!this.#isDue(now)) return;
    // Another node may have been the maker until now.
    if (this.#news) await this.#lookForNewer();
    let isWhole = true;
    // The policy first: it names the chain file. One may be right while the other is not: each is kept for itself, and
    // both are tried again.
    for (const make of [() => this.#makePolicy(pg.port), () => this.#makeChain(pg.port)]) {
      try {
        await make();
      } catch (error) {
        isWhole = false;
        if (isRefused(error)) log.error({ err: error }, 'a file of the PG is refused');
        else log.warn({ err: error }, 'no new file from the PG');
      }
    }
    if (!isWhole) return this.#outage.failed(timeOf(clock));
    this.#outage.succeeded();
    this.#retrievedAt = now;
  }

  /** The files are somebody else's to make: those of before, or of another process. */
  async #lookForNewer(): Promise<void> {
    try {
      await this.#follow();
    } catch (error) {
      this.#options.log.error({ err: error }, 'no look for newer files');
    }
  }

  /** What was kept since, after whatever this process is about to make. */
  async #take(): Promise<void> {
    await this.#running;
    const before = this.names;
    await this.#follow();
    const { policy, chain } = this.names;
    if (policy !== before.policy || chain !== before.chain) this.#onFile();
  }

  async #follow(): Promise<void> {
    this.#chain = (await this.#store.newest('localCertificateChains')) ?? this.#chain;
    const policy = await this.#store.newest('localPolicy');
    if (policy === undefined || policy.name === this.#policy?.name) return;
    this.#policy = policy;
    this.#adopted = policyOf(policy, this.#options) ?? this.#adopted;
  }

  #isDue(now: Time32): boolean {
    if (this.#outage.pausedUntil(now) !== undefined) return false;
    if (this.#retrievedAt === undefined) return true;
    // A clock that was set back is no reason to wait longer.
    const { maxGpfGccfRetrievalIntervalSec: intervalSec } = this.#values();
    return now >= this.#retrievedAt + intervalSec || now < this.#retrievedAt;
  }

  #values() {
    return policyAt(
      this.#adopted ?? { global: DEFAULT_GLOBAL_POLICY },
      timeOf(this.#options.clock),
    );
  }

  async #makeChain(pg: Pg): Promise<void> {
    const type = 'localCertificateChains';
    const chain = localChainOf(await pg.globalCertificateChainFile(), this.#options);
    this.#expectNamed(chain.gccfVersion);
    if (this.#chain) {
      const { lccfVersion } = versionsOf(this.#chain, type);
      if (Buffer.compare(chain.compose(lccfVersion), this.#chain.octets) === 0) return;
    }
    const lccfVersion = await this.#store.nextVersion(type, timeOf(this.#options.clock));
    const { gccfVersion } = chain;
    const octets = chain.compose(lccfVersion);
    this.#chain = await this.#store.keep({ type, gccfVersion, lccfVersion }, octets);
    this.#options.log.info({ file: this.#chain.name }, 'new local certificate chain file');
    this.#onFile();
    this.#options.audit?.note({ event: 'policy', file: this.#chain.name }, 'now');
  }

  async #makePolicy(pg: Pg): Promise<void> {
    const type = 'localPolicy';
    const options = this.#options;
    const policy = localPolicyOf(await pg.globalPolicyFile(), options);
    const { gpfVersion } = policy;
    await this.#store.noteGlobalPolicy(policy.global.generationTime, gpfVersion);
    const adopted = { global: policy.global.policy, local: policy.local };
    if (this.#policy && saysTheSame(this.#policy.octets, policy, options)) {
      this.#adopted = adopted;
      return;
    }
    const compose = await signedLocalPolicy(policy, pg, options);
    const lpfVersion = await this.#store.nextVersion(type, timeOf(options.clock));
    this.#policy = await this.#store.keep({ type, gpfVersion, lpfVersion }, compose(lpfVersion));
    this.#adopted = adopted;
    options.log.info({ file: this.#policy.name }, 'new local policy file');
    this.#onFile();
    options.audit?.note({ event: 'policy', file: this.#policy.name }, 'now');
  }

  /**
   * A GCCF is not signed: it is the right one when the policy in force names it, which is. Of a policy that names none, no
   * older one follows a newer one.
   */
  #expectNamed(gccfVersion: number): void {
    if (this.#adopted === undefined) {
      throw new ScmsDataError(
        'policy',
        'expected a policy in force before the chain file, saw none',
      );
    }
    const { globalCertChainFileId: named } = this.#values();
    if (named !== undefined && gccfVersion !== named) {
      const expected = `GCCF version ${named}, which the policy in force names`;
      throw new ScmsDataError('policy', `expected ${expected}, saw ${gccfVersion}`);
    }
    const held = this.#chain && versionsOf(this.#chain, 'localCertificateChains').gccfVersion;
    if (named === undefined && held !== undefined && gccfVersion < held) {
      throw new ScmsDataError(
        'policy',
        `expected GCCF version ${held} or later, saw ${gccfVersion}`,
      );
    }
  }
}

/** Refused for what it says, and not just missing. */
function isRefused(error: unknown): error is Error {
  return error instanceof ScmsDataError || error instanceof Ieee1609Dot2Error;
}

function versionsOf<T extends 'localCertificateChains'>({ name }: NamedFile, type: T) {
  const file = parseVersionedFileName(name);
  if (file.type === type) return file;
  throw new RangeError(`expected the name of ${type}, saw ${name}`);
}

/** A name stands for one content for ever, so that it is a strong tag (Q19). */
function downloadOf({ name, octets }: NamedFile): Download {
  return { name, octets, etag: `"${name}"` };
}
