/** What an RA has in its database when nothing is left to do. */
import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';
import type { Fleet } from '@chrysalis/fleet';
import { openRaRows, type RaRows } from './ra-rows.ts';

/** An authority that is back is noticed within a minute. */
const REST_MS = 180_000;

/**
 * Waits until the RA has nothing more to do: no request, no response, no batch in the making.
 *
 * @param place of its database: a URL or a path
 */
export async function comeToRest(place: string): Promise<void> {
  const rows = await openRaRows(place);
  try {
    const deadline = Date.now() + REST_MS;
    for (;;) {
      const rest = await restOf(rows);
      if (Object.values(rest).every((count) => count === 0)) return;
      if (Date.now() > deadline) assert.fail(`expected nothing more to do, saw ${show(rest)}`);
      await setTimeout(200);
    }
  } finally {
    await rows.close();
  }
}

async function restOf(rows: RaRows): Promise<Record<string, number>> {
  return {
    requests: await rows.count('pca_request'),
    responses: await rows.count('response'),
    batches: await rows.count('batch'),
    filedBeyondGaps: await rows.count('filed'),
    unfinished: await rows.count('device where filed_through < expanded_through'),
  };
}

export interface Registration {
  readonly device: number;
  readonly firstI: number;
  /** The last period that the RA has filed: a week may begin while the test runs. */
  readonly lastI: number;
}

/** Each device has one registration, the one that was acknowledged, and nothing waits to be done. */
export async function expectRegistrations(
  fleet: Fleet,
  place: string,
  devices: number,
): Promise<Registration[]> {
  const database = await openRaRows(place);
  const idle = await restOf(database);
  const rows = await database.all(
    'select request_hash, status, failures, first_i, filed_through from device',
  );
  await database.close();
  assert.deepEqual(new Set(Object.values(idle)), new Set([0]), show(idle));
  assert.equal(rows.length, devices);
  const byHash = new Map(rows.map((row) => [hex(row.request_hash), row]));
  const registrations: Registration[] = [];
  for (let device = 0; device < devices; device++) {
    const state = await (await fleet.profile(device)).provisioning('pseudonym');
    assert(state?.acknowledged, `device ${device} was acknowledged`);
    const row = byHash.get(hex(state.acknowledged.requestHash));
    assert(row, `device ${device} is registered as it was acknowledged`);
    assert.deepEqual([row.status, row.failures], ['active', 0]);
    registrations.push({
      device,
      firstI: Number(row.first_i),
      lastI: Number(row.filed_through),
    });
  }
  return registrations;
}

function hex(octets: unknown): string {
  return Buffer.from(octets as Uint8Array).toString('hex');
}

function show(value: object): string {
  return JSON.stringify(value);
}
