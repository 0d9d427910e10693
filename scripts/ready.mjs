// Makes a fresh clone ready: installs the dependencies when they are missing or older than the lock file.
// Plain JavaScript because it runs before the pinned Node is there, on whatever Node the machine has.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const installed = join(root, 'node_modules', '.package-lock.json');

if (!isCurrent()) {
  console.error('chrysalis: installing dependencies …');
  const npm = process.env.npm_execpath;
  // Not `npm ci`: it refuses a lock file that was written where a registry lacks the binaries of other platforms.
  // This keeps to the versions and hashes of the lock file all the same, and changes nothing in it.
  const args = ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'];
  const result = npm
    ? spawnSync(process.execPath, [npm, ...args], { cwd: root, stdio: ['ignore', 2, 2] })
    : spawnSync('npm', args, { cwd: root, stdio: ['ignore', 2, 2], shell: true });
  if (result.status !== 0) {
    console.error('chrysalis: npm install failed; see the messages above');
    process.exit(result.status ?? 1);
  }
}

/** True when every package of the lock file is installed in the version that it names. */
function isCurrent() {
  if (!existsSync(installed) || !existsSync(join(root, 'node_modules', '.bin', 'node')))
    return false;
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  const present = JSON.parse(readFileSync(installed, 'utf8')).packages;
  return Object.entries(wanted).every(
    ([path, entry]) =>
      path === '' ||
      entry.optional ||
      entry.link ||
      (path.startsWith('node_modules/')
        ? present[path]?.version === entry.version
        : isSame(present[path]?.bin, entry.bin)),
  );
}

/** A command of our own is a link to a file that may have moved since. */
function isSame(a, b) {
  return JSON.stringify(a) === JSON.stringify(b);
}
