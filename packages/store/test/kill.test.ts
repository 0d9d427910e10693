import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { openDatabase } from '../src/database.ts';
import { openDirectoryObjectStore } from '../src/directory-object-store.ts';
import { idsOf } from './database-conformance.ts';
import { DEVICE_MIGRATIONS, type DeviceSchema } from './device-schema.ts';
import { PAIR_BASE, versionOctets } from './killed-writer.ts';
import { clear, keysOf } from './object-store-conformance.ts';

const WRITER = fileURLToPath(new URL('./killed-writer.ts', import.meta.url));

/** How long each writer writes after its first acknowledgement: fixed, and different each round. */
const LIVES_MS = [1, 17, 90, 233];

// A kill loses what is in the process, not what is in the kernel; that the kernel is told to write
// it out is shown in directory-object-store.test.ts and sqlite-database.test.ts.
describe('after kill -9', () => {
  for (const life of LIVES_MS) {
    it(`everything acknowledged is there whole (killed ${life} ms after the first)`, async () => {
      const directory = temporaryDirectory();
      const lines = await runAndKill(directory, life);
      await assertObjects(directory, lines);
      await assertRows(directory, lines);
    });
  }
});

async function runAndKill(directory: string, lifeMs: number): Promise<string[][]> {
  const writer = spawn(process.execPath, [WRITER, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  writer.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  await once(writer.stdout, 'data');
  await setTimeout(lifeMs);
  writer.kill('SIGKILL');
  const [, signal] = await once(writer, 'close');
  assert.equal(signal, 'SIGKILL', 'the writer ended by itself');
  // The last line may be cut: it is no acknowledgement then.
  return output
    .split('\n')
    .slice(0, -1)
    .map((line) => line.split(' '));
}

async function assertObjects(directory: string, lines: string[][]): Promise<void> {
  const store = await openDirectoryObjectStore(join(directory, 'objects'));
  await clear(store);
  assert.deepEqual(await readdir(join(directory, 'objects', '.incoming')), []);
  const found = new Map<string, number>();
  for (const key of await keysOf(store, '')) {
    const octets = await store.get(key);
    const version = new DataView(octets!.buffer).getUint32(0);
    assert.deepEqual(octets, versionOctets(version), `${key} is torn`);
    found.set(key, version);
  }
  for (const [kind, key, version] of lines) {
    if (kind !== 'o') continue;
    assert(found.get(key!)! >= Number(version), `${key} ${version} was acknowledged and is lost`);
  }
}

async function assertRows(directory: string, lines: string[][]): Promise<void> {
  const url = `sqlite:${join(directory, 'test.db')}`;
  const database = await openDatabase<DeviceSchema>(url, DEVICE_MIGRATIONS);
  const found = new Set(await idsOf(database));
  await database.close();
  for (const [kind, number] of lines) {
    const id = kind === 'p' ? PAIR_BASE + 2 * Number(number) : Number(number);
    if (kind !== 'o') assert(found.has(id), `${kind} ${number} was acknowledged and is lost`);
  }
  for (const id of found) {
    if (id >= PAIR_BASE) assert(found.has(id ^ 1), `half of the pair of ${id}`);
  }
}
