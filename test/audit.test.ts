/** The audit log of an RA that serves over HTTPS: what is written down, in which order, and what never is. */
import assert from 'node:assert/strict';
import { open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { writeTestScms } from '@chrysalis/authorities';
import { PrivateKey, systemRandom } from '@chrysalis/crypto';
import {
  type AuditLogOptions,
  AuditWriter,
  Blacklist,
  BlacklistChanges,
  type ChainedLine,
  readAuditLines,
  verifyAuditLog,
} from '@chrysalis/ra';
import { type PseudonymRequest, RA_EE_ERRORS, timeOf } from '@chrysalis/scms';
import { CompiledQuery } from 'kysely';
import {
  createDevice,
  downloadReq,
  pseudonymRequest,
  securedBy,
  type TestDevice,
} from './support/device.ts';
import { startRaFixture } from './support/ra-fixture.ts';
import { temporaryDirectory } from './support/temporary-directory.ts';

const PROVISION = '/provision-pseudonym-certificate-batch';
const WEEK_SEC = 604_800;
const random = systemRandom;

describe('the audit log of an RA', () => {
  it('tells what became of a device, from its registration to the blacklist', async (t) => {
    const { fixture, post, get, device, events, fileName } = await start(t);
    const body = bodyOf(device, fixture);
    assert.equal((await post(body)).status, 200);
    assert.equal((await post(body)).status, 200, 'the same again');
    const name = await fileName(device);
    const zip = await fixture.eventually(async () => {
      const answer = await get('/download/batch', device, name);
      return answer.status === 200 ? answer : undefined;
    });
    const part = await get('/download/batch', device, name, { range: 'bytes=10-29' });
    const none = await get('/download/batch', device, name, { range: 'bytes=9999999-' });
    assert.deepEqual([part.status, none.status], [206, 416]);
    const hash = name.slice(0, 16).toLowerCase();
    assert.equal((await get('/download/info', device, `${hash}.info`)).status, 200);
    const { hash: enrollmentHash } = device.certificate;
    const enrollment = Buffer.from(enrollmentHash).toString('hex');
    await fixture.ra.blacklist.add(enrollmentHash, 'stolen', timeOf(fixture.clock));
    await fixture.ra.blacklist.add(enrollmentHash, 'stolen again', timeOf(fixture.clock));
    assert.equal((await get('/download/info', device, `${hash}.info`)).status, 500);
    await fixture.ra.blacklist.remove(enrollmentHash);

    const lines = await events();
    // The pipeline writes beside the server.
    const others = ['refusal', 'policy', 'start', 'issuance'];
    const ofDevice = lines.filter(({ event }) => !others.includes(event));
    const issued = lines.filter(({ event }) => event === 'issuance');
    const i = Number.parseInt(name.slice(17, -4), 16);
    const kind = 'pseudonym';
    const requestHash = hash;
    const changed = lines
      .filter(({ event }) => event === 'blacklist')
      .map(({ time, members: { id } }) => ({ id, at: time }));
    const registration = lines.find(({ event }) => event === 'registration')?.members;
    assert.deepEqual(contentOf(ofDevice), [
      {
        event: 'registration',
        kind,
        requestHash,
        enrollment,
        outcome: 'new',
        firstI: i,
        lastI: registration?.lastI,
      },
      { event: 'acknowledgement', kind, requestHash, repeated: false },
      { event: 'acknowledgement', kind, requestHash, repeated: true },
      {
        event: 'download',
        service: 'batch',
        requestHash,
        i,
        status: 200,
        octets: zip.body.length,
      },
      { event: 'download', service: 'batch', requestHash, i, status: 206, octets: 20 },
      { event: 'download', service: 'batch', requestHash, i, status: 416, octets: 0 },
      { event: 'download', service: 'info', requestHash, status: 200, octets: 4 },
      { event: 'blacklist', change: 'added', enrollment, reason: 'stolen', ...changed[0] },
      { event: 'blacklist', change: 'removed', enrollment, ...changed[1] },
      { event: 'stop' },
    ]);
    assert.deepEqual(contentOf(issued), [
      { event: 'issuance', kind, requestHash, i, certificates: 3 },
    ]);
    const blacklisted = lines.filter(({ members }) => members.reason === 'raBlacklisted');
    assert.deepEqual(contentOf(blacklisted), [
      {
        event: 'refusal',
        service: 'info',
        code: RA_EE_ERRORS.raBlacklisted,
        reason: 'raBlacklisted',
        check: 'expected an enrollment certificate that is not blacklisted',
      },
    ]);
  });

  it('has a change of the blacklist whose process was killed before its line, when another starts', async (t) => {
    const hash = new Uint8Array(32).fill(7);
    const { events } = await start(t, {}, undefined, async ({ raOptions, clock }) => {
      const audit = { record: () => new Promise<void>(() => {}), note() {}, ready: async () => {} };
      const changes = new BlacklistChanges({ ...raOptions, audit });
      const killed = new Blacklist(raOptions.database, changes);
      void killed.add(hash, 'stolen', timeOf(clock));
      while (!(await killed.has(hash))) await setImmediate();
    });
    const found = (await events()).filter(({ event }) => event === 'blacklist');
    assert.deepEqual(
      found.map(({ members: { change, enrollment } }) => [change, enrollment]),
      [['added', '07'.repeat(32)]],
    );
  });

  it('tells which program, configuration, policy and chain file an RA starts with', async (t) => {
    const { fixture, events } = await start(t);
    const file = await fixture.send('/download/policy/local', {});
    const chains = await fixture.send('/download/local-certificate-chain', {});
    const lines = await events();
    const at = lines.findIndex(({ event }) => event === 'start');
    const id = Buffer.from(fixture.scms.ra.certificate.id).toString('hex');
    const { policy, chain, ...start_ } = lines[at]!.members;
    assert.deepEqual([start_.version, start_.config, start_.ra], ['9.9.9', 'c0ffee', id]);
    assert.deepEqual(
      [policy, chain].map((name) => `attachment; filename="${name}"`),
      [file.headers['content-disposition'], chains.headers['content-disposition']],
    );
    assert.equal(lines.at(-1)?.event, 'checkpoint');
    assert.equal(lines.at(-2)?.event, 'stop');
  });

  it('has the true reason of each refusal, and the device only if it has signed', async (t) => {
    const { fixture, post, get, device, events } = await start(t, { errorDetail: 'production' });
    const now = timeOf(fixture.clock);
    const wrong = { ...pseudonymRequest(device, now), requestedStartTime: now + 99 * WEEK_SEC };
    await post(bodyOf(device, fixture, wrong));
    const liar = { ...device, key: PrivateKey.generate(random) };
    await post(bodyOf(liar, fixture));
    await get('/download/info', device, '0000000000000000.info');
    await fixture.send('/secret-place?at=42.28,-83.74', {});
    await fixture.send('/download/info', { headers: { 'Download-Req': 'c2VjcmV0LXBsYWNl' } });
    await post(Buffer.from('secret-place'));

    const lines = (await events()).filter(({ event }) => event === 'refusal');
    const enrollment = Buffer.from(device.certificate.hash).toString('hex');
    const seen = lines.map(({ members: { service, reason, check, enrollment: of } }) => [
      service,
      reason,
      check,
      of,
    ]);
    const time = lines[0]?.members.check;
    assert.deepEqual(seen.slice(0, 4), [
      ['provision-pseudonym', 'raWrongParameters', time, enrollment],
      ['provision-pseudonym', 'raInvalidSignature', seen[1]?.[2], undefined],
      ['info', 'raNoInfoFileAvailable', 'expected a device of ours', enrollment],
      ['other', 'raInvalidURL', 'expected one of our services', undefined],
    ]);
    assert.equal(time, 'expected a start within 1 periods');
    assert.equal(seen.length, 6);
    for (const { members } of lines) {
      assert.equal(members.code, RA_EE_ERRORS[members.reason as keyof typeof RA_EE_ERRORS]);
    }
  });

  it('counts what strangers send too fast, instead of a line for each', async (t) => {
    const { fixture, events } = await start(t);
    for (let n = 0; n < 250; n++) await fixture.send('/nowhere', {});
    const lines = await events();
    assert.equal(lines.filter(({ event }) => event === 'refusal').length, 100);
    assert.deepEqual(contentOf(lines.filter(({ event }) => event === 'refusals')), [
      {
        event: 'refusals',
        service: 'other',
        code: RA_EE_ERRORS.raInvalidURL,
        reason: 'raInvalidURL',
        count: 150,
      },
    ]);
  });

  it('never has an address, a location, a key, or what links certificates', async (t) => {
    const { fixture, post, get, device, text, fileName, events } = await start(t);
    await post(bodyOf(device, fixture));
    const name = await fileName(device);
    await fixture.eventually(async () => {
      const answer = await get('/download/batch', device, name);
      return answer.status === 200 ? answer : undefined;
    });
    const headers = {
      'X-Forwarded-For': '203.0.113.7',
      Forwarded: 'for=203.0.113.7',
      'User-Agent': 'unit-at-42.28',
    };
    await fixture.send('/secret-place', { headers });
    await fixture.send('/%ZZsecret-place', { headers });
    await get('/download/batch', device, 'secret-place', headers);
    const blobs = await blobsOf(fixture.raOptions.database.query);
    assert.ok(blobs.length > 20, `${blobs.length} blobs`);
    const keys = await keysOf(fixture.scms);
    assert.ok(keys.length > 15, `${keys.length} keys`);
    const lines = await events();
    assert.ok(lines.length > 8);
    const log = (await text()).toLowerCase();

    for (const word of [
      '127.0.0.1',
      '::1',
      'localhost',
      '203.0.113',
      'secret',
      '42.28',
      'unit-at',
    ]) {
      assert.equal(log.includes(word), false, word);
    }
    const ofDevice = [
      device.verifySeed.publicPoint.subarray(1, 33),
      device.encryptionSeed.publicPoint.subarray(1, 33),
      device.verifyExpansion,
      device.encryptionExpansion,
      device.certificate.octets.subarray(0, 16),
    ];
    // What names a registration and its enrollment certificate is in the log on purpose.
    const named = [device.certificate.hash, Buffer.from(name.slice(0, 16), 'hex')];
    const isNamed = (octets: Uint8Array) => named.some((n) => Buffer.compare(n, octets) === 0);
    assert.ok(blobs.some(isNamed));
    for (const octets of [...ofDevice, ...blobs, ...keys].filter((o) => !isNamed(o))) {
      for (const form of [octets, octets.subarray(0, 16)]) {
        for (const encoding of ['hex', 'base64'] as const) {
          const found = Buffer.from(form).toString(encoding).toLowerCase().replace(/=+$/, '');
          assert.equal(log.includes(found), false, found);
        }
      }
    }
  });

  it('takes no registration while the disk is full, serves files all the same, and goes on after', async (t) => {
    const disk = { isFull: false };
    const { fixture, post, get, device, fileName, events } = await start(t, {}, disk);
    assert.equal((await post(bodyOf(device, fixture))).status, 200);
    const name = await fileName(device);
    const download = () => get('/download/batch', device, name);
    await fixture.eventually(async () => ((await download()).status === 200 ? true : undefined));
    const late = createDevice(fixture.scms, random, timeOf(fixture.clock));
    const another = createDevice(fixture.scms, random, timeOf(fixture.clock));
    disk.isFull = true;
    // The first finds out, and is not acknowledged; the second is not even recorded.
    assert.equal((await post(bodyOf(late, fixture))).status, 500);
    assert.equal((await post(bodyOf(another, fixture))).status, 500);
    assert.equal((await download()).status, 200);
    const rows = await fixture.raOptions.database.query
      .selectFrom('device')
      .select('enrollment_hash')
      .execute();
    const another_ = rows.some(
      (row) => Buffer.compare(row.enrollment_hash, another.certificate.hash) === 0,
    );
    assert.equal(another_, false);
    disk.isFull = false;
    assert.equal((await post(bodyOf(another, fixture))).status, 200);
    const lines = await events();
    assert.equal(lines.filter(({ event }) => event === 'gap').length, 1);
    assert.equal(lines.filter(({ event }) => event === 'registration').length, 2);
  });
});

type Fixture = Awaited<ReturnType<typeof startRaFixture>>;
type Changes = Parameters<Fixture['restart']>[0];

/** @param before what became of the RA that was there before */
async function start(
  t: TestContext,
  changes: Changes = {},
  disk = { isFull: false },
  before: (fixture: Fixture) => Promise<void> = async () => {},
) {
  const parent = temporaryDirectory();
  const directory = join(parent, 'audit');
  const fixture = await startRaFixture({ policy: { weeksAhead: 1, certificatesPerPeriod: 3 } });
  const { scms, clock } = fixture;
  const id = Buffer.from(scms.ra.certificate.id).toString('hex');
  const audit = await AuditWriter.open({
    directory,
    writer: 'server',
    sign: { id, signer: scms.ra.signingKey },
    maxFileOctets: 64_000_000,
    keepDays: 365,
    clock,
    log: fixture.raOptions.log,
    openToAppend: (path) => openOn(disk, path),
  });
  await before(fixture);
  await fixture.restart({ ...changes, audit, about: { version: '9.9.9', config: 'c0ffee' } });
  let isStopped = false;
  const stop = async () => {
    if (isStopped) return;
    isStopped = true;
    await fixture.close();
    await audit.close();
  };
  t.after(stop);
  const ra = scms.ra.certificate;
  const key = fixture.trust.get(ra.id)!.publicKey;
  return {
    fixture,
    device: createDevice(scms, random, timeOf(clock)),
    post: (body: Uint8Array) => fixture.send(PROVISION, { method: 'POST', body }),
    get: (path: string, by: TestDevice, name: string, headers: Record<string, string> = {}) =>
      fixture.send(path, {
        headers: { ...downloadReq(by, name, timeOf(clock), ra, random), ...headers },
      }),
    /** Of the first batch of a device, as its row has it. */
    async fileName(by: TestDevice): Promise<string> {
      const row = await fixture.raOptions.database.query
        .selectFrom('device')
        .select(['request_hash', 'first_i'])
        .where('enrollment_hash', '=', by.certificate.hash)
        .executeTakeFirstOrThrow();
      const hash = Buffer.from(row.request_hash).toString('hex').toUpperCase();
      return `${hash}_${row.first_i.toString(16).toUpperCase()}.zip`;
    },
    /** Stops the RA, verifies its audit log, and reads it. */
    async events(): Promise<ChainedLine[]> {
      await stop();
      await verifyAuditLog({ directory, keys: new Map([[id, key]]), unsigned: [] });
      const lines: ChainedLine[] = [];
      for await (const { line } of readAuditLines(directory, 'server')) lines.push(line);
      return lines;
    },
    async text(): Promise<string> {
      const names = (await readdir(directory)).filter((name) => !name.includes('.lock'));
      const texts = names.map((name) => readFile(join(directory, name), 'utf8'));
      return (await Promise.all(texts)).join('');
    },
  };
}

/** A real file, on a disk that is full when it is told to be. */
async function openOn(
  disk: { readonly isFull: boolean },
  path: string,
): ReturnType<NonNullable<AuditLogOptions['openToAppend']>> {
  const file = await open(path, 'a');
  return {
    async appendFile(octets) {
      if (!disk.isFull) return file.appendFile(octets);
      throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
    },
    datasync: () => file.datasync(),
    truncate: (length) => file.truncate(length),
    stat: file.stat.bind(file),
    close: () => file.close(),
  };
}

function bodyOf(
  device: TestDevice,
  { scms, clock }: Fixture,
  request: PseudonymRequest = pseudonymRequest(device, timeOf(clock)),
): Uint8Array {
  return securedBy(device, request, scms.ra.certificate, random);
}

/** What an event says, without its place in the chain. */
function contentOf(lines: readonly ChainedLine[]): object[] {
  return lines.flatMap(({ members: { seq, time, hash, ...content } }) =>
    ['file', 'checkpoint'].includes(String(content.event)) ? [] : [content],
  );
}

/** Every value of the RA's database that is long enough to be known again. */
async function blobsOf(query: Fixture['raOptions']['database']['query']): Promise<Uint8Array[]> {
  const rowsOf = async (sql: string) =>
    (await query.executeQuery(CompiledQuery.raw(sql))).rows as Record<string, unknown>[];
  const tables = await rowsOf("select name from sqlite_master where type = 'table'");
  const blobs: Uint8Array[] = [];
  for (const { name } of tables) {
    for (const row of await rowsOf(`select * from "${name}"`)) {
      for (const value of Object.values(row)) {
        if (value instanceof Uint8Array && value.length >= 8) blobs.push(value);
      }
    }
  }
  return blobs;
}

/** The private keys of the whole test SCMS, as they lie on disk. */
async function keysOf(scms: Fixture['scms']): Promise<Uint8Array[]> {
  const directory = temporaryDirectory();
  await writeTestScms(directory, scms);
  const names = await readdir(directory, { recursive: true });
  const files = names.filter((name) => name.endsWith('.key'));
  return Promise.all(
    files.map(async (name) => {
      const text = (await readFile(join(directory, name), 'utf8')).trim();
      return new Uint8Array(Buffer.from(text, 'hex'));
    }),
  );
}
