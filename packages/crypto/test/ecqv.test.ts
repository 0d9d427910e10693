import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import {
  compressPoint,
  ecqvPrivateKey,
  ecqvPublicKey,
  ecqvReconstructionPoint,
  ecqvReconstructionPoints,
  ecqvReconstructionValue,
  PrivateKey,
  PublicKey,
  sha256,
} from '../src/index.ts';
import { negatePoint } from '../src/point-sum.ts';
import {
  anyInteger256,
  anyScalar,
  cryptoError,
  FEW,
  fromHex,
  fromInteger,
  nobleMultiple,
  nobleProduct,
  nobleSum,
  ORDER,
  octets,
  pointFromHex,
  toHex,
  toInteger,
} from './oracle.ts';

/** CAMP SCP1 vectors: one request key and one issuer, two certificates. */
const REQUEST_SCALAR = '1384c31d6982d52bca3bed8a7e60f52fecdab44e5c0ea166815a8159e09ffb42';
const REQUEST_X = 'f45a99137b1bb2c150d6d8cf7292ca07da68c003daa766a9af7f67f5ee916828';
const REQUEST_Y = 'f6a25216f44cb64a96c229ae00b479857b3b81c1319fb2adf0e8db2681769729';
const ISSUER_SCALAR = '97d1368e8c07a54f66c9dce284ba76caf4178206614f809a4eb43cb3106aa60e';
const ISSUER_X = '3bb8ffd19b25ee1bb939cd4935fbfa8fbaadba64843338a95595a70ed7479b70';
const ISSUER_Y = 'eb60ddc790e3cb05e85225f636d8a7c20df3a8135c4b2ae5396367b4e86077f8';
const TO_BE_SIGNED = '54686973206973206120746573742100';
const VECTORS = [
  {
    k: 'e2f9cbcec3f28f7dfbef044732c41119816c62909fb720b091fb8f380f1b70dc',
    pux: '4a1890e30a584208dad3838d0c5cecb1ed6b01d48893c684c59908f5b38e3d82',
    puy: 'bae8fb2ef2dc080f248f44fcec458b1b35ecdc80f00c959292cbe21be2ff2ea2',
    r: '1fa86893a1aabe8a79f63360f4b6d5617380b4d84b8c260dd8d3d64163c874fd',
    du: 'c8599eca52b58d691b2bb609cdb53ddd9f49c0d635ab652ec79c546914590274',
    qux: '6e89d7c0f910aaa4ad3137ebe01ef781c0bab6748318d66fe714471f7f860eb2',
    quy: '1efe06e2acc3a2343d2e4445f2083bfa4379672dfbfe0b2575002082407ffddc',
  },
  {
    k: '3396da2ecbfc6e5f231e2c80eb27ab84f09dd5e724f8652ade86e60bc800ead7',
    pux: '6694d1f99a18cbe8035e053b2e56c12eecb94e9d5dba88e07e5b50cbe309103e',
    puy: '74a698788b8f35b3a86e553228d592fcb7c85611637690a85eeaca02eb178887',
    r: '001cf7456a157a90fcea0634699e7a3644febfb86c119e6a9686928b8e3f7ef0',
    du: 'c9ccc8e83ab985c436a8bc09c0caa8a5ac627dd7bc9336a5e8ab81b77d3a031d',
    qux: '8ed40e9601beeb146a4a0ab96d20ee0fe4ca1e389397f2b1cc67ad9f5b0f579e',
    quy: '73e589e8a9a135306f4aa324f17b66906153bd333961f9be530f20eb8d3339c7',
  },
] as const;

/** The e of the vectors' demonstration, which drops the last bit as SEC 4 has it. */
function demonstrationHash(reconstructionPoint: ReturnType<typeof pointFromHex>): Uint8Array {
  const { x, yIsOdd } = compressPoint(reconstructionPoint);
  const digest = sha256(fromHex(TO_BE_SIGNED), Uint8Array.of(yIsOdd ? 3 : 2), x);
  return fromInteger(toInteger(digest) >> 1n);
}

suite('ECQV', () => {
  const requestKey = PrivateKey.fromScalar(fromHex(REQUEST_SCALAR));
  const issuer = PrivateKey.fromScalar(fromHex(ISSUER_SCALAR));

  test('CAMP vectors: issue, reconstruct on both sides', () => {
    assert.deepEqual(requestKey.publicPoint, pointFromHex(REQUEST_X, REQUEST_Y));
    assert.deepEqual(issuer.publicPoint, pointFromHex(ISSUER_X, ISSUER_Y));
    for (const vector of VECTORS) {
      const k = PrivateKey.fromScalar(fromHex(vector.k));
      const reconstructionPoint = ecqvReconstructionPoint(requestKey.publicPoint, k);
      const [alone] = ecqvReconstructionPoints([requestKey.publicPoint], [k]);
      assert.deepEqual(alone, reconstructionPoint);
      assert.deepEqual(reconstructionPoint, pointFromHex(vector.pux, vector.puy));

      const e = demonstrationHash(reconstructionPoint);
      const r = ecqvReconstructionValue(e, k, issuer);
      assert.equal(toHex(r), vector.r);
      const privateKey = ecqvPrivateKey(e, requestKey, r);
      assert.equal(toHex(privateKey.scalar().reveal()), vector.du);
      const publicPoint = ecqvPublicKey(e, reconstructionPoint, issuer.publicPoint);
      assert.deepEqual(publicPoint, pointFromHex(vector.qux, vector.quy));
      assert.deepEqual(privateKey.publicPoint, publicPoint);
    }
  });

  test('every step agrees with noble and BigInt, for any e of 256 bits', () => {
    const values = fc.tuple(anyInteger256, anyScalar, anyScalar, anyScalar);
    fc.assert(
      fc.property(values, ([e, request, k, ca]) => {
        fc.pre(e % ORDER !== 0n && (request + k) % ORDER !== 0n);
        const d = (e * (request + k) + ca) % ORDER;
        fc.pre(d !== 0n);
        const kKey = PrivateKey.fromScalar(fromInteger(k));
        const caKey = PrivateKey.fromScalar(fromInteger(ca));
        const pu = ecqvReconstructionPoint(nobleMultiple(request), kKey);
        assert.deepEqual(pu, nobleSum(nobleMultiple(request), nobleMultiple(k)));

        const r = ecqvReconstructionValue(fromInteger(e), kKey, caKey);
        assert.equal(toInteger(r), (e * k + ca) % ORDER);
        const privateKey = ecqvPrivateKey(
          fromInteger(e),
          PrivateKey.fromScalar(fromInteger(request)),
          r,
        );
        assert.equal(toInteger(privateKey.scalar().reveal()), d);

        const publicPoint = ecqvPublicKey(fromInteger(e), pu, caKey.publicPoint);
        assert.deepEqual(publicPoint, nobleSum(nobleProduct(e % ORDER, pu), nobleMultiple(ca)));
        assert.deepEqual(publicPoint, privateKey.publicPoint);
      }),
      FEW,
    );
  });

  test('the reconstructed pair signs and verifies', () => {
    fc.assert(
      fc.property(octets(32), anyScalar, octets(64), (e, k, message) => {
        const kKey = PrivateKey.fromScalar(fromInteger(k));
        const pu = ecqvReconstructionPoint(requestKey.publicPoint, kKey);
        const r = ecqvReconstructionValue(e, kKey, issuer);
        const signature = ecqvPrivateKey(e, requestKey, r).sign(message);
        const publicKey = PublicKey.fromPoint(ecqvPublicKey(e, pu, issuer.publicPoint));
        assert.ok(publicKey.verify(message, signature));
      }),
      FEW,
    );
  });

  test('the whole hash counts: with its last bit dropped, the keys do not match', () => {
    const k = PrivateKey.fromScalar(fromHex(VECTORS[0].k));
    const pu = ecqvReconstructionPoint(requestKey.publicPoint, k);
    const e = sha256(fromHex(TO_BE_SIGNED));
    const cut = fromInteger(toInteger(e) >> 1n);
    const privateKey = ecqvPrivateKey(e, requestKey, ecqvReconstructionValue(e, k, issuer));
    assert.notDeepEqual(privateKey.publicPoint, ecqvPublicKey(cut, pu, issuer.publicPoint));
  });

  test('e = 0 modulo n is refused everywhere: r would be the issuer’s private key', () => {
    const k = PrivateKey.fromScalar(fromInteger(5n));
    for (const e of [fromInteger(0n), fromInteger(ORDER)]) {
      const refused = cryptoError('invalid-scalar');
      assert.throws(() => ecqvReconstructionValue(e, k, issuer), refused);
      assert.throws(() => ecqvPrivateKey(e, requestKey, fromInteger(1n)), refused);
      assert.throws(() => ecqvPublicKey(e, k.publicPoint, issuer.publicPoint), refused);
    }
  });

  test('e and r of other lengths are refused', () => {
    const k = PrivateKey.fromScalar(fromInteger(5n));
    const whole = fromInteger(1n);
    for (const length of [0, 31, 33]) {
      const wrong = new Uint8Array(length).fill(1);
      const refused = cryptoError('invalid-length');
      assert.throws(() => ecqvReconstructionValue(wrong, k, issuer), refused);
      assert.throws(() => ecqvPrivateKey(wrong, requestKey, whole), refused);
      assert.throws(() => ecqvPrivateKey(whole, requestKey, wrong), refused);
      assert.throws(() => ecqvPublicKey(wrong, k.publicPoint, issuer.publicPoint), refused);
    }
  });

  test('sums without an affine point are refused', () => {
    const k = PrivateKey.fromScalar(fromInteger(5n));
    assert.throws(
      () => ecqvReconstructionPoint(negatePoint(k.publicPoint), k),
      cryptoError('point-at-infinity'),
    );
    // e = 1 and PU = -Q_CA: nobody holds a private key for such a certificate.
    assert.throws(
      () => ecqvPublicKey(fromInteger(1n), negatePoint(issuer.publicPoint), issuer.publicPoint),
      cryptoError('point-at-infinity'),
    );
    assert.throws(
      () => ecqvPrivateKey(fromInteger(1n), k, fromInteger(ORDER - 5n)),
      cryptoError('invalid-scalar'),
    );
  });

  test('e·PU = Q_CA doubles', () => {
    const publicPoint = ecqvPublicKey(fromInteger(1n), nobleMultiple(9n), nobleMultiple(9n));
    assert.deepEqual(publicPoint, nobleMultiple(18n));
  });
});
