/** One of the processes of `chrysalis serve`: this is what runs there. See supervisor.ts. */
import { KeyCustody } from '@chrysalis/authorities/keys';
import { Secret } from '@chrysalis/crypto';
import { loadConfig } from './config.ts';
import { explanationOf } from './explanation.ts';
import { createLog } from './log.ts';
import { passphraseSource } from './passphrase.ts';
import { loadPipelineThread } from './pipeline-host.ts';
import { ProcessChannel } from './process-channel.ts';
import {
  type Ending,
  type ProcessBeginning,
  type ProcessOrder,
  type ProcessUrls,
  placeOfProcess,
} from './process-orders.ts';
import type { Serving } from './serve-settings.ts';
import { systemClockAndRandom } from './system-context.ts';

const channel = new ProcessChannel(process);
const resources = new AsyncDisposableStack();
/** What ends the service; closing what it stands on comes after it. */
let end: (how: Ending) => Promise<void> = async () => {};
let isEnding = false;

// A terminal tells all processes of it, and the supervisor tells us.
for (const signal of ['SIGINT', 'SIGHUP', 'SIGUSR2'] as const) process.on(signal, () => {});
process.on('SIGTERM', () => void endWith('leave'));
channel.on('begin', begin);
channel.on('end', endWith);

// Both load their code while the order is on its way.
const { thread: threadData } = placeOfProcess(process.env);
const thread = threadData && loadPipelineThread(threadData);
resources.defer(async () => void (await thread?.worker.terminate()));
const roles = import('./ra-roles.ts');

async function begin(order: ProcessOrder): Promise<ProcessBeginning> {
  try {
    return { type: 'begun', urls: await beginAs(order) };
  } catch (error) {
    await resources.disposeAsync().catch(() => {});
    const explanation = explanationOf(error);
    if (explanation !== undefined) return { type: 'refused', ...explanation };
    throw error;
  }
}

async function beginAs(order: ProcessOrder): Promise<ProcessUrls> {
  const { role, directory, logLevel, writer, processes, makesCertificates } = order;
  const config = await loadConfig(directory);
  const context = { ...systemClockAndRandom(), env: process.env, hasThreads: role === 'back' };
  const serving: Serving = {
    ...{ config, directory, logLevel, writer, processes, makesCertificates, resources },
    ...{ context, thread },
    followsFiles: role === 'front',
    keys: custodyOf(order),
    log: createLog(process.stderr, logLevel),
  };
  const { beginFront, beginBack } = await roles;
  const begun = await (role === 'front' ? beginFront : beginBack)(serving, channel);
  end = begun.end;
  return begun.urls;
}

function custodyOf({ directory, keys }: ProcessOrder): KeyCustody {
  const { passphrase: octets, scheme } = keys;
  const { random } = systemClockAndRandom();
  const given = passphraseSource({ env: process.env });
  const passphrase = octets === undefined ? given : async () => new Secret(octets);
  return new KeyCustody({
    directory,
    random,
    masters: keys.masters.map(({ kdf, key }) => ({ kdf, key: new Secret(key) })),
    ...(passphrase && { passphrase }),
    ...(scheme && { scheme }),
  });
}

async function endWith(how: Ending): Promise<void> {
  if (isEnding) return;
  isEnding = true;
  await end(how);
  await resources.disposeAsync();
  process.exit(0);
}
