import { CliError } from './context.ts';

/**
 * A hash as operators have it: hex in any case.
 *
 * @param octets the lengths that are taken
 * @throws CliError
 */
export function parseHash(text: string, octets: readonly number[]): Uint8Array {
  const isHex = /^(?:[0-9a-fA-F]{2})+$/.test(text);
  if (isHex && octets.includes(text.length / 2)) return new Uint8Array(Buffer.from(text, 'hex'));
  const lengths = octets.map((length) => 2 * length).join(' or ');
  throw new CliError(`expected ${lengths} hex digits, saw ${JSON.stringify(text.slice(0, 80))}`);
}
