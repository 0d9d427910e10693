import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { CheckReport } from '@chrysalis/fleet';
import { formatTime32 } from '@chrysalis/ieee1609dot2';
import { timeOf } from '@chrysalis/scms';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { CURRENT_I, NOW } from '../../ee/test/mock-scms.ts';
import { scene } from '../../fleet/test/fleet-scene.ts';
import { checkText, RunningLine, simulationLine } from '../src/simulate-text.ts';
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

describe('chrysalis simulate with more weeks than the RA keeps ready', () => {
  it('says so at once and what to do, ends, and goes on when they are there', async (t) => {
    const { ra, clock, url, directory, load } = await scene(t);
    await load();
    ra.readyThrough = CURRENT_I + 1;
    ra.expectedAt = timeOf(clock) + 4 * 86_400;
    const at = formatTime32(ra.expectedAt);
    const argv = ['simulate', '--fleet', directory, '--devices', '4', '--weeks', '3'];
    const simulate = (...more: string[]) =>
      run([...argv, '--ra', url.href, '--rate', '1000', ...more], { clock });
    const { status, stdout, stderr } = await simulate();
    assert.equal(status, 1);
    assert.match(stdout, /^devices: 4, .* 0 complete, 0 given up, 4 put off$/m);
    const note = `the RA has 2 of 3 weeks ready, and expects the next ${at}: devices are put off`;
    assert.equal(stderr.split(note).length, 2, stderr);
    const error = `expected 3 weeks for every device, saw an RA that has 2 ready and expects the next ${at}`;
    assert(stderr.includes(`chrysalis: ${error}\nchrysalis: hint: --weeks 2 is what there is; `));
    const json = JSON.parse((await simulate('--json')).stdout);
    assert.deepEqual(json.putOff, { readyWeeks: 2, expectedAt: at });
    ra.readyThrough = CURRENT_I + 2;
    assert.equal((await simulate()).status, 0);
  });

  it('is explained', async () => {
    const { stdout } = await run(['simulate', '--help']);
    assert.match(stdout, /--longest-wait <hours> .*\(default: 72\)/s);
    assert.match(stdout, /weeks-ahead of its chrysalis.toml/);
    assert.match(stdout, /Exit status 1: a device was given up or put off/);
  });
});

describe('simulationLine', () => {
  it('says what it waits for when nobody talks', () => {
    const counts = { enrolled: 4, provisioned: 4, complete: 1, failed: 0, batches: 9 };
    const progress = {
      ...{ phase: 'load' as const, ...counts, putOff: 0, active: 0, waiting: 3 },
      ...{ certificates: 27, errors: 3, expectedAt: NOW + 60 },
    };
    const idle =
      'of 4: 4 provisioned, 1 complete, 0 given up; 0 talking, 27 certificates, 3 errors';
    const waits = `; 3 wait for the RA, which expects the next batch ${formatTime32(NOW + 60)}`;
    assert.equal(simulationLine(progress, 4, NOW), idle + waits);
    assert.equal(simulationLine(progress, 4, NOW + 60), idle, 'a time that is past says nothing');
    assert.equal(
      simulationLine({ ...progress, active: 2 }, 4, NOW),
      idle.replace('0 talking', '2 talking'),
    );
    assert(simulationLine({ ...progress, putOff: 2 }, 4, NOW).includes('0 given up, 2 put off; '));
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

  it('writes what came last when it is time, though nothing more comes', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    for (const [isTTY, ms] of [
      [true, 1_000],
      [false, 10_000],
    ] as const) {
      let written = '';
      const line = new RunningLine({ isTTY, write: (text) => (written += text) });
      for (const state of ['one', 'two', 'three']) line.write(() => state);
      assert(!written.includes('three'));
      t.mock.timers.tick(ms);
      assert.match(written, /chrysalis: three\n?$/);
      assert(!written.includes('two'));
    }
  });

  it('says a note on a line of its own', () => {
    for (const isTTY of [false, true]) {
      let written = '';
      const line = new RunningLine({ isTTY, write: (text) => (written += text) });
      line.write(() => 'one');
      line.note('mind');
      const [clear, again] = isTTY ? ['\r\u001b[K', '\r\u001b[Kchrysalis: one'] : ['', ''];
      assert.equal(
        written,
        `${clear}chrysalis: one${isTTY ? '' : '\n'}${clear}chrysalis: mind\n${again}`,
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
