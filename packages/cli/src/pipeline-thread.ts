/** The pipeline in a thread of its own, so that devices keep theirs: this is what runs there. See pipeline-host.ts. */
import { once } from 'node:events';
import { getPriority, setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import type { MasterKey } from '@chrysalis/authorities';
import { Secret } from '@chrysalis/crypto';
import { FollowedPolicy, Pipeline } from '@chrysalis/ra';
import { openAudit } from './audit-parts.ts';
import { loadConfig } from './config.ts';
import { createLog } from './log.ts';
import { custodyOfMasters } from './open-custody.ts';
import type { PipelineThreadData, PipelineThreadMessage } from './pipeline-host.ts';
import { openRaParts } from './ra-parts.ts';
import { systemClockAndRandom } from './system-context.ts';

/** Devices go first: on Linux this is the priority of this thread alone. So much nicer than the others it is, up to the nicest. */
const NICER_BY = 10;
const NICEST = 19;
/** How often it is looked for a new policy when nobody says that there is one. */
const LOOK_MS = 60_000;

const port = parentPort;
if (port === null) throw new TypeError('expected to run in a thread');
const { directory, logLevel } = workerData as PipelineThreadData;
const log = createLog(process.stderr, logLevel);
const resources = new AsyncDisposableStack();

setPriority(0, Math.min(NICEST, getPriority(0) + NICER_BY));
// What comes before there is a pipeline is kept: whoever stops a thread waits for its end.
const early: PipelineThreadMessage[] = [];
const keep = (message: PipelineThreadMessage) => void early.push(message);
port.on('message', keep);
await once(port, 'message');
const first = early.shift();
if (typeof first !== 'object') throw new TypeError('expected the keys first');
const keys = custodyOfMasters(directory, mastersOf(first));
const config = await loadConfig(directory);
const surroundings = { ...systemClockAndRandom(), log, keys, env: process.env };
const parts = await openRaParts(config, directory, surroundings, resources);
const audit = await openAudit(config, 'pipeline', parts, resources);
const policy = new FollowedPolicy(parts, parts.ownPolicy);
await policy.look();
const pipeline = new Pipeline({ ...parts, ...(audit && { audit }), policy: policy.policy });
const timer = setInterval(() => void wake(), LOOK_MS);

await pipeline.start();
port.postMessage('started');
port.off('message', keep);
port.on('message', obey);
early.forEach(obey);

function obey(message: PipelineThreadMessage): void {
  if (message === 'stop') void stop();
  else if (message === 'wake') void wake();
  else void renew(message);
}

async function wake(): Promise<void> {
  try {
    await policy.look();
  } catch (error) {
    log.error({ err: error }, 'no look at the policy');
  }
  pipeline.wake();
}

/** As the one that answers devices has done. */
async function renew(message: Exclude<PipelineThreadMessage, string>): Promise<void> {
  try {
    keys.learn(mastersOf(message));
    await parts.renewIdentity(await loadConfig(directory));
  } catch (error) {
    log.error({ err: error }, 'the pipeline goes on with the former certificate of the RA');
  }
}

function mastersOf({ masters }: Exclude<PipelineThreadMessage, string>): MasterKey[] {
  return masters.map(({ kdf, key }) => ({ kdf, key: new Secret(key) }));
}

async function stop(): Promise<void> {
  clearInterval(timer);
  await pipeline.stop();
  await resources.disposeAsync();
  // Nothing holds the thread any more: it ends when its last lines are written.
  port?.close();
}
