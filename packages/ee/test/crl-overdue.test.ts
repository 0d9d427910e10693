import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { unixFromTime32 } from '@chrysalis/ieee1609dot2';
import { constantSeries } from '@chrysalis/scms';
import { EndEntity, type RaFile } from '../src/index.ts';
import { device, SCMS } from './device.ts';
import { chainFile, crlFile, hashesOf, type MockCrl, policyFile } from './mock-files.ts';
import { NOW } from './mock-scms.ts';

const DAY_SEC = 86_400;
/** overdue_CRL_tolerance of CAMP. */
const TOLERANCE_SEC = 14 * DAY_SEC;
const DUE = NOW + 7 * DAY_SEC;
const NOBODY = hashesOf(SCMS.pg.certificate);

function crls(name: string, ...lists: Partial<MockCrl>[]): RaFile {
  return crlFile(name, ...lists.map((list) => ({ series: 4, typeSpecific: NOBODY, ...list })));
}

async function watchful() {
  const made = await device({ periods: 1 });
  const settings = { crlUrl: new URL('https://crl.test:8894') };
  const open = () => EndEntity.open(made.profile, { ...made.eeOptions, settings });
  const at = (time: number) => {
    made.clock.unixMs = unixFromTime32(time);
  };
  return { ...made, ee: await open(), open, at };
}

describe('a device whose CRLs are overdue', () => {
  it('goes on for two weeks after nextCrl, then stops until it has a fresh one', async () => {
    const { ee, ra, at, open } = await watchful();
    ra.files.crl = crls('1', { nextCrl: DUE });
    await ee.topUp();
    at(DUE + TOLERANCE_SEC - 1);
    assert.equal((await ee.fetchFiles()).crl, 'unchanged');
    at(DUE + TOLERANCE_SEC);
    const overdue = { code: 'crl-overdue', message: /was due at 2026-11-24T.* by 2026-12-08T/ };
    const before = ra.requests.length;
    await assert.rejects(ee.request('pseudonym'), overdue);
    await assert.rejects(ee.download('pseudonym'), overdue);
    await assert.rejects(ee.info('pseudonym'), overdue);
    assert.equal(ra.requests.length, before, 'it asked for nothing');
    await assert.rejects(ee.topUp(), overdue);
    // Also in a later life, and when the store is named no more.
    await assert.rejects((await open()).request('pseudonym'), overdue);
    const issueDate = DUE + TOLERANCE_SEC - 60;
    ra.files.crl = crls('2', { issueDate, nextCrl: issueDate + DAY_SEC });
    assert.equal((await ee.fetchFiles()).crl, 'new');
    await ee.request('pseudonym');
  });

  it('goes by the tolerance of its policy, and by the series that is due first', async () => {
    const { ee, ra, at } = await watchful();
    ra.files.chains = chainFile(1, 1);
    ra.files.policy = policyFile(1, 1, {
      global: { overdueCrlTolerance: constantSeries({ type: 'hours', value: 24 } as const) },
    });
    // Of one series the newer list counts.
    const lists = [{ nextCrl: DUE }, { nextCrl: DUE - 9 }, { series: 1, nextCrl: DUE + 9 }];
    ra.files.crl = crls('1', ...lists);
    await ee.topUp();
    at(DUE + DAY_SEC - 1);
    await ee.request('pseudonym');
    at(DUE + DAY_SEC);
    await assert.rejects(ee.request('pseudonym'), { code: 'crl-overdue' });
  });

  it('is not stopped when it has never held a CRL', async () => {
    const { ee, at } = await watchful();
    at(NOW + 3 * TOLERANCE_SEC);
    assert.equal((await ee.fetchFiles()).crl, 'not-offered');
    assert.equal((await ee.request('pseudonym')).requestHash.length, 8);
  });

  it('stops when the CRLs that it holds do not verify any more, and asks for the whole again', async () => {
    const { ee, ra, storage, open } = await watchful();
    ra.files.crl = crls('1');
    await ee.topUp();
    const held = JSON.parse(new TextDecoder().decode(storage.files.get('crl.json')));
    const damaged = { ...held, octets: `${held.octets.slice(0, -40)}${'a5'.repeat(20)}` };
    storage.files.set('crl.json', new TextEncoder().encode(JSON.stringify(damaged)));
    const reborn = await open();
    await assert.rejects(reborn.request('pseudonym'), { code: 'crl-overdue', message: /verify/ });
    // Without If-None-Match, though the name is that of the file which is held.
    assert.equal((await reborn.fetchFiles()).crl, 'new');
    await reborn.request('pseudonym');
  });

  it('takes no CRLs that are older, or without a series that it holds', async () => {
    const { ee, ra } = await watchful();
    ra.files.crl = crls('1', {}, { series: 1 });
    await ee.fetchFiles();
    for (const lists of [[], [{}], [{ issueDate: NOW - 61 }, { series: 1 }]]) {
      ra.files.crl = crls('2', ...lists);
      assert.equal((await ee.fetchFiles()).crl, 'refused');
    }
    ra.files.crl = crls('3', {}, { series: 1 }, { series: 2 });
    assert.equal((await ee.fetchFiles()).crl, 'new');
  });

  it('asks where the bundle says, unless its settings say otherwise', async () => {
    const { profile, eeOptions, ra, storage } = await device();
    const name = 'bundle/bootstrap.json';
    const bootstrap = JSON.parse(new TextDecoder().decode(storage.files.get(name)));
    const asked = async (settings: { crlUrl?: URL }) => {
      ra.requests.length = 0;
      const ee = await EndEntity.open(profile, { ...eeOptions, settings });
      await ee.fetchFiles();
      return ra.requests.map(({ url }) => url.href).filter((url) => url.includes('crl'));
    };
    const own = { crlUrl: new URL('https://other.test:1/crls') };
    assert.deepEqual(await asked({}), []);
    for (const [crlUrl, expected] of [
      ['https://crl.test:8894', 'https://crl.test:8894/download-crl/'],
      ['https://crl.test:8894/download-crl/', 'https://crl.test:8894/download-crl/'],
    ] as const) {
      storage.files.set(name, new TextEncoder().encode(JSON.stringify({ ...bootstrap, crlUrl })));
      assert.deepEqual(await asked({}), [expected]);
      assert.deepEqual(await asked(own), ['https://other.test:1/crls']);
    }
    const http = JSON.stringify({ ...bootstrap, crlUrl: 'http://crl.test' });
    storage.files.set(name, new TextEncoder().encode(http));
    await assert.rejects(asked({}), { code: 'invalid-bundle' });
  });
});
