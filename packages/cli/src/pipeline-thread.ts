/** The pipeline in a thread of its own, so that devices keep theirs: this is what runs there. See pipeline-host.ts. */
import { once } from 'node:events';
import { getPriority, setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import type { MasterKey } from '@chrysalis/authorities/keys';
import { Secret } from '@chrysalis/crypto';
import { loadConfig } from './config.ts';
import { explanationOf } from './explanation.ts';
import { createLog } from './log.ts';
import { custodyOfMasters } from './open-custody.ts';
import { openPipeline } from './open-pipeline.ts';
import type {
  PipelineThreadAnswer,
  PipelineThreadData,
  PipelineThreadMessage,
} from './pipeline-host.ts';
import { systemClockAndRandom } from './system-context.ts';

/** Devices go first: on Linux this is the priority of this thread alone. So much nicer than the others it is, up to the nicest. */
const NICER_BY = 10;
const NICEST = 19;

const port = parentPort;
if (port === null) throw new TypeError('expected to run in a thread');
const { directory, logLevel, isLate = false } = workerData as PipelineThreadData;
const log = createLog(process.stderr, logLevel);
const resources = new AsyncDisposableStack();

if (isLate) yieldToDevices();
// What comes before there is a pipeline is kept: whoever stops a thread waits for its end.
const early: PipelineThreadMessage[] = [];
const keep = (message: PipelineThreadMessage) => void early.push(message);
port.on('message', keep);
await once(port, 'message');
const first = early.shift();
if (typeof first !== 'object') throw new TypeError('expected the keys first');
const keys = custodyOfMasters(directory, mastersOf(first));
const { pipeline, renew, stop } = await open().catch(giveUp);
await pipeline.start();
// The first is waited for by all.
if (!isLate) yieldToDevices();
answer('started');
port.off('message', keep);
port.on('message', obey);
early.forEach(obey);

function yieldToDevices(): void {
  setPriority(0, Math.min(NICEST, getPriority(0) + NICER_BY));
}

async function open() {
  const config = await loadConfig(directory);
  const surroundings = { ...systemClockAndRandom(), log, keys, env: process.env };
  return openPipeline({ config, directory, surroundings, writer: 'pipeline' }, resources);
}

/** What can be explained is told: an error that is thrown out of a thread arrives as one of no class. @throws the others */
function giveUp(error: unknown): never {
  const explanation = explanationOf(error);
  if (explanation === undefined) throw error;
  answer(explanation);
  process.exit();
}

function answer(message: PipelineThreadAnswer): void {
  port?.postMessage(message);
}

function obey(message: PipelineThreadMessage): void {
  if (message === 'stop') void end();
  else if (message === 'wake') pipeline.wake();
  else void take(message);
}

/** As the one that answers devices has done. */
async function take(message: Exclude<PipelineThreadMessage, string>): Promise<void> {
  try {
    keys.learn(mastersOf(message));
    await renew(await loadConfig(directory));
  } catch (error) {
    log.error({ err: error }, 'the pipeline goes on with the former certificate of the RA');
  }
}

function mastersOf({ masters }: Exclude<PipelineThreadMessage, string>): MasterKey[] {
  return masters.map(({ kdf, key }) => ({ kdf, key: new Secret(key) }));
}

async function end(): Promise<void> {
  await stop();
  await resources.disposeAsync();
  // Nothing holds the thread any more: it ends when its last lines are written.
  port?.close();
}
