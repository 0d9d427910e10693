/**
 * Every message type, 10,000 times mutated: nothing escapes but the errors that the rooms announce, and nothing is
 * accepted that is encoded differently again. Keys, signatures and mutations are the same in every run.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decode } from '@chrysalis/coer';
import { Certificate } from '@chrysalis/ieee1609dot2';
import { root } from '../packages/ieee1609dot2/test/pki.ts';
import { messageSamples, type Sample } from './support/message-samples.ts';
import { generator, mutate } from './support/mutate.ts';
import { expectStrict } from './support/strict-sample.ts';

const MUTANTS = 10_000;
/** One in so many accepted mutants goes on to the receiver, whose curve operations cost more than all the decoding. */
const USED = 5;

describe('10,000 mutants', () => {
  for (const type of messageSamples()) {
    test(`of ${type.name}`, (t) => {
      const started = performance.now();
      const accepted = attack(type);
      const milliseconds = Math.round(performance.now() - started);
      t.diagnostic(`${type.name}: ${accepted} of ${MUTANTS} accepted, ${milliseconds} ms`);
    });
  }
});

/** How many mutants were accepted. */
function attack({ name, codec, encodings, use }: Sample): number {
  const draw = generator(name);
  for (const encoding of encodings) expectStrict(name, codec, encoding, use, true);
  let accepted = 0;
  for (let i = 0; i < MUTANTS; i++) {
    const encoding = encodings[i % encodings.length] as Uint8Array;
    let mutant = encoding;
    for (let changes = 1 + draw(3); changes > 0; changes--) {
      mutant = mutate(mutant, encodings[draw(encodings.length)] as Uint8Array, draw);
    }
    const isUsed = accepted % USED === 0;
    if (expectStrict(name, codec, mutant, isUsed ? use : undefined)) accepted++;
  }
  return accepted;
}

test('a certificate keeps its octets through all of this', () => {
  assert.deepEqual(decode(Certificate, root.given.octets), root.given);
});
