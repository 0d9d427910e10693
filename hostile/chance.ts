/** Octets and choices of an attacker. */
import { systemRandom } from '@chrysalis/crypto';
import { type Draw, mutate } from '../test/support/mutate.ts';

/** A whole number from 0 to below another. */
export const below: Draw = (limit) => Buffer.from(systemRandom(4)).readUInt32BE() % limit;

export const octets = (most: number): Uint8Array => systemRandom(below(most + 1));

export const pick = <T>(items: readonly T[]): T => items[below(items.length)]!;

export const base64 = (value: Uint8Array): string => Buffer.from(value).toString('base64');

/** Changed in one to three places. */
export function changed(value: Uint8Array): Uint8Array {
  let mutant = value;
  for (let n = below(3); n >= 0; n -= 1) mutant = mutate(mutant, value, below);
  return mutant;
}
