import { randomFillSync } from 'node:crypto';

/**
 * A source of octets for keys and nonces. The guarantee asked of it: every call returns a fresh
 * array of exactly `octets` octets that nobody can predict. Tests pass a deterministic one.
 */
export type Random = (octets: number) => Uint8Array;

/** libcrypto's generator, seeded by the operating system. */
export const systemRandom: Random = (octets) => randomFillSync(new Uint8Array(octets));
