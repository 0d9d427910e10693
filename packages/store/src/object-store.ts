/**
 * Where whole objects lie: zips of certificates, CRLs, files. An object is written once and read
 * many times; it is never changed in part.
 *
 * Every method throws StoreError: `invalid-key` for a key outside its syntax (see object-key.ts),
 * `too-large`, `full`, `io`. After an error of put, delete or deleteAll the caller does not know
 * whether it took place; each of the three may be repeated until it succeeds.
 */
export interface ObjectStore {
  /**
   * When put resolves, the octets are on stable storage under the whole key and survive a power
   * cut; a reader sees either the old octets or the new ones, never a mixture; after a failed or
   * interrupted put it sees the old or the new. Putting the same key again replaces; of two puts
   * at the same time, one wins whole. The octets are copied before put returns its promise.
   */
  put(key: string, octets: Uint8Array): Promise<void>;
  /** The octets of the last put, the caller's own copy; undefined when there is no such object. */
  get(key: string): Promise<Uint8Array | undefined>;
  /** When delete resolves, the object is gone for good. That it was absent is no error. */
  delete(key: string): Promise<void>;
  /** Drops every object whose key begins with `prefix/`; one that is put meanwhile may stay. */
  deleteAll(prefix: string): Promise<void>;
  /**
   * The keys that begin with `prefix/`, every key for the prefix ''; in the order of their code
   * units. A key put or deleted meanwhile may or may not appear; every other one appears once.
   */
  list(prefix: string): AsyncIterable<string>;
  /**
   * Removes what interrupted processes left behind and no key names, a little with each step: some 10 ms, so that whoever takes
   * the steps does other things between. Whoever ends early leaves the rest to the next one.
   */
  removeAbandoned(): AsyncIterable<void>;
}

/**
 * No object is larger: 64 MiB. A week of certificates is about 10 kB and a CRL of a whole fleet a
 * few MB; an object is held in memory whole, so that the bound is the reader's protection.
 */
export const MAX_OBJECT_OCTETS = 64 * 1024 * 1024;
