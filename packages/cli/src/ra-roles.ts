/** What one of the processes of an RA may be: a front or the back. */
import type { PipelineHost, Siblings } from '@chrysalis/ra';
import { startRaBack, startRaFront } from '@chrysalis/ra/server';
import { loadConfig } from './config.ts';
import { serveCrls } from './crl-port.ts';
import { serveMaPort } from './ma-port.ts';
import type { ProcessChannel } from './process-channel.ts';
import type { Ending, ProcessUrls, SpentTry, Taken } from './process-orders.ts';
import { assemble, type Serving } from './serve-settings.ts';

/** One that serves. */
interface Begun {
  readonly urls: ProcessUrls;
  /** Ends the service; closing what it stands on comes after it. */
  readonly end: (how: Ending) => Promise<void>;
}

/** Answers devices. */
export async function beginFront(serving: Serving, channel: ProcessChannel): Promise<Begun> {
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
  const front = await startRaFront({
    ...settings,
    pipeline: remotePipeline(channel),
    siblings: othersOn(channel),
  });
  told = front.told;
  for (const deviceId of closed) void told.closeRegistration(deviceId);
  const crl = await orClosed(front, () => serveCrls(serving, settings));
  channel.on('wake', () => front.wake());
  channel.on('figures', () => front.figures());
  channel.on('take', async (what: Taken) =>
    (what === 'tls' ? takeTls : takeIdentity)(await loadConfig(serving.directory)),
  );
  return {
    urls: { url: front.url, ...(crl && { crlUrl: crl.url }) },
    async end(how) {
      await Promise.all([how === 'leave' ? front.leave() : front.close(), crl?.close()]);
    },
  };
}

/** Does, once, what devices do not wait for. */
export async function beginBack(serving: Serving, channel: ProcessChannel): Promise<Begun> {
  const { config, directory, resources } = serving;
  const { settings, takeTls, takeIdentity } = await assemble(serving);
  const back = await startRaBack(settings, () => channel.tell('files'));
  const maUrl = await orClosed(back, () =>
    serveMaPort(config, settings, back.blacklist, resources),
  );
  channel.on('wake', () => back.wakePipeline());
  channel.on('figures', () => back.figures());
  channel.on('missing', () => back.missing());
  channel.on('take', async (what: Taken) => {
    if (what === 'tls') return takeTls(await loadConfig(directory));
    await takeIdentity(await loadConfig(directory));
    await back.renewed();
  });
  return { urls: maUrl === undefined ? {} : { maUrl }, end: () => back.close() };
}

/** What serves already is closed before what it stands on when the next port does not open. */
async function orClosed<T>(
  { close }: { readonly close: () => Promise<void> },
  open: () => Promise<T>,
): Promise<T> {
  try {
    return await open();
  } catch (error) {
    await close();
    throw error;
  }
}

/** The pipeline runs in another process, whose supervisor watches it. */
function remotePipeline(channel: ProcessChannel): PipelineHost {
  return {
    start: async () => {},
    wake: () => channel.tell('wake'),
    stop: async () => {},
  };
}

function othersOn(channel: ProcessChannel): Siblings {
  return {
    closeRegistration: (deviceId) => channel.ask('close', deviceId),
    openRegistration: (deviceId) => channel.tell('open', deviceId),
    countFailure(enrollmentHash, service) {
      const spent: SpentTry = { enrollmentHash, service };
      channel.tell('failed', spent);
    },
  };
}
