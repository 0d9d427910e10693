/** Signs requests for the open loop, as many as are due, in a process of its own. Ends when its parent lets go. */
import { decode } from '@chrysalis/coer';
import { PrivateKey, systemRandom } from '@chrysalis/crypto';
import { CertificateBase, hashCertificate, time32FromUnix } from '@chrysalis/ieee1609dot2';
import { downloadReq } from '../test/support/device.ts';
import { getRequest } from './device-connection.ts';

export interface SigningOrder {
  readonly raCertificate: Uint8Array;
  readonly perSecond: number;
  readonly aheadSec: number;
  readonly devices: readonly {
    readonly certificate: Uint8Array;
    readonly scalar: Uint8Array;
    readonly requestHash: string;
  }[];
}

/** Messages a second: each carries what becomes due until the next. */
const PER_SECOND = 20;

const hashed = (octets: Uint8Array) =>
  hashCertificate({ value: decode(CertificateBase, octets), octets });

process.once('message', (order: SigningOrder) => {
  const ra = hashed(order.raCertificate);
  const devices = order.devices.map(({ certificate, scalar, requestHash }) => ({
    certificate: hashed(certificate),
    key: PrivateKey.fromScalar(scalar),
    requestHash,
  }));
  const start = performance.now();
  let signed = 0;
  const sign = () => {
    const elapsedSec = (performance.now() - start) / 1000;
    const due = Math.ceil((elapsedSec + order.aheadSec) * order.perSecond) - signed;
    const timestamp = time32FromUnix(Date.now());
    const requests = Array.from({ length: Math.max(0, due) }, () => {
      const device = devices[signed++ % devices.length];
      if (device === undefined) throw new RangeError('expected devices to sign for');
      const file = `${device.requestHash}.info`;
      return getRequest('/download/info', downloadReq(device, file, timestamp, ra, systemRandom));
    });
    // The bench may have ended in between: then nobody reads it, and nothing is lost.
    if (process.connected) process.send?.(requests, undefined, undefined, () => {});
  };
  const timer = setInterval(sign, 1000 / PER_SECOND);
  process.once('disconnect', () => clearInterval(timer));
  sign();
});
