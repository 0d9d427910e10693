/**
 * Canonical OER (ITU-T X.696) as schema values: one value per type, both directions.
 *
 * @example
 * interface PsidSsp { psid: number; ssp?: Uint8Array }
 * const PsidSsp = sequence<PsidSsp>('PsidSsp', { psid: integer({ min: 0 }), ssp: optional(octetString()) });
 * encode(PsidSsp, { psid: 0x20 }); // 00 01 20
 */
export {
  type Alternatives,
  type ChoiceOptions,
  choice,
  type UnknownAlternative,
} from './choice.ts';
export {
  type Codec,
  decode,
  encode,
  type Value,
} from './codec.ts';
export {
  type Captured,
  capture,
  captured,
  constrained,
  containing,
  encoded,
  lazy,
} from './containing.ts';
export { enumerated } from './enumerated.ts';
export { CoerError, type CoerErrorCode, type FieldPath, formatPath } from './error.ts';
export { type InspectedField, inspect } from './inspect.ts';
export { bigInteger, type IntegerBounds, integer } from './integer.ts';
export {
  DEFAULT_DEPTH,
  DEFAULT_FIELDS,
  DEFAULT_OCTETS,
  type DecodeLimits,
  type EncodeLimits,
  MAX_DEPTH,
} from './limits.ts';
export { openType } from './open-type.ts';
export { boolean, nullValue } from './primitive.ts';
export { Reader } from './reader.ts';
export {
  type Components,
  type Extensible,
  optional,
  type SequenceOptions,
  sequence,
  type UnknownAdditions,
  withDefault,
} from './sequence.ts';
export { sequenceOf } from './sequence-of.ts';
export { bitString, octetString, type SizeBounds, utf8String } from './string.ts';
export { Writer } from './writer.ts';
