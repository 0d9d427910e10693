import { hmacSha256, type Random } from '@chrysalis/crypto';
import { type CaterpillarKeys, generateCaterpillarKeys } from '@chrysalis/ee';

/** Of the seed that all keys of a fleet come from. */
export const SEED_OCTETS = 32;

/** What a stream is for; a device's streams have nothing in common. */
export type KeyPurpose = 'enrollment' | 'provisioning';

/**
 * The octets from which a device makes its keys: HMAC-SHA-256(seed, purpose || device || block) for block 0, 1, ...,
 * device and block as Uint32, big-endian. Each call goes on where the last one ended.
 *
 * For keys, whose public half goes out once. What is drawn anew in every message (ephemeral keys, nonces) may not
 * come from a stream that begins again when a process does.
 *
 * @param seed 32 octets
 */
export function keyStream(seed: Uint8Array, device: number, purpose: KeyPurpose): Random {
  const label = new TextEncoder().encode(purpose);
  const input = new Uint8Array(label.length + 8);
  input.set(label);
  const view = new DataView(input.buffer, label.length);
  view.setUint32(0, device);
  let block = 0;
  let rest = new Uint8Array(0);
  return (octets) => {
    while (rest.length < octets) {
      view.setUint32(4, block++);
      const longer = new Uint8Array(rest.length + 32);
      longer.set(rest);
      longer.set(hmacSha256(seed, input), rest.length);
      rest = longer;
    }
    const taken = rest.slice(0, octets);
    rest = rest.slice(octets);
    return taken;
  };
}

/** The caterpillar keys that a device of the fleet asks for pseudonym certificates with. Pure. */
export function caterpillarKeysOf(seed: Uint8Array, device: number): CaterpillarKeys {
  return generateCaterpillarKeys(keyStream(seed, device, 'provisioning'));
}
