import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { p256 } from '@noble/curves/nist.js';
import fc from 'fast-check';
import { signatureFromDer, signatureToDer } from '../src/ecdsa-signature.ts';
import { anyScalar, fromInteger, toHex } from './oracle.ts';

/** Integers with every number of leading zeros, each with a clear and a set top bit. */
const anyInteger = fc.oneof(
  anyScalar,
  fc.tuple(fc.nat(255), anyScalar).map(([bits, value]) => (value >> BigInt(bits)) + 1n),
  fc.nat(31).map((octet) => 0x80n << BigInt(8 * octet)),
  fc.nat(31).map((octet) => 0x7fn << BigInt(8 * octet)),
);

suite('ECDSA signatures in DER', () => {
  test('agree with noble and come back', () => {
    fc.assert(
      fc.property(anyInteger, anyInteger, (r, s) => {
        fc.pre(r < p256.Point.Fn.ORDER && s < p256.Point.Fn.ORDER);
        const signature = { r: fromInteger(r), s: fromInteger(s) };
        const der = signatureToDer(signature);
        assert.equal(toHex(der), new p256.Signature(r, s).toHex('der'));
        assert.deepEqual(signatureFromDer(der), signature);
      }),
      { numRuns: 1000 },
    );
  });

  test('zero is one octet', () => {
    const signature = { r: new Uint8Array(32), s: new Uint8Array(32) };
    assert.equal(toHex(signatureToDer(signature)), '3006020100020100');
    assert.deepEqual(signatureFromDer(signatureToDer(signature)), signature);
  });
});
