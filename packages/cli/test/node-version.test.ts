/** The executable on a Node that is too old for it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

const ROOM = join(import.meta.dirname, '..');

describe('chrysalis on another Node', () => {
  it('says which it is and where it lies, before it fails at what that does not know', () => {
    const { engines } = JSON.parse(readFileSync(join(ROOM, 'package.json'), 'utf8'));
    const least = engines.node.replace('>=', '');
    for (const version of ['20.20.2', '24.14.9']) {
      const { status, stdout, stderr } = runOn(version);
      const expected = `expected Node ${least} or later, saw ${version}: ${process.execPath}`;
      assert.equal(stderr, `chrysalis: ${expected}\n`);
      assert.deepEqual([status, stdout], [1, '']);
    }
  });

  it('takes the oldest that package.json does', () => {
    const { status, stdout, stderr } = runOn('24.15.0');
    assert.deepEqual([status, stderr], [0, '']);
    assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
  });
});

/** As that version would be seen; what it lacks is there. */
function runOn(version: string) {
  const versions = `{ ...process.versions, node: ${JSON.stringify(version)} }`;
  const preload = `Object.defineProperty(process, 'versions', { value: ${versions} })`;
  const argv = ['--import', `data:text/javascript,${encodeURIComponent(preload)}`];
  return spawnSync(process.execPath, [...argv, join(ROOM, 'src/bin.js'), '--version'], {
    encoding: 'utf8',
  });
}
