/** The memory of the CRLG: what is revoked once stands in every CRL that follows, whoever makes it. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { linkageSeedAt } from '@chrysalis/crypto';
import { hashedId10 } from '@chrysalis/ieee1609dot2';
import { openCompositeCrl } from '@chrysalis/scms';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { createCrlGenerator, openCrlLog, type Revocation, revocationOf } from '../src/index.ts';
import { CURRENT_I, scms, TestClock, trustOf } from './ra-side.ts';

const DAY_SEC = 86_400;
const SEED = { la1: new Uint8Array(16).fill(1), la2: new Uint8Array(16).fill(2) };

/** A device whose seeds of the current period are {@link SEED}, as an LA would tell them of period i. */
const device = (i: number, iMax = CURRENT_I + 10, jMax = 20) =>
  ({
    type: 'linkage',
    i,
    iMax,
    jMax,
    la1Id: scms.la1Id,
    la2Id: scms.la2Id,
    linkageSeed1: linkageSeedAt(scms.la1Id, SEED.la1, i - CURRENT_I),
    linkageSeed2: linkageSeedAt(scms.la2Id, SEED.la2, i - CURRENT_I),
  }) satisfies Revocation;

describe('the log of the CRLG', () => {
  it('has a CRL before anything is revoked, and the same one until the day is over', async (t) => {
    const { open, clock, contents } = await start(t);
    const log = await open();
    assert.equal(await log.last(), undefined);
    const first = await log.newest();
    assert.deepEqual(await log.newest(), first);
    assert.deepEqual(await log.last(), first);
    clock.time += DAY_SEC - 1;
    assert.deepEqual(await log.newest(), first);
    clock.time += 1;
    const second = await log.newest();
    assert.deepEqual([serial(contents(first), 2), serial(contents(second), 2)], [0, 1]);
  });

  it('signs the next CRL as soon as something is revoked, and lists it from then on', async (t) => {
    const { open, clock, contents } = await start(t);
    const log = await open();
    await log.newest();
    assert.equal(await log.revoke(revocationOf(scms.ra.certificate), 'stolen'), true);
    const id = hashedId10(scms.ra.certificate.hash);
    assert.deepEqual(ids(contents(await log.newest()), 2), [id]);
    clock.time += DAY_SEC;
    const renewed = contents(await log.newest());
    assert.deepEqual(ids(renewed, 2), [id]);
    assert.equal(serial(renewed, 2), 2);
    await log.close();

    const again = await open();
    assert.deepEqual(ids(contents(await again.newest()), 2), [id]);
    const [{ revocation, reason, addedAt } = assert.fail('expected an entry')] = await again.all();
    assert.deepEqual(revocation, revocationOf(scms.ra.certificate));
    assert.deepEqual([reason, addedAt], ['stolen', clock.time - DAY_SEC]);
  });

  it('lists nothing twice, and makes no CRL for what is listed', async (t) => {
    const { open, contents } = await start(t);
    const log = await open();
    assert.equal(await log.revoke(revocationOf(scms.pca.certificate), 'first'), true);
    assert.equal(await log.revoke(device(CURRENT_I), 'first'), true);
    const before = await log.last();
    assert.equal(await log.revoke(revocationOf(scms.pca.certificate), 'second'), false);
    assert.equal(await log.revoke(device(CURRENT_I), 'second'), false);
    assert.equal(await log.revoke(device(CURRENT_I + 3), 'later seeds of the device'), false);
    assert.deepEqual(await log.last(), before);
    assert.deepEqual(new Set((await log.all()).map(({ reason }) => reason)), new Set(['first']));

    const other = { ...device(CURRENT_I), linkageSeed2: new Uint8Array(16).fill(3) };
    assert.equal(await log.revoke(other, 'another device'), true);
    assert.equal(await log.revoke(device(CURRENT_I, CURRENT_I + 11), 'more periods'), true);
    assert.equal(await log.revoke(device(CURRENT_I, CURRENT_I + 10, 21), 'more of them'), true);
    const linked = contents(await log.newest())[0]?.typeSpecific;
    assert(linked?.type === 'fullLinkedCrl');
    assert.deepEqual(
      linked.value.individual?.map(({ jmax }) => jmax),
      [20, 21],
    );
  });

  it('is one for all that have it open: no two CRLs of one number, nothing lost', async (t) => {
    const { open, contents } = await start(t);
    const logs = [await open(), await open()] as const;
    const { ra, pca, ica, la1 } = scms;
    await Promise.all(
      [ra, pca, ica, la1].map(({ certificate }, n) =>
        logs[n % 2 ? 1 : 0].revoke(revocationOf(certificate), 'test'),
      ),
    );
    const [one, two] = [await logs[0].newest(), await logs[1].newest()];
    assert.deepEqual(one, two);
    assert.equal(ids(contents(one), 2).length, 4);
    assert.equal(serial(contents(one), 2), 3);
  });
});

async function start(t: TestContext) {
  const clock = new TestClock();
  const databaseUrl = `sqlite:${join(temporaryDirectory(), 'crlg.db')}`;
  const generator = createCrlGenerator({ crlg: scms.crlg, root: scms.root, clock });
  const closing: (() => Promise<void>)[] = [];
  t.after(async () => {
    for (const close of closing) await close();
  });
  return {
    clock,
    async open() {
      const log = await openCrlLog({ databaseUrl, generator, clock });
      let closed: Promise<void> | undefined;
      const once = { ...log, close: () => (closed ??= log.close()) };
      closing.push(once.close);
      return once;
    },
    /** Opened as a device opens it: by the root. */
    contents: (composite: Uint8Array) =>
      openCompositeCrl(composite, trustOf(), clock.time).map((crl) => crl.contents),
  };
}

type Contents = ReturnType<typeof openCompositeCrl>[number]['contents'];

function hashCrl(contents: readonly Contents[], series: number) {
  const found = contents.find(({ crlSeries }) => crlSeries === series)?.typeSpecific;
  assert(found?.type === 'fullHashCrl');
  return found.value;
}

function ids(contents: readonly Contents[], series: number): Uint8Array[] {
  return hashCrl(contents, series).entries.map(({ id }) => id);
}

function serial(contents: readonly Contents[], series: number): number {
  return hashCrl(contents, series).crlSerial;
}
