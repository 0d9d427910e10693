import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { EndEntity } from '../src/index.ts';
import { device, SCMS } from './device.ts';
import { chainFile, policyFile } from './mock-files.ts';
import type { ArrivedRequest, MockAnswer, MockRa } from './mock-ra.ts';
import { createMockScms, NOW } from './mock-scms.ts';

const TWO_DAYS = 172_800;
const REFUSED: MockAnswer = { status: 500 };

/** A vehicle that has identification certificates besides. */
async function vehicle(options: Parameters<typeof device>[0] = {}) {
  const made = await device({ periods: 1, identificationFiles: 1, ...options });
  const settings = { identification: true };
  const ee = await EndEntity.open(made.profile, { ...made.eeOptions, settings });
  return { ...made, ee };
}

/** The RA refuses whatever goes to these paths, until it is told otherwise. */
function refuse(ra: MockRa, ...paths: string[]): { allow(): void } {
  const handle = ra.handle.bind(ra);
  ra.handle = (request: ArrivedRequest) => {
    const isRefused = paths.includes(request.url.pathname);
    const answer = handle(request);
    return isRefused ? REFUSED : answer;
  };
  return {
    allow() {
      ra.handle = handle;
    },
  };
}

describe('a top-up of several kinds', () => {
  it('asks for all of them before it waits for any', async () => {
    const { ee, ra, clock, progress } = await vehicle({ certDLTime: NOW + 600 });
    const asked: number[] = [];
    const handle = ra.handle.bind(ra);
    ra.handle = (request) => {
      if (request.method === 'POST') asked.push(clock.now());
      return handle(request);
    };
    const begin = clock.now();
    const { supplies } = await ee.topUp({ waitSec: Infinity });
    assert.deepEqual(asked, [begin, begin]);
    assert.equal(clock.now(), begin + 600_000);
    assert.deepEqual(
      supplies.map(({ kind, batches }) => [kind, batches.length]),
      [
        ['pseudonym', 1],
        ['identification', 1],
      ],
    );
    assert(progress.some(({ type }) => type === 'waiting'));
  });

  it('waits for what is promised for soon, and leaves the rest', async () => {
    const { ee, clock } = await vehicle({ certDLTime: NOW + TWO_DAYS });
    const { supplies, due } = await ee.topUp({ waitSec: 10 });
    // Two days are so many pauses that a list of them could not be shown.
    assert.equal(clock.slept.length, 0);
    assert.deepEqual(
      supplies.map(({ ready }) => ready),
      [NOW + TWO_DAYS, NOW + TWO_DAYS],
    );
    // Neither policy nor chains are there yet: those are looked for earlier.
    assert.equal(due, NOW + 86_400);
    const soon = await vehicle({ certDLTime: NOW + 10 });
    const { supplies: ready } = await soon.ee.topUp({ waitSec: 10 });
    assert.deepEqual(
      ready.map(({ batches }) => batches.length),
      [1, 1],
    );
  });

  it('goes through all of them though one is refused, and fails with the first reason', async () => {
    for (const paths of [
      ['/provision-pseudonym-certificate-batch'],
      ['/download/batch'],
      ['/provision-pseudonym-certificate-batch', '/provision-identity-certificate'],
    ]) {
      const { ee, ra, profile, progress } = await vehicle();
      refuse(ra, ...paths);
      await assert.rejects(ee.topUp(), { code: 'refused' });
      const failed = progress.flatMap((event) => (event.type === 'failed' ? event.kind : []));
      assert.deepEqual(failed, ['pseudonym', 'identification'].slice(0, paths.length));
      const opened = await profile.certificates('identification').openedNumbers();
      assert.deepEqual(opened, paths.length === 1 ? [0] : []);
    }
  });

  it('ends at once when the device is refused, or its disk', async () => {
    const { ee, ra } = await vehicle();
    const blacklisted = { status: 500, headers: { 'scms-poc-error': '5055' } };
    ra.script.push(undefined, undefined, blacklisted);
    await assert.rejects(ee.topUp(), ({ refusal }) => refusal.name === 'raBlacklisted');
    assert.equal(ra.asked.length, 1);
    const dying = await vehicle();
    dying.storage.dieAt = 1;
    await assert.rejects(dying.ee.topUp(), { code: 'storage' });
    assert.equal(dying.ra.asked.length, 0);
  });
});

describe('a policy or chain file that the RA refuses', () => {
  for (const [which, path] of [
    ['policy', '/download/policy/local'],
    ['chains', '/download/local-certificate-chain'],
  ] as const) {
    it(`is waited out when one is held, and fails the contact at its end: ${which}`, async () => {
      const { ee, ra, profile, clock, progress } = await vehicle();
      Object.assign(ra.files, { chains: chainFile(1, 1), policy: policyFile(1, 1) });
      await ee.topUp();
      await profile.certificates('identification').removeZip(0);
      Object.assign(ra, { periods: 2, identificationFiles: 2 });
      ra.requests.length = 0;
      const { allow } = refuse(ra, path);
      await assert.rejects(ee.topUp(), ({ code, message }) => {
        return code === 'refused' && /^(policy|chain) file: the RA refused/.test(message);
      });
      assert.equal(ra.requests.filter(({ url }) => url.pathname === path).length, 5);
      assert.equal(clock.slept.length, 4);
      const withheld = progress.filter((event) => event.type === 'file' && event.reason);
      assert.equal(withheld.length, 1);
      // The certificates came nevertheless, and the file that is held holds on.
      assert.equal((await profile.certificates('pseudonym').openedNumbers()).length, 2);
      assert.deepEqual(await profile.certificates('identification').openedNumbers(), [0, 1]);
      assert.deepEqual(Object.keys(await profile.raFiles()).sort(), ['chains', 'policy']);
      allow();
      assert.equal((await ee.topUp()).files[which], 'unchanged');
    });
  }

  it('is not kept when it does not verify: the one that is held stays on disk', async () => {
    const { ee, ra, profile } = await vehicle();
    Object.assign(ra.files, { chains: chainFile(1, 1), policy: policyFile(1, 1) });
    await ee.topUp();
    const held = await profile.raFiles();
    ra.files.chains = chainFile(1, 2, { more: [createMockScms().pca.given] });
    ra.files.policy = policyFile(1, 2, { pg: SCMS.pca });
    const { files } = await ee.topUp();
    assert.deepEqual([files.policy, files.chains], ['refused', 'refused']);
    assert.deepEqual(await profile.raFiles(), held);
  });

  it('passes with the second try', async () => {
    const { ee, ra, clock } = await vehicle();
    Object.assign(ra.files, { chains: chainFile(1, 1), policy: policyFile(1, 1) });
    await ee.topUp();
    ra.script.push(REFUSED);
    assert.equal((await ee.topUp()).files.policy, 'unchanged');
    assert.equal(clock.slept.length, 1);
  });

  it('is none that the RA has when none was ever there; it is looked for within a day', async () => {
    const { ee, ra, clock } = await vehicle();
    ra.info = Uint8Array.of(0x7f, 0xff, 0xff, 0xff);
    const first = await ee.topUp();
    assert.deepEqual(first.files, {
      policy: 'not-offered',
      chains: 'not-offered',
      crl: 'not-offered',
    });
    assert.deepEqual(clock.slept, []);
    assert.equal(first.due, NOW + 86_400);
    Object.assign(ra.files, { chains: chainFile(1, 1), policy: policyFile(1, 1) });
    assert.equal((await ee.topUp()).due, 0x7fff_ffff);
    // An RA that makes nothing more is not asked for ever.
    const stopped = await vehicle();
    stopped.ra.info = new Uint8Array(4);
    assert.equal((await stopped.ee.topUp()).due, undefined);
  });
});
