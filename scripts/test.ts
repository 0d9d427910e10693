/**
 * Runs the tests: all of them, those whose files are named, with --faults or --cluster the long kill tests, with --copy the
 * long tests of a state that moves, with --postgres what the RA does with its rows on that.
 */
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const args = process.argv.slice(2);
const isFaults = args.includes('--faults');
const isCluster = args.includes('--cluster');
const isCopy = args.includes('--copy');
const isPostgres = args.includes('--postgres');
/** By their own commands, before all others in CI: each starts many processes, and wants the machine for itself. */
const APART = ['test/cluster.test.ts', 'test/copy.test.ts', 'test/copy-fleet.test.ts'];
/** What the RA does with its rows, on the other database. */
const ON_POSTGRES = [
  'pipeline',
  'retirement',
  'second-request',
  'pca-requests',
  'linkage-supply',
  'linkage-chains-of',
  'shuffle',
  'contacts',
  'device-report',
  'status',
  'backlog',
  'misbehavior-enquiries',
  'membership',
  'shares',
].map((name) => `packages/ra/test/${name}.test.ts`);
const named = args.filter((arg) => !arg.startsWith('--'));
const files = isFaults
  ? ['test/faults.test.ts', 'test/chaos.test.ts', 'test/lost-answers.test.ts']
  : isCluster
    ? ['test/cluster.test.ts']
    : isCopy
      ? ['test/copy.test.ts', 'test/copy-fleet.test.ts']
      : named.length > 0
        ? named
        : isPostgres
          ? ON_POSTGRES
          : globSync(['packages/*/test/**/*.test.ts', 'test/**/*.test.ts'], { cwd: root })
              .filter((file) => !APART.includes(file))
              .sort();

/** What is set already stays: a shorter run, a seed. Four processes and a thousand devices want the machine for themselves. */
const LONG_FORMS = {
  CHRYSALIS_FAULT_ROUNDS: '50',
  CHRYSALIS_CHAOS_DEVICES: '1000',
  CHRYSALIS_CHAOS_KILLS: '100',
  CHRYSALIS_CHAOS_PER_WEEK: '10',
  CHRYSALIS_LOST_ANSWER_KILLS: '40',
  CHRYSALIS_LOST_ANSWER_DEVICES: '100',
  CHRYSALIS_CLUSTER_DEVICES: '1000',
  CHRYSALIS_CLUSTER_KILLS: '60',
  CHRYSALIS_COPY_DEVICES: '10000',
  CHRYSALIS_COPY_PER_WEEK: '5',
};
const isLong = isFaults || isCluster || isCopy;
const pace = isLong
  ? ['--test-timeout=1800000', '--test-concurrency=1']
  : // Node would leave one core idle, which on a machine of two is half of it; many tests wait for a clock or a disk.
    ['--test-timeout=600000', `--test-concurrency=${Math.max(2, availableParallelism())}`];

/** Of a test file: more than one test may take, far less than what waits for the whole. */
const CHRYSALIS_TEST_FILE_LIMIT_MS = isLong ? '7200000' : '900000';
const limit = ['--import', join(import.meta.dirname, 'test-file-limit.ts')];

/** Each test file is a process, and would strip the types of all rooms anew. */
const NODE_COMPILE_CACHE = join(root, 'node_modules/.cache/node-compile');

const result = spawnSync(process.execPath, [...limit, '--test', ...pace, ...files], {
  cwd: root,
  stdio: 'inherit',
  env: {
    ...{ NODE_COMPILE_CACHE, CHRYSALIS_TEST_FILE_LIMIT_MS },
    ...(isLong && LONG_FORMS),
    ...(isPostgres && { CHRYSALIS_TEST_DATABASE: 'postgres' }),
    ...process.env,
  },
});
process.exit(result.status ?? 1);
