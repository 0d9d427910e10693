import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { kdf2Sha256 } from '../src/index.ts';
import { cryptoError, fromHex, toHex } from './oracle.ts';

/** ANSI X9.63 KDF vectors of NIST CAVS with SHA-256: Z, SharedInfo, key data. */
const VECTORS = [
  {
    secret: '96c05619d56c328ab95fe84b18264b08725b85e33fd34f08',
    p1: '',
    derived: '443024c3dae66b95e6f5670601558f71',
  },
  {
    secret: '96f600b73ad6ac5629577eced51743dd2c24c21b1ac83ee4',
    p1: '',
    derived: 'b6295162a7804f5667ba9070f82fa522',
  },
  {
    secret: '22518b10e70f2a3f243810ae3254139efbee04aa57c7af7d',
    p1: '75eef81aa3041e33b80971203d2c0c52',
    derived: [
      'c498af77161cc59f2962b9a713e2b215152d139766ce34a776df11866a69bf2e',
      '52a13d9c7c6fc878c50c5ea0bc7b00e0da2447cfd874f6cf92f30d0097111485',
      '500c90c3af8b487872d04685d14c8d1dc8d7fa08beb0ce0ababc11f0bd496269',
      '142d43525a78e5bc79a17f59676a5706dc54d54d4d1f0bd7e386128ec26afc21',
    ].join(''),
  },
  {
    secret: '7e335afa4b31d772c0635c7b0e06f26fcd781df947d2990a',
    p1: 'd65a4812733f8cdbcdfb4b2f4c191d87',
    derived: [
      'c0bd9e38a8f9de14c2acd35b2f3410c6988cf02400543631e0d6a4c1d030365a',
      'cbf398115e51aaddebdc9590664210f9aa9fed770d4c57edeafa0b8c14f93300',
      '865251218c262d63dadc47dfa0e0284826793985137e0a544ec80abf2fdf5ab9',
      '0bdaea66204012efe34971dc431d625cd9a329b8217cc8fd0d9f02b13f2f6b0b',
    ].join(''),
  },
] as const;

suite('KDF2', () => {
  test('ANSI X9.63 vectors', () => {
    for (const { secret, p1, derived } of VECTORS) {
      const key = kdf2Sha256(fromHex(secret), fromHex(p1), derived.length / 2);
      assert.equal(toHex(key), derived);
    }
  });

  test('is the cut concatenation of SHA-256(Z || counter || P1)', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.uint8Array(), fc.nat(200), (secret, p1, length) => {
        const blocks: Buffer[] = [];
        for (let counter = 1; counter <= 7; counter += 1) {
          const head = Buffer.concat([secret, Buffer.from([0, 0, 0, counter])]);
          blocks.push(createHash('sha256').update(head).update(p1).digest());
        }
        const expected = Buffer.concat(blocks).subarray(0, length);
        assert.deepEqual(kdf2Sha256(secret, p1, length), Uint8Array.from(expected));
      }),
    );
  });

  test('lengths outside 0..4096 are refused', () => {
    const nothing = new Uint8Array(0);
    assert.equal(kdf2Sha256(nothing, nothing, 4096).length, 4096);
    for (const length of [-1, 4097, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.throws(() => kdf2Sha256(nothing, nothing, length), cryptoError('invalid-length'));
    }
  });
});
