import type { Time32 } from '@chrysalis/ieee1609dot2';
import { GroupCommit, wordsOf } from '@chrysalis/store';
import type { Transaction } from 'kysely';
import { change } from './bulk.ts';
import type { KnownDevice } from './device-registry.ts';
import type { RaOptions } from './options.ts';
import { type RaSchema, SEEN_GRAIN_SEC } from './schema.ts';

/** How long a contact may wait to be noted: many share a commit. */
const FLUSH_MS = 10_000;

/** Registrations that are known to be replaced: their last downloads began before, and end within seconds. */
const MOST_CLOSED = 10_000;

type Surroundings = Pick<RaOptions, 'database' | 'log' | 'siblings' | 'isShared'>;

interface Contact {
  readonly seenAt: Time32;
  readonly fetchedThrough: number;
}

/**
 * When devices were last heard of, and what they have fetched. Noted behind the answer, so that no download waits for a
 * commit: a kill loses some seconds of it, and the next contact makes up for them. Where nodes on other machines share the
 * database, what is fetched is noted before it is handed out: none of them has to be asked when a registration is replaced.
 */
export class Contacts {
  readonly #options: Surroundings;
  /** Of notes that are waited for; undefined where none are. */
  readonly #writes: GroupCommit<RaSchema> | undefined;
  readonly #wakePipeline: () => void;
  #pending = new Map<number, Contact>();
  /** How many requests have closed a registration, in the order of the last. */
  readonly #closed = new Map<number, number>();
  #timer: NodeJS.Timeout | undefined;
  #flushing: Promise<void> = Promise.resolve();

  constructor(options: Surroundings, wakePipeline: () => void) {
    this.#options = options;
    this.#writes = options.isShared ? new GroupCommit(options.database) : undefined;
    this.#wakePipeline = wakePipeline;
  }

  /** A device has spoken. One that had paused is active again when the promise resolves. */
  async seen(device: KnownDevice, now: Time32): Promise<void> {
    if (device.status === 'paused') {
      this.#note(device.id, { seenAt: now, fetchedThrough: -1 });
      await this.flush();
      this.#wakePipeline();
    } else if (now - device.last_seen >= SEEN_GRAIN_SEC) {
      this.#note(device.id, { seenAt: now, fetchedThrough: -1 });
    }
  }

  /** A device is to be given file number i, or a part of it. False when it may not: it has asked anew meanwhile. */
  fetched(device: KnownDevice, i: number, now: Time32): boolean | Promise<boolean> {
    if (this.#closed.has(device.id)) return false;
    // What was fetched before is not given to other keys, whoever replaces them.
    if (i <= device.fetched_through) return true;
    const contact = { seenAt: now, fetchedThrough: i };
    if (this.#writes) return this.#fetchedDurably(this.#writes, device.id, contact);
    this.#note(device.id, contact);
    return true;
  }

  /** False when the registration is replaced: whoever replaced it has counted on what was noted until then. */
  async #fetchedDurably(
    writes: GroupCommit<RaSchema>,
    id: number,
    contact: Contact,
  ): Promise<boolean> {
    return (await writes.run((query) => write(query, id, contact))) > 0;
  }

  /**
   * A registration is about to be replaced: when the promise resolves, everything that was fetched under it is noted, and
   * nothing more is, not even by a download that has begun already, whichever process it came to.
   *
   * @throws when another process does not answer
   */
  async close(deviceId: number): Promise<void> {
    const elsewhere = this.#options.siblings?.closeRegistration(deviceId);
    await Promise.all([this.closeHere(deviceId), elsewhere]);
  }

  /** As {@link close}, for the downloads of this process. Never rejects. */
  closeHere(deviceId: number): Promise<void> {
    const before = this.#closed.get(deviceId) ?? 0;
    this.#closed.delete(deviceId);
    this.#closed.set(deviceId, before + 1);
    const [oldest] = this.#closed.keys();
    if (this.#closed.size > MOST_CLOSED && oldest !== undefined) this.#closed.delete(oldest);
    return this.flush();
  }

  /** A request that closed a registration has not replaced it. */
  open(deviceId: number): void {
    this.#options.siblings?.openRegistration(deviceId);
    this.openHere(deviceId);
  }

  openHere(deviceId: number): void {
    const left = (this.#closed.get(deviceId) ?? 0) - 1;
    if (left > 0) this.#closed.set(deviceId, left);
    else this.#closed.delete(deviceId);
  }

  /** Writes what was noted. Never rejects. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const pending = this.#pending;
    this.#pending = new Map();
    if (pending.size > 0) this.#flushing = this.#flushing.then(() => this.#write(pending));
    return this.#flushing;
  }

  #note(id: number, { seenAt, fetchedThrough }: Contact): void {
    const before = this.#pending.get(id);
    this.#pending.set(id, {
      seenAt: Math.max(seenAt, before?.seenAt ?? 0),
      fetchedThrough: Math.max(fetchedThrough, before?.fetchedThrough ?? -1),
    });
    this.#timer ??= setTimeout(() => void this.flush(), FLUSH_MS).unref();
  }

  async #write(contacts: ReadonlyMap<number, Contact>): Promise<void> {
    const { database, log } = this.#options;
    try {
      await database.transaction(async (query) => {
        for (const [id, contact] of contacts) await write(query, id, contact);
      });
    } catch (error) {
      log.error({ err: error, contacts: contacts.size }, 'contacts of devices not noted');
    }
  }
}

/** How many rows that are not replaced were changed. */
function write(
  query: Transaction<RaSchema>,
  id: number,
  { seenAt, fetchedThrough }: Contact,
): Promise<number> {
  const { greatest } = wordsOf(query);
  return change(
    query,
    `update device set
        last_seen = ${greatest}(last_seen, ?),
        fetched_through = ${greatest}(fetched_through, ?),
        status = case status when 'paused' then 'active' else status end
      where id = ? and status <> 'replaced'`,
    [seenAt, fetchedThrough, id],
  );
}
