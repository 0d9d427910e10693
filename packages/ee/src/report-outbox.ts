/** Misbehavior reports that wait for the RA. */
import { sha256 } from '@chrysalis/crypto';
import type { Time32 } from '@chrysalis/ieee1609dot2';
import { EeError } from './error.ts';
import { toHex } from './json-record.ts';
import type { Profile } from './profile.ts';
import type { RaSession } from './ra-session.ts';

/** Reports in a profile: of 64 KiB each, they fit a device. */
export const MAX_REPORTS = 256;

/** A report that is older may be given up (W-MBR). */
const KEEP_SEC = 7 * 86_400;

/** In one contact, so many reports may be refused before the rest waits for the next. */
const MAX_REFUSALS = 8;

/** What came of sending what waited. */
export interface SentReports {
  readonly sent: number;
  readonly waiting: number;
  /** Over a week old, and given up now. */
  readonly dropped: number;
  /** Why some wait still. */
  readonly reason?: EeError;
}

/**
 * Reports lie in the profile before they are sent, and until the RA has answered 200: one may arrive
 * twice, which the RA notices, and none is lost. They are sealed to the MA; nobody reads them here.
 */
export class ReportOutbox {
  readonly #profile: Profile;
  readonly #session: RaSession;

  constructor(profile: Profile, session: RaSession) {
    this.#profile = profile;
    this.#session = session;
  }

  /**
   * When it resolves, the report survives a power cut. A full outbox gives up its oldest report when
   * that is over a week old.
   *
   * @returns its name
   * @throws EeError `outbox-full`, `storage`
   */
  async add(octets: Uint8Array, time: Time32): Promise<string> {
    const [oldest, ...others] = await this.#profile.reports();
    if (oldest !== undefined && others.length + 1 >= MAX_REPORTS) {
      if (!this.#isOld(oldest)) {
        throw new EeError('outbox-full', `expected at most ${MAX_REPORTS} reports to wait`);
      }
      await this.#drop(oldest);
    }
    const name = `${time.toString(16).padStart(8, '0')}-${toHex(sha256(octets).subarray(0, 8))}.oer`;
    await this.#profile.saveReport(name, octets);
    return name;
  }

  async has(name: string): Promise<boolean> {
    return (await this.#profile.reports()).includes(name);
  }

  async count(): Promise<number> {
    return (await this.#profile.reports()).length;
  }

  /**
   * Sends what waits, oldest first, each once. A report that is refused holds up no other; one that is
   * refused and over a week old is given up. A way to the RA that fails ends it for now.
   *
   * @throws EeError `aborted`, `storage`
   */
  async send(): Promise<SentReports> {
    const counts = { sent: 0, dropped: 0 };
    let refusals = 0;
    let reason: EeError | undefined;
    for (const name of await this.#profile.reports()) {
      const octets = await this.#profile.report(name);
      if (octets === undefined) continue;
      try {
        await this.#session.sendReport(octets);
        await this.#profile.removeReport(name);
        counts.sent += 1;
        this.#session.report({ type: 'report-sent', name });
      } catch (error) {
        if (!(error instanceof EeError)) throw error;
        const { code } = error;
        if (code === 'aborted' || code === 'storage') throw error;
        reason ??= error;
        if (code !== 'refused') break;
        if (this.#isOld(name)) {
          await this.#drop(name);
          counts.dropped += 1;
        }
        refusals += 1;
        if (refusals >= MAX_REFUSALS) break;
      }
    }
    const waiting = await this.count();
    return { ...counts, waiting, ...(waiting > 0 && reason && { reason }) };
  }

  #isOld(name: string): boolean {
    return this.#session.now() - madeAt(name) > KEEP_SEC;
  }

  async #drop(name: string): Promise<void> {
    await this.#profile.removeReport(name);
    this.#session.report({ type: 'report-dropped', name, made: madeAt(name) });
  }
}

/** Names begin with the Time32 at which the report was made, so that they sort by it. */
function madeAt(name: string): Time32 {
  return Number.parseInt(name.slice(0, 8), 16);
}
