/** Series of the audit log whose processes run no more: their time is over as that of the others is. */
import assert from 'node:assert/strict';
import { readdir, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { PrivateKey, PublicKey, systemRandom } from '@chrysalis/crypto';
import {
  type AuditLogOptions,
  AuditWriter,
  GoneWriters,
  type GoneWritersOptions,
  readAuditLines,
  verifyAuditLog,
} from '@chrysalis/ra';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';

const KEY = PrivateKey.generate(systemRandom);
const RA = '0011223344556677';
const KEYS = new Map([[RA, PublicKey.fromPoint(KEY.publicPoint)]]);
const DAY_MS = 86_400_000;
const NOON = Date.UTC(2026, 10, 21, 12);

describe('the audit log of a process that runs no more', () => {
  it('is removed when its time is over, but for the end of its chain; the rest is as it was written', async (t) => {
    const { clock, write, look, files, verify, server } = await start(t);
    // More than one line can list, and the server has seen them.
    await write('frontc', 60);
    await server.record({ event: 'stop' });
    await server.checkpoint();
    clock.ms += DAY_MS;
    await look();
    assert.equal((await files('frontc')).length, 60, 'the last line is a day old: two are kept');
    clock.ms += 1.5 * DAY_MS;
    await look();
    assert.deepEqual(await files('frontc'), ['frontc-00000061.jsonl']);
    const events = await verify('frontc');
    assert.deepEqual(events, ['file', 'retention', 'checkpoint', 'retention', 'checkpoint']);
    await look();
    assert.equal((await verify('frontc')).length, 5, 'once');
    // A process of that name goes on with the chain.
    await write('frontc', 1);
    await verify('frontc');
  });

  it('stays for an hour in which the clock has to say so', async (t) => {
    const { clock, write, look, files } = await start(t, { retentionGraceMs: 3_600_000 });
    await write('frontc', 2);
    clock.ms += 1000 * DAY_MS;
    await look();
    await look();
    assert.equal((await files('frontc')).length, 2);
  });

  it('stays when it is the operator’s, or files are kept for ever', async (t) => {
    const { clock, write, look, files } = await start(t);
    await write('operator', 2);
    clock.ms += 1000 * DAY_MS;
    await look();
    assert.equal((await files('operator')).length, 2);
    const forEver = await start(t, { keepDays: 0 });
    await forEver.write('frontc', 2);
    forEver.clock.ms += 1000 * DAY_MS;
    await forEver.look();
    assert.equal((await forEver.files('frontc')).length, 2);
  });

  it('is left alone while a process holds it that has written nothing for long, or has written since', async (t) => {
    const { clock, open, look, files, write, limitMs } = await start(t);
    await write('frontc', 2);
    const living = await open('frontc');
    t.after(() => living.close());
    clock.ms += 10 * DAY_MS;
    await look();
    assert.equal((await files('frontc')).length, 2, 'it is held');

    await write('frontd', 2);
    const ended = await open('frontd');
    await ended.retireFormer(limitMs());
    await ended.close();
    assert.equal((await files('frontd')).length, 2, 'its last line is of today');
  });

  it('that is not as it was written stops nobody', async (t) => {
    const { clock, write, look, files, directory, logged } = await start(t);
    await write('fronta', 1);
    await write('frontc', 1);
    await truncate(join(directory, 'fronta-00000001.jsonl'), 10);
    clock.ms += 10 * DAY_MS;
    await look();
    assert.deepEqual(await files('fronta'), ['fronta-00000001.jsonl']);
    assert.deepEqual(await files('frontc'), ['frontc-00000002.jsonl']);
    assert.deepEqual(logged, []);
  });
});

async function start(t: TestContext, changes: Partial<GoneWritersOptions> = {}) {
  const directory = join(temporaryDirectory(), 'audit');
  const clock = { ms: NOON };
  const logged: string[] = [];
  const options: AuditLogOptions = {
    directory,
    writer: 'server',
    sign: { id: RA, signer: KEY },
    maxFileOctets: 64_000_000,
    keepDays: 2,
    clock: { now: () => clock.ms },
    log: { debug() {}, info() {}, warn() {}, error: (_fields, text) => void logged.push(text) },
    retentionGraceMs: 0,
    ...changes,
  };
  const server = await AuditWriter.open(options);
  const gone = new GoneWriters({ ...options, kept: ['operator'], ...changes });
  t.after(async () => {
    await gone.stop();
    await server.close();
  });
  const open = (writer: string) => AuditWriter.open({ ...options, writer });
  const files = async (writer: string) => {
    const names = await readdir(directory);
    return names.filter((name) => name.startsWith(`${writer}-`)).sort();
  };
  return {
    ...{ directory, clock, logged, server, open, files },
    limitMs: () => clock.ms - options.keepDays * DAY_MS,
    /** A line on each of so many days, the last of them today; then the process ends. */
    async write(writer: string, days: number) {
      clock.ms -= (days - 1) * DAY_MS;
      const series = await open(writer);
      for (let day = 0; day < days; day++) {
        if (day > 0) clock.ms += DAY_MS;
        await series.record({ event: 'stop' });
      }
      await series.close();
    },
    look: () => gone.look(),
    /** The events of a writer, once all of the log is verified. */
    async verify(writer: string) {
      await verifyAuditLog({ directory, keys: KEYS, unsigned: [] });
      const events: string[] = [];
      for await (const { line } of readAuditLines(directory, writer)) events.push(line.event);
      return events;
    },
  };
}
