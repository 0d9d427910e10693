/** `chrysalis serve` in one process. */
import { startRegistrationAuthority } from '@chrysalis/ra/server';
import type { ChrysalisConfig } from './config.ts';
import { serveCrls } from './crl-port.ts';
import { serveMaPort } from './ma-port.ts';
import type { ServedUrls } from './process-orders.ts';
import { filesOfIdentity, filesOfTls, RenewedFiles } from './renewed-files.ts';
import { assemble, type ServeOrder, type Serving } from './serve-settings.ts';

/** All of it in this process; the pipeline in a thread. */
export async function serveAlone(
  serving: ServeOrder & Pick<Serving, 'keys' | 'thread'>,
): Promise<ServedUrls> {
  const { config, directory, context, log, resources } = serving;
  const whole = { ...serving, writer: 'server' as const };
  const { settings, takeTls, takeIdentity } = await assemble(whole);
  const ra = await startRegistrationAuthority(settings);
  resources.defer(() => ra.close());
  const { signal, clockSteps, onRenewal, onReplacement } = context;
  const crl = await serveCrls(whole, settings);
  if (crl) resources.defer(() => crl.close());
  const maUrl = await serveMaPort(config, settings, ra.blacklist, resources);
  const renewed = new RenewedFiles(directory, log);
  resources.defer(() => renewed.stop());
  const take = async (now: ChrysalisConfig) => {
    await takeIdentity(now);
    await ra.renewed();
  };
  await renewed.start(
    [
      { name: 'ra.tls-cert', files: filesOfTls, take: takeTls },
      { name: 'ra.certificate', files: filesOfIdentity, take },
    ],
    config,
  );
  clockSteps?.addEventListener(
    'step',
    () => {
      ra.wake();
      void renewed.look();
    },
    { signal },
  );
  onRenewal?.(() => void renewed.takeAll());
  onReplacement?.(() => {
    log.warn({}, 'no process is replaced: expected ra.processes of 2 or more, saw 1');
  });
  const { url, opsUrl } = ra;
  return {
    url,
    ...(crl && { crlUrl: crl.url }),
    ...(maUrl !== undefined && { maUrl }),
    ...(opsUrl !== undefined && { opsUrl }),
  };
}
