/** What the test X.509 root of a state directory has revoked: authorities/x509-root/revoked.json. */
import { join } from 'node:path';
import {
  formatSerialNumber,
  X509_REVOCATION_REASONS,
  type X509Revocation,
} from '@chrysalis/authorities';
import { readFileIfPresent, writeFileDurably } from '@chrysalis/store';
import * as z from 'zod';
import { CliError } from './context.ts';
import { STATE_FILES } from './state-directory.ts';

const Revocations = z.strictObject({
  revoked: z.array(
    z.strictObject({
      serialNumber: z.string().regex(/^(?:[0-9a-f]{2})+$/),
      revokedAt: z.iso.datetime(),
      reason: z.enum(X509_REVOCATION_REASONS),
    }),
  ),
});

/** By serial number, as `formatSerialNumber` writes it; empty until something is revoked. @throws CliError; StoreError */
export async function readRevocations(
  directory: string,
): Promise<ReadonlyMap<string, X509Revocation>> {
  const path = join(directory, STATE_FILES.x509Revoked);
  const octets = await readFileIfPresent(path);
  if (octets === undefined) return new Map();
  const { revoked } = parse(new TextDecoder().decode(octets), path);
  return new Map(
    revoked.map(({ serialNumber, revokedAt, reason }) => [
      formatSerialNumber(serialNumber),
      { revokedAt: new Date(revokedAt), reason },
    ]),
  );
}

/** Durable when it resolves. What is revoked stays as it was revoked first. @throws CliError; StoreError */
export async function addRevocation(
  directory: string,
  serialNumber: string,
  revocation: X509Revocation,
): Promise<X509Revocation> {
  const before = await readRevocations(directory);
  const first = before.get(serialNumber);
  if (first !== undefined) return first;
  const revoked = [...before, [serialNumber, revocation] as const].map(
    ([number, { revokedAt, reason }]) => ({
      serialNumber: number,
      revokedAt: revokedAt.toISOString(),
      reason,
    }),
  );
  const text = `${JSON.stringify({ revoked }, undefined, 2)}\n`;
  await writeFileDurably(join(directory, STATE_FILES.x509Revoked), new TextEncoder().encode(text));
  return revocation;
}

function parse(text: string, path: string): z.output<typeof Revocations> {
  try {
    return Revocations.parse(JSON.parse(text));
  } catch (cause) {
    if (!(cause instanceof SyntaxError || cause instanceof z.ZodError)) throw cause;
    throw new CliError(`${path}: expected what chrysalis writes there, saw something else`, {
      hint: 'without it, or with an older copy, what was revoked would be good again',
      cause,
    });
  }
}
