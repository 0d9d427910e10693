/** `chrysalis serve` in several processes. */
import { METRICS_TYPE, startOpsServer, textOfAll } from '@chrysalis/ra';
import { loadConfig } from './config.ts';
import type { CliContext } from './context.ts';
import { openKeysOf } from './open-custody.ts';
import type { KeyOctets, ProcessUrls } from './process-orders.ts';
import { filesOfIdentity, filesOfTls, RenewedFiles } from './renewed-files.ts';
import type { Serving } from './serve-settings.ts';
import { Supervisor } from './supervisor.ts';

/** Resolves when all of them serve; they are ended with `resources`. */
export async function serveInProcesses(
  serving: Omit<Serving, 'writer' | 'context'> & { readonly context: CliContext },
  processes: number,
): Promise<ProcessUrls & { readonly opsUrl?: string }> {
  const { config, directory, logLevel, context, keys, log, resources } = serving;
  const { makesCertificates = true } = serving;
  // Whoever is asked for a passphrase is asked once, here.
  await openKeysOf(config, directory, keys);
  const order = async () => ({
    ...{ directory, logLevel, processes, makesCertificates },
    keys: await keyOctetsOf(keys),
  });
  const supervisor = new Supervisor(processes, order, log);
  const ops =
    config.ops &&
    (await startOpsServer({
      port: config.ra.port === 0 ? 0 : config.ops.port,
      readiness: supervisor,
      metrics: {
        contentType: METRICS_TYPE,
        text: async () => textOfAll(await supervisor.figures()),
      },
      log,
    }));
  // Closed last: until everything has ended, operators see that it ends.
  if (ops) resources.defer(() => ops.close());
  resources.defer(() => supervisor.stop());
  const urls = await supervisor.start();
  const renewed = new RenewedFiles(directory, log);
  resources.defer(() => renewed.stop());
  await renewed.start(
    [
      { name: 'ra.tls-cert', files: filesOfTls, take: () => supervisor.take('tls') },
      { name: 'ra.certificate', files: filesOfIdentity, take: () => supervisor.take('identity') },
    ],
    config,
  );
  context.onRenewal?.(() => void renewed.takeAll());
  context.onReplacement?.(() => {
    loadConfig(directory).then(
      () => supervisor.replaceAll(),
      (error: unknown) => log.error({ err: error }, 'no process is replaced'),
    );
  });
  return { ...urls, ...(ops && { opsUrl: ops.url }) };
}

async function keyOctetsOf(keys: Serving['keys']): Promise<KeyOctets> {
  const masters = await keys.masters();
  return {
    masters: masters.map(({ kdf, key }) => ({ kdf, key: key.reveal() })),
    passphrase: (await keys.asked())?.reveal(),
    scheme: keys.scheme,
  };
}
