/** The audit log on a real disk: what it promises, what it survives, and that whatever is done to its files shows. */
import assert from 'node:assert/strict';
import { createHash, createPublicKey, verify } from 'node:crypto';
import {
  appendFile,
  mkdtemp,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { PrivateKey, PublicKey, systemRandom } from '@chrysalis/crypto';
import {
  type AuditEvent,
  type AuditLogOptions,
  AuditWriter,
  type KnownLine,
  readAuditLines,
  verifyAuditLog,
} from '@chrysalis/ra';
import { isStoreError } from '@chrysalis/store/files';

const KEY = PrivateKey.generate(systemRandom);
const RA = '0011223344556677';
const KEYS = new Map([[RA, PublicKey.fromPoint(KEY.publicPoint)]]);
const DAY_MS = 86_400_000;
const NOON = Date.UTC(2026, 10, 21, 12);
const SILENT = { debug() {}, info() {}, warn() {}, error() {} };
const NEW_LINE = /(?<=\n)/;

describe('a line of the audit log', () => {
  it('can be verified with SHA-256 and ECDSA alone, as the reference says', async (t) => {
    const { writer, file } = await start(t);
    await writer.record(download(1));
    await writer.close();
    const lines = (await readFile(file(1), 'utf8')).trimEnd().split('\n');
    assert.equal(lines.length, 3);
    let before = '0'.repeat(64);
    for (const line of lines) {
      const [, content, hash] = /^(.*),"hash":"([0-9a-f]{64})"\}$/.exec(line) ?? [];
      assert.equal(createHash('sha256').update(`${before}${content}}`).digest('hex'), hash);
      const [, signed, signature = ''] =
        /^(.*),"signature":"([0-9a-f]{128})"$/.exec(content!) ?? [];
      assert.equal(signed !== undefined, /"event":"(file|checkpoint)"/.test(line), line);
      if (signed !== undefined) {
        const key = {
          key: createPublicKey({ key: jwk(), format: 'jwk' }),
          dsaEncoding: 'ieee-p1363' as const,
        };
        const input = Buffer.from(`${before}${signed}}`);
        assert.ok(verify('sha256', input, key, Buffer.from(signature, 'hex')), line);
      }
      before = hash!;
    }
  });
});

describe('the audit log, when something is done to it', () => {
  // One that was written by two processes, in three files, and the pipeline's beside it.
  const CHANGES: Readonly<Record<string, (log: Written) => Promise<RegExp>>> = {
    'changes an octet': async ({ edit }) => {
      await edit(1, (lines) =>
        lines.map((line, n) => (n === 3 ? line.replace('"i":2', '"i":9') : line)),
      );
      return /server-00000001\.jsonl:4: expected the hash/;
    },
    'removes a line': async ({ edit }) => {
      await edit(1, (lines) => lines.filter((_line, n) => n !== 3));
      return /server-00000001\.jsonl:4: expected line 4 of the chain, saw 5/;
    },
    'inserts a line': async ({ edit }) => {
      await edit(1, (lines) => [...lines.slice(0, 3), lines[2]!, ...lines.slice(3)]);
      return /server-00000001\.jsonl:4: expected line 4 of the chain, saw 3/;
    },
    'exchanges two lines': async ({ edit }) => {
      await edit(1, ([a, b, c, d, ...rest]) => [a!, b!, d!, c!, ...rest]);
      return /server-00000001\.jsonl:3: expected line 3 of the chain, saw 4/;
    },
    'cuts off the end of a file': async ({ edit }) => {
      await edit(2, (lines) => lines.slice(0, -1));
      return /server-00000002\.jsonl:\d+: expected a checkpoint before the next file/;
    },
    'cuts off the end of the last file': async ({ edit }) => {
      await edit(3, (lines) => lines.slice(0, -1));
      return /server\.head\.json: expected a checkpoint at line \d+, saw an end at \d+/;
    },
    'takes away the first file': async ({ file }) => {
      await rm(file(1));
      return /server, file 1: expected the file, or a line about its removal/;
    },
    'takes away a file': async ({ file }) => {
      await rm(file(2));
      return /server-00000003\.jsonl: expected file 2 before it, saw none/;
    },
    'takes away the last file': async ({ file }) => {
      await rm(file(3));
      return /server\.head\.json: expected a checkpoint at line/;
    },
    'takes away the last file and the head': async ({ file, directory }) => {
      await rm(file(3));
      await rm(join(directory, 'server.head.json'));
      return /server\.head\.json: expected the newest checkpoint, saw no such file/;
    },
    'exchanges two files': async ({ file }) => {
      await rename(file(1), `${file(1)}.tmp`);
      await rename(file(2), file(1));
      await rename(`${file(1)}.tmp`, file(2));
      return /server-00000001\.jsonl:1: expected line 1 of the chain/;
    },
    'takes away all of a writer': async ({ directory }) => {
      for (const name of await readdir(directory)) {
        if (name.startsWith('pipeline')) await rm(join(directory, name));
      }
      return /server-0000000\d\.jsonl:\d+: expected line \d+ of pipeline .*, saw no pipeline/;
    },
    'cuts off the end of a writer, and puts back an old head': async (log) => {
      const { directory, edit } = log;
      await edit(1, (lines) => lines.slice(0, 1), 'pipeline');
      await rm(join(directory, 'pipeline.head.json'));
      return /server-0000000\d\.jsonl:\d+: expected line \d+ of pipeline .*, saw none after 1/;
    },
    'makes the whole chain anew without the key': async ({ directory, options }) => {
      for (const name of await readdir(directory)) {
        if (name.startsWith('server')) await rm(join(directory, name));
      }
      const other = PrivateKey.generate(systemRandom);
      const forged = await AuditWriter.open({ ...options, sign: { id: RA, signer: other } });
      await forged.record(download(1));
      await forged.close();
      return /server-00000001\.jsonl:1: expected a signature of 0011223344556677/;
    },
    'makes the whole chain anew without signatures': async ({ directory, options }) => {
      for (const name of await readdir(directory)) {
        if (name.startsWith('server')) await rm(join(directory, name));
      }
      const { sign: _, ...unsigned } = options;
      const forged = await AuditWriter.open(unsigned);
      await forged.record(download(1));
      await forged.close();
      return /server-00000001\.jsonl:1: expected a signature of 0011223344556677, saw none/;
    },
    'takes it all away': async ({ directory }) => {
      await rm(directory, { recursive: true });
      return /expected an audit log, saw none/;
    },
  };
  for (const [name, change] of Object.entries(CHANGES)) {
    it(`tells where somebody ${name}`, async (t) => {
      const log = await written(t);
      await log.verified();
      const expected = await change(log);
      await assert.rejects(log.verified(), { name: 'AuditBrokenError', message: expected });
    });
  }

  it('misses an end that was cut off at a checkpoint, unless its last line is kept elsewhere', async (t) => {
    const log = await written(t);
    const [, server] = await log.verified();
    const { seq, hash } = server!.last;
    // The state of files after the second of three runs: whoever can write them can put them back.
    await rm(log.file(3));
    const lines = (await readFile(log.file(2), 'utf8')).trimEnd().split('\n');
    const head = JSON.parse(lines.at(-1)!) as { seq: number; hash: string };
    const text = JSON.stringify({ seq: head.seq, hash: head.hash });
    await writeFile(join(log.directory, 'server.head.json'), text);
    for (const name of await readdir(log.directory)) {
      if (name.startsWith('pipeline')) await rm(join(log.directory, name));
    }
    // The other writer's lines are gone with its last witness.
    await assert.rejects(log.verified(), /saw no pipeline/);
    const known = [{ writer: 'server', seq, hash }];
    await assert.rejects(log.verified(known), { name: 'AuditBrokenError' });
  });

  it('asks for the lines that are kept elsewhere', async (t) => {
    const log = await written(t);
    const lines = await collect(log.directory, 'server');
    const { seq, hash } = lines[3]!;
    await log.verified([{ writer: 'server', seq, hash }]);
    const wrong = { writer: 'server', seq, hash: 'f'.repeat(64) };
    await assert.rejects(log.verified([wrong]), /the line that was given: expected line 4/);
    const later = { writer: 'server', seq: 10_000, hash };
    await assert.rejects(log.verified([later]), /saw none after/);
  });

  it('does not let a writer go on without signatures', async (t) => {
    const { writer, file, verified } = await start(t);
    for (let n = 0; n < 2100; n++) writer.note(download(n));
    await writer.close();
    const checkpoints = (await readFile(file(1), 'utf8')).match(/"event":"checkpoint"/g);
    assert.equal(checkpoints?.length, 3);
    await verified();
  });
});

describe('the audit log', () => {
  it('goes on where it stopped, with the hash of the line before', async (t) => {
    const { writer, reopen, verified, directory } = await start(t);
    await writer.record(download(1));
    await writer.close();
    const second = await reopen();
    await second.record(download(2));
    await second.close();
    const events = (await collect(directory, 'server')).map(({ event }) => event);
    assert.deepEqual(events, ['file', 'download', 'checkpoint', 'download', 'checkpoint']);
    const [series] = await verified();
    assert.equal(series?.last.seq, 5);
    assert.equal(series?.signed?.seq, 5);
  });

  it('begins a file when one is large, and each day (UTC)', async (t) => {
    const { writer, clock, verified, directory } = await start(t, { maxFileOctets: 2000 });
    for (let n = 0; n < 20; n++) await writer.record(download(n));
    const large = (await readdir(directory)).filter((name) => name.endsWith('.jsonl')).length;
    assert.ok(large > 2, String(large));
    for (const name of await readdir(directory)) {
      if (!name.endsWith('.jsonl')) continue;
      const { size, mode } = await stat(join(directory, name));
      assert.ok(size < 2000 + 1000, `${name}: ${size}`);
      assert.equal(mode & 0o777, 0o600);
    }
    clock.ms += DAY_MS / 2;
    await writer.record(download(0));
    await writer.close();
    const [series] = await verified();
    assert.equal(series?.files, large + 1);
  });

  it('removes files after their time, and says so; the rest is still verified', async (t) => {
    const { writer, clock, verified, directory, file } = await start(t, { keepDays: 2 });
    for (let day = 0; day < 5; day++) {
      await writer.record(download(day));
      clock.ms += DAY_MS;
    }
    await writer.record(download(5));
    await writer.retire();
    const names = (await readdir(directory)).filter((name) => name.endsWith('.jsonl'));
    assert.deepEqual(
      names.sort(),
      [3, 4, 5, 6].map((n) => `server-0000000${n}.jsonl`),
    );
    const retention = (await collect(directory, 'server')).find((l) => l.event === 'retention');
    const files = retention?.members.files as { readonly number: number }[] | undefined;
    assert.deepEqual(
      files?.map(({ number }) => number),
      [1, 2],
    );
    await writer.close();
    const [series] = await verified();
    assert.equal(series?.files, 4);
    await rm(file(3));
    await assert.rejects(
      verified(),
      /server, file 3: expected the file, or a line about its removal/,
    );
  });

  it('removes nothing when the clock is wrong for less than an hour', async (t) => {
    const grace = { keepDays: 2, retentionGraceMs: 3_600_000 };
    const { writer, clock, directory } = await start(t, grace);
    await writer.record(download(1));
    clock.ms += 1000 * DAY_MS;
    await writer.record(download(2));
    await writer.retire();
    await writer.retire();
    await writer.close();
    const names = (await readdir(directory)).filter((name) => name.endsWith('.jsonl'));
    assert.equal(names.length, 2);
  });

  it('cuts off a last line that has no end, and says so', async (t) => {
    const { writer, reopen, verified, file, directory } = await start(t);
    await writer.record(download(1));
    await writer.close();
    const torn = '{"seq":4,"time":"2026-11-21T12:00:00.000Z","event":"downl';
    await appendFile(file(1), torn);
    const [before] = await verified();
    assert.equal(before?.torn, torn.length);
    const second = await reopen();
    await second.close();
    const repair = (await collect(directory, 'server')).find(({ event }) => event === 'repair');
    assert.equal(repair?.members.octets, torn.length);
    const [after] = await verified();
    assert.equal(after?.torn, 0);
  });

  it('is not begun anew over one that is not as it was written', async (t) => {
    const { writer, reopen, file, directory } = await start(t);
    await writer.record(download(1));
    await writer.close();
    const good = await readFile(file(1));
    const isCorrupt = (error: unknown) => isStoreError(error, 'corrupt');
    await writeFile(file(1), good.toString().replace('"checkpoint"', '"Checkpoint"'));
    await assert.rejects(reopen(), isCorrupt);
    const lines = good.toString().split(NEW_LINE);
    await writeFile(file(1), lines.slice(0, -1).join(''));
    await assert.rejects(
      reopen(),
      /expected of the audit log of server line 3 or a later one, saw 2/,
    );
    await rm(file(1));
    await assert.rejects(reopen(), isCorrupt);
    await rm(directory, { recursive: true });
    await (await reopen()).close();
  });

  it('has one writer at a time: the next waits until it is let go', async (t) => {
    const { writer, reopen, verified } = await start(t);
    const waiting = reopen();
    let isOpen = false;
    void waiting.then(() => {
      isOpen = true;
    });
    for (let n = 0; n < 10; n++) await writer.record(download(n));
    assert.equal(isOpen, false);
    await writer.close();
    const second = await waiting;
    await second.record(download(10));
    await second.close();
    const [series] = await verified();
    assert.equal(series?.last.seq, 14);
  });

  it('notices another who writes to its file all the same, and promises nothing', async (t) => {
    const { writer, file } = await start(t);
    await writer.record(download(1));
    await appendFile(file(1), 'x\n');
    await assert.rejects(writer.record(download(2)), (error) => isStoreError(error, 'corrupt'));
  });

  it('shares a sync among those that come together, and resolves each after it', async (t) => {
    const disk = new Disk();
    const { writer, verified } = await start(t, { openToAppend: disk.open });
    const before = disk.syncs;
    await Promise.all(Array.from({ length: 500 }, (_, n) => writer.record(download(n))));
    assert.ok(disk.syncs - before <= 2, `${disk.syncs - before} syncs`);
    await Promise.all([1, 2, 3].map(() => writer.checkpoint()));
    await writer.close();
    const [series] = await verified();
    assert.equal(series?.last.seq, 502);
  });

  it('keeps the order in which it was told, of those who wait and those who do not', async (t) => {
    const { writer, directory } = await start(t);
    const waits: Promise<void>[] = [];
    for (let n = 0; n < 300; n++) {
      if (n % 3 === 0) waits.push(writer.record(download(n)));
      else writer.note(download(n), n % 3 === 1 ? 'now' : 'soon');
      if (n % 50 === 0) await new Promise(setImmediate);
    }
    await Promise.all(waits);
    await writer.close();
    const events = (await collect(directory, 'server')).filter((l) => l.event === 'download');
    assert.deepEqual(
      events.map(({ members }) => members.i),
      Array.from({ length: 300 }, (_, n) => n),
    );
  });

  it('can be verified while it is written, rotated and shortened', async (t) => {
    const { writer, clock, verified } = await start(t, { maxFileOctets: 4000, keepDays: 1 });
    let isDone = false;
    const writing = (async () => {
      for (let n = 0; n < 300; n++) {
        writer.note(download(n));
        await writer.record(download(n));
        clock.ms += DAY_MS / 20;
        if (n % 40 === 0) await writer.checkpoint();
        if (n % 100 === 99) await writer.retire();
      }
      isDone = true;
    })();
    let looks = 0;
    while (!isDone) {
      await verified();
      looks++;
    }
    await writing;
    assert.ok(looks > 0);
    await writer.close();
    await verified();
  });
});

describe('the audit log on a disk that fails', () => {
  it('promises nothing while the disk is full, keeps what nobody waits for, and goes on after', async (t) => {
    const disk = new Disk();
    const { writer, verified, directory } = await start(t, { openToAppend: disk.open });
    await writer.record(download(1));
    disk.fault = 'full after 20 octets';
    writer.note(download(2));
    await assert.rejects(writer.record(download(3)), (error) => isStoreError(error, 'full'));
    await assert.rejects(writer.ready(), (error) => isStoreError(error, 'full'));
    disk.fault = undefined;
    await writer.ready();
    await writer.record(download(4));
    await writer.close();
    const lines = await collect(directory, 'server');
    assert.deepEqual(
      lines.map(({ event, members }) => members.i ?? event),
      ['file', 1, 'gap', 2, 4, 'checkpoint'],
    );
    const [series] = await verified();
    assert.equal(series?.torn, 0);
  });

  it('takes a sync that failed for a write that failed', async (t) => {
    const disk = new Disk();
    const { writer, verified, directory } = await start(t, { openToAppend: disk.open });
    disk.fault = 'no sync';
    await assert.rejects(writer.record(download(1)), (error) => isStoreError(error, 'io'));
    disk.fault = undefined;
    await writer.record(download(2));
    await writer.close();
    const lines = await collect(directory, 'server');
    assert.deepEqual(
      lines.map(({ event, members }) => members.i ?? event),
      ['file', 'gap', 2, 'checkpoint'],
    );
    await verified();
  });

  it('counts what it loses when the disk stays full', async (t) => {
    const disk = new Disk();
    const { writer, verified, directory } = await start(t, { openToAppend: disk.open });
    disk.fault = 'full after 20 octets';
    for (let n = 0; n < 10_500; n++) writer.note(download(n));
    await assert.rejects(writer.record(download(0)), (error) => isStoreError(error, 'overloaded'));
    disk.fault = undefined;
    await writer.close();
    const lines = await collect(directory, 'server');
    const gap = lines.find(({ event }) => event === 'gap');
    assert.equal(gap?.members.lost, 500);
    assert.equal(lines.filter(({ event }) => event === 'download').length, 10_000);
    await verified();
  });

  it('begins no file without the last line of the one before', async (t) => {
    const disk = new Disk();
    const { writer, clock, verified } = await start(t, { openToAppend: disk.open });
    await writer.record(download(1));
    clock.ms += DAY_MS;
    disk.fault = 'full after 20 octets';
    await assert.rejects(writer.record(download(2)), (error) => isStoreError(error, 'full'));
    disk.fault = undefined;
    await writer.record(download(3));
    await writer.close();
    const [series] = await verified();
    assert.equal(series?.files, 2);
  });
});

/** Files that are real, on a disk that fails when it is told to. */
class Disk {
  fault: 'full after 20 octets' | 'no sync' | undefined;
  syncs = 0;

  readonly open: NonNullable<AuditLogOptions['openToAppend']> = async (path) => {
    const file = await open(path, 'a');
    return {
      appendFile: async (octets) => {
        if (this.fault !== 'full after 20 octets') return file.appendFile(octets);
        await file.appendFile((octets as Buffer).subarray(0, 20));
        throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
      },
      datasync: async () => {
        this.syncs++;
        if (this.fault === 'no sync') throw Object.assign(new Error('EIO'), { code: 'EIO' });
        await file.datasync();
      },
      truncate: (length) => file.truncate(length),
      stat: file.stat.bind(file),
      close: () => file.close(),
    };
  };
}

interface Started {
  readonly directory: string;
  readonly options: AuditLogOptions;
  readonly clock: { ms: number };
  readonly writer: AuditWriter;
  reopen(changes?: Partial<AuditLogOptions>): Promise<AuditWriter>;
  file(number: number, writer?: string): string;
  verified(known?: readonly KnownLine[]): ReturnType<typeof verifyAuditLog>;
}

async function start(t: TestContext, changes: Partial<AuditLogOptions> = {}): Promise<Started> {
  const parent = await mkdtemp(join(tmpdir(), 'chrysalis-audit-'));
  const directory = join(parent, 'audit');
  t.after(() => rm(parent, { recursive: true, force: true }));
  const clock = { ms: NOON };
  const options: AuditLogOptions = {
    directory,
    writer: 'server',
    sign: { id: RA, signer: KEY },
    maxFileOctets: 64_000_000,
    keepDays: 0,
    clock: { now: () => clock.ms },
    log: SILENT,
    retentionGraceMs: 0,
    ...changes,
  };
  const writer = await AuditWriter.open(options);
  t.after(() => writer.close().catch(() => {}));
  return {
    directory,
    options,
    clock,
    writer,
    reopen: (more) => AuditWriter.open({ ...options, ...more }),
    file: (number, of = 'server') =>
      join(directory, `${of}-${String(number).padStart(8, '0')}.jsonl`),
    verified: (known = []) => verifyAuditLog({ directory, keys: KEYS, unsigned: [], known }),
  };
}

interface Written extends Started {
  /** Changes the lines of a file, each with its end. */
  edit(
    number: number,
    change: (lines: string[]) => readonly string[],
    writer?: string,
  ): Promise<void>;
}

/** Three files of the server, over three days, and one of the pipeline, which has ended before. */
async function written(t: TestContext): Promise<Written> {
  const started = await start(t);
  const { writer, clock, reopen, file } = started;
  const pipeline = await reopen({ writer: 'pipeline' });
  await pipeline.record(download(1));
  await pipeline.close();
  for (let n = 0; n < 4; n++) await writer.record(download(n));
  clock.ms += DAY_MS;
  await writer.record(download(4), download(5));
  await writer.close();
  clock.ms += DAY_MS;
  const second = await reopen();
  await second.record(download(6));
  await second.close();
  return {
    ...started,
    async edit(number, change, of) {
      const path = file(number, of);
      const lines = (await readFile(path, 'utf8')).split(NEW_LINE);
      await truncate(path);
      await writeFile(path, change(lines).join(''));
    },
  };
}

function download(i: number): AuditEvent {
  const requestHash = '8899aabbccddeeff';
  return { event: 'download', service: 'batch', requestHash, i, status: 200, octets: 3000 };
}

async function collect(directory: string, writer: string) {
  const lines = [];
  for await (const { line } of readAuditLines(directory, writer)) lines.push(line);
  return lines;
}

function jwk() {
  const point = Buffer.from(KEY.publicPoint);
  const [x, y] = [point.subarray(1, 33), point.subarray(33)];
  return { kty: 'EC', crv: 'P-256', x: x.toString('base64url'), y: y.toString('base64url') };
}
