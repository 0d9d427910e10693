/**
 * What the test X.509 root of a state directory has revoked: a file `<serial number>.json` for each certificate. They are
 * created and never changed, so that of two who revoke at once neither undoes the other.
 */
import { randomBytes } from 'node:crypto';
import { link, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  formatSerialNumber,
  X509_REVOCATION_REASONS,
  type X509Revocation,
} from '@chrysalis/authorities/x509';
import {
  createDirectoryDurably,
  readFileIfPresent,
  removeFileDurably,
  syncDirectory,
  writeFileDurably,
} from '@chrysalis/store/files';
import * as z from 'zod';
import { CliError } from './context.ts';
import { STATE_FILES } from './state-directory.ts';

const Revoked = z.strictObject({
  serialNumber: z.string().regex(/^(?:[0-9a-f]{2})+$/),
  revokedAt: z.iso.datetime(),
  reason: z.enum(X509_REVOCATION_REASONS),
});
const RevokedBefore = z.strictObject({ revoked: z.array(Revoked) });

/** By serial number, as `formatSerialNumber` writes it; empty until something is revoked. @throws CliError; StoreError */
export async function readRevocations(
  directory: string,
): Promise<ReadonlyMap<string, X509Revocation>> {
  const before = await readIfPresent(join(directory, STATE_FILES.x509RevokedBefore), RevokedBefore);
  const revocations = new Map<string, X509Revocation>();
  const all = [
    ...(await readAll(join(directory, STATE_FILES.x509Revocations))),
    ...(before?.revoked ?? []),
  ];
  for (const { serialNumber, revokedAt, reason } of all) {
    revocations.set(formatSerialNumber(serialNumber), { revokedAt: new Date(revokedAt), reason });
  }
  return revocations;
}

/** Durable when it resolves. What is revoked stays as it was revoked first. @throws CliError; StoreError */
export async function addRevocation(
  directory: string,
  serialNumber: string,
  { revokedAt, reason }: X509Revocation,
): Promise<X509Revocation> {
  if (!(await readRevocations(directory)).has(serialNumber)) {
    const revoked: z.input<typeof Revoked> = {
      serialNumber,
      revokedAt: revokedAt.toISOString(),
      reason,
    };
    await createOnce(join(directory, STATE_FILES.x509Revocations), `${serialNumber}.json`, revoked);
  }
  const first = (await readRevocations(directory)).get(serialNumber);
  if (first === undefined) throw new Error(`expected ${serialNumber} to be revoked, saw it good`);
  return first;
}

/** Creates a file whole, unless there is one. */
async function createOnce(directory: string, name: string, value: object): Promise<void> {
  await createDirectoryDurably(directory);
  const temporary = join(directory, `.${name}.${randomBytes(8).toString('hex')}`);
  const text = `${JSON.stringify(value, undefined, 2)}\n`;
  await writeFileDurably(temporary, new TextEncoder().encode(text));
  try {
    await link(temporary, join(directory, name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    // Somebody was faster; their name for it may not be durable yet.
    await syncDirectory(directory);
  } finally {
    // Syncs the directory as well.
    await removeFileDurably(temporary);
  }
}

async function readAll(directory: string): Promise<z.output<typeof Revoked>[]> {
  let names: string[];
  try {
    names = await readdir(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  const files = names.filter((name) => /^[0-9a-f]+\.json$/.test(name));
  const all = await Promise.all(files.map((file) => readIfPresent(join(directory, file), Revoked)));
  return all.filter((revoked) => revoked !== undefined);
}

async function readIfPresent<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  const octets = await readFileIfPresent(path);
  if (octets === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(new TextDecoder().decode(octets)));
  } catch (cause) {
    if (!(cause instanceof SyntaxError || cause instanceof z.ZodError)) throw cause;
    throw new CliError(`${path}: expected what chrysalis writes there, saw something else`, {
      hint: 'without it, or with an older copy, what was revoked would be good again',
      cause,
    });
  }
}
