/**
 * The short form of `npm run test:hostile`: every kind of attack on an RA in a process of its own, over real TLS, while honest
 * devices in another are supplied and come back; and that what would be a finding is one.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { outcomeOf, statusesOf } from '../hostile/answers.ts';
import type { HonestReport } from '../hostile/honest-report.ts';
import { honestFailures } from '../hostile/honest-report.ts';
import type { Kind } from '../hostile/kind.ts';
import { KINDS } from '../hostile/kinds.ts';
import { connectionsIn } from '../hostile/left.ts';
import { type HostileReport, runHostile } from '../hostile/run.ts';
import { complaintsOf } from '../hostile/verdict.ts';
import { type Flatness, flatnessOf } from '../soak/flatness.ts';
import { temporaryDirectory } from './support/temporary-directory.ts';

/** Each kind so often. */
const TIMES = 2;
const DEVICES = 10;

describe('an RA under attack', () => {
  for (const [processes, what] of [
    [1, 'one process'],
    [2, 'two processes'],
  ] as const) {
    it(`by ${KINDS.length} kinds, with ${what}, serves every honest device, and tells the others nothing`, async (t) => {
      const directory = temporaryDirectory();
      const report = await runHostile({
        directory,
        kinds: KINDS,
        processes,
        requests: KINDS.length * TIMES,
        devices: DEVICES,
        ratePerSec: 10,
        lanes: 16,
        slowLanes: 16,
        holdMs: 300,
        crowd: 2,
        // However slow the machine of the tests is.
        shedMs: 0,
      });
      assert.deepEqual(complaintsOf(report), []);
      assert.equal(report.processes, processes);
      assert.equal(report.attack.requests, KINDS.length * TIMES);
      const told = Object.values(report.attack.outcomes).filter((outcomes) => '500' in outcomes);
      // Most of them came as far as the RA itself, to each step that refuses.
      assert(told.length > KINDS.length / 2, JSON.stringify(report.attack.outcomes));
      for (const code of ['5055', '5056', '5057', '5067', '5070', '5072', '5900']) {
        assert((report.refusals[code] ?? 0) > 0, `expected code ${code} among the refusals`);
      }
      const { visits, check } = report.honest;
      t.diagnostic(
        `${Math.round(report.attack.seconds)} s, ${visits.count} honest visits, ${check.certificates} certificates checked`,
      );
    });
  }

  it('knows thirty kinds or more, each by a name of its own', () => {
    assert(KINDS.length >= 30);
    assert.equal(new Set(KINDS.map(({ name }) => name)).size, KINDS.length);
  });
});

describe('an answer to an attacker', () => {
  const kind: Kind = { name: 'any', does: '', attack: async () => '' };
  const bare =
    'HTTP/1.1 500 Internal Server Error\r\nconnection: close\r\ncontent-length: 0\r\n\r\n';
  const served = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab';

  it('may be none, or the bare 500', () => {
    assert.equal(outcomeOf(kind, ''), 'nothing');
    assert.equal(outcomeOf(kind, bare), '500');
    assert.deepEqual(statusesOf(`${served}${served}${bare}`), [200, 200, 500]);
    assert.equal(outcomeOf({ ...kind, mayGet: [200, 500] }, `${served}${bare}`), '200 and 500');
  });

  for (const [what, answer] of Object.entries({
    'a file': served,
    'a 500 that says more': bare.replace('connection: close', 'scms-poc-error: 5055'),
    'a 500 with a body': `${bare}no`,
    'no HTTP': 'hello',
    'another status': 'HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n',
    'no end': `no end within 1 ms: ${bare}`,
  })) {
    it(`is a finding when it is ${what}`, () => {
      assert.throws(() => outcomeOf(kind, answer));
    });
  }
});

describe('an honest device', () => {
  const report = {
    load: { errors: { batch: { 'http-500': 3 } }, devices: { complete: 2 } },
    visits: { count: 5, latencyMs: {}, errors: {} },
    check: { findings: [] },
  } as unknown as HonestReport;
  const changed = (changes: object) => ({ ...report, ...changes }) as HonestReport;

  it('has not failed when a batch was not made yet', () => {
    assert.deepEqual(honestFailures(report, 2), []);
  });

  for (const [what, changes] of Object.entries({
    'is refused its batch later': {
      visits: { ...report.visits, errors: { batch: { 'http-500': 1 } } },
    },
    'is refused its registration': {
      load: { ...report.load, errors: { provision: { 'http-500': 1 } } },
    },
    'is cut off': { load: { ...report.load, errors: { connect: { unreachable: 1 } } } },
    'is not complete': { load: { ...report.load, devices: { complete: 1 } } },
    'was given what is not in order': {
      check: { findings: [{ device: 1, problem: 'a wrong key' }] },
    },
  })) {
    it(`has failed when it ${what}`, () => {
      assert.equal(honestFailures(changed(changes), 2).length, 1);
    });
  }
});

describe('an attack', () => {
  const standing = { rssMb: 300, heapMb: 60, descriptors: 70, connections: 0, held: 0 };
  const few = flatnessOf([]);
  const many: Flatness = {
    ...{ visits: 25_000, keptMb: [60, 61], rssMb: [590, 600] },
    ...{ keptOctetsPerVisit: 40, rssOctetsPerVisit: 400 },
  };
  const sound = {
    attack: { findings: [] },
    honestFailures: [],
    health: { asked: 9, failed: 0, longestMs: 5 },
    before: standing,
    after: standing,
    processes: 1,
    flatness: few,
    left: [],
    faults: [],
    exitStatus: 0,
  } as unknown as HostileReport;

  it('that has shown nothing of these is borne', () => {
    assert.deepEqual(complaintsOf(sound), []);
  });

  it('that was long enough to show what stays with each has the memory that it takes', () => {
    const long = { ...sound, after: { ...standing, rssMb: 600 }, flatness: many };
    assert.deepEqual(complaintsOf(long as HostileReport), []);
  });

  for (const [what, changes] of Object.entries({
    'an attacker who was told something': { attack: { findings: ['wrong path: 404'] } },
    'an honest device that failed': { honestFailures: ['info later: http-500, 1 times'] },
    'a health check that was not answered': { health: { ...sound.health, failed: 1 } },
    'memory that was kept': { after: { ...standing, rssMb: 500 } },
    'a kilobyte that was kept of each': {
      flatness: { ...many, keptMb: [60, 85], keptOctetsPerVisit: 1000 },
    },
    'connections that were kept': { after: { ...standing, connections: 1 } },
    'refusals that never left': { after: { ...standing, held: 1 } },
    'descriptors that were kept': { after: { ...standing, descriptors: 170 } },
    'a fault of the RA': { faults: ['{"level":50}'] },
    'an RA that ends badly': { exitStatus: null },
  })) {
    it(`has found ${what}`, () => {
      assert.equal(complaintsOf({ ...sound, ...changes } as HostileReport).length, 1);
    });
  }
});

describe('what is left open', () => {
  const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:22BE 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1
   1: 0100007F:22BE 0100007F:C350 08 00000010:00000001 00:00000000 00000000     0        0 2
   2: 0100007F:22BE 0100007F:C351 06 00000000:00000000 03:00000BB8 00000000     0        0 0
   3: 0100007F:C350 0100007F:22BE 05 00000000:00000000 00:00000000 00000000     0        0 3
`;

  it('is named with whoever has opened it', () => {
    assert.deepEqual(
      connectionsIn(table, 8894, (port) => (port === 50_000 ? 'slow reader' : 'no attacker')),
      ['slow reader: closed by its peer, and not by the RA, 1 octets to read, 16 to send'],
    );
  });
});
