/** What is accepted has no other encoding, and what is not is refused with an error that was announced. */
import assert from 'node:assert/strict';
import { type Codec, CoerError, decode, encode } from '@chrysalis/coer';
import { CryptoError } from '@chrysalis/crypto';
import {
  CertificateBase,
  Ieee1609Dot2Data,
  Ieee1609Dot2Error,
  ToBeSignedData,
} from '@chrysalis/ieee1609dot2';
import { ScmsDataError, ScmsPdu122, ScmsPdu124, ToBeSignedPolicyData } from '@chrysalis/scms';
import type { Sample } from './message-samples.ts';

/** Whether the octets were accepted; if so, what they say has no other encoding. */
export function expectStrict(
  name: string,
  codec: Codec<unknown>,
  octets: Uint8Array,
  use: Sample['use'],
  isValid = false,
): boolean {
  const asItCame = Buffer.from(octets);
  let value: unknown;
  try {
    value = decode(codec, octets);
  } catch (error) {
    assert.ok(error instanceof CoerError && !isValid, `${name}: ${inHex(octets)}: ${error}`);
    assert.ok(error.offset !== undefined && error.offset <= octets.length);
    return false;
  }
  const again = encode(codec, withoutCaptures(value));
  assert.ok(asItCame.equals(again), `${name}: ${inHex(octets)} is encoded as ${inHex(again)}`);
  try {
    use?.(octets, value);
  } catch (error) {
    assert.ok(isAnnounced(error) && !isValid, `${name}: ${inHex(octets)}: ${error}`);
  }
  assert.ok(asItCame.equals(octets), `${name}: the input is left as it was`);
  return true;
}

/** An error that the pure rooms say they throw. */
export function isAnnounced(error: unknown): boolean {
  return [CoerError, ScmsDataError, Ieee1609Dot2Error, CryptoError].some(
    (kind) => error instanceof kind,
  );
}

function inHex(octets: Uint8Array): string {
  return Buffer.from(octets).toString('hex');
}

/** What is captured is encoded from its octets: here from its value instead, all the way down. */
function withoutCaptures(value: unknown, field?: string): unknown {
  if (Array.isArray(value)) return value.map((element) => withoutCaptures(element, field));
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  const entries = Object.entries(value).map(([key, inner]) => [key, withoutCaptures(inner, key)]);
  const copy = Object.fromEntries(entries);
  const { octets } = value as { octets?: unknown };
  if (!(octets instanceof Uint8Array && 'value' in value)) return copy;
  return { ...copy, octets: encode(codecOfCaptured(field, value.value), copy.value) };
}

function codecOfCaptured(field: string | undefined, value: unknown): Codec<unknown> {
  const has = (name: string) => typeof value === 'object' && value !== null && name in value;
  if (has('policyID')) return ToBeSignedPolicyData as Codec<unknown>;
  if (has('protocolVersion')) return Ieee1609Dot2Data as Codec<unknown>;
  if (field === 'tbsData') return ToBeSignedData as Codec<unknown>;
  if (field !== 'tbsRequest') return CertificateBase as Codec<unknown>;
  // One of the two releases encodes it: the one that decoded it.
  const { content } = value as ScmsPdu122;
  const body = content.type === 'eeRa' ? content.value.value : {};
  return ('currentTime' in body ? ScmsPdu124 : ScmsPdu122) as Codec<unknown>;
}
