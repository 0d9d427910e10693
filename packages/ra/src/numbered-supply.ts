import type { Time32 } from '@chrysalis/ieee1609dot2';
import { sql } from 'kysely';
import { composeAuthorizationRequest, type NumberedDevice } from './authorization-request.ts';
import { giveUp, postponeDevice } from './device-progress.ts';
import { endOfChain, supplySec } from './horizon.ts';
import type { PipelineOptions } from './options.ts';
import type { ComposedFile, PcaRequests } from './pca-requests.ts';
import { endOf, periodOf } from './validity.ts';

/** Certificates asked for in a step. */
const IN_STEP = 64;

/** Identification and application certificates: no linkage values, no shuffle (sections 1.4, 3.6). */
export class NumberedSupply {
  readonly #options: PipelineOptions;
  readonly #requests: PcaRequests;

  constructor(options: PipelineOptions, requests: PcaRequests) {
    this.#options = options;
    this.#requests = requests;
  }

  /** Asks for the next certificate of some devices; false when none lacks one. */
  async step(now: Time32): Promise<boolean> {
    const devices = await this.#lacking(now);
    const files: ComposedFile[] = [];
    for (const device of devices) {
      const file = await this.#compose(device, now);
      if (file) files.push(file);
    }
    if (files.length > 0) await this.#requests.add(files, now);
    return devices.length > 0;
  }

  /** Devices whose next identification certificate begins within the supply, or whose application certificate is to be made. */
  async #lacking(now: Time32): Promise<NumberedDevice[]> {
    const latestStart = now + supplySec(this.#options);
    const devices = await this.#options.database.query
      .selectFrom('device')
      .selectAll()
      .where(sql<boolean>`kind <> 'pseudonym' and status = 'active' and blocked = 0`)
      .where(sql<boolean>`expanded_through < last_i`)
      .where('retry_at', '<=', now)
      .where((eb) =>
        eb.or([
          eb('kind', '=', 'application'),
          sql<boolean>`first_start + (expanded_through + 1) * period_sec <= ${latestStart}`,
        ]),
      )
      .orderBy('kind')
      .orderBy('expanded_through')
      .limit(IN_STEP)
      .execute();
    return devices as NumberedDevice[];
  }

  async #compose(device: NumberedDevice, now: Time32): Promise<ComposedFile | undefined> {
    const { pca, iPeriod } = this.#options;
    const i = device.expanded_through + 1;
    if (endOf(device, i) > endOfChain(pca.certificate)) {
      // A later certificate of the PCA may allow what this one does not.
      await postponeDevice(this.#options, { ...device, failures: LATE }, now);
      return undefined;
    }
    try {
      const requests = [composeAuthorizationRequest(device, i, this.#options)];
      return { device, i, period: periodOf(device, i, iPeriod), requests, isReleased: true };
    } catch (error) {
      await giveUp(this.#options, device, error, now);
      return undefined;
    }
  }
}

/** As after many failures: looked at once an hour. */
const LATE = 20;
