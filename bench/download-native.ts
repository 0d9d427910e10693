/** What the cryptography of an authenticated download costs libcrypto: the point of the sender decompressed, one ECDH, one verification. */
import { bareOperations, type NativeName, opensslCosts, time } from './native.ts';

const SUM: readonly NativeName[] = ['decompress', 'ECDH', 'verify'];
/** Milliseconds of each operation in a round. */
const SLICE_MS = 60;

export const DOWNLOAD_NATIVE = SUM.join(' + ');

const bare = bareOperations();

/** Microseconds of CPU now, as `openssl speed` has it where there is one. */
export function downloadNativeUs(): number {
  const openssl = opensslCosts();
  return SUM.reduce((sum, name) => sum + (openssl.get(name) ?? bareUs(name)), 0);
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
