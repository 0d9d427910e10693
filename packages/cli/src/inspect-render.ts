/** What was inspected as text for a person, or as JSON for a program. */
import { formatHex } from '@chrysalis/scms';
import type { Inspected, InspectedEntry } from './inspect-input.ts';
import type { InspectedNode } from './inspect-tree.ts';

/** Octets that a line shows beside a value. */
const MAX_SHOWN = 8;
const OFFSET_WIDTH = 6;
const LENGTH_WIDTH = 6;

export function toText(inspected: Inspected): string {
  return `${inspectedLines(inspected).join('\n')}\n`;
}

function inspectedLines({ type, encoding, length, notes, root, entries }: Inspected): string[] {
  const from = encoding ? `, from ${encoding}` : '';
  const lines = [`${type}, ${length} octets${from}`, ...notes.map((note) => `  ${note}`)];
  if (root) lines.push('', `${column('offset', 'octets')}  field`, ...nodeLines(root, 0));
  for (const entry of entries ?? []) lines.push('', ...entryLines(entry));
  return lines;
}

function entryLines({ name, notes, content }: InspectedEntry): string[] {
  const heading = [JSON.stringify(name), ...notes].join(', ');
  return content
    ? [heading, ...inspectedLines(content).map((line) => `  ${line}`.trimEnd())]
    : [heading];
}

function nodeLines(node: InspectedNode, depth: number): string[] {
  const indent = '  '.repeat(depth);
  const aside = `${column('', '')}  ${indent}  `;
  const lines = [`${column(node.offset, node.octets.length)}  ${indent}${headOf(node)}`];
  // One note about a leaf stands beside it, others below.
  if (!isShort(node)) lines.push(...node.notes.map((note) => `${aside}- ${note}`));
  for (const child of node.children) lines.push(...nodeLines(child, depth + 1));
  if (node.opened) {
    lines.push(`${aside}- inside, with offsets of its own:`, ...nodeLines(node.opened, depth + 2));
  }
  return lines;
}

function headOf(node: InspectedNode): string {
  const { name, value, octets, notes, type } = node;
  if (value === undefined) return name;
  const shown = typeof value === 'string' && !isOctets(type) ? quote(value) : value;
  const beside = isShort(node) && notes.length > 0 ? ` (${notes.join(', ')})` : '';
  const raw = isOctets(type) || isText(type) ? '' : `  [${short(octets)}]`;
  return `${name}: ${shown}${beside}${raw}`;
}

function isShort({ value }: InspectedNode): boolean {
  return value !== undefined;
}

function isOctets(type: string): boolean {
  return /^(OCTET|BIT) STRING|^unknown open type/.test(type);
}

function isText(type: string): boolean {
  return type.startsWith('UTF8String');
}

/** Text from strangers is shown without control characters; names of enumerations need no quotes. */
function quote(value: string): string {
  return /^[A-Za-z0-9]+$/.test(value) ? value : JSON.stringify(value);
}

function short(octets: Uint8Array): string {
  const shown = formatHex(octets.subarray(0, MAX_SHOWN));
  return octets.length > MAX_SHOWN ? `${shown}...` : shown;
}

function column(offset: number | string, length: number | string): string {
  return `${String(offset).padStart(OFFSET_WIDTH)} ${String(length).padStart(LENGTH_WIDTH)}`;
}

export function toJson({ type, encoding, length, notes, root, entries }: Inspected): object {
  return {
    type,
    ...(encoding && { encoding }),
    length,
    notes,
    ...(root && { fields: nodeJson(root, true) }),
    ...(entries && { entries: entries.map(entryJson) }),
  };
}

function entryJson({ name, notes, content }: InspectedEntry): object {
  return { name, notes, ...(content && { content: toJson(content) }) };
}

/** Octets stand at the outermost field and at those without fields: in between they would only be repeated. */
function nodeJson(node: InspectedNode, isOutermost: boolean): object {
  const { name, type, offset, octets, value, notes, children, opened } = node;
  return {
    name,
    type,
    offset,
    length: octets.length,
    ...((isOutermost || children.length === 0) && { octets: formatHex(octets) }),
    ...(value !== undefined && { value }),
    ...(notes.length > 0 && { notes }),
    ...(children.length > 0 && { children: children.map((child) => nodeJson(child, false)) }),
    ...(opened && { opened: nodeJson(opened, true) }),
  };
}
