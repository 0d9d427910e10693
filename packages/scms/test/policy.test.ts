import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decode, encode } from '@chrysalis/coer';
import { type Duration, durationSeconds } from '@chrysalis/ieee1609dot2';
import {
  changeFrom,
  constantSeries,
  DEFAULT_GLOBAL_POLICY,
  exactDuration,
  expectCustomPolicy,
  expectIPeriod,
  expectUsablePolicy,
  GlobalPolicyData,
  nextPolicyChange,
  type PolicyData,
  policyAt,
  valueAt,
} from '@chrysalis/scms';
import { fromHex, NOW, toHex } from '../../ieee1609dot2/test/pki.ts';

const hours = (value: number): Duration => ({ type: 'hours', value });
const at = (second: number, micro = 0) => BigInt(second) * 1_000_000n + BigInt(micro);

describe('a policy without any parameter, section 6.5', () => {
  test('has the defaults of the module', () => {
    assert.deepEqual(policyAt({ global: {} }, NOW), {
      scmsVersion: 1,
      globalCertChainFileId: undefined,
      overdueCrlToleranceSec: 2 * 604_800,
      iPeriodSec: 604_800,
      certsPerIPeriod: 20,
      minCertsPerIPeriod: 20,
      certValidityModel: 'concurrent',
      maxAvailableCertSupplySec: 3 * 31_556_952,
      maxAvailableCertSupplyPeriods: 156,
      maxCertRequestAgeSec: 2 * 86_400,
      shuffleThreshold: 1000,
      minShuffleThreshold: 1000,
      hashOfRequestSize: 32,
      maxGpfGccfRetrievalIntervalSec: 3600,
      rseApplicationCertValiditySec: 168 * 3600,
      rseApplicationCertOverlapSec: 3600,
      laOneHost: undefined,
      laTwoHost: undefined,
      pcaHost: undefined,
      raX509TlsCert: undefined,
      laX509TlsCert: undefined,
      pcaX509TlsCert: undefined,
      sharedKeyUpdateIntervalSec: undefined,
    });
  });

  test('means the same as one that names every default', () => {
    assert.deepEqual(
      policyAt({ global: DEFAULT_GLOBAL_POLICY }, NOW),
      policyAt({ global: {} }, NOW),
    );
  });
});

describe('what an RA adds', () => {
  const local = {
    shuffleThreshold: constantSeries(5000),
    certsPerIPeriod: constantSeries(40),
    laOneHost: constantSeries('la1.test'),
    laTwoHost: constantSeries('la2.test'),
    pcaHost: constantSeries('pca.test'),
    raX509TlsCert: constantSeries(Uint8Array.of(1)),
    laX509TlsCert: constantSeries(Uint8Array.of(2)),
    pcaX509TlsCert: constantSeries(Uint8Array.of(3)),
    sharedKeyUpdateInterval: constantSeries<Duration>({ type: 'years', value: 5 }),
  };

  test('comes before the global value, which stays visible', () => {
    const values = policyAt({ global: {}, local }, NOW);
    assert.deepEqual([values.certsPerIPeriod, values.minCertsPerIPeriod], [40, 20]);
    assert.deepEqual([values.shuffleThreshold, values.minShuffleThreshold], [5000, 1000]);
    assert.deepEqual(
      [values.laOneHost, values.laTwoHost, values.pcaHost],
      ['la1.test', 'la2.test', 'pca.test'],
    );
    assert.deepEqual(
      [values.raX509TlsCert, values.laX509TlsCert, values.pcaX509TlsCert],
      [Uint8Array.of(1), Uint8Array.of(2), Uint8Array.of(3)],
    );
    assert.equal(values.sharedKeyUpdateIntervalSec, 5 * 31_556_952);
  });
});

describe('a temporal series', () => {
  const series = {
    initial: 'a',
    intervals: [
      { startTime: at(100), value: 'b' },
      { startTime: at(200), value: 'c' },
    ],
  };

  const rows: readonly [number, string][] = [
    [0, 'a'],
    [99, 'a'],
    [100, 'b'],
    [101, 'b'],
    [199, 'b'],
    [200, 'c'],
    [0xffff_ffff, 'c'],
  ];
  for (const [time, value] of rows) {
    test(`at ${time} is ${value}`, () => assert.equal(valueAt(series, time), value));
  }

  test('in another order means the same', () => {
    const reversed = { ...series, intervals: [...series.intervals].reverse() };
    for (const [time, value] of rows) assert.equal(valueAt(reversed, time), value);
  });

  test('with two values for one time has the later in the list', () => {
    const intervals = ['x', 'y'].map((value) => ({ startTime: at(100), value }));
    assert.equal(valueAt({ initial: 'a', intervals }, 100), 'y');
  });

  test('that changes within a second has changed a second later', () => {
    const within = { initial: 'a', intervals: [{ startTime: at(100, 1), value: 'b' }] };
    assert.deepEqual([valueAt(within, 100), valueAt(within, 101)], ['a', 'b']);
    const data = {
      global: { certChainFileId: { initial: 1, intervals: [{ startTime: at(100, 1), value: 2 }] } },
    };
    assert.equal(nextPolicyChange(data, 99), 101);
  });

  test('may begin at time 0', () => {
    assert.equal(valueAt({ initial: 'a', intervals: [{ startTime: 0n, value: 'b' }] }, 0), 'b');
  });

  test('is made by hand: constant, then changed; what was planned for later is dropped', () => {
    const once = changeFrom(constantSeries(1), 100, 2);
    const twice = changeFrom(once, 200, 3);
    assert.deepEqual(
      [99, 100, 200].map((time) => valueAt(twice, time)),
      [1, 2, 3],
    );
    assert.deepEqual(changeFrom(twice, 100, 9), changeFrom(constantSeries(1), 100, 9));
  });

  test('tells when a policy changes next, of all its parameters', () => {
    const data: PolicyData = {
      global: { iPeriod: changeFrom(constantSeries(hours(168)), 200, hours(24)) },
      local: { certsPerIPeriod: changeFrom(constantSeries(20), 100, 40) },
    };
    const times = [0, 99, 100, 199, 200].map((time) => nextPolicyChange(data, time));
    assert.deepEqual(times, [100, 100, 200, 200, undefined]);
  });
});

describe('the octets of a policy', () => {
  test('of defaults: a default is not encoded, and its series has a preamble', () => {
    const policy = { scmsVersion: constantSeries(1), iPeriod: constantSeries(hours(168)) };
    // Preamble of 14 bits with those of the first and the fourth parameter; then 00 and no interval; then 168 hours.
    assert.equal(toHex(encode(GlobalPolicyData, policy)), '4800' + '000100' + '8400a8' + '0100');
    assert.deepEqual(decode(GlobalPolicyData, fromHex('4800 00 0100 8400a8 0100')), policy);
    assert.throws(() => decode(GlobalPolicyData, fromHex('4000 80 01 0100')), {
      code: 'encoded-default',
    });
  });

  test('concurrent is 1, non-concurrent 2, others are kept', () => {
    for (const [value, octet] of [
      ['concurrent', '01'],
      ['nonConcurrent', '02'],
      [0, '00'],
      [3, '03'],
    ] as const) {
      const policy = { certValidityModel: constantSeries(value) };
      assert.equal(toHex(encode(GlobalPolicyData, policy)), `0200${octet}0100`);
      assert.deepEqual(decode(GlobalPolicyData, fromHex(`0200${octet}0100`)), policy);
    }
  });
});

describe('a policy that nobody could live by is refused', () => {
  const rows: readonly [string, PolicyData, RegExp][] = [
    [
      'an i-period of nothing',
      { global: { iPeriod: constantSeries(hours(0)) } },
      /iPeriod of whole hours/,
    ],
    [
      'an i-period of minutes',
      { global: { iPeriod: constantSeries<Duration>({ type: 'minutes', value: 90 }) } },
      /iPeriod of whole hours.*5400 s/,
    ],
    [
      'no certificate in a period',
      { global: { minCertsPerIPeriod: constantSeries(0) } },
      /minCertsPerIPeriod/,
    ],
    [
      'fewer certificates than the minimum',
      { global: {}, local: { certsPerIPeriod: constantSeries(19) } },
      /certsPerIPeriod of 20 or more, saw 19/,
    ],
    [
      'a supply of less than a period',
      { global: { maxAvailableCertSupply: constantSeries(hours(167)) } },
      /maxAvailableCertSupplyPeriods of 1 or more, saw 0/,
    ],
    [
      'a shuffle below the global one',
      { global: {}, local: { shuffleThreshold: constantSeries(999) } },
      /shuffleThreshold of 1000 or more, saw 999/,
    ],
    [
      'a validity model that nobody knows',
      { global: { certValidityModel: constantSeries(3) } },
      /certValidityModel of one that is known, saw 3/,
    ],
    [
      'an overlap as long as the validity',
      { global: { rseApplicationCertOverlap: constantSeries(hours(168)) } },
      /rseApplicationCertOverlap/,
    ],
    [
      'a lifetime of RSE certificates that no Duration states whole',
      {
        global: {
          rseApplicationCertValidity: constantSeries<Duration>({ type: 'years', value: 1 }),
        },
      },
      /rseApplicationCertValidity of whole seconds .*saw 31556952 s and 3600 s/,
    ],
    [
      'fractions of a second',
      {
        global: {
          rseApplicationCertOverlap: constantSeries<Duration>({
            type: 'milliseconds',
            value: 1500,
          }),
        },
      },
      /whole seconds .*and 1.5 s/,
    ],
    [
      'no pause between retrievals',
      { global: { maxGpfGccfRetrievalInterval: constantSeries(hours(0)) } },
      /maxGpfGccfRetrievalIntervalSec/,
    ],
  ];
  for (const [name, data, message] of rows) {
    test(name, () => {
      assert.throws(() => expectUsablePolicy(data), { code: 'policy', message });
    });
  }

  test('a Duration is in hours when it can be', () => {
    const rows: readonly [number, Duration | undefined][] = [
      [169 * 3600, hours(169)],
      [90 * 60, { type: 'minutes', value: 90 }],
      [65_535, { type: 'seconds', value: 65_535 }],
      [65_537, undefined],
      [65_535 * 60, { type: 'minutes', value: 65_535 }],
      [65_535 * 3600, hours(65_535)],
      [65_580 * 3600, { type: 'sixtyHours', value: 1093 }],
      [7 * 31_556_952, { type: 'years', value: 7 }],
      [0, undefined],
    ];
    for (const [seconds, expected] of rows) {
      assert.deepEqual(exactDuration(seconds), expected, String(seconds));
      if (expected) assert.equal(durationSeconds(expected), seconds);
    }
  });

  test('an i-period of another length than the one that is counted by, now or later', () => {
    const changed = { global: { iPeriod: changeFrom(constantSeries(hours(168)), NOW, hours(24)) } };
    expectIPeriod(changed, 86_400, NOW);
    expectIPeriod({ global: {} }, 604_800, NOW);
    for (const [length, time] of [
      [604_800, NOW],
      [604_800, NOW - 1],
      [86_400, NOW - 1],
    ] as const) {
      const message = new RegExp(`iPeriod of ${length} s`);
      assert.throws(() => expectIPeriod(changed, length, time), { code: 'policy', message });
    }
  });

  test('also when it becomes so only later', () => {
    const later = { global: { minCertsPerIPeriod: changeFrom(constantSeries(20), NOW, 50) } };
    const local = { certsPerIPeriod: constantSeries(40) };
    expectUsablePolicy(later);
    assert.throws(() => expectUsablePolicy({ ...later, local }), { code: 'policy' });
  });

  test('and one with more changes than anybody plans', () => {
    const intervals = Array.from({ length: 1001 }, (_, n) => ({ startTime: at(n), value: 20 }));
    const global = { minCertsPerIPeriod: { initial: 20, intervals } };
    assert.throws(() => expectUsablePolicy({ global }), { code: 'policy', message: /1001/ });
  });
});

describe('a custom policy', () => {
  const global = { ...DEFAULT_GLOBAL_POLICY, certChainFileId: constantSeries(7) };

  test('may be the global one, or leave parameters out', () => {
    expectCustomPolicy(global, global);
    expectCustomPolicy({}, global);
    expectCustomPolicy({ iPeriod: global.iPeriod }, global);
  });

  test('may change none, neither now nor later, and add none', () => {
    const changed = changeFrom<Duration>(global.iPeriod, NOW, hours(24));
    for (const custom of [
      { iPeriod: constantSeries(hours(24)) },
      { iPeriod: changed },
      { certChainFileId: constantSeries(8) },
      {
        unknownAdditions: {
          bitmapLength: 1,
          present: [{ index: 0, octets: new Uint8Array(1) }],
        },
      },
    ]) {
      assert.throws(() => expectCustomPolicy(custom, global), { code: 'policy' });
    }
    const { iPeriod: _, ...without } = global;
    assert.throws(() => expectCustomPolicy({ iPeriod: global.iPeriod }, without), {
      code: 'policy',
    });
  });
});
