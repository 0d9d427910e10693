/** The short form of `npm run fuzz`, the same in every run, and that it finds what is there to be found. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fuzz } from '../fuzz/fuzzer.ts';
import { fuzzServer, LIVE_TARGETS, recordedRequests, replayOnServer } from '../fuzz/live-server.ts';
import { parseRegression, regressions, regressionText } from '../fuzz/regression.ts';
import { targets } from '../fuzz/targets.ts';
import { readRecorded, SKIP_INTEROP } from './support/recorded-scms.ts';

const SEED = 'chrysalis';
/** `test/mutation.test.ts` gives every codec 10,000. */
const ROUNDS = 400;
const CONNECTIONS = 300;

describe('the fuzzer', { timeout: 300_000 }, () => {
  it('finds nothing in codecs, openers and readers', (t) => {
    const { inputs, finding } = fuzz(
      targets().filter(({ name }) => !name.startsWith('codec of ')),
      { seed: SEED, rounds: ROUNDS },
    );
    t.diagnostic(`${inputs} inputs`);
    assert(
      finding === undefined,
      `${finding?.target}: ${finding && hex(finding.octets)}: ${finding?.error}`,
    );
  });

  it('finds nothing in a live RA', async (t) => {
    const isOver = (connections: number) => connections >= CONNECTIONS;
    const { inputs, finding } = await fuzzServer({ seed: SEED, isOver });
    t.diagnostic(`${inputs} connections`);
    assert(
      finding === undefined,
      `${finding?.target}: ${finding && hex(finding.octets)}: ${finding?.error}`,
    );
  });

  it('begins with what the recorded device sent and got', { skip: SKIP_INTEROP }, () => {
    const exchange = 'http/01-POST-provision-pseudonym-certificate-batch';
    const sent = Buffer.from(readRecorded(`${exchange}.request.bin`));
    const got = Buffer.from(readRecorded(`${exchange}.response.bin`));
    for (const name of ['openSecured', 'openSignedMessage', 'Ieee1609Dot2Data of anything']) {
      const { corpus = [] } = targets().find((target) => target.name === name) ?? {};
      for (const octets of [sent, got])
        assert(
          corpus.some((one) => octets.equals(one)),
          name,
        );
    }
    const requests = recordedRequests().map((one) => Buffer.from(one));
    assert(requests.some((one) => one.subarray(-sent.length).equals(sent)));
    assert(requests.some((one) => /\r\nDownload-Req: /i.test(one.toString('latin1'))));
  });

  it('finds a fault, and the seed finds it again', () => {
    const faulty = {
      name: 'a reader that trusts a length',
      corpus: [Uint8Array.of(2, 7, 7)],
      run(octets: Uint8Array) {
        const length = octets[0] ?? 0;
        if (octets.length > 0 && length > 100 && octets.length < length)
          throw new RangeError('beyond');
      },
    };
    const once = fuzz([faulty], { seed: SEED, rounds: 10_000 });
    const again = fuzz([faulty], { seed: SEED, rounds: 10_000 });
    assert(once.finding !== undefined);
    assert.deepEqual(once.finding.octets, again.finding?.octets);
    assert.equal(once.inputs, again.inputs);
    assert.throws(() => faulty.run(once.finding?.octets as Uint8Array), RangeError);
  });
});

describe('what was found once', () => {
  const all = regressions();
  const pure = new Map(targets().map((target) => [target.name, target]));
  for (const one of all) {
    it(`is not found again: ${one.name}`, async (t) => {
      t.diagnostic(one.was);
      const target = pure.get(one.target);
      if (target !== undefined) return target.run(one.octets);
      assert(LIVE_TARGETS.includes(one.target), `expected a target, saw ${one.target}`);
      await replayOnServer([one]);
    });
  }

  it('is written as it is read', () => {
    for (const { name, ...one } of all) {
      assert.deepEqual(parseRegression(name, regressionText(one)), { name, ...one });
    }
    const octets = Uint8Array.from({ length: 100 }, (_, n) => n);
    const text = regressionText({ target: 'openSecured', was: 'a\n RangeError', octets });
    const read = parseRegression('x', text);
    assert.deepEqual(read, { name: 'x', target: 'openSecured', was: 'a RangeError', octets });
    for (const broken of ['', 'target: x\n', text.replace('was', 'is'), `${text}0`, `${text}zz`]) {
      assert.throws(() => parseRegression('x', broken), /expected lines of target, was and hex/);
    }
  });
});

function hex(octets: Uint8Array): string {
  return Buffer.from(octets).toString('hex');
}
