/** Changes to chrysalis.toml that leave every other line, and every comment, as they are. */
import { resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { parseConfig } from './config.ts';
import { CliError } from './context.ts';

/** Where an authority of another process is, as it will stand in the file. */
export interface RemotePeerText {
  readonly url: string;
  readonly tlsCa: string;
  readonly tlsCert: string;
  readonly tlsKey: string;
}

/**
 * Turns an authority in process into a remote one. What comes out is read again: nothing else may mean anything new.
 *
 * @throws CliError when the section is written in a way that a line at a time cannot change
 */
export function withRemoteAuthority(
  text: string,
  name: 'pca' | 'la1' | 'la2',
  peer: RemotePeerText,
): string {
  const added = [
    'mode = "remote"',
    `url = ${JSON.stringify(peer.url)}`,
    `tls-ca = ${JSON.stringify(peer.tlsCa)}`,
    `tls-cert = ${JSON.stringify(peer.tlsCert)}`,
    `tls-key = ${JSON.stringify(peer.tlsKey)}`,
  ];
  const lines = text.split('\n');
  const start = lines.findIndex((line) => line.trim() === `[${name}]`);
  const mode = lines.findIndex((line, at) => at > start && /^\s*mode\s*=/.test(line));
  const next = lines.findIndex((line, at) => at > start && line.startsWith('['));
  const isInside = start >= 0 && mode >= 0 && (next < 0 || mode < next);
  const edited = isInside ? lines.toSpliced(mode, 1, ...added).join('\n') : text;
  if (isInside && saysTheSameBut(name, text, edited)) return edited;
  throw new CliError(`expected a section [${name}] with a line mode = "in-process"`, {
    hint: `write it so, or put there by hand: ${added.join('; ')}`,
  });
}

function saysTheSameBut(name: 'pca' | 'la1' | 'la2', before: string, after: string): boolean {
  const { [name]: was, ...others } = parseConfig(before, '/');
  const { [name]: is, ...rest } = parseConfig(after, '/');
  return was.mode === 'in-process' && is.mode === 'remote' && isDeepStrictEqual(others, rest);
}

/** The arrays of paths to which a renewal adds the certificate before. */
export type CertificateList = readonly ['pca', 'former'] | readonly ['trust', 'ecas'];

/**
 * Adds a path to an array, unless it stands there. What comes out is read again: nothing else may mean anything new.
 *
 * @throws CliError when the array is written in a way that a line at a time cannot change
 */
export function withCertificate(text: string, list: CertificateList, file: string): string {
  const [section, key] = list;
  const before = listOf(text, list);
  if (before.includes(resolve('/', file))) return text;
  const lines = text.split('\n');
  const start = lines.findIndex((line) => line.trim() === `[${section}]`);
  const end = lines.findIndex((line, at) => at > start && line.startsWith('['));
  const isInside = (at: number) => at > start && (end < 0 || at < end);
  const at = lines.findIndex((line, n) => isInside(n) && line.trimStart().startsWith(`${key} =`));
  const added = JSON.stringify(file);
  const line = lines[at];
  const edited = lines.toSpliced(
    at < 0 ? start + 1 : at,
    at < 0 ? 0 : 1,
    line?.replace(/\s*\]\s*(#.*)?$/, before.length === 0 ? `${added}]` : `, ${added}]`) ??
      `${key} = [${added}]`,
  );
  const result = edited.join('\n');
  if (start >= 0 && addsOnly(text, result, list, file)) return result;
  throw new CliError(`expected a section [${section}] with a line ${key} = [...]`, {
    hint: `write it so, or add ${added} to ${section}.${key} by hand`,
  });
}

function addsOnly(before: string, after: string, list: CertificateList, file: string): boolean {
  try {
    const [was, is] = [parseConfig(before, '/'), parseConfig(after, '/')];
    const expected = [...listOf(before, list), resolve('/', file)];
    const [section, key] = list;
    return isDeepStrictEqual({ ...was, [section]: { ...was[section], [key]: expected } }, is);
  } catch (error) {
    if (error instanceof CliError) return false;
    throw error;
  }
}

function listOf(text: string, [section, key]: CertificateList): readonly string[] {
  const values: Readonly<Record<string, unknown>> = parseConfig(text, '/')[section];
  return values[key] as readonly string[];
}

/** The TLS certificate of the RA and its key, as they will stand in the file. */
export interface TlsPairText {
  readonly tlsCert: string;
  readonly tlsKey: string;
}

/**
 * Gives the RA another TLS certificate. What comes out is read again: nothing else may mean anything new.
 *
 * @throws CliError when the section is written in a way that a line at a time cannot change
 */
export function withTlsPair(text: string, { tlsCert, tlsKey }: TlsPairText): string {
  const values = { 'tls-cert': tlsCert, 'tls-key': tlsKey };
  const lines = text.split('\n');
  const start = lines.findIndex((line) => line.trim() === '[ra]');
  const end = lines.findIndex((line, at) => at > start && line.startsWith('['));
  const edited = lines.map((line, at) => {
    const isInside = start >= 0 && at > start && (end < 0 || at < end);
    const key = isInside ? /^\s*(tls-cert|tls-key)\s*=/.exec(line)?.[1] : undefined;
    return key === undefined
      ? line
      : `${key} = ${JSON.stringify(values[key as keyof typeof values])}`;
  });
  const result = edited.join('\n');
  if (namesOnly(text, result, { tlsCert, tlsKey })) return result;
  throw new CliError('expected a section [ra] with lines tls-cert = "..." and tls-key = "..."', {
    hint: 'write it so',
  });
}

function namesOnly(before: string, after: string, { tlsCert, tlsKey }: TlsPairText): boolean {
  const { ra, ...others } = parseConfig(before, '/');
  const pair = { tlsCert: resolve('/', tlsCert), tlsKey: resolve('/', tlsKey) };
  try {
    return isDeepStrictEqual(parseConfig(after, '/'), { ...others, ra: { ...ra, ...pair } });
  } catch (error) {
    if (error instanceof CliError) return false;
    throw error;
  }
}

/** Where rows and objects lie, as it will stand in the file. */
export interface StoresText {
  readonly store: string;
  readonly passwordFile?: string | undefined;
  /** Undefined: as before. */
  readonly objects?: string | undefined;
}

/**
 * Names other places for rows and objects. What comes out is read again: nothing else may mean anything new.
 *
 * @throws CliError when a section is written in a way that a line at a time cannot change
 */
export function withStores(text: string, { store, passwordFile, objects }: StoresText): string {
  const lines = [
    `url = ${JSON.stringify(store)}`,
    ...(passwordFile === undefined ? [] : [`password-file = ${JSON.stringify(passwordFile)}`]),
  ];
  const stored = withLine(text, 'store', 'url', lines);
  const result =
    objects === undefined
      ? stored
      : withLine(stored, 'objects', 'url', [`url = ${JSON.stringify(objects)}`]);
  const { store: _, objects: was, ...others } = parseConfig(text, '/');
  const expected = {
    ...others,
    store: {
      url: store,
      ...(passwordFile !== undefined && { passwordFile: resolve('/', passwordFile) }),
    },
    objects: objects === undefined ? was : { url: objects },
  };
  if (isDeepStrictEqual(parseConfig(result, '/'), expected)) return result;
  throw new CliError('expected sections [store] and [objects], each with a line url = "..."', {
    hint: 'write them so',
  });
}

function withLine(text: string, section: string, key: string, added: readonly string[]): string {
  const lines = text.split('\n');
  const start = lines.findIndex((line) => line.trim() === `[${section}]`);
  const end = lines.findIndex((line, n) => n > start && line.startsWith('['));
  const isInside = (n: number) => start >= 0 && n > start && (end < 0 || n < end);
  const at = lines.findIndex((line, n) => isInside(n) && line.trimStart().startsWith(`${key} =`));
  return at < 0 ? text : lines.toSpliced(at, 1, ...added).join('\n');
}
