import { endOfChain, type Time32 } from '@chrysalis/ieee1609dot2';
import { sql } from 'kysely';
import { composeAuthorizationRequest, type NumberedDevice } from './authorization-request.ts';
import { giveUp } from './device-progress.ts';
import { supplySec } from './horizon.ts';
import { isIn, isWhole, type Share, WHOLE } from './membership.ts';
import type { PipelineOptions } from './options.ts';
import type { ComposedFile, PcaRequests } from './pca-requests.ts';
import { periodOf } from './validity.ts';

/** Certificates of each kind that are asked for in a step. */
const IN_STEP = 64;
/** When the next certificate of a device begins: as its index has it. */
const NEXT_START = sql<Time32>`first_start + (expanded_through + 1) * period_sec`;

/** Identification and application certificates: no linkage values, no shuffle (sections 1.4, 3.6). */
export class NumberedSupply {
  readonly #options: PipelineOptions;
  readonly #requests: PcaRequests;

  constructor(options: PipelineOptions, requests: PcaRequests) {
    this.#options = options;
    this.#requests = requests;
  }

  /** Asks for the next certificate of some devices; false when none lacks one. */
  async step(now: Time32, share: Share = WHOLE): Promise<boolean> {
    const devices = await this.#lacking(now, share);
    const files: ComposedFile[] = [];
    for (const device of devices) {
      const file = await this.#compose(device, now);
      if (file) files.push(file);
    }
    if (files.length > 0) await this.#requests.add(files, now);
    return devices.length > 0;
  }

  /** Devices whose next identification certificate begins within the supply, or whose application certificate is to be made. */
  async #lacking(now: Time32, share: Share): Promise<NumberedDevice[]> {
    // The constants are literals, so that SQLite knows the indexes that are made for them.
    const ofAll = this.#options.database.query
      .selectFrom('device')
      .selectAll()
      .where(sql<boolean>`status = 'active' and blocked = 0 and expanded_through < last_i`)
      .where('retry_at', '<=', now)
      // What would outlive the PCA's certificate waits for a later one.
      .where(
        sql<boolean>`${NEXT_START} + lifetime_sec <= ${endOfChain(this.#options.pca.certificate)}`,
      )
      .limit(IN_STEP);
    const lacking = isWhole(share) ? ofAll : ofAll.where(isIn(share, 'id'));
    const latestStart = now + supplySec(this.#options);
    const identification = await lacking
      .where(sql<boolean>`kind = 'identification'`)
      .where(sql<boolean>`${NEXT_START} <= ${latestStart}`)
      .orderBy(NEXT_START)
      .execute();
    const application = await lacking
      .where(sql<boolean>`kind = 'application'`)
      .orderBy('id')
      .execute();
    return [...identification, ...application] as NumberedDevice[];
  }

  async #compose(device: NumberedDevice, now: Time32): Promise<ComposedFile | undefined> {
    const { iPeriod } = this.#options;
    const i = device.expanded_through + 1;
    try {
      const requests = [composeAuthorizationRequest(device, i, this.#options)];
      return { device, i, period: periodOf(device, i, iPeriod), requests, isReleased: true };
    } catch (error) {
      await giveUp(this.#options, device, error, now);
      return undefined;
    }
  }
}
