import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { format, inspect } from 'node:util';
import fc from 'fast-check';
import { Expansion, equalConstantTime, PrivateKey, Secret, systemRandom } from '../src/index.ts';
import { fromHex } from './oracle.ts';

const OCTETS = fromHex('c0ffeec0ffeec0ffeec0ffeec0ffee42');

suite('secrets', () => {
  const holders: readonly [string, object][] = [
    ['Secret', new Secret(OCTETS)],
    ['PrivateKey', PrivateKey.generate(systemRandom)],
    ['Expansion', new Expansion(OCTETS, 'signing')],
  ];
  for (const [name, holder] of holders) {
    test(`a ${name} prints as [secret] whatever prints it`, () => {
      assert.equal(String(holder), '[secret]');
      assert.equal(`${holder}`, '[secret]');
      assert.equal(JSON.stringify({ holder }), '{"holder":"[secret]"}');
      assert.equal(inspect({ holder }), '{ holder: [secret] }');
      assert.equal(inspect(holder, { showHidden: true, depth: 9 }), '[secret]');
      assert.equal(format('%s %o %j', holder, holder, holder), '[secret] [secret] "[secret]"');
      assert.deepEqual(Object.keys(holder), []);
    });
  }

  test('a Secret reveals a copy of what it was given', () => {
    const given = Uint8Array.from(OCTETS);
    const secret = new Secret(given);
    given.fill(0);
    assert.deepEqual(secret.reveal(), OCTETS);
    assert.equal(secret.length, 16);
  });

  test('equalConstantTime is equality', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 4 }), fc.uint8Array({ maxLength: 4 }), (a, b) => {
        assert.equal(equalConstantTime(a, b), Buffer.compare(a, b) === 0);
        assert.ok(equalConstantTime(a, Uint8Array.from(a)));
      }),
    );
  });
});
