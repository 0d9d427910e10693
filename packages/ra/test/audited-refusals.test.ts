/** Refusals and faults of ours in the audit log: a line for each, and counts of what comes too fast. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RA_EE_ERRORS } from '@chrysalis/scms';
import type { AuditEvent } from '../src/audit-event.ts';
import { AuditedRefusals } from '../src/audited-refusals.ts';
import { Refusal } from '../src/refusal.ts';

const INFO = '/download/info';
const POLICY = '/download/policy/local';
const STRANGER = new Refusal('raInvalidURL', 'expected one of our services, saw "/x"');

describe('what devices are not served because of', () => {
  it('is a line for each fault of ours, and a count beyond a hundred a minute', () => {
    const { refusals, written } = start();
    for (let n = 0; n < 250; n++) refusals.failed(`id-${n}`, INFO);
    for (let n = 0; n < 3; n++) refusals.failed(`late-${n}`, POLICY);
    assert.deepEqual(written[0], { event: 'failure', service: 'info', id: 'id-0' });
    assert.equal(written.length, 100);
    refusals.flush();
    assert.deepEqual(written.slice(100), [
      { event: 'failures', service: 'info', count: 150 },
      { event: 'failures', service: 'local-policy', count: 3 },
    ]);
    refusals.flush();
    assert.equal(written.length, 102, 'counted once');
  });

  it('is counted apart: refusals of strangers by their reason, faults by their service', () => {
    const { refusals, written, clock } = start();
    for (let n = 0; n < 101; n++) refusals.refused(STRANGER, '/x');
    refusals.failed('id', '/x');
    refusals.flush();
    const service = 'other';
    assert.deepEqual(written.slice(100), [
      {
        event: 'refusals',
        service,
        code: RA_EE_ERRORS.raInvalidURL,
        reason: STRANGER.reason,
        count: 1,
      },
      { event: 'failures', service, count: 1 },
    ]);
    clock.ms += 60_000;
    refusals.failed('of the next minute', '/x');
    assert.deepEqual(written.at(-1), { event: 'failure', service, id: 'of the next minute' });
  });

  it('is handed on after a minute by itself', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { refusals, written } = start(1 / 100);
    for (let n = 0; n < 5; n++) refusals.failed(`id-${n}`, '');
    assert.equal(written.length, 1, 'a process of a hundred has a hundredth of the lines');
    t.mock.timers.tick(60_000);
    assert.deepEqual(written.at(-1), { event: 'failures', service: 'connection', count: 4 });
  });
});

function start(share?: number) {
  const written: AuditEvent[] = [];
  const clock = { ms: 0, now: () => clock.ms };
  const audit = {
    record: async () => {},
    note: (event: AuditEvent) => void written.push(event),
    ready: async () => {},
  };
  return { refusals: new AuditedRefusals(audit, clock, share), written, clock };
}
