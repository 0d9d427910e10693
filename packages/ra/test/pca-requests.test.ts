/** The conversation with the PCA, kills in the midst of it, and who comes first. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createTestScms } from '@chrysalis/authorities';
import { systemRandom } from '@chrysalis/crypto';
import { AuthorityUnavailableError, type CertificateAuthority, timeOf } from '@chrysalis/scms';
import { createFailingObjectStore, createMemoryObjectStore, type Database } from '@chrysalis/store';
import { StoreError } from '@chrysalis/store/files';
import { unzipSync } from 'fflate';
import { checkReply } from '../src/pca-conversation.ts';
import { PcaRequests } from '../src/pca-requests.ts';
import { Pipeline } from '../src/pipeline.ts';
import type { RaSchema } from '../src/schema.ts';
import { cocoonKeyOf, cocoonKeysOf, createStage, type Stage } from './stage.ts';

const NOW = 722_000_000;

describe('a reply of the PCA', () => {
  it('under a certificate that it had before is taken, under an unknown one it is not', async (t) => {
    const scms = createTestScms({ now: NOW, random: systemRandom, raHostname: 'localhost' });
    const stage = await createStage(t, { now: NOW, scms });
    const { pca, trust } = stage.options;
    // Somebody else has the PCA's place now: what the PCA answered is still on its way.
    const present = trust.get(scms.eca.certificate.id)!;
    await stage.register(stage.ra);
    const asks = (peer: typeof pca) => {
      const options = { ...stage.options, pca: peer };
      return new Pipeline(options);
    };
    const answered = async () =>
      (await stage.database.query.selectFrom('response').select('j').execute()).length;
    const unknown = asks({ ...pca, certificate: present });
    for (let n = 0; n < 3; n++) await unknown.step();
    assert.equal(await answered(), 0);
    assert(stage.logged.some(({ message }) => message === 'no certificate from the PCA'));
    stage.clock.advance(60);
    const former = asks({ ...pca, certificate: present, former: [pca.certificate] });
    while (await former.step());
    const device = await stage.database.query
      .selectFrom('device')
      .selectAll()
      .executeTakeFirstOrThrow();
    assert.equal(device.filed_through, stage.currentI());
  });

  it('to another request is refused, and so is one that was changed', async (t) => {
    const stage = await createStage(t, { policy: { weeksAhead: 2 } });
    await stage.register(stage.ra);
    await stage.settle();
    const [a, b] = [stage.atPca[0]!, stage.atPca[1]!];
    const reply = await stage.options.pca.port.requestCertificate(a);
    assert(checkReply(reply, a, stage.options).length > 0);
    assert.throws(() => checkReply(reply, b, stage.options), /the hash of the request/);
    const flipped = reply.with(-1, reply.at(-1)! ^ 1);
    assert.throws(() => checkReply(flipped, a, stage.options));
  });

  it('that comes twice is filed once', async (t) => {
    const stage = await createStage(t);
    await stage.register(stage.ra);
    const requests = new PcaRequests(stage.database, systemRandom);
    // A chain, and then the requests.
    for (let n = 0; n < 2; n++) await stage.pipeline.step();
    const due = await requests.due(timeOf(stage.clock), stage.currentI(), 10);
    assert.equal(due.length, 3);
    const results = due.map((request, n) => ({
      request,
      outcome: { type: 'answered', octets: Uint8Array.of(n) } as const,
    }));
    assert.equal(await requests.record(results), 3);
    assert.equal(await requests.record(results), 0);
    assert.equal(await requests.record(results.slice(0, 1)), 0);
    const responses = await stage.database.query.selectFrom('response').selectAll().execute();
    assert.deepEqual(responses.map(({ j }) => j).sort(), [0, 1, 2]);
    assert.deepEqual(await stage.database.query.selectFrom('batch').select('missing').execute(), [
      { missing: 0 },
    ]);
    // A failure that is told late changes nothing either.
    const retryAt = timeOf(stage.clock) + 100;
    const late = { type: 'silent', retryAt, error: new Error('late') } as const;
    await requests.record(due.map((request) => ({ request, outcome: late })));
    assert.deepEqual(
      await stage.database.query.selectFrom('pca_request').select('j').execute(),
      [],
    );
  });

  it('to some that is missing keeps no others waiting', async (t) => {
    const silent = new Set<string>();
    const stage = await createStage(t, {
      wrapPca: (pca) => ({
        async requestCertificate(request) {
          if (silent.has(cocoonKeyOf(request))) throw new AuthorityUnavailableError('no answer');
          return pca.requestCertificate(request);
        },
      }),
    });
    const devices = [];
    for (let n = 0; n < 4; n++) devices.push(await stage.register(stage.ra));
    const [poor] = cocoonKeysOf(devices[0]!.device, stage.currentI(), 3);
    silent.add(poor!);
    await stage.settle();
    for (const device of devices.slice(1)) assert(await stage.download(stage.ra, device));
    assert.equal(await stage.download(stage.ra, devices[0]!), undefined);
    for (let second = 0; second < 40; second++) {
      stage.clock.advance(1);
      await stage.settle();
    }
    // At 1, 3, 7, 15, 31 seconds, and the pauses of the PCA: not once a second.
    const asked = stage.atPca.filter((request) => cocoonKeyOf(request) === poor).length;
    assert(asked >= 4 && asked <= 7, `${asked} times`);
    silent.clear();
    stage.clock.advance(120);
    await stage.settle();
    assert(await stage.download(stage.ra, devices[0]!));
    assert.equal((await stage.issued()).length, 12);
  });
});

describe('a kill', () => {
  it('after any commit, or instead of it, loses nothing and does nothing twice', async (t) => {
    // The number of transactions and writes of a whole run, counted first.
    const count = await runWithKills(t, () => 'works');
    assert(count.writes >= 5, `${count.writes} writes`);
    for (const mode of ['fails', 'applied-and-fails'] as const) {
      for (let at = 0; at < count.writes; at++) {
        const { certificates, files } = await runWithKills(t, (n) => (n === at ? mode : 'works'));
        assert.equal(certificates, count.certificates, `${mode} at ${at}`);
        assert.equal(files, count.files, `${mode} at ${at}`);
      }
    }
  });
});

describe('the nearest week', () => {
  it('of a new device comes before the far weeks of others', async (t) => {
    const stage = await createStage(t, {
      policy: { weeksAhead: 30, certificatesPerPeriod: 20 },
      wrapPca: downWhile(() => true),
    });
    await stage.register(stage.ra);
    // Some of its weeks are made, and wait.
    for (let n = 0; n < 12; n++) await stage.pipeline.step();
    await stage.register(stage.ra);
    const before = await weeksMade(stage, 1);
    assert(before > 1 && before < 30, `${before} weeks`);
    // A step gives it a chain, the next one its first week; what room is left in them goes to the other.
    for (let n = 0; n < 2; n++) await stage.pipeline.step();
    assert.equal(await weeksMade(stage, 2), 1);
    assert((await weeksMade(stage, 1)) <= before + 2);
  });

  it('is made for all before another is for one', async (t) => {
    const stage = await createStage(t, { policy: { weeksAhead: 5 }, linkageCache: 100 });
    // More than are looked at in a step.
    for (let n = 0; n < 70; n++) await stage.register(stage.ra);
    for (let isWorking = true; isWorking; ) {
      isWorking = await stage.pipeline.step();
      const rows = await stage.database.query
        .selectFrom('device')
        .select('expanded_through')
        .execute();
      const made = rows.map(({ expanded_through }) => expanded_through);
      // In the step in which the last get their chains, others go on by one.
      assert(Math.max(...made) - Math.min(...made) <= 2, made.join(' '));
    }
    assert.equal(await weeksMade(stage, 70), 5);
  });

  it('of thirty devices is made while one of them is refused again and again', async (t) => {
    const poor = new Set<string>();
    const stage = await createStage(t, {
      policy: { weeksAhead: 2, certificatesPerPeriod: 1 },
      linkageCache: 100,
      wrapPca: (pca) => ({
        requestCertificate(request) {
          const isPoor = poor.has(cocoonKeyOf(request));
          return pca.requestCertificate(isPoor ? request.with(-1, request.at(-1)! ^ 1) : request);
        },
      }),
    });
    const devices = [];
    for (let n = 0; n < 30; n++) devices.push(await stage.register(stage.ra));
    const i = stage.currentI();
    for (const week of [i, i + 1]) {
      for (const key of cocoonKeysOf(devices[0]!.device, week, 1)) poor.add(key);
    }
    await stage.settle();
    const rows = await stage.database.query
      .selectFrom('device')
      .select(['id', 'filed_through', 'failures'])
      .execute();
    for (const { id, filed_through, failures } of rows) {
      assert.equal(filed_through, id === 1 ? i - 1 : i + 1);
      assert.equal(failures > 0, id === 1);
    }
    // Its other week is begun all the same, later.
    for (let n = 0; n < 4; n++) {
      stage.clock.advance(2);
      await stage.settle();
    }
    assert.equal(await weeksMade(stage, 1), 2);
  });
});

type Mode = 'works' | 'fails' | 'applied-and-fails';

/** Two devices, from registration to files, with a pipeline that is begun anew whenever a write fails. */
async function runWithKills(
  t: Parameters<typeof createStage>[0],
  schedule: (write: number) => Mode,
) {
  let writes = 0;
  let isCounting = false;
  const next = () => (isCounting ? schedule(writes++) : 'works');
  const objects = createFailingObjectStore(createMemoryObjectStore(), ({ method }) =>
    method === 'put' ? next() : 'works',
  );
  const stage = await createStage(t, {
    objects,
    policy: { weeksAhead: 2, shuffleInitial: 'pooled', shuffleThreshold: 12 },
  });
  const { database } = stage;
  const failing: Database<RaSchema> = {
    query: database.query,
    lookUp: (select) => database.lookUp(select),
    async transaction(work) {
      const mode = next();
      if (mode === 'fails') throw new StoreError('io', 'killed');
      const result = await database.transaction(work);
      if (mode === 'applied-and-fails') throw new StoreError('io', 'killed');
      return result;
    },
    close: () => database.close(),
  };
  const devices = [await stage.register(stage.ra), await stage.register(stage.ra)];
  isCounting = true;
  const begin = () => new Pipeline({ ...stage.options, database: failing });
  let pipeline = begin();
  for (let kills = 0; ; ) {
    try {
      if (!(await pipeline.step())) break;
    } catch (error) {
      if (!(error instanceof StoreError) || ++kills > 3) throw error;
      pipeline = begin();
    }
  }
  isCounting = false;
  let files = 0;
  for (const device of devices) {
    for (const week of [0, 1]) {
      const zip = await stage.download(stage.ra, device, stage.currentI() + week);
      if (zip && Object.keys(unzipSync(zip)).length === 3) files++;
    }
  }
  for (const table of ['pca_request', 'batch', 'response', 'filed'] as const) {
    const left = await database.query.selectFrom(table).select('device_id').execute();
    assert.deepEqual(left, [], table);
  }
  const keys = await stage.issued();
  assert.equal(new Set(keys).size, keys.length);
  const counted = await database.query.selectFrom('tally').selectAll().execute();
  const certificates = counted.find(({ name }) => name === 'certificates')?.count;
  assert.equal(certificates, keys.length, 'each is counted once');
  return { writes, files, certificates: keys.length };
}

async function weeksMade({ database }: Stage, id: number): Promise<number> {
  const { expanded_through, first_i } = await database.query
    .selectFrom('device')
    .select(['expanded_through', 'first_i'])
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  return expanded_through - first_i + 1;
}

function downWhile(isDown: () => boolean) {
  return (pca: CertificateAuthority): CertificateAuthority => ({
    async requestCertificate(request) {
      if (isDown()) throw new AuthorityUnavailableError('down');
      return pca.requestCertificate(request);
    },
  });
}
