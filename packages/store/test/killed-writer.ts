// A process that writes until it is killed: `node killed-writer.ts <directory>`. It prints a line
// for what the store has acknowledged, never before: `o <key> <version>` for an object, `r <id>`
// for a row, `p <pair>` for two rows of one transaction.

import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { openDatabase } from '../src/database.ts';
import { openDirectoryObjectStore } from '../src/directory-object-store.ts';
import { GroupCommit } from '../src/group-commit.ts';
import { insert } from './database-conformance.ts';
import { DEVICE_MIGRATIONS, type DeviceSchema } from './device-schema.ts';

/** Pairs lie above every single row. */
export const PAIR_BASE = 1_000_000;

/** The octets of one version: their length and every octet follow from it, so a torn one shows. */
export function versionOctets(version: number): Uint8Array {
  const octets = new Uint8Array(4 + ((version * 7919) % 60_000)).fill(version % 251);
  new DataView(octets.buffer).setUint32(0, version);
  return octets;
}

async function writeUntilKilled(directory: string): Promise<void> {
  const objects = await openDirectoryObjectStore(join(directory, 'objects'));
  const url = `sqlite:${join(directory, 'test.db')}`;
  const database = await openDatabase<DeviceSchema>(url, DEVICE_MIGRATIONS);
  const writes = new GroupCommit(database);
  // Synchronous: a line in a buffer would die with us.
  const acknowledge = (line: string) => writeSync(1, `${line}\n`);

  // One key is replaced over and over, the others are new.
  const putObjects = async (worker: number) => {
    for (let version = 1; ; version++) {
      const key = version % 2 === 0 ? `${worker}/same` : `${worker}/${version % 7}/${version}`;
      await objects.put(key, versionOctets(version));
      acknowledge(`o ${key} ${version}`);
    }
  };
  const writeRows = async (worker: number) => {
    for (let id = worker; ; id += 8) {
      await writes.run((query) => insert(query, id));
      acknowledge(`r ${id}`);
    }
  };
  const writePairs = async () => {
    for (let pair = 0; ; pair++) {
      await database.transaction(async (query) => {
        await insert(query, PAIR_BASE + 2 * pair);
        await insert(query, PAIR_BASE + 2 * pair + 1);
      });
      acknowledge(`p ${pair}`);
    }
  };
  await Promise.all([
    ...[0, 1, 2].map(putObjects),
    ...[0, 1, 2, 3, 4, 5, 6, 7].map(writeRows),
    writePairs(),
  ]);
}

if (import.meta.main) await writeUntilKilled(process.argv[2]!);
