/** The table of threats and tests in docs/reference names files and scripts that are there. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

const ROOT = join(import.meta.dirname, '..');

describe('docs/reference/security-tests.md', () => {
  const text = readFileSync(join(ROOT, 'docs/reference/security-tests.md'), 'utf8');
  // Below it stands what long runs have shown.
  const [table = ''] = text.split('\n## ', 1);
  const rows = table
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| ---'))
    .slice(1)
    .map((line) => line.split('|').map((cell) => cell.trim()));

  it('has a test, a command and a result for every threat', () => {
    assert(rows.length > 20);
    for (const [, threat, tests = '', command = '', result] of rows) {
      assert(threat && result, `${threat}`);
      const files = [...tests.matchAll(/`([^`]+)`/g)].map(([, file]) => file ?? '');
      assert(files.length > 0, `${threat}: expected a test`);
      for (const file of files) {
        assert.match(file, /\.test\.ts$/);
        assert(existsSync(join(ROOT, file)), `${threat}: expected ${file}`);
      }
      const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
      const named = [...command.matchAll(/`npm (?:run )?([a-z:]+)/g)].map(([, name]) => name ?? '');
      assert(named.length > 0, `${threat}: expected a command`);
      for (const name of named) assert(name in scripts, `${threat}: expected the script ${name}`);
    }
  });
});
