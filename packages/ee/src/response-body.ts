import { EeError } from './error.ts';
import { isRefusal, type RaService, readRefusal } from './ra-refusal.ts';
import type { RaResponse } from './ra-transport.ts';

/**
 * The whole body of an answer.
 *
 * @param maximum octets; the connection is dropped at the first one more
 * @throws EeError `too-large`, and what the transport throws
 */
export async function readBody(response: RaResponse, maximum: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  await forEachPart(response, maximum, (part) => parts.push(part));
  return new Uint8Array(Buffer.concat(parts));
}

/** Hands the parts of the body on as they come, up to `maximum` octets together. */
export async function forEachPart(
  response: RaResponse,
  maximum: number,
  take: (part: Uint8Array) => unknown,
): Promise<void> {
  let total = 0;
  const announced = Number(response.headers['content-length'] ?? 0);
  if (announced > maximum) tooLarge(response, maximum, announced);
  for await (const part of response.body) {
    total += part.length;
    if (total > maximum) tooLarge(response, maximum, total);
    await take(part);
  }
}

/**
 * Refuses any status but those that the interface has for success, and coded bodies, which we never ask for.
 *
 * @param service the one that answered, for what its HTTP 500 can mean
 * @throws EeError `refused`, `unexpected-response`
 */
export function expectStatus(
  response: RaResponse,
  expected: readonly number[],
  service?: RaService,
): void {
  const coding = response.headers['content-encoding'] ?? 'identity';
  if (expected.includes(response.status) && coding === 'identity') return;
  response.discard();
  if (isRefusal(response)) {
    const { message, refusal } = readRefusal(response, service);
    throw new EeError('refused', message, { refusal });
  }
  const seen = expected.includes(response.status)
    ? `content-encoding ${JSON.stringify(coding)}`
    : `HTTP ${response.status}`;
  throw new EeError('unexpected-response', `expected HTTP ${expected.join(' or ')}, saw ${seen}`);
}

function tooLarge(response: RaResponse, maximum: number, seen: number): never {
  response.discard();
  throw new EeError('too-large', `expected at most ${maximum} octets, saw ${seen}`);
}
