/** What a thread or a process loads: no more than it runs (docs/decisions/0071-doors-of-a-room.md). */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { startRaFixture } from './support/ra-fixture.ts';

const ROOT = join(import.meta.dirname, '..');

/** Prints the packages that `file` loads, directly or not. */
const PACKAGES_OF = `
import { registerHooks } from 'node:module';
const loaded = new Set();
registerHooks({
  load(url, context, next) {
    const found = /node_modules\\/((?:@[^/]+\\/)?[^/]+)\\//.exec(url);
    if (found) loaded.add(found[1]);
    return next(url, context);
  },
});
await import(process.argv[1]);
console.log(JSON.stringify([...loaded]));
`;

function packagesOf(file: string): string[] {
  const args = ['--input-type=module', '-e', PACKAGES_OF, join(ROOT, 'packages/cli/src', file)];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout) as string[];
}

describe('what loads', () => {
  const cases = [
    {
      who: 'serve, before its threads and processes begin to load',
      file: 'serve.ts',
      has: ['zod'],
      without: ['kysely', 'fastify', 'prom-client', 'pkijs'],
    },
    {
      who: 'the process that watches over the others',
      file: 'serve-processes.ts',
      has: ['zod'],
      without: ['kysely', 'fastify', 'prom-client', 'pkijs'],
    },
    {
      who: 'one of several processes, before it and its thread begin to load',
      file: 'pipeline-host.ts',
      has: [],
      without: ['kysely', 'fastify', 'prom-client', 'pkijs'],
    },
    {
      who: 'the pipeline in a thread',
      file: 'open-pipeline.ts',
      has: ['kysely'],
      without: ['fastify', 'prom-client', 'pkijs'],
    },
    {
      who: 'the pipeline in a worker',
      file: 'worker.ts',
      has: ['kysely', 'prom-client'],
      without: ['fastify', 'pkijs'],
    },
  ];
  for (const { who, file, has, without } of cases) {
    it(`${who}: not ${without.join(', ')}`, () => {
      const packages = packagesOf(file);
      for (const name of has) assert.ok(packages.includes(name), `${file} loads ${name}`);
      for (const name of without) assert.ok(!packages.includes(name), `${file} loads ${name}`);
    });
  }

  it('an RA that answers: no compiler of JSON schemas', async () => {
    const fixture = await startRaFixture();
    await fixture.close();
    const loaded = Object.keys(createRequire(import.meta.url).cache);
    assert.ok(loaded.some((file) => file.includes('/node_modules/fastify/')));
    assert.deepEqual(
      loaded.filter((file) => file.includes('/node_modules/ajv/')),
      [],
    );
  });
});
