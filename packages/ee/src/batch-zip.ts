import { parseEntryName } from '@chrysalis/scms';
import { type UnzipFileInfo, unzipSync } from 'fflate';
import { EeError } from './error.ts';

/** j runs from 0 to 254 at most (Q22): jMax is a Uint8. */
const MAX_ENTRIES = 255;
/** A certificate response has about 350 octets; one with many permissions stays far below this. */
const MAX_ENTRY_OCTETS = 8_192;
/** A batch of 255 entries of ordinary size has 90,000 octets. */
export const MAX_BATCH_OCTETS = 1_048_576;

export interface BatchEntry {
  /** As it stands in the zip; it may say anything. */
  readonly name: string;
  readonly i: number;
  readonly j: number;
  readonly octets: Uint8Array;
}

export interface BatchZip {
  /** Ordered by j. */
  readonly entries: readonly BatchEntry[];
  /** Entries whose names are not `<I>_<J>`; they were not unpacked. */
  readonly strangers: readonly string[];
}

/**
 * Unpacks a batch: flat, `<I>_<J>` in hex of either case, stored or deflated (sheet 1.5). Memory is
 * bounded before it is taken, whatever the zip says of itself: fflate unpacks into a buffer of the
 * size that the directory names and no further. Pure.
 *
 * @throws EeError `invalid-batch`: no zip, a limit passed, or an entry that is there twice
 */
export function readBatchZip(zip: Uint8Array): BatchZip {
  const census = new Census();
  const files = unzip(zip, (file) => census.admit(file));
  const entries = [...census.admitted.values()].map(({ name, i, j }) => {
    const octets = files[name];
    if (octets === undefined) throw new EeError('invalid-batch', `expected the entry ${name}`);
    return { name, i, j, octets };
  });
  entries.sort((a, b) => a.i - b.i || a.j - b.j);
  return { entries, strangers: census.strangers };
}

/**
 * Unpacks the file of an identification or application certificate: exactly one entry, whatever its
 * name. Fielded RAs call it `X_i`, `i`, `X` and `X.oer` (Q13, sheet 1.9, 1.10). Pure.
 *
 * @throws EeError `invalid-batch`: no zip, none or several entries, or a limit passed
 */
export function readSingleZip(zip: Uint8Array): Uint8Array {
  const names: string[] = [];
  const files = unzip(zip, (file) => {
    names.push(file.name);
    if (names.length > 1) {
      throw new EeError('invalid-batch', 'expected one entry, saw several');
    }
    checkSize(file);
    return true;
  });
  const octets = files[names[0] ?? ''];
  if (octets === undefined) throw new EeError('invalid-batch', 'expected one entry, saw none');
  return octets;
}

/** Counts the entries while the directory is read, before anything is unpacked. */
class Census {
  readonly strangers: string[] = [];
  /** By i and j: `1a9_A` and `1A9_0A` are the same entry. */
  readonly admitted = new Map<string, { name: string; i: number; j: number }>();
  #total = 0;

  admit(file: UnzipFileInfo): boolean {
    if (this.admitted.size + this.strangers.length >= MAX_ENTRIES) {
      throw new EeError('invalid-batch', `expected at most ${MAX_ENTRIES} entries, saw more`);
    }
    const parsed = parseEntryName(file.name);
    if (parsed === undefined) {
      this.strangers.push(file.name.slice(0, 80));
      return false;
    }
    this.#total += checkSize(file);
    if (this.#total > MAX_BATCH_OCTETS) {
      throw new EeError('invalid-batch', `expected at most ${MAX_BATCH_OCTETS} octets, saw more`);
    }
    const key = `${parsed.i}_${parsed.j}`;
    if (this.admitted.has(key)) {
      throw new EeError('invalid-batch', `${file.name}: expected each entry once, saw it twice`);
    }
    this.admitted.set(key, { name: file.name, ...parsed });
    return true;
  }
}

/** What an entry takes at most, packed or not. */
function checkSize({ name, originalSize, size }: UnzipFileInfo): number {
  const octets = Math.max(originalSize, size);
  if (octets <= MAX_ENTRY_OCTETS) return octets;
  throw new EeError(
    'invalid-batch',
    `${name.slice(0, 80)}: expected at most ${MAX_ENTRY_OCTETS} octets, saw ${octets}`,
  );
}

function unzip(zip: Uint8Array, filter: (file: UnzipFileInfo) => boolean) {
  if (zip.length > MAX_BATCH_OCTETS) {
    throw new EeError(
      'invalid-batch',
      `expected a zip of at most ${MAX_BATCH_OCTETS} octets, saw ${zip.length}`,
    );
  }
  try {
    return unzipSync(zip, { filter });
  } catch (cause) {
    if (cause instanceof EeError) throw cause;
    // fflate reads beyond the end of a truncated zip and throws whatever comes of it.
    throw new EeError('invalid-batch', 'expected a zip', { cause });
  }
}
