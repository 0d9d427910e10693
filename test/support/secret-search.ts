/** Looks for secrets in what a program wrote, in every form in which programs write octets. */
import { createPrivateKey } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface NamedSecret {
  /** Where it lies. */
  readonly name: string;
  readonly octets: Uint8Array;
}

/** A secret that was found. */
export interface Leak {
  readonly secret: string;
  readonly form: string;
}

/** A part of a secret is one as well: what is cut off after some characters is found by its first octets, or its last. */
const PART_OCTETS = 9;

/** The private keys in a directory: raw, hex, PEM, and in the JSON of device profiles. */
export async function secretsBelow(directory: string): Promise<NamedSecret[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const found = await Promise.all(
    files.map(async ({ parentPath, name }) => {
      const path = join(parentPath, name);
      const octets = /\.(?:key|pem|json)$/.test(name) ? secretsIn(await readFile(path), name) : [];
      return octets.map((one) => ({ name: path, octets: one }));
    }),
  );
  return found.flat();
}

function secretsIn(content: Buffer, name: string): Uint8Array[] {
  const text = content.toString('latin1');
  if (name.endsWith('.key')) {
    const hex = /^[0-9a-f]{32,64}\n$/.test(text);
    return [hex ? Buffer.from(text.trim(), 'hex') : content];
  }
  if (name.endsWith('.pem')) {
    if (!text.includes('BEGIN PRIVATE KEY')) return [];
    return [Buffer.from(createPrivateKey(text).export({ format: 'jwk' }).d!, 'base64url')];
  }
  const fields = text.matchAll(/"(?:privateKey|seed|expansion)": "([0-9a-f]{32,64})"/g);
  return [...fields].map(([, hex]) => Buffer.from(hex!, 'hex'));
}

/** Everything of the secrets that stands in the text, or in the octets of a file. */
export function leaksIn(written: Uint8Array, secrets: readonly NamedSecret[]): Leak[] {
  const views = viewsOf(written);
  return secrets.flatMap(({ name, octets }) =>
    Object.entries(views).flatMap(([form, view]) => {
      const isThere = patternsOf(octets)[form as keyof typeof views].some((one) =>
        view.includes(one),
      );
      return isThere ? [{ secret: name, form }] : [];
    }),
  );
}

/** What was written, once for each form, without what may stand between the octets. */
function viewsOf(written: Uint8Array) {
  const text = Buffer.from(written).toString('latin1');
  const numbers = `,${text.replaceAll(/\d+n?["\s]*:/g, ' ').replaceAll(/[^\d]+/g, ',')},`;
  return {
    raw: text,
    // As `Buffer.toString()` or JSON write octets that are no text.
    utf8: Buffer.from(written).toString('utf8'),
    hex: text.replaceAll(/[\s:,]|0x|\\x/g, '').toLowerCase(),
    base64: text
      .replaceAll(/\s|\\n/g, '')
      .replaceAll('-', '+')
      .replaceAll('_', '/'),
    decimal: text.replaceAll('_', ''),
    list: numbers,
  };
}

function patternsOf(octets: Uint8Array): Record<keyof ReturnType<typeof viewsOf>, string[]> {
  const buffer = Buffer.from(octets);
  const parts = [buffer.subarray(0, PART_OCTETS), buffer.subarray(-PART_OCTETS)];
  const hex = buffer.toString('hex');
  return {
    raw: parts.map((part) => part.toString('latin1')),
    utf8: [buffer.toString('utf8')],
    hex: parts.map((part) => part.toString('hex')),
    base64: base64Anywhere(buffer),
    decimal: [BigInt(`0x${hex}`).toString(), littleEndian(buffer).toString()],
    list: parts.map((part) => `,${[...part].join(',')},`),
  };
}

/** Inside longer data a secret begins at any of the three places of a group of base64. */
function base64Anywhere(octets: Buffer): string[] {
  return [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), octets]).toString('base64');
    const first = before === 0 ? 0 : 4;
    return text.slice(first, first + 12);
  });
}

function littleEndian(octets: Buffer): bigint {
  return BigInt(`0x${Buffer.from(octets).reverse().toString('hex')}`);
}
