/** The walls between the rooms: who may import whom, and that the compiler refuses everything else. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, it } from 'node:test';
import { temporaryDirectory } from './support/temporary-directory.ts';

const ROOT = join(import.meta.dirname, '..');

/** ARCHITECTURE.md, "Rooms". */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  coer: [],
  crypto: [],
  store: [],
  ieee1609dot2: ['coer', 'crypto'],
  scms: ['coer', 'crypto', 'ieee1609dot2'],
  ee: ['coer', 'crypto', 'ieee1609dot2', 'scms'],
  fleet: ['coer', 'crypto', 'ee', 'ieee1609dot2', 'scms', 'store'],
  authorities: ['coer', 'crypto', 'ieee1609dot2', 'scms', 'store'],
  ra: ['coer', 'crypto', 'ieee1609dot2', 'scms', 'store'],
  cli: ['authorities', 'coer', 'crypto', 'ee', 'fleet', 'ieee1609dot2', 'ra', 'scms', 'store'],
};

describe('a room', () => {
  for (const [room, allowed] of Object.entries(ALLOWED)) {
    it(`${room} refers to ${allowed.join(', ') || 'none'}, and declares the same dependencies`, async () => {
      const read = async (file: string) =>
        JSON.parse(await readFile(join(ROOT, 'packages', room, file), 'utf8'));
      const { references = [] } = await read('tsconfig.json');
      const referred = references.map(({ path }: { path: string }) => basename(path));
      assert.deepEqual(referred.sort(), allowed);
      const { dependencies = {} } = await read('package.json');
      const declared = Object.keys(dependencies)
        .filter((name) => name.startsWith('@chrysalis/'))
        .map((name) => name.slice('@chrysalis/'.length));
      assert.deepEqual(declared.sort(), allowed);
    });
  }

  it('has the doors that its package.json names, and no other', async () => {
    const text = await readFile(join(ROOT, 'tsconfig.base.json'), 'utf8');
    const { paths } = JSON.parse(text.replaceAll(/^\s*\/\/.*$/gm, '')).compilerOptions;
    const doors = { ...paths };
    delete doors['@chrysalis/*'];
    const declared: Record<string, string[]> = {};
    for (const room of Object.keys(ALLOWED)) {
      const file = join(ROOT, 'packages', room, 'package.json');
      const { exports } = JSON.parse(await readFile(file, 'utf8'));
      const { '.': first, ...more } = exports as Record<string, string>;
      assert.equal(first, './src/index.ts');
      for (const [door, source] of Object.entries(more)) {
        declared[`@chrysalis/${room}/${door.slice(2)}`] = [`./packages/${room}/${source.slice(2)}`];
      }
    }
    assert.deepEqual(doors, declared);
  });

  it('that imports one that it does not refer to fails to compile', async () => {
    const directory = temporaryDirectory();
    const compile = async (references: readonly { path: string }[]) => {
      const tsconfig = {
        extends: join(ROOT, 'tsconfig.base.json'),
        compilerOptions: { rootDir: '.', outDir: 'dist', types: [] },
        files: ['room.ts'],
        references,
      };
      await writeFile(join(directory, 'tsconfig.json'), JSON.stringify(tsconfig));
      await writeFile(join(directory, 'package.json'), '{ "type": "module" }');
      await writeFile(join(directory, 'room.ts'), "export { encode } from '@chrysalis/coer';\n");
      const tsc = join(ROOT, 'node_modules/.bin/tsc');
      return spawnSync(tsc, ['-b', directory], { encoding: 'utf8' });
    };
    const crossed = await compile([]);
    assert.notEqual(crossed.status, 0);
    assert.match(crossed.stdout, /TS6059|TS6307/);
    const allowed = await compile([{ path: join(ROOT, 'packages/coer') }]);
    assert.equal(allowed.status, 0, allowed.stdout);
  });
});
