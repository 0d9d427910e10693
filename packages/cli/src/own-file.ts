/** Files that only their owner may read. */
import { readFile, stat } from 'node:fs/promises';
import { CliError } from './context.ts';

/** A private key that others can read is none: the same rule as for the 1609.2 keys. @throws CliError */
export async function readOwnFile(path: string): Promise<string> {
  const { mode } = await stat(path);
  if ((mode & 0o077) !== 0) {
    throw new CliError(`${path}: expected a key that only its owner can read`, {
      hint: `chmod 600 ${path}`,
    });
  }
  return readFile(path, 'utf8');
}
