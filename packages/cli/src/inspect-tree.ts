/** Decoded fields with what an engineer wants to know about them, and the messages inside opaque ones. */
import type { InspectedField } from '@chrysalis/coer';
import { sha256 } from '@chrysalis/crypto';
import type { EncryptedData } from '@chrysalis/ieee1609dot2';
import { formatHex, requestHash } from '@chrysalis/scms';
import { notesOf, textOf } from './inspect-notes.ts';
import { type Keys, open } from './inspect-open.ts';
import {
  CERTIFICATE,
  CERTIFICATE_RESPONSE,
  CRL_SSP,
  IEEE1609DOT2_DATA,
  type Kind,
  LINKAGE_SEED,
  PLAINTEXT_RESPONSE,
  PLV,
  type Recognised,
  recognise,
  SCMS_PDU,
  SCMS_SSP,
  SIGNED_CERTIFICATE_REQUEST,
} from './inspect-type.ts';

export interface InspectedNode {
  readonly name: string;
  readonly type: string;
  /** Offset of the first octet in the file or, inside something opened, in its plaintext. */
  readonly offset: number;
  readonly octets: Uint8Array;
  /** Undefined for a field that has fields. */
  readonly value?: string | number;
  readonly notes: readonly string[];
  readonly children: readonly InspectedNode[];
  /** The plaintext that this encrypted field holds, for whose key we have. */
  readonly opened?: InspectedNode;
}

export interface TreeOptions {
  readonly keys: Keys;
  /** Unix milliseconds. */
  readonly now: number;
}

/** Messages inside messages: an SCMS nests five deep, from the envelope to the certificate in a response. */
const MAX_NESTING = 16;

/** Where in the tree a field stands: its field, then those around it, the innermost first. */
export type Ancestors = readonly InspectedField[];

/** @param octets what was recognised */
export function treeOf(
  octets: Uint8Array,
  recognised: Recognised,
  options: TreeOptions,
): InspectedNode {
  return new TreeBuilder(octets, options, 0, 0).root(recognised, []);
}

/** SHA-256 of the whole, and of what may be the body of a POST the name by which RA and device know it. */
export function hashNotes(octets: Uint8Array, { kind, field }: Recognised): string[] {
  // A certificate has notes of its own: what is hashed is its canonical form.
  if (kind === CERTIFICATE) return [];
  const notes = [`SHA-256 ${formatHex(sha256(octets))}`];
  if (kind !== IEEE1609DOT2_DATA) return notes;
  const { content } = field.value as { content: { type: string } };
  if (content.type === 'encryptedData' || content.type === 'signedCertificateRequest') {
    const hash = formatHex(requestHash(octets));
    notes.push(`request hash ${hash}, if this is the body of a POST`);
  }
  return notes;
}

export function titleOf({ kind, release }: Pick<Recognised, 'kind' | 'release'>): string {
  return release ? `${kind.name} (${release})` : kind.name;
}

class TreeBuilder {
  readonly #octets: Uint8Array;
  readonly #options: TreeOptions;
  /** Where the octets begin in the file. */
  readonly #base: number;
  readonly #nesting: number;

  constructor(octets: Uint8Array, options: TreeOptions, base: number, nesting: number) {
    this.#octets = octets;
    this.#options = options;
    this.#base = base;
    this.#nesting = nesting;
  }

  root(recognised: Recognised, around: Ancestors): InspectedNode {
    const { kind, field } = recognised;
    return { ...this.node({ ...field, name: kind.name }, around), name: titleOf(recognised) };
  }

  node(field: InspectedField, around: Ancestors): InspectedNode {
    const octets = this.#octets.subarray(field.offset, field.offset + field.length);
    const inside = [field, ...around];
    const children = field.children.map((child) => this.node(child, inside));
    const content = children.length === 0 ? this.#contentOf(field, around) : undefined;
    const opened = this.#opened(field, around);
    const value = children.length === 0 ? textOf(field) : undefined;
    return {
      name: typeof field.name === 'number' ? `[${field.name}]` : field.name,
      type: field.type,
      offset: this.#base + field.offset,
      octets,
      ...(value !== undefined && content === undefined && { value }),
      notes: [...notesOf(field, this.#options.now), ...(opened?.notes ?? [])],
      children: content ? [content] : children,
      ...(opened?.node && { opened: opened.node }),
    };
  }

  /** The message that an opaque field holds. */
  #contentOf(field: InspectedField, around: Ancestors): InspectedNode | undefined {
    const kinds = kindsInside(field, around);
    if (kinds.length === 0 || this.#nesting >= MAX_NESTING) return undefined;
    const octets = field.value as Uint8Array;
    const recognised = recognise(octets, kinds);
    if (recognised.kind === undefined) return undefined;
    const base = this.#base + field.offset + field.length - octets.length;
    const builder = new TreeBuilder(octets, this.#options, base, this.#nesting + 1);
    return builder.root(recognised, [field, ...around]);
  }

  #opened(
    field: InspectedField,
    around: Ancestors,
  ): { readonly notes: readonly string[]; readonly node?: InspectedNode } | undefined {
    if (!isEncryptedData(field.value) || isChoiceAround(field)) return undefined;
    if (this.#nesting >= MAX_NESTING) return undefined;
    const result = open(field.value, this.#options.keys);
    if (result.plaintext === undefined) return { notes: [result.note] };
    const octets = result.plaintext;
    const recognised = recognise(octets, [
      IEEE1609DOT2_DATA,
      PLAINTEXT_RESPONSE,
      PLV,
      LINKAGE_SEED,
    ]);
    if (recognised.kind === undefined) {
      return { notes: [result.note, `${octets.length} octets: ${formatHex(octets)}`] };
    }
    const builder = new TreeBuilder(octets, this.#options, 0, this.#nesting + 1);
    return { notes: [result.note], node: builder.root(recognised, [field, ...around]) };
  }
}

function kindsInside(field: InspectedField, around: Ancestors): readonly Kind[] {
  if (!(field.value instanceof Uint8Array)) return [];
  switch (field.name) {
    case 'unsecuredData':
      return [SCMS_PDU, CERTIFICATE_RESPONSE, PLAINTEXT_RESPONSE];
    case 'signedCertificateRequest':
      return [SIGNED_CERTIFICATE_REQUEST];
    case 'opaque':
      return sspKinds(around);
    default:
      return [];
  }
}

/** The SSP of a permission whose application we know: opaque < ssp < PsidSsp. */
function sspKinds(around: Ancestors): readonly Kind[] {
  const { psid } = (around[1]?.value ?? {}) as { psid?: number };
  if (psid === 0x23) return [SCMS_SSP];
  if (psid === 0x100) return [CRL_SSP];
  return [];
}

function isEncryptedData(value: unknown): value is EncryptedData {
  return (
    typeof value === 'object' && value !== null && 'recipients' in value && 'ciphertext' in value
  );
}

/** A CHOICE has the value `{ type, value }`: its alternative is the field that is meant. */
function isChoiceAround(field: InspectedField): boolean {
  return typeof field.value === 'object' && field.value !== null && 'type' in field.value;
}
