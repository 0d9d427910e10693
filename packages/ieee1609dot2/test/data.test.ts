import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decode, encode, inspect } from '@chrysalis/coer';
import { Ieee1609Dot2Data } from '@chrysalis/ieee1609dot2';
import { fromHex, toHex } from './pki.ts';

const R = '00112233445566778899AABBCCDDEEFF101112131415161718191A1B1C1D1E1F';
const S = 'FF112233445566778899AABBCCDDEEFF101112131415161718191A1B1C1D1E1F';

/**
 * The signed message that accompanies the published modules (Sample-BSM-Digest), without the octet of the
 * generation time's logStdDev: drafts had it, 1609.2-2016 has not.
 */
const SIGNED = fromHex(`
  03 81 00 40 03 80 0F 54 68 69 73 20 69 73 20 61 20 42 53 4D 0D 0A 40 01 20
  00 00 0A 35 23 77 2A 85 80 00 00 00 00 00 00 00 00 80 82 ${R} ${S}`);

describe('the published sample of signed data', () => {
  const data = decode(Ieee1609Dot2Data, SIGNED);

  test('decodes to the published value', () => {
    assert.ok(data.content.type === 'signedData');
    const { hashId, tbsData, signer, signature } = data.content.value;
    assert.equal(hashId, 'sha256');
    assert.deepEqual(tbsData.value, {
      payload: {
        data: {
          protocolVersion: 3,
          content: { type: 'unsecuredData', value: new TextEncoder().encode('This is a BSM\r\n') },
        },
      },
      headerInfo: { psid: 0x20, generationTime: 11_223_344_556_677n },
    });
    assert.deepEqual(signer, { type: 'digest', value: new Uint8Array(8) });
    const r = { type: 'compressedY0', value: fromHex(R) };
    assert.deepEqual(signature, { type: 'ecdsaNistP256Signature', value: { r, s: fromHex(S) } });
    assert.equal(toHex(encode(Ieee1609Dot2Data, data)), toHex(SIGNED));
  });

  test('keeps the octets of what was signed', () => {
    assert.ok(data.content.type === 'signedData');
    assert.equal(toHex(data.content.value.tbsData.octets), toHex(SIGNED.subarray(3, 33)));
  });

  test('with the octet of the draft is refused', () => {
    const draft = Uint8Array.from([...SIGNED.subarray(0, 33), 0, ...SIGNED.subarray(33)]);
    assert.throws(() => decode(Ieee1609Dot2Data, draft), { name: 'CoerError' });
  });

  test('can be inspected field by field', () => {
    const [version, content] = inspect(Ieee1609Dot2Data, SIGNED).children;
    assert.deepEqual([version?.name, version?.offset, version?.length], ['protocolVersion', 0, 1]);
    assert.deepEqual([content?.name, content?.offset], ['content', 1]);
  });
});

test('content of a kind that nobody knows is kept as it came', () => {
  const octets = fromHex('03 84 03 010203');
  const value = decode(Ieee1609Dot2Data, octets);
  assert.deepEqual(value.content, { type: 'unknown', tag: 4, value: fromHex('010203') });
  assert.equal(toHex(encode(Ieee1609Dot2Data, value)), toHex(octets));
});

test('signed data inside signed data, over and over, end at the limit of nesting', () => {
  let octets = fromHex('03 80 00');
  const outer = fromHex('81 00 40');
  const rest = fromHex(`00 01 23 82 80 80 ${R} ${S}`);
  for (let level = 0; level < 40; level++) {
    octets = Uint8Array.from([3, ...outer, ...octets, ...rest]);
  }
  assert.throws(() => decode(Ieee1609Dot2Data, octets), { name: 'CoerError', code: 'too-deep' });
});
