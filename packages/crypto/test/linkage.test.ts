import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { suite, test } from 'node:test';
import { ecb } from '@noble/ciphers/aes.js';
import fc from 'fast-check';
import {
  linkageSeedAt,
  linkageValue,
  nextLinkageSeed,
  preLinkageValue,
  preLinkageValues,
} from '../src/index.ts';
import { cryptoError, fromHex, octets, toHex } from './oracle.ts';

/** CAMP SCP1 vectors (lv): two linkage authorities, i = 0 at j = 8 and i = 1 at j = 6. */
const AUTHORITIES = [
  {
    laId: '8e09',
    seed0: '4840ed221502d9ab6786bf68fba9f210',
    seed1: 'bd8f57949b4b60800cc97dbc6cd73edf',
    plv0: '61f391b5d930e103ed',
    plv1: '522844a7e47b958fa1',
  },
  {
    laId: '59ce',
    seed0: '6b71a7eb5755f16e89981d2189a6daea',
    seed1: '228c371780f1e0ec424659bbaebc54a1',
    plv0: '09795ec53b6e211cdf',
    plv1: '6a6fdb7def6d8fdcf6',
  },
] as const;
const LV0 = '688acf70e25ec01f32';
const LV1 = '38479fda0b161a5357';

suite('linkage values', () => {
  test('CAMP vectors', () => {
    for (const { laId, seed0, seed1, plv0, plv1 } of AUTHORITIES) {
      const id = fromHex(laId);
      assert.equal(toHex(nextLinkageSeed(id, fromHex(seed0))), seed1);
      assert.equal(toHex(preLinkageValue(id, fromHex(seed0), 8)), plv0);
      assert.equal(toHex(preLinkageValue(id, fromHex(seed1), 6)), plv1);
      assert.equal(toHex(preLinkageValues(id, fromHex(seed0), 9)[8]!), plv0);
    }
    const [first, second] = AUTHORITIES;
    assert.equal(toHex(linkageValue(fromHex(first.plv0), fromHex(second.plv0))), LV0);
    assert.equal(toHex(linkageValue(fromHex(first.plv1), fromHex(second.plv1))), LV1);
  });

  test('a seed is the first half of SHA-256(la_id || seed || 0^112)', () => {
    fc.assert(
      fc.property(octets(2), octets(16), (laId, seed) => {
        const input = Buffer.concat([laId, seed, Buffer.alloc(14)]);
        const expected = createHash('sha256').update(input).digest().subarray(0, 16);
        assert.deepEqual(nextLinkageSeed(laId, seed), Uint8Array.from(expected));
      }),
    );
  });

  test('linkageSeedAt walks the chain, from a copy of the first seed', () => {
    fc.assert(
      fc.property(octets(2), octets(16), fc.nat(20), (laId, seed0, steps) => {
        let expected = seed0;
        for (let step = 0; step < steps; step += 1) {
          expected = nextLinkageSeed(laId, expected);
        }
        const seed = linkageSeedAt(laId, seed0, steps);
        assert.deepEqual(seed, expected);
        assert.notEqual(seed, seed0);
      }),
    );
  });

  test('preLinkageValue agrees with the formula over noble’s AES', () => {
    const anyJ = fc.oneof(fc.nat(0xffff_ffff), fc.constantFrom(0, 19, 0xffff_ffff));
    fc.assert(
      fc.property(octets(2), octets(16), anyJ, (laId, seed, j) => {
        const x = Uint8Array.of(...laId, j >>> 24, j >>> 16, j >>> 8, j, ...new Uint8Array(10));
        const encrypted = ecb(seed, { disablePadding: true }).encrypt(x);
        const expected = encrypted.map((octet, index) => octet ^ x[index]!).slice(0, 9);
        assert.deepEqual(preLinkageValue(laId, seed, j), expected);
      }),
    );
  });

  test('preLinkageValues are preLinkageValue for j = 0, 1 and so on', () => {
    fc.assert(
      fc.property(octets(2), octets(16), fc.nat(40), (laId, seed, jCount) => {
        const values = preLinkageValues(laId, seed, jCount);
        assert.deepEqual(
          values,
          Array.from({ length: jCount }, (_, j) => preLinkageValue(laId, seed, j)),
        );
      }),
      { numRuns: 50 },
    );
  });

  test('linkageValue hides each half with the other', () => {
    fc.assert(
      fc.property(octets(9), octets(9), (plv1, plv2) => {
        const value = linkageValue(plv1, plv2);
        assert.deepEqual(linkageValue(value, plv2), plv1);
        assert.deepEqual(linkageValue(plv2, plv1), value);
      }),
    );
  });

  test('other lengths are refused', () => {
    const id = new Uint8Array(2);
    const seed = new Uint8Array(16);
    const plv = new Uint8Array(9);
    const refused = cryptoError('invalid-length');
    for (const length of [0, 1, 3, 8, 10, 15, 17]) {
      const wrong = new Uint8Array(length);
      assert.throws(() => nextLinkageSeed(wrong, seed), refused);
      assert.throws(() => nextLinkageSeed(id, wrong), refused);
      assert.throws(() => linkageSeedAt(wrong, seed, 0), refused);
      assert.throws(() => linkageSeedAt(id, wrong, 0), refused);
      assert.throws(() => preLinkageValue(wrong, seed, 0), refused);
      assert.throws(() => preLinkageValue(id, wrong, 0), refused);
      assert.throws(() => preLinkageValues(wrong, seed, 1), refused);
      assert.throws(() => linkageValue(wrong, plv), refused);
      assert.throws(() => linkageValue(plv, wrong), refused);
    }
  });

  test('steps, j and counts out of range are refused', () => {
    const id = new Uint8Array(2);
    const seed = new Uint8Array(16);
    const refused = cryptoError('out-of-range');
    for (const wrong of [-1, 0.5, 2 ** 32, Number.NaN]) {
      assert.throws(() => linkageSeedAt(id, seed, wrong), refused);
      assert.throws(() => preLinkageValue(id, seed, wrong), refused);
      assert.throws(() => preLinkageValues(id, seed, wrong), refused);
    }
    assert.throws(() => linkageSeedAt(id, seed, 65536), refused);
    assert.throws(() => preLinkageValues(id, seed, 4097), refused);
  });
});
