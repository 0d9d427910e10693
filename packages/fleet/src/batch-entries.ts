import { unzipSync } from 'fflate';

/** How many entries the directory of a zip lists; none is unpacked. 0 for what is no zip: the checker says why. */
export function countEntries(zip: Uint8Array): number {
  let count = 0;
  try {
    unzipSync(zip, {
      filter: () => {
        count += 1;
        return false;
      },
    });
  } catch {
    return 0;
  }
  return count;
}
