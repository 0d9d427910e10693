import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { CheckReport } from '@chrysalis/fleet';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { checkText, RunningLine } from '../src/simulate-text.ts';
import { run } from './run-main.ts';

describe('chrysalis simulate', () => {
  it('says what it lacks: a fleet, a state directory, a sensible number', async () => {
    const path = temporaryDirectory();
    const fleet = ['--fleet', join(path, 'fleet')];
    const none = await run(['simulate', ...fleet, '--check']);
    assert.equal(none.status, 1);
    assert.match(
      none.stderr,
      /expected a fleet in .*, saw none\nchrysalis: hint: chrysalis simulate/,
    );
    const stateless = await run(['--dir', join(path, 'state'), 'simulate', ...fleet]);
    assert.equal(stateless.status, 1);
    assert.match(stateless.stderr, /expected a state directory/);
    assert.equal((await run(['simulate', '--rate', '-1'])).status, 2);
    assert.equal((await run(['simulate', '--devices', '0'])).status, 2);
  });
});

describe('RunningLine', () => {
  it('writes the first state and the last, and nothing in between', () => {
    for (const isTTY of [false, true]) {
      let written = '';
      const line = new RunningLine({ isTTY, write: (text) => (written += text) });
      for (const state of ['one', 'two', 'three']) line.write(() => state);
      line.end();
      assert.equal(
        written,
        isTTY
          ? '\r\u001b[Kchrysalis: one\r\u001b[Kchrysalis: three\n'
          : 'chrysalis: one\nchrysalis: three\n',
      );
    }
  });

  it('writes nothing when nothing happened', () => {
    new RunningLine({ write: () => assert.fail('written') }).end();
  });
});

describe('checkText', () => {
  it('names device, period and problem, and nothing that a terminal would obey', () => {
    const report: CheckReport = {
      isInterrupted: false,
      devices: 2,
      batches: 4,
      certificates: 80,
      earlierCertificates: 0,
      goneBatches: 1,
      findingCount: 3,
      findings: [
        { device: 1, i: 0x26b, problem: 'an entry called \u001b[2J' },
        { device: 0, problem: 'expected an acknowledged request, saw none' },
      ],
      elapsedSec: 1.5,
    };
    assert.equal(
      checkText(report),
      `device 1, i 26B: an entry called${' '}
device 0: expected an acknowledged request, saw none
and 1 findings more
devices: 2
batches: 4
certificates: 80 opened
batches that the RA dropped before any check: 1
findings: 3
time: 1.5 s`,
    );
  });
});
