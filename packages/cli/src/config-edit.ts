/** Changes to chrysalis.toml that leave every other line, and every comment, as they are. */
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
