/** Rows of devices for benchmarks, which have everything ahead already: a pipeline has nothing to do for them. */
import type { TestScms } from '@chrysalis/authorities';
import { encode } from '@chrysalis/coer';
import { multiplyGenerator, systemRandom } from '@chrysalis/crypto';
import { SequenceOfPsidSsp, type Time32, time32FromUnix } from '@chrysalis/ieee1609dot2';
import { IPeriodClock } from '@chrysalis/scms';
import type { NewDevice } from '../packages/ra/src/device-registry.ts';
import { createDevice, type TestDevice } from '../test/support/device.ts';

/** Caterpillar keys are points; a few are enough, for nobody expands them here. */
const POINTS = 256;

/** Makes rows. `device` is whose they are; without one, somebody whom nobody knows. */
export type DeviceRows = (device?: Pick<TestDevice, 'certificate' | 'key'>) => NewDevice;

export function deviceRows(scms: TestScms, now: Time32 = time32FromUnix(Date.now())): DeviceRows {
  const template = createDevice(scms, systemRandom, now);
  const points = Array.from({ length: POINTS }, () => multiplyGenerator(systemRandom(32)));
  const point = () => points[systemRandom(1)[0] as number] as Uint8Array;
  const i = new IPeriodClock().at(now);
  const permissions = encode(SequenceOfPsidSsp, [{ psid: 0x20 }, { psid: 0x26 }]);
  return (device) => ({
    kind: 'pseudonym',
    request_hash: systemRandom(8),
    body_hash: systemRandom(32),
    inner_hash: systemRandom(32),
    enrollment_hash: device?.certificate.hash ?? systemRandom(32),
    enrollment_certificate: (device ?? template).certificate.octets,
    public_key: device?.key.publicPoint ?? point(),
    permissions,
    region: null,
    verify_seed: point(),
    verify_expansion: systemRandom(16),
    encryption_seed: point(),
    encryption_expansion: systemRandom(16),
    cert_encryption_seed: null,
    cert_encryption_expansion: null,
    registered_at: now,
    // As long as a real one.
    ack: systemRandom(200),
    available_at: now,
    status: 'active',
    first_start: 0,
    lifetime_sec: 0,
    period_sec: 0,
    first_i: i,
    last_i: i + 1000,
    linked_through: i + 900,
    expanded_through: i + 900,
    filed_through: i + 900,
    la1_chain: systemRandom(60),
    la2_chain: systemRandom(60),
  });
}

/** A row as a registration makes it: a pipeline has everything to do for it. */
export function freshDeviceRow(
  device: TestDevice,
  { now, first, weeks }: { readonly now: Time32; readonly first: number; readonly weeks: number },
): NewDevice {
  return {
    kind: 'pseudonym',
    request_hash: systemRandom(8),
    body_hash: systemRandom(32),
    inner_hash: systemRandom(32),
    enrollment_hash: device.certificate.hash,
    enrollment_certificate: device.certificate.octets,
    public_key: device.key.publicPoint,
    permissions: encode(SequenceOfPsidSsp, [{ psid: 0x20 }, { psid: 0x26 }]),
    region: null,
    verify_seed: device.verifySeed.publicPoint,
    verify_expansion: device.verifyExpansion,
    encryption_seed: device.encryptionSeed.publicPoint,
    encryption_expansion: device.encryptionExpansion,
    cert_encryption_seed: null,
    cert_encryption_expansion: null,
    registered_at: now,
    ack: new Uint8Array(0),
    available_at: now,
    status: 'active',
    first_start: 0,
    lifetime_sec: 0,
    period_sec: 0,
    first_i: first,
    last_i: first + weeks - 1,
    linked_through: first - 1,
    expanded_through: first - 1,
    filed_through: first - 1,
    la1_chain: null,
    la2_chain: null,
  };
}
