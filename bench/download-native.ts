/** What the cryptography of an authenticated download costs libcrypto: the point of the sender decompressed, one ECDH, one verification. */
import { bareOperations, type NativeName, opensslCosts, time } from './native.ts';

const SUM: readonly NativeName[] = ['decompress', 'ECDH', 'verify'];
/** Milliseconds of each operation in a round. */
const SLICE_MS = 60;

export const DOWNLOAD_NATIVE = SUM.join(' + ');

const bare = bareOperations();

let leastUs = Number.POSITIVE_INFINITY;

/**
 * Microseconds of CPU, as `openssl speed` has them where there is one: the least that was seen in this process until now. It is the same for
 * every download; what disturbs it, by a factor of two and for minutes on a shared machine, would flatter whoever is compared with it.
 */
export function downloadNativeUs(): number {
  const openssl = opensslCosts();
  const nowUs = SUM.reduce((sum, name) => sum + (openssl.get(name) ?? bareUs(name)), 0);
  leastUs = Math.min(leastUs, nowUs);
  return leastUs;
}

/** As {@link downloadNativeUs}, by so many calls of node:crypto in this process: for what is measured in the same process, moments apart. */
export function downloadBareUs(calls: number): number {
  return SUM.reduce((sum, name) => {
    const timed = bare.get(name);
    return sum + (timed ? time(timed, calls).cpuUs : 0);
  }, 0);
}

function bareUs(name: NativeName): number {
  const timed = bare.get(name);
  if (timed === undefined)
    throw new RangeError(`expected an operation of node:crypto, saw ${name}`);
  const { wallUs } = time(timed, 100);
  return time(timed, Math.ceil((SLICE_MS * 1000) / wallUs)).cpuUs;
}
