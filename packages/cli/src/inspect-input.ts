/** From the octets of a file to what is shown of them: text in base64 or hex, zip, .info, or one message. */
import { parseEntryName } from '@chrysalis/scms';
import { type UnzipFileInfo, unzipSync } from 'fflate';
import { CliError } from './context.ts';
import type { Keys } from './inspect-open.ts';
import { hashNotes, type InspectedNode, titleOf, treeOf } from './inspect-tree.ts';
import { DETECTABLE, INFO, type Kind, recognise, ZIP } from './inspect-type.ts';

/** One file, or one entry of a zip. */
export interface Inspected {
  readonly type: string;
  /** How the octets were written, when not as octets. */
  readonly encoding?: 'base64' | 'hex';
  readonly length: number;
  readonly notes: readonly string[];
  /** The message; undefined for a zip. */
  readonly root?: InspectedNode;
  /** The entries of a zip. */
  readonly entries?: readonly InspectedEntry[];
}

export interface InspectedEntry {
  readonly name: string;
  readonly notes: readonly string[];
  /** Undefined when the entry holds nothing that is known. */
  readonly content?: Inspected;
}

export interface InspectionOptions {
  readonly kind: Kind | undefined;
  readonly keys: Keys;
  /** Unix milliseconds: what is valid now. */
  readonly now: number;
}

/** A batch has some 10,000 octets; no entry of it 1,000. */
const MAX_ENTRY_OCTETS = 1024 * 1024;
const MAX_ENTRIES = 10_000;
const INFO_OCTETS = 4;
/** Of private and shared keys, with and without a line feed: an error about such octets would tell some of them. */
const KEY_LENGTHS: ReadonlySet<number> = new Set([16, 17, 32, 33]);

/** @throws CliError when the octets are nothing that is known */
export function inspectOctets(given: Uint8Array, options: InspectionOptions): Inspected {
  const { octets, encoding, notes } = fromText(given);
  const inspected = inspectRaw(octets, options);
  return {
    ...inspected,
    ...(encoding && { encoding }),
    notes: [...notes, ...inspected.notes],
  };
}

function inspectRaw(octets: Uint8Array, options: InspectionOptions): Inspected {
  const kind =
    options.kind ?? (isZip(octets) ? ZIP : octets.length === INFO_OCTETS ? INFO : undefined);
  if (kind === ZIP) return inspectZip(octets, options);
  const recognised = recognise(octets, kind ? [kind] : DETECTABLE);
  const { length } = octets;
  if (recognised.kind === undefined) {
    const { closest, error } = recognised;
    const wanted = kind ? kind.name : 'a certificate, PDU, zip or .info';
    if (KEY_LENGTHS.has(length)) {
      throw new CliError(`expected ${wanted}, saw ${length} octets that are none`, {
        hint: 'they may be a key, and none of them is shown; --key takes one to open what is encrypted',
      });
    }
    throw new CliError(`expected ${wanted}, saw ${length} octets that are none`, {
      cause: error,
      hint: `as ${closest.name}: ${error.message}`,
    });
  }
  return {
    type: titleOf(recognised),
    length,
    notes: hashNotes(octets, recognised),
    root: treeOf(octets, recognised, options),
  };
}

function isZip([p, k, ...rest]: Uint8Array): boolean {
  // A local file header, or the end record of a zip without entries.
  const [a, b] = rest;
  return p === 0x50 && k === 0x4b && ((a === 3 && b === 4) || (a === 5 && b === 6));
}

function inspectZip(octets: Uint8Array, options: InspectionOptions): Inspected {
  const files: Record<string, Uint8Array> = unzip(octets);
  const entries = Object.entries(files).map(([name, content]) =>
    inspectEntry(name, content, options),
  );
  return {
    type: 'zip',
    length: octets.length,
    notes: [`${entries.length} ${entries.length === 1 ? 'entry' : 'entries'}`],
    entries,
  };
}

function unzip(octets: Uint8Array): Record<string, Uint8Array> {
  let count = 0;
  const filter = ({ name, originalSize }: UnzipFileInfo) => {
    count += 1;
    if (count > MAX_ENTRIES) throw new CliError(`expected at most ${MAX_ENTRIES} entries in a zip`);
    if (originalSize <= MAX_ENTRY_OCTETS) return true;
    const shown = JSON.stringify(name.slice(0, 80));
    throw new CliError(
      `expected at most ${MAX_ENTRY_OCTETS} octets in an entry, saw ${originalSize} in ${shown}`,
    );
  };
  try {
    return unzipSync(octets, { filter });
  } catch (cause) {
    if (cause instanceof CliError || !(cause instanceof Error)) throw cause;
    throw new CliError(`expected a zip: ${cause.message}`, { cause });
  }
}

function inspectEntry(
  name: string,
  octets: Uint8Array,
  options: InspectionOptions,
): InspectedEntry {
  const index = parseEntryName(name);
  const notes = index ? [`i ${index.i}, j ${index.j}`] : [];
  try {
    // Entries of entries are none of the SCMS: a zip inside a zip is not opened.
    if (isZip(octets)) throw new CliError('expected a message, saw a zip');
    return { name, notes, content: inspectRaw(octets, { ...options, kind: undefined }) };
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    return { name, notes: [...notes, `${octets.length} octets: ${error.message}`] };
  }
}

interface Octets {
  readonly octets: Uint8Array;
  readonly encoding?: 'base64' | 'hex';
  readonly notes: readonly string[];
}

/** Text is taken for what it encodes: the value of a Download-Req header, a hex dump, an .info in hex. */
export function fromText(given: Uint8Array): Octets {
  const text = Buffer.from(given)
    .toString('latin1')
    .replace(/^Download-Req:/i, '');
  const compact = text.replaceAll(/\s/g, '');
  if (compact.length < 8) return { octets: given, notes: [] };
  if (/^(?:[0-9a-f]{2})+$/i.test(compact)) {
    const notes =
      compact.length === 8 ? ['eight hex digits, as one fielded RA writes its .info'] : [];
    return { octets: Uint8Array.from(Buffer.from(compact, 'hex')), encoding: 'hex', notes };
  }
  if (/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(compact)) {
    return {
      octets: Uint8Array.from(Buffer.from(compact, 'base64')),
      encoding: 'base64',
      notes: [],
    };
  }
  return { octets: given, notes: [] };
}
