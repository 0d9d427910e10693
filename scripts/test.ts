/** Runs the tests: all of them, those whose files are named, or with --faults the long kill test. */
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const args = process.argv.slice(2);
const isFaults = args.includes('--faults');
const named = args.filter((arg) => !arg.startsWith('--'));
const files = isFaults
  ? ['test/faults.test.ts']
  : named.length > 0
    ? named
    : globSync(['packages/*/test/**/*.test.ts', 'test/**/*.test.ts'], { cwd: root }).sort();

const result = spawnSync(process.execPath, ['--test', '--test-timeout=600000', ...files], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, ...(isFaults && { CHRYSALIS_FAULT_ROUNDS: '50' }) },
});
process.exit(result.status ?? 1);
