/** The lock file holds what was reviewed and nothing else; it is not asked of any registry. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import {
  addonsBelow,
  advisoriesIn,
  complaintsOf,
  type LockFile,
  packagesOf,
  readLockFile,
  readReviewed,
} from '../scripts/dependencies.ts';

const ROOT = join(import.meta.dirname, '..');
const SHA512 = `sha512-${'A'.repeat(86)}==`;
const SOUND = { version: '1.0.0', license: 'MIT', integrity: SHA512 };

const lockOf = (entry: object): LockFile => ({
  packages: { '': {}, 'packages/ra': {}, 'node_modules/one': { ...SOUND, ...entry } },
});

describe('the packages of the lock file', () => {
  it('were all reviewed, in these versions and with these octets', () => {
    const lock = readLockFile();
    assert(Object.keys(packagesOf(lock)).length > 50);
    assert.deepEqual(complaintsOf(lock, readReviewed()), []);
  });

  it('have no addon that users would have to build or to trust', () => {
    assert.deepEqual(addonsBelow(ROOT, readLockFile()), []);
  });
});

describe('the project', () => {
  it('runs nothing itself when it is installed, with whatever Node the machine has', () => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    // What npm runs by itself: `dependencies` too, whenever node_modules has changed.
    const own = ['preinstall', 'install', 'postinstall', 'prepublish', 'prepare', 'dependencies'];
    const run = own.flatMap((name) => [name, `pre${name}`, `post${name}`]);
    assert.deepEqual(
      Object.keys(scripts).filter((name) => run.includes(name)),
      [],
    );
  });
});

describe('a lock file', () => {
  const reviewed = packagesOf(lockOf({}));
  const FAULTS: Readonly<Record<string, { readonly change: object; readonly says: RegExp }>> = {
    'another version': { change: { version: '1.0.1' }, says: /^one@1\.0\.1: nobody has reviewed/ },
    'other octets': {
      change: { integrity: `sha512-${'B'.repeat(86)}==` },
      says: /^one@1\.0\.0: expected integrity sha512-AAAA/,
    },
    'no hash': { change: { integrity: undefined }, says: /^one@1\.0\.0: expected a SHA-512/ },
    'another licence': { change: { license: 'ISC' }, says: /expected licence MIT, saw ISC/ },
    'a licence that nobody knows': { change: { license: 'X' }, says: /a known licence, saw X/ },
    'an install script': { change: { hasInstallScript: true }, says: /nothing that runs when/ },
    'binaries of a platform': { change: { cpu: ['x64'] }, says: /saw binaries of a platform/ },
  };
  for (const [fault, { change, says }] of Object.entries(FAULTS)) {
    it(`is refused for ${fault}`, () => {
      const [first = ''] = complaintsOf(lockOf(change), reviewed);
      assert.match(first, says);
    });
  }

  it('is refused for one package more or less', () => {
    assert.deepEqual(complaintsOf(lockOf({}), {}), ['one@1.0.0: nobody has reviewed it']);
    const none: LockFile = { packages: { '': {} } };
    assert.deepEqual(complaintsOf(none, reviewed), [
      'one@1.0.0: on the list, and not in the lock file',
    ]);
  });
});

describe('the answer of npm audit', () => {
  it('is told apart from none', () => {
    assert.equal(advisoriesIn('{"message":"request failed","error":{}}'), undefined);
    assert.equal(advisoriesIn('getaddrinfo failed'), undefined);
    assert.deepEqual(advisoriesIn('{"vulnerabilities":{}}'), []);
    assert.deepEqual(advisoriesIn('{"vulnerabilities":{"one":{"severity":"high"}}}'), [
      'one: high',
    ]);
  });
});
