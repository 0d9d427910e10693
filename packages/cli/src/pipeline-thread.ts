/** The pipeline in a thread of its own, so that devices keep theirs: this is what runs there. See pipeline-host.ts. */
import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { FollowedPolicy, Pipeline } from '@chrysalis/ra';
import { loadConfig } from './config.ts';
import { createLog } from './log.ts';
import type { PipelineThreadData, PipelineThreadMessage } from './pipeline-host.ts';
import { openRaParts } from './ra-parts.ts';
import { systemClockAndRandom } from './system-context.ts';

/** Devices go first: on Linux this is the priority of this thread alone. */
const NICENESS = 10;
/** How often it is looked for a new policy when nobody says that there is one. */
const LOOK_MS = 60_000;

const port = parentPort;
if (port === null) throw new TypeError('expected to run in a thread');
const { directory, logLevel } = workerData as PipelineThreadData;
const log = createLog(process.stderr, logLevel);
const resources = new AsyncDisposableStack();

setPriority(0, NICENESS);
const config = await loadConfig(directory);
const parts = await openRaParts(config, directory, { ...systemClockAndRandom(), log }, resources);
const policy = new FollowedPolicy(parts, parts.ownPolicy);
await policy.look();
const pipeline = new Pipeline({ ...parts, policy: policy.policy });
const timer = setInterval(() => void wake(), LOOK_MS);

port.on('message', (message: PipelineThreadMessage) => {
  if (message === 'stop') void stop();
  else void wake();
});
await pipeline.start();
port.postMessage('started');

async function wake(): Promise<void> {
  try {
    await policy.look();
  } catch (error) {
    log.error({ err: error }, 'no look at the policy');
  }
  pipeline.wake();
}

async function stop(): Promise<void> {
  clearInterval(timer);
  await pipeline.stop();
  await resources.disposeAsync();
  // Nothing holds the thread any more: it ends when its last lines are written.
  port?.close();
}
