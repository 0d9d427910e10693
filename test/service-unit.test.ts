/** The unit of systemd starts what an installation for production has, and what it may take grows with the machine. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parseConfig } from '../packages/cli/src/config.ts';
import { configFileText } from '../packages/cli/src/config-file.ts';
import { readLockFile } from '../scripts/dependencies.ts';

const ROOT = join(import.meta.dirname, '..');
const UNIT = readFileSync(join(ROOT, 'examples/chrysalis.service'), 'utf8');
const GUIDE = readFileSync(join(ROOT, 'docs/guides/hardening.md'), 'utf8');
const PROGRAM = '/opt/chrysalis/';
/** What `init` is given: limits are not. */
const ANY = {
  ...{ host: 'localhost', listen: '127.0.0.1', port: 8892, weeksAhead: 1 },
  ...{ pcaHostname: 'pca.test', la1Hostname: 'la1.test', la2Hostname: 'la2.test' },
};

describe('examples/chrysalis.service', () => {
  it('starts what is there after npm ci --omit=dev', () => {
    const [node = '', program = '', ...more] = settingOf('ExecStart').split(' ');
    assert.equal(node, '/usr/bin/node', 'the machine’s own');
    assert.deepEqual(more, ['--dir', '/var/lib/chrysalis', 'serve']);
    assert(program.startsWith(PROGRAM));
    const path = program.slice(PROGRAM.length);
    assert(existsSync(join(ROOT, path)), `${path} is in the repository`);
    const entries = Object.entries(readLockFile().packages) as [string, { dev?: boolean }][];
    const ofTests = entries.flatMap(([name, { dev }]) => (dev === true ? [name] : []));
    assert(ofTests.includes('node_modules/node'), 'Node itself is one of these');
    for (const word of [node, program]) {
      assert(!ofTests.some((name) => word.startsWith(`${PROGRAM}${name}/`)), word);
      assert(!word.includes('node_modules/.bin/'), `${word}: of whatever package`);
    }
  });

  it('names what else there is: its guide', () => {
    const [, path = ''] = /^Documentation=file:\/\/\/opt\/chrysalis\/(.*)$/m.exec(UNIT) ?? [];
    assert(existsSync(join(ROOT, path)), path);
  });

  it('takes a part of the machine’s memory, for processes are as many as its cores', () => {
    assert.match(settingOf('MemoryMax'), /^[1-9]\d%$/);
  });

  it('and its guide tell how much that has to be, by the defaults', () => {
    const { connections } = parseConfig(configFileText(ANY), ROOT).limits;
    const formula = '1.5 × (600 MB + 150 MB × ra.processes + 50 kB × limits.connections)';
    assert(GUIDE.includes(`    ${formula}\n`));
    assert(UNIT.includes(formula.replaceAll('×', 'x')));
    const rows = [
      ...GUIDE.matchAll(/^\| (\d+)(?:, the most)? +\| ([\d,]+) MB +\| ([\d.]+) GB +\|$/gm),
    ];
    assert(rows.length >= 5);
    for (const [, cores, megabytes = '', gigabytes] of rows) {
      const sum = 600 + 150 * Number(cores) + 0.05 * connections;
      assert.equal(Number(megabytes.replace(',', '')), sum, `${cores} cores`);
      assert.equal(Number(gigabytes), Number(((1.5 * sum) / 1000).toFixed(1)), `${cores} cores`);
    }
    const ofFour = /(\S+) GB for the defaults on four/.exec(UNIT)?.[1];
    assert.equal(ofFour, rows.find(([, cores]) => cores === '4')?.[3]);
  });
});

function settingOf(key: string): string {
  const values = [...UNIT.matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map(([, value]) => value);
  assert.equal(values.length, 1, key);
  return values[0] ?? '';
}
