import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { CURRENT_I } from '../../ee/test/mock-scms.ts';
import { scene } from './fleet-scene.ts';
import { type ContentOf, type MockFleetRa, PER_PERIOD, zipOfEntries } from './mock-fleet-ra.ts';

const CERTIFICATES = 4 * 2 * PER_PERIOD;
const WHERE = CURRENT_I + 1;

/** A loaded fleet whose RA then turns bad for one batch of its second device. */
async function checked(
  t: TestContext,
  tamper: (zip: Uint8Array, ra: MockFleetRa) => Uint8Array | undefined,
) {
  const { ra, load, check } = await scene(t);
  await load();
  ra.tamper = (zip, device, i) => (device === ra.devices[1] && i === WHERE ? tamper(zip, ra) : zip);
  return check();
}

/** The same with a batch that was bad from the beginning, made of certificates with other contents. */
async function checkedFromTheStart(t: TestContext, contentOf: ContentOf) {
  const { ra, load, check } = await scene(t);
  const bad = new Map<string, Uint8Array>();
  ra.tamper = (zip, device, i) => {
    if (device !== ra.devices[1] || i !== WHERE) return zip;
    const made = bad.get('it') ?? zipOfEntries(i, ra.entries(device, i, contentOf));
    bad.set('it', made);
    return made;
  };
  await load();
  return check();
}

function problemsOf({ findings }: Awaited<ReturnType<typeof checked>>): string[] {
  // All are of one batch.
  assert.equal(new Set(findings.map(({ device, i }) => `${device} ${i}`)).size, 1);
  assert.equal(findings[0]?.i, WHERE);
  return findings.map(({ problem }) => problem);
}

describe('checkFleet', () => {
  it('finds nothing where nothing is wrong, in this thread or in others', async (t) => {
    const { load, check } = await scene(t);
    await load();
    for (const workers of [0, 2]) {
      const report = await check({ workers });
      assert.deepEqual(report.findings, []);
      assert.equal(report.findingCount, 0);
      assert.equal(report.devices, 4);
      assert.equal(report.batches, 8);
      assert.equal(report.certificates, CERTIFICATES);
    }
  });

  it('finds a batch that is not there', async (t) => {
    const report = await checked(t, () => undefined);
    assert.match(problemsOf(report).join(), /^expected a batch: [^,]*HTTP 500/);
    assert.equal(report.certificates, CERTIFICATES - PER_PERIOD);
  });

  it('finds a certificate that is not there', async (t) => {
    const report = await checked(t, (_, ra) =>
      zipOfEntries(WHERE, ra.entries(ra.devices[1]!, WHERE).slice(0, 2)),
    );
    assert.deepEqual(problemsOf(report), [
      'j 2: expected a certificate, saw none',
      'expected the octets that were downloaded before, saw others',
    ]);
  });

  it("finds another device's zip, and says whose it is", async (t) => {
    const { ra, load, check } = await scene(t);
    await load();
    const [one, other] = [ra.devices[1]!, ra.devices[2]!];
    ra.tamper = (zip, device, i) => {
      if (i !== WHERE) return zip;
      if (device === one) return ra.zip(other, i);
      return device === other ? ra.zip(one, i) : zip;
    };
    const { findings, certificates } = await check();
    const devices = [...new Set(findings.map(({ device }) => device))];
    assert.equal(devices.length, 2);
    for (const [n, device] of devices.entries()) {
      const problems = findings.filter((finding) => finding.device === device);
      assert(problems.every(({ i }) => i === WHERE));
      const texts = problems.map(({ problem }) => problem);
      assert(texts.includes('expected the octets that were downloaded before, saw others'));
      assert(texts.includes(`device ${devices[1 - n]} was given the same octets`));
    }
    assert.equal(certificates, CERTIFICATES - 2 * PER_PERIOD);
  });

  it('finds a certificate that is there twice in a zip', async (t) => {
    const report = await checked(t, (_, ra) => {
      const [first, , third] = ra.entries(ra.devices[1]!, WHERE);
      return zipOfEntries(WHERE, [first!, first!, third!]);
    });
    const problems = problemsOf(report);
    assert.match(problems[0] ?? '', /^26C_1: /);
    assert.equal(problems[1], 'j 1: expected a certificate, saw none');
  });

  it('finds a linkage value that two certificates have', async (t) => {
    const linkageValue = new Uint8Array(9).fill(5);
    const report = await checkedFromTheStart(t, (i, j) =>
      j === 0 ? {} : { id: { type: 'linkageData', value: { iCert: i, linkageValue } } },
    );
    assert.deepEqual(
      problemsOf(report).map((problem) => problem.replace(/device \d+/, 'device N')),
      ['j 2: expected a linkage value of its own, saw that of device N, i 26C, j 1'],
    );
    assert.equal(report.certificates, CERTIFICATES);
  });

  it('finds a batch of another period under the name of this one', async (t) => {
    const report = await checked(t, (_, ra) =>
      zipOfEntries(WHERE, ra.entries(ra.devices[1]!, CURRENT_I)),
    );
    const problems = problemsOf(report);
    assert.match(problems[0] ?? '', /^26C_0: /);
    assert(problems.some((problem) => /more like these/.test(problem)));
  });

  it('finds an i in a certificate that is not that of the batch', async (t) => {
    const report = await checkedFromTheStart(t, (i) => ({
      id: {
        type: 'linkageData',
        value: { iCert: i + 1, linkageValue: new Uint8Array(9).fill(1) },
      },
    }));
    assert.equal(problemsOf(report)[0], '26C_0: expected iCert 26C, saw iCert 26D');
  });

  const wrong: [string, ReturnType<ContentOf>, RegExp][] = [
    ['no permission', { appPermissions: [{ psid: 0x20 }] }, /^j 0: expected permissions for 32,38/],
    [
      'a permission with an SSP',
      {
        appPermissions: [
          { psid: 0x20 },
          { psid: 0x26, ssp: { type: 'opaque', value: Uint8Array.of(1) } },
        ],
      },
      /^j 0: expected permissions for 32,38 without SSPs/,
    ],
    [
      'another region',
      { region: { type: 'identifiedRegion', value: [{ type: 'countryOnly', value: 124 }] } },
      /^j 0: expected the region/,
    ],
    [
      'a longer validity',
      {
        validityPeriod: {
          start: 347_619_603 + WHERE * 604_800,
          duration: { type: 'hours', value: 170 },
        },
      },
      /^j 0: expected validity from .* to .*, saw /,
    ],
  ];
  for (const [what, content, problem] of wrong) {
    it(`finds certificates with ${what}`, async (t) => {
      const report = await checkedFromTheStart(t, () => content);
      assert.match(problemsOf(report)[0] ?? '', problem);
    });
  }

  it('remembers weeks that are over, and says which ones it never saw', async (t) => {
    for (const isCheckedBefore of [true, false]) {
      const { ra, load, check, passWeek } = await scene(t);
      await load();
      if (isCheckedBefore) await check();
      passWeek();
      ra.tamper = (zip, _, i) => (i === CURRENT_I ? undefined : zip);
      const report = await check();
      assert.deepEqual(report.findings, []);
      assert.equal(report.certificates, CERTIFICATES / 2);
      assert.equal(report.earlierCertificates, isCheckedBefore ? CERTIFICATES / 2 : 0);
      assert.equal(report.goneBatches, isCheckedBefore ? 0 : 4);
    }
  });

  it('misses devices and weeks that were never loaded', async (t) => {
    const { load, check } = await scene(t);
    await load({ devices: 3, weeks: 1 });
    const { findings } = await check();
    assert.deepEqual(findings.map(({ device, problem }) => `${device}: ${problem}`).sort(), [
      '0: expected 2 batches, saw 1 asked for',
      '1: expected 2 batches, saw 1 asked for',
      '2: expected 2 batches, saw 1 asked for',
      '3: expected a bootstrapped device, saw none',
    ]);
  });
});
