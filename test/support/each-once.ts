/** Whether a PCA has made each certificate once, by its own log, the devices' seeds, and what the devices hold. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { TestContext } from 'node:test';
import { decode } from '@chrysalis/coer';
import { cocoonPoints, Expansion } from '@chrysalis/crypto';
import { caterpillarKeysOf, type Fleet } from '@chrysalis/fleet';
import { Ieee1609Dot2Data, signedPayload } from '@chrysalis/ieee1609dot2';
import { ScmsPdu122 } from '@chrysalis/scms';
import { unzipSync } from 'fflate';
import type { Registration } from './fleet-at-rest.ts';
import { PCA_LOG, RA_DATABASE, type Supply } from './mortal-scms.ts';
import { openRaRows } from './ra-rows.ts';

/**
 * The PCA's own log is exactly one certificate for each key that the devices' seeds give for the periods that were filed,
 * and each was asked for by a request that the RA knows as that device's, and is what the device holds: whatever was cut off was
 * repeated, not made anew. The fleet keeps its zips.
 */
export async function expectEachOnce(
  t: TestContext,
  fleet: Fleet,
  registrations: readonly Registration[],
  {
    root,
    devices,
    weeks,
    perWeek,
    database = join(root, RA_DATABASE),
  }: Supply & { readonly root: string; readonly database?: string },
): Promise<void> {
  const log = new DatabaseSync(join(root, PCA_LOG), { readOnly: true });
  const issued = log
    .prepare('select cocoon_key, request_hash, certificate_id, answer from pca_answer')
    .all();
  log.close();
  t.diagnostic(`${issued.length} certificates in the log of the PCA`);
  const keys = issued.map(({ cocoon_key }) => hex(cocoon_key));
  assert.equal(new Set(keys).size, issued.length, 'no cocoon key under two certificates');
  assert.equal(new Set(issued.map((row) => hex(row.certificate_id))).size, issued.length);
  const expected = registrations.flatMap((registration) =>
    cocoonKeysOf(fleet, registration, perWeek),
  );
  assert(expected.length >= devices * weeks * perWeek);
  // Compared without assert's own difference of two long lists.
  const wanted = new Set(expected);
  const unknown = keys.filter((key) => !wanted.delete(key));
  assert.deepEqual(
    [unknown.length, wanted.size],
    [0, 0],
    'keys of nobody, keys without certificate',
  );

  const ra = await openRaRows(database);
  const tables = (await ra.indexTables()).map((name) => ra.all(`select hpcr from ${name}`));
  const known = (await Promise.all(tables)).flat();
  await ra.close();
  const asked = new Set(known.map(({ hpcr }) => hex(hpcr)));
  assert.equal(known.length, issued.length, 'as many requests as certificates');
  // The index has the first octets of each hash.
  const octets = (known[0]!.hpcr as Uint8Array).length;
  const strange = issued.filter(
    ({ request_hash }) => !asked.has(hex((request_hash as Uint8Array).subarray(0, octets))),
  );
  assert.equal(strange.length, 0, 'each answers a request of the RA');

  const answered = new Set(issued.map(({ answer }) => hex(certificateIn(answer as Uint8Array))));
  const held = await entriesOf(fleet, registrations, weeks);
  assert.equal(held.length, devices * weeks * perWeek);
  const others = held.filter((entry) => !answered.has(entry));
  assert.equal(others.length, 0, 'devices hold what the PCA wrote down, and nothing else');
}

/** B of each certificate, uncompressed, from the seed of the device alone. */
function cocoonKeysOf(
  fleet: Fleet,
  { device, firstI, lastI }: Registration,
  perWeek: number,
): string[] {
  const { verify } = caterpillarKeysOf(fleet.seed, device);
  const expansion = new Expansion(verify.expansion, 'signing');
  const periods = Array.from({ length: lastI - firstI + 1 }, (_, n) => firstI + n);
  return periods.flatMap((i) =>
    cocoonPoints(verify.seed.publicPoint, expansion, i, perWeek).map(hex),
  );
}

/** The SignedEncryptedCertificateResponse of a SecuredPcaRaCertificateRequestReply. */
function certificateIn(answer: Uint8Array): Uint8Array {
  const { content } = decode(Ieee1609Dot2Data, answer);
  assert(content.type === 'signedData');
  const pdu = decode(ScmsPdu122, signedPayload(content.value)).content;
  assert(pdu.type === 'pcaRa' && pdu.value.type === 'pcaRaCertResponse');
  const { reply } = pdu.value.value;
  assert(reply.type === 'success' && reply.value.type === 'signedEncrypted');
  return reply.value.value.octets;
}

/** The entries of all zips as the devices were given them. */
async function entriesOf(
  fleet: Fleet,
  registrations: readonly Registration[],
  weeks: number,
): Promise<string[]> {
  const entries: string[] = [];
  for (const { device, firstI } of registrations) {
    for (let i = firstI; i < firstI + weeks; i++) {
      const zip = await fleet.zip(device, i);
      assert(zip, `device ${device} holds its batch ${i}`);
      entries.push(...Object.values(unzipSync(zip)).map(hex));
    }
  }
  return entries;
}

function hex(octets: unknown): string {
  return Buffer.from(octets as Uint8Array).toString('hex');
}
