/** Files that only their owner may read. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { expectOwnersOnly } from '@chrysalis/authorities/keys';
import { CliError } from './context.ts';

/** A secret beside the keys, as a passphrase or a PIN: one line. */
const MAX_SECRET_OCTETS = 1024;

/**
 * The one line of a file with a secret, without its end.
 *
 * @throws CliError when there is none; AuthorityError `insecure-key-file` when others can read it
 */
export async function readSecretLine(path: string, what: string): Promise<Uint8Array> {
  const octets = await readSome(path, what);
  await expectOwnersOnly(path, `a file with ${what}`);
  const text = octets.toString('utf8').replace(/\r?\n$/, '');
  if (octets.length <= MAX_SECRET_OCTETS && text.length > 0 && !/[\r\n\0]/.test(text)) {
    return new Uint8Array(Buffer.from(text));
  }
  throw new CliError(
    `${path}: expected ${what} of 1 to ${MAX_SECRET_OCTETS} octets on one line, saw something else`,
  );
}

async function readSome(path: string, what: string): Promise<Buffer> {
  try {
    await using file = await open(path, constants.O_RDONLY);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(MAX_SECRET_OCTETS + 1));
    return buffer.subarray(0, bytesRead);
  } catch (cause) {
    throw new CliError(`expected ${what} in ${path}, could not read it`, { cause });
  }
}
