/** `GET /download/batch`: the zip of a week, whole and the part that a broken download lacks, beside servers that answer as many octets. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemRandom } from '@chrysalis/crypto';
import { fileKey, zipBatch } from '@chrysalis/ra';
import { IPeriodClock } from '@chrysalis/scms';
import { openDirectoryObjectStore } from '@chrysalis/store';
import { type DownloadVariant, measureDownload } from './download-bench.ts';
import { signedRequests } from './download-load.ts';
import { inTurn, startReferences, targetsOf, warmUp } from './info.ts';
import { print, printHead } from './measurement.ts';
import { type KnownDevice, RaState, ServedRa } from './served-ra.ts';

const DEVICES = 400;
/** Twenty certificates, each in its envelope: about 10 kB with the directory of the zip. */
const PER_WEEK = 20;
const RESPONSE_OCTETS = 400;
const RANGE = { first: 5000, last: 7499 };
const TOGETHER = 8;
const NEW_CONNECTIONS = 400;
const KEPT_ALIVE = 1200;

export async function run(options: { readonly json: boolean }): Promise<void> {
  const parent = await mkdtemp(join(tmpdir(), 'chrysalis-batch-'));
  await using resources = new AsyncDisposableStack();
  resources.defer(() => rm(parent, { recursive: true }));
  const state = await RaState.make(parent);
  const devices = await state.registerKnown(DEVICES);
  const i = new IPeriodClock().at(devices[0]?.registeredAt ?? 0);
  const zip = await fileZips(state, devices, i);
  const served = await ServedRa.start(state);
  resources.defer(() => served.stop());
  await served.settled();
  printHead(options.json);
  for (const [octets, variants] of [
    [zip.length, wholeVariants(state, devices, i, zip.length)],
    [RANGE.last - RANGE.first + 1, rangeVariants(state, devices, i)],
  ] as const) {
    await using references = await startReferences(state, join(parent, `nginx-${octets}`), octets);
    const { ra, others } = targetsOf(state, served, references.servers);
    await warmUp(state, devices, ra, others, octets);
    for (const variant of variants) {
      print(await measureDownload('batch', ra, others, variant), options.json);
    }
  }
}

/** Files the same octets for each device; the RA looks at nothing but whether a zip is whole. */
async function fileZips(
  state: RaState,
  devices: readonly KnownDevice[],
  i: number,
): Promise<Uint8Array> {
  const responses = Array.from({ length: PER_WEEK }, () => systemRandom(RESPONSE_OCTETS));
  const zip = zipBatch(i, responses);
  const objects = await openDirectoryObjectStore(join(state.directory, 'ra/objects'));
  for (const { requestHash } of devices) {
    const owner = {
      kind: 'pseudonym' as const,
      request_hash: new Uint8Array(Buffer.from(requestHash, 'hex')),
      files_hash: null,
      first_start: 0,
      lifetime_sec: 0,
      period_sec: 0,
    };
    await objects.put(fileKey(owner, i, new IPeriodClock()), zip);
  }
  return zip;
}

function* wholeVariants(
  state: RaState,
  devices: readonly KnownDevice[],
  i: number,
  octets: number,
): Generator<DownloadVariant> {
  const next = inTurn(devices);
  const sign = (some: readonly KnownDevice[]) => signBatches(state, some, i);
  const answer = { status: 200, bodyOctets: octets, together: TOGETHER };
  yield {
    ...answer,
    variant: `new-connection, ${octets} octets`,
    use: 'new-connection',
    requests: () => sign(next(NEW_CONNECTIONS)),
    by: 'node:https',
  };
  yield {
    ...answer,
    variant: `keep-alive, ${octets} octets`,
    use: 'keep-alive',
    requests: () => sign(next(TOGETHER).flatMap((one) => Array(KEPT_ALIVE / TOGETHER).fill(one))),
    by: 'node:https',
  };
}

function* rangeVariants(
  state: RaState,
  devices: readonly KnownDevice[],
  i: number,
): Generator<DownloadVariant> {
  const next = inTurn(devices);
  const { first, last } = RANGE;
  yield {
    variant: `keep-alive, Range of ${last - first + 1} octets`,
    use: 'keep-alive',
    requests: () =>
      signBatches(
        state,
        next(TOGETHER).flatMap((one) => Array(KEPT_ALIVE / TOGETHER).fill(one)),
        i,
        { range: `bytes=${first}-${last}` },
      ),
    together: TOGETHER,
    status: 206,
    bodyOctets: last - first + 1,
    by: 'node:https',
  };
}

function signBatches(
  state: RaState,
  some: readonly KnownDevice[],
  i: number,
  headers: Readonly<Record<string, string>> = {},
): readonly string[] {
  const name = ({ requestHash }: KnownDevice) => `${requestHash}_${i.toString(16)}.zip`;
  return signedRequests(some, state.scms.ra.certificate, '/download/batch', name, headers);
}
