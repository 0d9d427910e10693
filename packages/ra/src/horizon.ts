import { decode } from '@chrysalis/coer';
import { Certificate, endOfValidity, type Time32 } from '@chrysalis/ieee1609dot2';
import type { Device } from './device-registry.ts';
import type { RaOptions } from './options.ts';

type Horizon = Pick<RaOptions, 'iPeriod' | 'policy' | 'pca'>;

/** Seconds that a batch which is being made is expected to need still. */
const IN_THE_MAKING_SEC = 60;

/**
 * The last period that is made for a device at a time: the policy's supply, cut where its enrollment certificate
 * or a certificate of the PCA's chain ends.
 */
export function lastPeriod(
  device: Pick<Device, 'enrollment_certificate'>,
  horizon: Horizon,
  now: Time32,
): number {
  const { iPeriod, policy } = horizon;
  return Math.min(iPeriod.at(now) + policy.weeksAhead - 1, lastPossiblePeriod(device, horizon));
}

/**
 * What `.info` tells: when the first batch that is not there yet will be; 0 when there will be none. A batch is
 * made as soon as its period comes within the supply, so that is at the start of an earlier period.
 */
export function nextBatchTime(device: Device, horizon: Horizon, now: Time32): Time32 {
  const { iPeriod, policy } = horizon;
  const next = device.filed_through + 1;
  if (device.status !== 'active' || next > lastPossiblePeriod(device, horizon)) return 0;
  if (device.filed_through < device.first_i && now < device.available_at)
    return device.available_at;
  if (next <= iPeriod.at(now) + policy.weeksAhead - 1) return now + IN_THE_MAKING_SEC;
  return iPeriod.start(next - policy.weeksAhead + 1) + IN_THE_MAKING_SEC;
}

/** A period counts while its first second lies within every validity above it. */
function lastPossiblePeriod(
  device: Pick<Device, 'enrollment_certificate'>,
  { iPeriod, pca }: Horizon,
): number {
  const enrollment = decode(Certificate, device.enrollment_certificate).value;
  let end = endOfValidity(enrollment.toBeSigned.validityPeriod);
  for (let c: Horizon['pca']['certificate'] | undefined = pca.certificate; c; c = c.issuer) {
    end = Math.min(end, endOfValidity(c.certificate.toBeSigned.validityPeriod));
  }
  return iPeriod.at(end - 1);
}
