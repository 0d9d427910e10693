import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemRandom } from '@chrysalis/crypto';
import type { RaEeErrorName } from '@chrysalis/scms';
import { contact } from '../src/contact.ts';
import {
  EeError,
  type EeErrorCode,
  generateCaterpillarKeys,
  type ProvisioningState,
} from '../src/index.ts';

const KEYS = generateCaterpillarKeys(systemRandom);

type Outcome = EeErrorCode | 'ok' | 'refused-5070' | 'refused-5999';

/** A refusal that says why; `contact` is to go by the name, and by `retry` of which there is none here. */
function refusal(name: RaEeErrorName): EeError {
  return new EeError('refused', 'scripted', { refusal: { name, meaning: '', next: '' } });
}

/** A device whose bodies are numbers, and an RA that follows a script: a code to fail with, or none. */
function setUp(bodies: number[]) {
  const sent: number[] = [];
  const saved: ProvisioningState[] = [];
  let next = Math.max(0, ...bodies) + 1;
  const state = { keys: KEYS, bodies: bodies.map((n) => Uint8Array.of(n)) };
  const run = (script: Outcome[], from: ProvisioningState = state) =>
    contact(from, {
      send: async (makeBody) => {
        const outcome = script.shift() ?? 'ok';
        if (outcome === 'unreachable') throw new EeError(outcome, 'scripted');
        const body = await makeBody();
        sent.push(body[0]!);
        if (outcome === 'refused-5070') throw refusal('raWrongParameters');
        if (outcome === 'refused-5999') throw refusal('chrysalisInternalError');
        if (outcome !== 'ok') throw new EeError(outcome, 'scripted');
        const requestHash = Uint8Array.of(body[0]!);
        const acknowledgement = { requestHash, certDLTime: 0, certDLURL: '' };
        return { acknowledgement, octets: new Uint8Array(1), body };
      },
      save: async (changed) => void saved.push(changed),
      newBody: () => Uint8Array.of(next++),
      backOff: { sleep: async () => {}, random: systemRandom },
      onBody: () => {},
    });
  const bodiesOnDisk = () => saved.at(-1)?.bodies.map((body) => body[0]);
  return { sent, saved, run, bodiesOnDisk };
}

describe('contact', () => {
  it('sends a fresh body once, and keeps the one that was acknowledged', async () => {
    const { sent, run, saved } = setUp([]);
    await run(['ok']);
    assert.deepEqual(sent, [1]);
    assert.deepEqual(saved.at(-1)!.acknowledged!.requestHash, Uint8Array.of(1));
    assert.equal(saved.at(-1)!.keys, KEYS);
  });

  it('makes a body when the connection is there, and not before', async () => {
    const { sent, run, saved } = setUp([]);
    await run(['unreachable', 'unreachable', 'ok']);
    assert.deepEqual(sent, [1]);
    assert.equal(saved.length, 2);
  });

  it('asks for the oldest doubtful body first, and renews only when all are refused', async () => {
    const { sent, run, bodiesOnDisk } = setUp([1, 2]);
    await run(['refused', 'ok']);
    assert.deepEqual(sent, [1, 2]);
    assert.deepEqual(bodiesOnDisk(), [2]);
    const other = setUp([1, 2]);
    await other.run(['refused', 'refused', 'ok']);
    assert.deepEqual(other.sent, [1, 2, 3]);
  });

  it('does not ask twice about a body that was refused, but about one that was lost', async () => {
    const { sent, run } = setUp([1]);
    await run(['refused', 'refused', 'interrupted', 'ok']);
    // 2 was made here and refused: not sent again before the next contact. 3 was lost.
    assert.deepEqual(sent, [1, 2, 3, 3]);
  });

  it('drops a body of which the RA says what is wrong, also one that it was in doubt about', async () => {
    const { sent, run, saved, bodiesOnDisk } = setUp([1, 2]);
    await assert.rejects(run(['refused-5070', 'refused', 'refused-5070', 'tls']), { code: 'tls' });
    assert.deepEqual(sent, [1, 2, 3, 4]);
    assert.deepEqual(bodiesOnDisk(), [2, 4]);
    // The next life goes on with what may be held.
    await run(['ok'], saved.at(-1));
    assert.equal(sent.at(-1), 2);
  });

  it('keeps a body that met a fault of the RA, which may have recorded it', async () => {
    const { sent, run, saved, bodiesOnDisk } = setUp([]);
    await assert.rejects(run(Array<Outcome>(5).fill('refused-5999')));
    // The first of them too: an RA that has it refuses those after it, and repeats its acknowledgement of it.
    assert.deepEqual(bodiesOnDisk(), [1, 3, 4, 5]);
    await run(['ok'], saved.at(-1));
    assert.deepEqual(sent, [1, 2, 3, 4, 5, 1]);
    assert.deepEqual(bodiesOnDisk(), [1]);
  });

  it('keeps, in production, what was refused without a reason', async () => {
    const { sent, run, saved, bodiesOnDisk } = setUp([]);
    await assert.rejects(run(['refused', 'refused', 'tls']), { code: 'tls' });
    assert.deepEqual(bodiesOnDisk(), [1, 2, 3]);
    await run(['refused', 'ok'], saved.at(-1));
    assert.deepEqual(sent, [1, 2, 3, 1, 2]);
  });

  it('has every body on disk before it is sent', async () => {
    const { sent, saved, run } = setUp([1]);
    const script: Outcome[] = ['refused', 'refused', 'timeout'];
    await assert.rejects(run([...script, ...Array<EeErrorCode>(10).fill('refused')]));
    const onDisk = new Set(saved.flatMap(({ bodies }) => bodies.map((body) => body[0])));
    for (const body of sent.filter((n) => n !== 1)) assert(onDisk.has(body));
  });

  it('keeps no more than four bodies over many lives, the oldest among them', async () => {
    const { saved, run, bodiesOnDisk } = setUp([1]);
    let script: Outcome[] = ['refused', 'interrupted', 'tls'];
    let state: ProvisioningState | undefined;
    for (let life = 0; life < 8; life += 1) {
      await assert.rejects(run(script, state), { code: 'tls' });
      state = saved.at(-1);
      const count = state!.bodies.length;
      assert(count <= 4, `${count} bodies`);
      assert.equal(state!.bodies[0]![0], 1);
      script = [...Array<EeErrorCode>(count).fill('refused'), 'interrupted', 'tls'];
    }
    await run(['ok'], state);
    assert.deepEqual(bodiesOnDisk(), [1]);
  });

  it('passes on at once what waiting does not cure', async () => {
    for (const code of ['tls', 'invalid-ack', 'unexpected-response', 'too-large'] as const) {
      const { sent, run } = setUp([1]);
      await assert.rejects(run([code]), { code });
      assert.deepEqual(sent, [1]);
    }
  });
});
