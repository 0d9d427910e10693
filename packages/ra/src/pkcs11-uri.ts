import { TokenError } from './token-error.ts';

/** A private key in a token, as a PKCS #11 URI (RFC 7512) names it. */
export interface Pkcs11Uri {
  /** What the token has to say of itself: token is its label. */
  readonly token: Partial<Record<(typeof TOKEN_ATTRIBUTES)[number], string>>;
  /** CKA_LABEL. */
  readonly object?: string;
  /** CKA_ID. */
  readonly id?: Uint8Array;
  /** The library of the token. */
  readonly modulePath?: string;
  /** A file with the PIN. */
  readonly pinFile?: string;
}

const SCHEME = 'pkcs11:';
const TOKEN_ATTRIBUTES = ['token', 'manufacturer', 'model', 'serial'] as const;
const MAX_LENGTH = 1024;
/** RFC 7512 §2.3: pk11-attr of the path, and of the query. */
const PATH = new Set<string>([...TOKEN_ATTRIBUTES, 'object', 'id', 'type']);
const QUERY = new Set(['module-path', 'pin-source']);

export function isPkcs11Uri(text: string): boolean {
  return text.startsWith(SCHEME);
}

/**
 * Reads a URI. It has to name a token and a key; a PIN in it is refused, for configurations are read by many.
 *
 * @throws TokenError `malformed-uri`, which does not repeat the text: a PIN may be in it
 */
export function parsePkcs11Uri(text: string): Pkcs11Uri {
  if (!isPkcs11Uri(text) || text.length > MAX_LENGTH) {
    throw malformed(`a URI that begins with ${SCHEME}, of up to ${MAX_LENGTH} characters`);
  }
  const [path = '', query = '', ...rest] = text.slice(SCHEME.length).split('?');
  if (rest.length > 0) throw malformed('one question mark');
  const named = attributesOf(path, ';', PATH);
  const asked = attributesOf(query, '&', QUERY);
  const type = named.get('type');
  if (type !== undefined && utf8(type) !== 'private') throw malformed('type=private');
  const token = Object.fromEntries(
    TOKEN_ATTRIBUTES.flatMap((name) => {
      const value = named.get(name);
      return value === undefined ? [] : [[name, utf8(value)]];
    }),
  );
  const [object, id] = [named.get('object'), named.get('id')];
  if (Object.keys(token).length === 0) throw malformed('token=…, or another attribute of a token');
  if (object === undefined && id === undefined) throw malformed('object=… or id=…');
  const [module, pin] = [asked.get('module-path'), asked.get('pin-source')];
  return {
    token,
    ...(object && { object: utf8(object) }),
    ...(id && { id }),
    ...(module && { modulePath: utf8(module) }),
    ...(pin && { pinFile: fileOf(utf8(pin)) }),
  };
}

/** RFC 7512 §2.4: a file: URI or a path. A program to be run, `|command`, is refused. */
function fileOf(source: string): string {
  const path = source.replace(/^file:(?:\/\/(?=\/))?/, '');
  if (path !== '' && !path.startsWith('|') && !/^[a-z]+:/i.test(path)) return path;
  throw malformed('pin-source=file:PATH');
}

function attributesOf(
  text: string,
  separator: string,
  known: ReadonlySet<string>,
): ReadonlyMap<string, Uint8Array> {
  const attributes = new Map<string, Uint8Array>();
  for (const part of text === '' ? [] : text.split(separator)) {
    const at = part.indexOf('=');
    const name = part.slice(0, Math.max(at, 0));
    if (name === 'pin-value') {
      throw malformed('no PIN in the URI', 'pin-source=file:PATH names a file of mode 600 with it');
    }
    if (!known.has(name)) throw malformed(`attributes of ${[...known].join(', ')}`);
    if (attributes.has(name)) throw malformed(`${name} once`);
    attributes.set(name, percentDecoded(part.slice(at + 1)));
  }
  return attributes;
}

function percentDecoded(text: string): Uint8Array {
  const octets: number[] = [];
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] !== '%') {
      octets.push(...Buffer.from(text[at] ?? ''));
      continue;
    }
    const hex = text.slice(at + 1, at + 3);
    if (!/^[0-9a-f]{2}$/i.test(hex)) throw malformed('two hex digits after each %');
    octets.push(Number.parseInt(hex, 16));
    at += 2;
  }
  return Uint8Array.from(octets);
}

function utf8(octets: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(octets);
  } catch {
    throw malformed('UTF-8 in an attribute');
  }
}

function malformed(expected: string, hint?: string): TokenError {
  return new TokenError('malformed-uri', `PKCS #11 URI: expected ${expected}`, { hint });
}
