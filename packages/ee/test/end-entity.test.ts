import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { unixFromTime32 } from '@chrysalis/ieee1609dot2';
import { formatHex, parseFileName } from '@chrysalis/scms';
import { EeError, EndEntity, Profile } from '../src/index.ts';
import { device, SCMS } from './device.ts';
import type { Fault } from './mock-ra.ts';
import { CURRENT_I, NOW, openAsRa } from './mock-scms.ts';

describe('EndEntity.request', () => {
  it('asks once in the life of a profile', async () => {
    const { ee, ra, progress } = await device();
    const { requestHash } = await ee.request('pseudonym');
    assert.deepEqual([...ra.accepted.keys()], [formatHex(requestHash)]);
    assert.deepEqual(await ee.request('pseudonym'), await ee.request('pseudonym'));
    assert.equal(ra.requests.length, 1);
    assert.equal(ra.requests[0]!.headers['Content-Type'], 'application/octet-stream');
    assert.deepEqual(
      progress.map(({ type }) => type),
      ['prepared', 'acknowledged'],
    );
  });

  it('has keys and body on disk before the body leaves', async () => {
    const { ee, ra, storage, transport } = await device();
    transport.exchange = async (request) => {
      await request.message();
      const state = await new Profile(storage.reborn()).provisioning('pseudonym');
      assert.equal(state?.bodies.length, 1);
      throw new EeError('invalid-ack', 'seen');
    };
    await assert.rejects(ee.request('pseudonym'), { message: 'seen' });
    assert.equal(ra.requests.length, 0);
  });

  it('signs what has the time in it when the connection is there, however long that took', async () => {
    const { ee, ra, transport, clock } = await device({ periods: 1 });
    const exchange = transport.exchange.bind(transport);
    transport.exchange = async (request) => {
      // A handshake of a minute; the RA allows five seconds.
      clock.unixMs += 60_000;
      return exchange(request);
    };
    await ee.request('pseudonym');
    await ee.download('pseudonym', { count: 1 });
    await ee.info('pseudonym');
    assert.deepEqual(clock.slept, []);
    assert.equal(ra.requests.length, 3);
  });

  it('makes no body for an RA that it cannot connect to', async () => {
    const { ee, ra, transport, storage } = await device();
    const before = storage.steps;
    transport.faults.push(...Array<Fault>(5).fill('unreachable'));
    await assert.rejects(ee.request('pseudonym'), { code: 'unreachable' });
    assert.equal(storage.steps, before);
    await ee.request('pseudonym');
    assert.equal(ra.keySets, 1);
  });

  it('sends the identical body again after a contact that broke off', async () => {
    for (const fault of ['lost-answer', 'cut-body', 'lost-request'] as Fault[]) {
      const { ee, ra, transport, clock } = await device();
      transport.faults.push(fault);
      await ee.request('pseudonym');
      const bodies = ra.requests.map(({ body }) => body);
      assert.equal(ra.accepted.size, 1);
      for (const body of bodies) assert.deepEqual(body, bodies[0]);
      assert.equal(clock.slept.length, 1);
    }
  });

  it('takes up, in a later life, what an earlier one may have sent', async () => {
    const { ee, ra, transport, profile, eeOptions, clock } = await device();
    transport.faults.push(...Array<Fault>(5).fill('lost-answer'));
    await assert.rejects(ee.request('pseudonym'), { code: 'interrupted' });
    clock.unixMs += 86_400_000;
    const { requestHash } = await (await EndEntity.open(profile, eeOptions)).request('pseudonym');
    assert.deepEqual([...ra.accepted.keys()], [formatHex(requestHash)]);
    assert.equal(ra.keySets, 1);
  });

  it('puts the same keys into a new body when the old one never arrived and is too old', async () => {
    const { ee, ra, transport, profile, eeOptions, clock, progress } = await device();
    transport.faults.push(...Array<Fault>(5).fill('lost-request'));
    await assert.rejects(ee.request('pseudonym'), { code: 'interrupted' });
    clock.unixMs += 86_400_000;
    const { requestHash } = await (await EndEntity.open(profile, eeOptions)).request('pseudonym');
    assert.equal(ra.requests.length, 2);
    assert.equal(ra.keySets, 1);
    assert.deepEqual([...ra.accepted.keys()], [formatHex(requestHash)]);
    assert.deepEqual(
      progress.filter(({ type }) => type !== 'retry').map(({ type }) => type),
      ['prepared', 'resumed', 'prepared', 'acknowledged'],
    );
  });

  it('finds the body that was accepted although a later one was tried', async () => {
    const { ee, ra, transport, clock, profile, eeOptions } = await device();
    // The RA has the first body; its answer is lost, and then it is too busy to repeat it.
    transport.faults.push('lost-answer');
    ra.script.push(undefined, ...Array(5).fill({ status: 500 }));
    await assert.rejects(ee.request('pseudonym'), { code: 'refused' });
    clock.unixMs += 86_400_000;
    const { requestHash } = await (await EndEntity.open(profile, eeOptions)).request('pseudonym');
    assert.deepEqual([...ra.accepted.keys()], [formatHex(requestHash)]);
    assert.equal(ra.keySets, 1);
  });

  it('backs off on a bare 500, twice as long each time, and gives up after five', async () => {
    const { ee, ra, clock } = await device();
    ra.script.push(...Array(10).fill({ status: 500 }));
    await assert.rejects(ee.request('pseudonym'), { code: 'refused' });
    assert.equal(ra.requests.length, 5);
    assert.equal(clock.slept.length, 4);
    for (const [n, ms] of clock.slept.entries()) {
      const base = 2_000 * 2 ** n;
      assert(ms >= base && ms <= 1.5 * base, `pause ${n}: ${ms}`);
    }
    ra.script.length = 0;
    await ee.request('pseudonym');
    assert.equal(ra.keySets, 1);
  });

  it('does not insist when the answer is wrong', async () => {
    const answers = [
      [{ status: 200, body: new Uint8Array(10) }, 'invalid-ack'],
      [{ status: 202 }, 'unexpected-response'],
      [{ status: 302, headers: { location: 'https://elsewhere' } }, 'unexpected-response'],
      [{ status: 200, body: new Uint8Array(5_000) }, 'too-large'],
    ] as const;
    for (const [answer, code] of answers) {
      const { ee, ra } = await device();
      ra.script.push(answer);
      await assert.rejects(ee.request('pseudonym'), { code });
      assert.equal(ra.requests.length, 1);
      await ee.request('pseudonym');
      assert.equal(ra.keySets, 1);
    }
  });

  it('goes on from a death at any step, before or after it took effect, with one set of keys', async () => {
    for (const isAppliedBeforeDeath of [false, true]) {
      for (let dieAt = 1; ; dieAt += 1) {
        const { storage, ra, eeOptions } = await device({ periods: 2, perPeriod: 1 });
        const dying = Object.assign(storage.reborn(), { dieAt, isAppliedBeforeDeath });
        const hasDied = await cycle(new Profile(dying), eeOptions).then(
          () => false,
          () => true,
        );
        const survivor = new Profile(dying.reborn());
        await cycle(survivor, eeOptions);
        assert.equal(ra.keySets, 1, `step ${dieAt}`);
        assert.equal(ra.accepted.size, 1);
        assert.deepEqual(await survivor.certificates('pseudonym').openedNumbers(), [
          CURRENT_I,
          CURRENT_I + 1,
        ]);
        if (!hasDied) break;
        assert(dieAt < 50, 'a cycle has no end');
      }
    }
  });
});

async function cycle(profile: Profile, options: Parameters<typeof EndEntity.open>[1]) {
  const ee = await EndEntity.open(profile, options);
  await ee.request('pseudonym');
  await ee.waitUntilReady('pseudonym');
  const { batches } = await ee.download('pseudonym');
  for (const { failures } of batches) assert.deepEqual(failures, []);
  await ee.info('pseudonym');
}

describe('EndEntity.waitUntilReady', () => {
  it('waits for certDLTime and tells about it', async () => {
    const { ee, clock, progress } = await device({ certDLTime: NOW + 3 });
    await ee.request('pseudonym');
    await ee.waitUntilReady('pseudonym');
    assert.equal(clock.now(), unixFromTime32(NOW + 3));
    const waits = progress.filter(({ type }) => type === 'waiting');
    assert.deepEqual(waits[0], {
      type: 'waiting',
      kind: 'pseudonym',
      until: NOW + 3,
      remainingMs: 3_000,
    });
  });

  it('wants an acknowledgement first', async () => {
    const { ee } = await device();
    await assert.rejects(ee.waitUntilReady('pseudonym'), { code: 'not-acknowledged' });
    await assert.rejects(ee.download('pseudonym'), { code: 'not-acknowledged' });
    await assert.rejects(ee.info('pseudonym'), { code: 'not-acknowledged' });
  });
});

describe('EndEntity.download', () => {
  it('fetches and opens what the RA has, and next time only what is new', async () => {
    const { ee, ra, profile, clock, progress } = await device({ periods: 3, perPeriod: 2 });
    const { requestHash } = await ee.request('pseudonym');
    const { batches } = await ee.download('pseudonym');
    assert.deepEqual(
      batches.map(({ i, certificates }) => [i, certificates.length]),
      [0, 1, 2].map((n) => [CURRENT_I + n, 2]),
    );
    assert.deepEqual(progress.at(-1), { type: 'end', kind: 'pseudonym', i: CURRENT_I + 3 });
    const names = ra.requests.slice(1).map(({ headers }) => {
      const header = Buffer.from(headers['Download-Req']!, 'base64');
      const request = openAsRa(SCMS, new Uint8Array(header));
      return request.type === 'download' ? request.filename : '';
    });
    assert.equal(names[0], `${formatHex(requestHash)}_26B.zip`);
    assert.deepEqual(clock.slept, []);
    const stored = await profile.certificates('pseudonym').opened(CURRENT_I);
    assert.deepEqual(
      stored!.certificates[1]!.certificate,
      batches[0]!.certificates[1]!.certificate.octets,
    );
    assert.deepEqual(stored!.certificates[1]!.key, batches[0]!.certificates[1]!.key);
    ra.periods = 4;
    ra.requests.length = 0;
    const { batches: more } = await ee.download('pseudonym');
    assert.deepEqual(
      more.map(({ i }) => i),
      [CURRENT_I + 3],
    );
    assert.equal(ra.requests.length, 2);
  });

  it('fetches as many as were asked for, or the one', async () => {
    const { ee } = await device({ periods: 5, perPeriod: 1 });
    await ee.request('pseudonym');
    assert.equal((await ee.download('pseudonym', { count: 2 })).batches.length, 2);
    assert.equal((await ee.download('pseudonym', { count: 2 })).batches.length, 0);
    assert.equal(
      (await ee.download('pseudonym', { i: CURRENT_I + 4 })).batches[0]!.i,
      CURRENT_I + 4,
    );
  });

  it('resumes a batch that was cut, under a fresh header for each attempt', async () => {
    const { ee, ra, transport } = await device({ periods: 1 });
    await ee.request('pseudonym');
    transport.faults.push('cut-body', 'cut-body');
    const { batches } = await ee.download('pseudonym');
    assert.equal(batches[0]!.certificates.length, 3);
    const [first, second, third] = ra.requests.slice(1);
    assert.equal(first!.headers.Range, undefined);
    assert.match(second!.headers.Range!, /^bytes=\d+-$/);
    assert.notEqual(second!.headers.Range, third!.headers.Range);
    const headers = [first, second, third].map((request) => request!.headers['Download-Req']);
    assert.equal(new Set(headers).size, 3);
  });

  it('waits a while for the first batch, and says so when it does not come', async () => {
    const { ee, ra, clock, storage } = await device({ periods: 0 });
    await ee.request('pseudonym');
    const before = storage.steps;
    await assert.rejects(ee.download('pseudonym'), { code: 'refused' });
    assert.equal(ra.requests.length, 6);
    assert.equal(clock.slept.length, 4);
    assert.equal(storage.steps, before);
    ra.periods = 1;
    assert.equal((await ee.download('pseudonym')).batches.length, 1);
  });

  it('keeps what opened when something did not, and asks for that batch again', async () => {
    const { ee, ra, profile } = await device({ periods: 1 });
    await ee.request('pseudonym');
    const good = ra.handle.bind(ra);
    ra.handle = (request) => {
      const answer = good(request);
      const broken = answer.body?.slice();
      broken?.fill(0, 60, 90);
      return { ...answer, ...(broken && { body: broken }) };
    };
    const { batches } = await ee.download('pseudonym');
    assert.equal(batches[0]!.failures.length, 1);
    assert.equal(
      (await profile.certificates('pseudonym').opened(CURRENT_I))!.certificates.length,
      2,
    );
    ra.handle = good;
    assert.deepEqual((await ee.download('pseudonym')).batches[0]!.failures, []);
    assert.equal((await ee.download('pseudonym')).batches.length, 0);
  });

  it('does not let a later batch take away what an earlier one gave', async () => {
    const { ee, ra, profile } = await device({ periods: 2 });
    await ee.request('pseudonym');
    const good = ra.handle.bind(ra);
    const breakAt = (at: number, length: number) => {
      ra.handle = (request) => {
        const answer = good(request);
        const broken = answer.body?.slice();
        broken?.fill(0, at, at + length);
        return { ...answer, ...(broken && { body: broken }) };
      };
    };
    breakAt(60, 30);
    await ee.download('pseudonym', { count: 1 });
    breakAt(60, 400);
    assert.equal((await ee.download('pseudonym', { count: 1 })).batches[0]!.failures.length, 2);
    assert.equal(
      (await profile.certificates('pseudonym').opened(CURRENT_I))!.certificates.length,
      2,
    );
    // The RA has lost the current period; the next one is there all the same.
    let isLost = false;
    ra.handle = (request) => {
      if (isLost) return good(request);
      isLost = true;
      return { status: 500 };
    };
    assert.deepEqual(
      (await ee.download('pseudonym')).batches.map(({ i }) => i),
      [CURRENT_I + 1],
    );
    assert.equal(
      (await profile.certificates('pseudonym').opened(CURRENT_I))!.certificates.length,
      2,
    );
  });

  it('refuses what is no zip, and gets past it the next time', async () => {
    const { ee, ra, profile } = await device({ periods: 1 });
    await ee.request('pseudonym');
    ra.script.push({ status: 200, body: new Uint8Array(100) });
    await assert.rejects(ee.download('pseudonym'), { code: 'invalid-batch' });
    assert.deepEqual(await profile.certificates('pseudonym').held(), []);
    assert.equal((await ee.download('pseudonym')).batches[0]!.certificates.length, 3);
  });

  it('opens a batch that an earlier life fetched and did not come to open', async () => {
    const { ee, ra, storage, eeOptions } = await device({ periods: 1 });
    await ee.request('pseudonym');
    await ee.download('pseudonym');
    const interrupted = storage.reborn();
    interrupted.files.delete('certificates/26B.json');
    ra.requests.length = 0;
    const reborn = await EndEntity.open(new Profile(interrupted), eeOptions);
    assert.equal(
      (await reborn.download('pseudonym', { count: 1 })).batches[0]!.certificates.length,
      3,
    );
    assert.equal(ra.requests.length, 0);
  });

  it('goes where the acknowledgement says, unless the user says otherwise', async () => {
    const certDLURL = 'https://files.test:9443/download/batch';
    const { ee, ra, profile, eeOptions } = await device({ certDLURL, periods: 1 });
    await ee.request('pseudonym');
    await ee.download('pseudonym', { count: 1 });
    assert.equal(ra.requests.at(-1)!.url.href, certDLURL);
    await ee.info('pseudonym');
    assert.equal(ra.requests.at(-1)!.url.href, 'https://localhost:8892/download/info');
    const raUrl = new URL('https://127.0.0.1:4444');
    const overridden = await EndEntity.open(profile, { ...eeOptions, settings: { raUrl } });
    await assert.rejects(overridden.download('pseudonym', { i: CURRENT_I + 7 }), {
      code: 'refused',
    });
    assert.equal(ra.requests.at(-1)!.url.href, 'https://127.0.0.1:4444/download/batch');
  });
});

describe('EndEntity.fetch', () => {
  it('keeps a file unopened, which a download then opens without asking for it again', async () => {
    const { ee, ra, profile } = await device();
    await assert.rejects(ee.fetch('pseudonym', CURRENT_I), { code: 'not-acknowledged' });
    await ee.request('pseudonym');
    const zip = await ee.fetch('pseudonym', CURRENT_I);
    const folder = profile.certificates('pseudonym');
    assert.deepEqual(await folder.zip(CURRENT_I), zip);
    assert.deepEqual(await folder.openedNumbers(), []);
    assert.deepEqual(await ee.fetch('pseudonym', CURRENT_I), zip);
    const { batches } = await ee.download('pseudonym', { i: CURRENT_I });
    assert.equal(batches[0]?.certificates.length, 3);
    assert.equal(ra.filesAsked.length, 1);
  });

  it('does not wait for a file that is not there', async () => {
    const { ee, clock } = await device({ periods: 1 });
    await ee.request('pseudonym');
    await assert.rejects(ee.fetch('pseudonym', CURRENT_I + 1), { code: 'refused' });
    assert.deepEqual(clock.slept, []);
  });
});

describe('EndEntity.info', () => {
  it('keeps the time of the next top-up', async () => {
    const { ee, ra, profile } = await device();
    await ee.request('pseudonym');
    assert.deepEqual(await ee.info('pseudonym'), { type: 'next', time: 0x2b17dfae });
    assert.deepEqual(await profile.info('pseudonym'), { type: 'next', time: 0x2b17dfae });
    ra.info = new Uint8Array(4);
    assert.deepEqual(await ee.info('pseudonym'), { type: 'stopped' });
    ra.info = new Uint8Array(65);
    await assert.rejects(ee.info('pseudonym'), { code: 'too-large' });
    assert.deepEqual(await profile.info('pseudonym'), { type: 'stopped' });
  });
});

describe('EndEntity.downloadHeader', () => {
  it('names the file in upper case, now', async () => {
    const { ee } = await device();
    const header = ee.downloadHeader('ab09281c9867de53_f.zip');
    const request = openAsRa(SCMS, new Uint8Array(Buffer.from(header, 'base64')));
    assert.deepEqual(request, {
      type: 'download',
      timestamp: NOW,
      filename: 'AB09281C9867DE53_F.zip',
    });
    assert.equal(parseFileName('AB09281C9867DE53_F.zip').type, 'batch');
    assert.throws(() => ee.downloadHeader('../x'), { code: 'invalid-file-name' });
  });
});
