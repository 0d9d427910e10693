/** From an acknowledged device to its files, with authorities that fail and clocks that move. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { systemRandom } from '@chrysalis/crypto';
import {
  AuthorityUnavailableError,
  type CertificateAuthority,
  IPeriodClock,
  type LinkageAuthority,
  timeOf,
} from '@chrysalis/scms';
import {
  createDevice,
  downloadReq,
  pseudonymRequest,
  securedBy,
  type TestDevice,
} from './support/device.ts';
import { type FixtureOptions, type RaFixture, startRaFixture } from './support/ra-fixture.ts';

const PROVISION = '/provision-pseudonym-certificate-batch';
const random = systemRandom;
const iPeriod = new IPeriodClock();

interface Registered {
  readonly device: TestDevice;
  readonly hash: string;
}

async function start(t: TestContext, options: FixtureOptions = {}): Promise<RaFixture> {
  const fixture = await startRaFixture(options);
  t.after(() => fixture.close());
  return fixture;
}

async function register(
  fixture: RaFixture,
  device = createDevice(fixture.scms, random, timeOf(fixture.clock)),
): Promise<Registered> {
  const body = securedBy(
    device,
    pseudonymRequest(device, timeOf(fixture.clock)),
    fixture.scms.ra.certificate,
    random,
  );
  const ack = await fixture.send(PROVISION, { method: 'POST', body });
  assert.equal(ack.status, 200, String(ack.headers['scms-poc-error-message']));
  return { device, hash: Buffer.from(ack.body.subarray(12, 20)).toString('hex').toUpperCase() };
}

function currentI(fixture: RaFixture): number {
  return iPeriod.at(timeOf(fixture.clock));
}

async function download(fixture: RaFixture, { device, hash }: Registered, i: number) {
  const name = `${hash}_${i.toString(16).toUpperCase()}.zip`;
  const headers = downloadReq(
    device,
    name,
    timeOf(fixture.clock),
    fixture.scms.ra.certificate,
    random,
  );
  const answer = await fixture.send('/download/batch', { headers });
  return answer.status === 200 ? answer.body : undefined;
}

async function info(fixture: RaFixture, { device, hash }: Registered): Promise<number> {
  const headers = downloadReq(
    device,
    `${hash}.info`,
    timeOf(fixture.clock),
    fixture.scms.ra.certificate,
    random,
  );
  const answer = await fixture.send('/download/info', { headers });
  assert.equal(answer.status, 200);
  assert.equal(answer.body.length, 4);
  return new DataView(answer.body.buffer).getUint32(0);
}

async function issued(fixture: RaFixture) {
  const log = [];
  for await (const entry of fixture.pca.log()) log.push(entry);
  return log;
}

async function expectNoKeyTwice(fixture: RaFixture, count: number): Promise<void> {
  const keys = (await issued(fixture)).map(({ cocoonKey }) =>
    Buffer.from(cocoonKey).toString('hex'),
  );
  assert.equal(keys.length, count);
  assert.equal(new Set(keys).size, count);
}

describe('the pipeline', () => {
  it('files every week of the supply, and .info says when the next will be there', async (t) => {
    const fixture = await start(t, { policy: { weeksAhead: 3 } });
    const device = await register(fixture);
    const now = timeOf(fixture.clock);
    assert.equal(await info(fixture, device), now + 5, 'before the first batch: certDLTime');
    const i = currentI(fixture);
    for (const week of [i, i + 1, i + 2])
      await fixture.eventually(() => download(fixture, device, week));
    assert.equal(await download(fixture, device, i + 3), undefined);
    // i + 3 comes within the supply of three weeks when i + 1 begins, and may wait two days in the shuffle.
    await fixture.eventually(async () =>
      (await info(fixture, device)) === iPeriod.start(i + 1) + 48 * 3600 + 60 ? true : undefined,
    );
    await expectNoKeyTwice(fixture, 60);
  });

  it('adds one week each week, and drops a week an hour after it is over', async (t) => {
    const fixture = await start(t, { policy: { weeksAhead: 2, shuffleThreshold: 20 } });
    const device = await register(fixture);
    const i = currentI(fixture);
    await fixture.eventually(() => download(fixture, device, i + 1));
    fixture.clock.set(iPeriod.start(i + 1) + 60);
    fixture.ra.wake();
    await fixture.eventually(() => download(fixture, device, i + 2));
    assert(await download(fixture, device, i), 'the overlap of an hour');
    fixture.clock.set(iPeriod.start(i + 1) + 3600);
    fixture.ra.wake();
    await fixture.eventually(async () => ((await download(fixture, device, i)) ? undefined : true));
    assert(await download(fixture, device, i + 1));
    await expectNoKeyTwice(fixture, 60);
  });

  it('asks a PCA that is down again, and nothing is issued twice', async (t) => {
    let isDown = true;
    let asked = 0;
    const wrapPca = (pca: CertificateAuthority): CertificateAuthority => ({
      async requestCertificate(request) {
        asked++;
        // Half of the failures come after the PCA has issued: its answer is lost on the way.
        if (isDown && asked % 2 === 0) await pca.requestCertificate(request);
        if (isDown) throw new AuthorityUnavailableError('down');
        return pca.requestCertificate(request);
      },
    });
    const fixture = await start(t, { wrapPca, policy: { weeksAhead: 1 } });
    const device = await register(fixture);
    // As many as are tried at once at first.
    await fixture.eventually(async () => (asked >= 8 ? true : undefined));
    assert.equal(await download(fixture, device, currentI(fixture)), undefined);
    isDown = false;
    fixture.clock.advance(2);
    fixture.ra.wake();
    await fixture.eventually(() => download(fixture, device, currentI(fixture)));
    await expectNoKeyTwice(fixture, 20);
    assert(fixture.logged.some((line) => line.message === 'no answer from the PCA'));
  });

  it('files nothing that does not answer its request', async (t) => {
    let first: Uint8Array | undefined;
    let isWrong = true;
    const wrapPca = (pca: CertificateAuthority): CertificateAuthority => ({
      async requestCertificate(request) {
        const answer = await pca.requestCertificate(request);
        first ??= answer;
        return isWrong ? first : answer;
      },
    });
    const fixture = await start(t, { wrapPca, policy: { weeksAhead: 1 } });
    const device = await register(fixture);
    await fixture.eventually(async () =>
      fixture.logged.filter((line) => line.message === 'no certificate from the PCA').length >= 19
        ? true
        : undefined,
    );
    assert.equal(await download(fixture, device, currentI(fixture)), undefined);
    isWrong = false;
    fixture.clock.advance(2);
    fixture.ra.wake();
    await fixture.eventually(() => download(fixture, device, currentI(fixture)));
    await expectNoKeyTwice(fixture, 20);
  });

  it('takes no device while the PLV cache is empty, and says so; devices come again', async (t) => {
    const la = switchedLa('down');
    const fixture = await start(t, { policy: { weeksAhead: 1 }, wrapLa: la.wrap });
    await assert.rejects(register(fixture), /500 !== 200/);
    assert(fixture.logged.some((line) => line.message === 'no pre-linkage values'));
    assert(
      fixture.logged.some(({ fields }) =>
        /pre-linkage value chain in the cache/.test(String((fields.err as Error)?.message)),
      ),
    );
    la.isDown = false;
    fixture.clock.advance(2);
    fixture.ra.wake();
    const device = await fixture.eventually(() => register(fixture).catch(() => undefined));
    await fixture.eventually(() => download(fixture, device, currentI(fixture)));
  });

  it('gives new devices cached chains while the LAs are down, and continues them afterwards', async (t) => {
    const la = switchedLa('up');
    const fixture = await start(t, {
      policy: { weeksAhead: 1, shuffleThreshold: 1 },
      wrapLa: la.wrap,
    });
    la.isDown = true;
    const device = await register(fixture);
    await fixture.eventually(() => download(fixture, device, currentI(fixture)));
    const next = currentI(fixture) + 1;
    fixture.clock.set(iPeriod.start(next) + 1);
    fixture.ra.wake();
    await fixture.eventually(async () =>
      fixture.logged.some((line) => line.message === 'no pre-linkage values') ? true : undefined,
    );
    assert.equal(await download(fixture, device, next), undefined);
    la.isDown = false;
    fixture.clock.advance(60);
    fixture.ra.wake();
    await fixture.eventually(() => download(fixture, device, next));
  });

  it('keeps requests in the shuffle until enough wait, or one has waited long enough', async (t) => {
    const policy = {
      weeksAhead: 1,
      shuffleInitial: 'pooled',
      shuffleThreshold: 40,
      shuffleMaxAgeSec: 3600,
    } as const;
    const fixture = await start(t, { policy });
    const first = await register(fixture);
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal((await issued(fixture)).length, 0, '20 wait for 40');
    const second = await register(fixture);
    await fixture.eventually(() => download(fixture, first, currentI(fixture)));
    await fixture.eventually(() => download(fixture, second, currentI(fixture)));
    const third = await register(fixture);
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal((await issued(fixture)).length, 40);
    fixture.clock.advance(3601);
    fixture.ra.wake();
    await fixture.eventually(() => download(fixture, third, currentI(fixture)));
  });

  it('makes nothing more for a device while it is blacklisted', async (t) => {
    const fixture = await start(t, { policy: { weeksAhead: 1, shuffleThreshold: 20 } });
    const black = await register(fixture);
    const other = await register(fixture);
    const i = currentI(fixture);
    for (const device of [black, other])
      await fixture.eventually(() => download(fixture, device, i));
    const { hash } = black.device.certificate;
    await fixture.ra.blacklist.add(hash, 'test', timeOf(fixture.clock));
    fixture.clock.set(iPeriod.start(i + 1) + 60);
    fixture.ra.wake();
    await fixture.eventually(() => download(fixture, other, i + 1));
    await expectNoKeyTwice(fixture, 60);
    await fixture.ra.blacklist.remove(hash);
    fixture.ra.wake();
    await fixture.eventually(() => download(fixture, black, i + 1));
    await expectNoKeyTwice(fixture, 80);
  });

  it('certifies nothing that waits in the shuffle when its device is blacklisted', async (t) => {
    const policy = { weeksAhead: 1, shuffleInitial: 'pooled', shuffleMaxAgeSec: 3600 } as const;
    const fixture = await start(t, { policy });
    const black = await register(fixture);
    const other = await register(fixture);
    await new Promise((resolve) => setTimeout(resolve, 500));
    await fixture.ra.blacklist.add(black.device.certificate.hash, 'test', timeOf(fixture.clock));
    fixture.clock.advance(3601);
    fixture.ra.wake();
    await fixture.eventually(() => download(fixture, other, currentI(fixture)));
    await expectNoKeyTwice(fixture, 20);
  });

  it('loses nothing to a clock that is ten weeks ahead for a moment', async (t) => {
    const policy = { weeksAhead: 2, shuffleThreshold: 20 };
    const fixture = await start(t, { policy, dropGraceMs: 60_000 });
    const device = await register(fixture);
    const now = timeOf(fixture.clock);
    const i = currentI(fixture);
    await fixture.eventually(() => download(fixture, device, i + 1));
    fixture.clock.set(iPeriod.start(i + 10));
    fixture.ra.wake();
    await new Promise((resolve) => setTimeout(resolve, 300));
    fixture.clock.set(now);
    fixture.ra.wake();
    for (const week of [i, i + 1]) assert(await download(fixture, device, week));
    fixture.clock.set(iPeriod.start(i + 1) + 60);
    fixture.ra.wake();
    await fixture.eventually(() => download(fixture, device, i + 2));
    assert(!fixture.logged.some((line) => line.message === 'period dropped'));
  });

  it('goes on with the current week after an outage of many', async (t) => {
    let isDown = false;
    const fixture = await start(t, {
      policy: { weeksAhead: 2, shuffleThreshold: 20 },
      wrapPca: (pca) => ({
        async requestCertificate(request) {
          if (isDown) throw new AuthorityUnavailableError('down');
          return pca.requestCertificate(request);
        },
      }),
    });
    const device = await register(fixture);
    const i = currentI(fixture);
    await fixture.eventually(() => download(fixture, device, i + 1));
    isDown = true;
    for (const week of [1, 2]) {
      fixture.clock.set(iPeriod.start(i + week) + 60);
      fixture.ra.wake();
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    isDown = false;
    fixture.clock.set(iPeriod.start(i + 9) + 7200);
    fixture.ra.wake();
    await fixture.eventually(() => download(fixture, device, i + 9));
    await fixture.eventually(() => download(fixture, device, i + 10));
    await fixture.eventually(async () =>
      (await info(fixture, device)) === iPeriod.start(i + 10) + 48 * 3600 + 60 ? true : undefined,
    );
  });

  it('ends with the enrollment certificate: then .info is 0', async (t) => {
    const fixture = await start(t, { policy: { weeksAhead: 10 } });
    const now = timeOf(fixture.clock);
    const i = currentI(fixture);
    const hours = Math.ceil((iPeriod.start(i + 2) - (now - 3600)) / 3600);
    const short = createDevice(fixture.scms, random, now, {
      validityPeriod: { start: now - 3600, duration: { type: 'hours', value: hours } },
    });
    const device = await register(fixture, short);
    await fixture.eventually(() => download(fixture, device, i + 1));
    await fixture.eventually(async () => ((await info(fixture, device)) === 0 ? true : undefined));
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal(await download(fixture, device, i + 3), undefined);
  });

  it('is not stopped by a device whose keys meet infinity', async (t) => {
    const fixture = await start(t, { policy: { weeksAhead: 1 } });
    const honest = createDevice(fixture.scms, random, timeOf(fixture.clock));
    const { Expansion, PrivateKey, scalarAdd } = await import('@chrysalis/crypto');
    // A seed of -f(i, 3)·G: lane 3 of this week cannot be expanded.
    const f = new Expansion(honest.verifyExpansion, 'signing').value(currentI(fixture), 3);
    const order = Buffer.from(
      'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551',
      'hex',
    );
    const minusF =
      BigInt(`0x${order.toString('hex')}`) - BigInt(`0x${Buffer.from(f).toString('hex')}`);
    const seed = new Uint8Array(Buffer.from(minusF.toString(16).padStart(64, '0'), 'hex'));
    assert.deepEqual(scalarAdd(seed, f), new Uint8Array(32));
    await register(fixture, { ...honest, verifySeed: PrivateKey.fromScalar(seed) });
    const other = await register(fixture);
    await fixture.eventually(() => download(fixture, other, currentI(fixture)));
    assert(fixture.logged.some((line) => /cannot be expanded/.test(line.message)));
  });
});

/** LAs that can be switched off. */
function switchedLa(state: 'up' | 'down') {
  const control = {
    isDown: state === 'down',
    wrap: (la: LinkageAuthority): LinkageAuthority => ({
      async requestPreLinkageValues(request) {
        if (control.isDown) throw new AuthorityUnavailableError('down');
        return la.requestPreLinkageValues(request);
      },
    }),
  };
  return control;
}
