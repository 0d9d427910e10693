import { randomFillSync } from 'node:crypto';

/**
 * A source of octets for keys and nonces. The guarantee asked of it: every call returns a fresh
 * array of exactly `octets` octets that nobody can predict. Tests pass a deterministic one.
 */
export type Random = (octets: number) => Uint8Array;

/** A call of libcrypto's generator costs 2 microseconds, 3 for these, which are handed out piece by piece. */
const POOL_OCTETS = 4096;
/** Draws up to this come from the pool: scalars, keys and nonces. */
const MAX_POOLED_OCTETS = 64;

let pool = new Uint8Array(0);
/** What lies before it has been handed out. */
let next = 0;

/** libcrypto's generator, seeded by the operating system. What is handed out stays nowhere else. */
export const systemRandom: Random = (octets) => {
  const isPooled = Number.isInteger(octets) && octets >= 0 && octets <= MAX_POOLED_OCTETS;
  if (!isPooled) return randomFillSync(new Uint8Array(octets));
  if (next + octets > pool.length) {
    pool = randomFillSync(new Uint8Array(POOL_OCTETS));
    next = 0;
  }
  const start = next;
  next += octets;
  const drawn = pool.slice(start, next);
  pool.fill(0, start, next);
  return drawn;
};
