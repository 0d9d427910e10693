/** What becomes of a device when its certificates cannot be made. */
import { CryptoError } from '@chrysalis/crypto';
import type { Time32 } from '@chrysalis/ieee1609dot2';
import { StoreError } from '@chrysalis/store/files';
import { backOffSec } from './back-off.ts';
import { change } from './bulk.ts';
import type { Device } from './device-registry.ts';
import type { RaOptions } from './options.ts';

/** Longest pause before a device that failed, or a request that the PCA refused, is tried again. */
export const RETRY_LAST_SEC = 3600;

type Surroundings = Pick<RaOptions, 'database' | 'log'>;

/** Notes a failure that is a device's own: nothing more is begun for it for a while. */
export async function postponeDevice(
  { database }: Surroundings,
  { id, failures }: Device,
  now: Time32,
): Promise<void> {
  await change(database.query, 'update device set failures = ?, retry_at = ? where id = ?', [
    failures + 1,
    now + backOffSec(failures, RETRY_LAST_SEC),
    id,
  ]);
}

/**
 * A device that cannot be expanded: given up for good when it chose such keys, for now when its row is not as it should
 * be. Either costs nobody else anything.
 *
 * @throws the error when it is the store's, and says nothing of the device
 */
export async function giveUp(
  surroundings: Surroundings,
  device: Device,
  error: unknown,
  now: Time32,
): Promise<void> {
  if (error instanceof StoreError) throw error;
  const { database, log } = surroundings;
  if (error instanceof CryptoError && error.code === 'point-at-infinity') {
    await change(
      database.query,
      `update device set status = 'failed' where id = ? and status = 'active'`,
      [device.id],
    );
    log.warn({ deviceId: device.id }, 'the keys of a device cannot be expanded');
    return;
  }
  await postponeDevice(surroundings, device, now);
  log.error({ err: error, deviceId: device.id }, 'a device cannot be expanded');
}
