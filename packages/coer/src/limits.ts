/** Limits of one decoding. Each default is far above any message of the SCMS and far below what would hurt. */
export interface DecodeLimits {
  /** Nesting of fields, elements and alternatives. A signed request inside an envelope nests about 20 deep. */
  readonly depth?: number;
  /** Octets of the whole input. */
  readonly octets?: number;
  /** Fields, elements and alternatives in all. One of them is an object or two, so this bounds the heap. */
  readonly fields?: number;
}

/** Limits of one encoding: a value that refers to itself has to end somewhere. */
export type EncodeLimits = Pick<DecodeLimits, 'depth'>;

/** Deepest nesting that is followed: three times that of the deepest message that CAMP defines. */
export const DEFAULT_DEPTH = 64;
/** No limit is set deeper than this: a level costs up to six stack frames, and Node's stack holds some 10,000. */
export const MAX_DEPTH = 512;
/** Largest input: a chain file or a month's CRL stays well below. */
export const DEFAULT_OCTETS = 64 * 1024 * 1024;
/** Most fields: a CRL of 300,000 seed pairs. At some 100 octets of heap each, about 100 MB at worst. */
export const DEFAULT_FIELDS = 1024 * 1024;
