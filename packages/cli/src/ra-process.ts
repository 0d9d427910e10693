/** One of the processes of `chrysalis serve`: this is what runs there. See supervisor.ts. */
import { KeyCustody } from '@chrysalis/authorities';
import { Secret } from '@chrysalis/crypto';
import { type PipelineHost, type Siblings, startRaBack, startRaFront } from '@chrysalis/ra';
import { loadConfig } from './config.ts';
import { serveCrls } from './crl-port.ts';
import { explanationOf } from './explanation.ts';
import { createLog } from './log.ts';
import { serveMaPort } from './ma-port.ts';
import { passphraseSource } from './passphrase.ts';
import { ProcessChannel } from './process-channel.ts';
import type {
  Ending,
  ProcessBeginning,
  ProcessOrder,
  ProcessUrls,
  SpentTry,
  Taken,
} from './process-orders.ts';
import { assemble, type Serving } from './serve-settings.ts';
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
  const serving: Serving = {
    ...{ config, directory, logLevel, writer, processes, makesCertificates, resources },
    followsFiles: role === 'front',
    context: { ...systemClockAndRandom(), env: process.env, hasThreads: role === 'back' },
    keys: custodyOf(order),
    log: createLog(process.stderr, logLevel),
  };
  return role === 'front' ? beginFront(serving) : beginBack(serving);
}

async function beginFront(serving: Serving): Promise<ProcessUrls> {
  const { settings, takeTls, takeIdentity } = await assemble(serving);
  // Before this one answers anybody, it may be told what the others have closed.
  const closed = new Set<number>();
  let told: Siblings | undefined;
  channel.on('close', async (deviceId: number) => {
    if (told === undefined) closed.add(deviceId);
    else await told.closeRegistration(deviceId);
  });
  channel.on('open', (deviceId: number) => {
    if (told === undefined) closed.delete(deviceId);
    else told.openRegistration(deviceId);
  });
  channel.on('failed', ({ enrollmentHash, service }: SpentTry) => {
    told?.countFailure(enrollmentHash, service);
  });
  const front = await startRaFront({ ...settings, pipeline: remotePipeline, siblings: others });
  told = front.told;
  for (const deviceId of closed) void told.closeRegistration(deviceId);
  const crl = await serveCrls(serving, settings);
  channel.on('wake', () => front.wake());
  channel.on('figures', () => front.figures());
  channel.on('take', async (what: Taken) =>
    (what === 'tls' ? takeTls : takeIdentity)(await loadConfig(serving.directory)),
  );
  end = async (how) => {
    await Promise.all([how === 'leave' ? front.leave() : front.close(), crl?.close()]);
  };
  return { url: front.url, ...(crl && { crlUrl: crl.url }) };
}

async function beginBack(serving: Serving): Promise<ProcessUrls> {
  const { config, directory } = serving;
  const { settings, takeTls, takeIdentity } = await assemble(serving);
  const back = await startRaBack(settings, () => channel.tell('files'));
  end = () => back.close();
  const maUrl = await serveMaPort(config, settings, back.blacklist, resources);
  channel.on('wake', () => back.wakePipeline());
  channel.on('figures', () => back.figures());
  channel.on('missing', () => back.missing());
  channel.on('take', async (what: Taken) => {
    if (what === 'tls') return takeTls(await loadConfig(directory));
    await takeIdentity(await loadConfig(directory));
    await back.renewed();
  });
  return maUrl === undefined ? {} : { maUrl };
}

/** The pipeline runs in another process, whose supervisor watches it. */
const remotePipeline: PipelineHost = {
  start: async () => {},
  wake: () => channel.tell('wake'),
  stop: async () => {},
};

const others: Siblings = {
  closeRegistration: (deviceId) => channel.ask('close', deviceId),
  openRegistration: (deviceId) => channel.tell('open', deviceId),
  countFailure(enrollmentHash, service) {
    const spent: SpentTry = { enrollmentHash, service };
    channel.tell('failed', spent);
  },
};

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
