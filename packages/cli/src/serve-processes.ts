/** `chrysalis serve` in several processes. */
import type { KeyCustody } from '@chrysalis/authorities/keys';
import type { OpsServer } from '@chrysalis/ra/operations';
import { loadConfig } from './config.ts';
import { openKeysOf, openServedKeys } from './open-custody.ts';
import { hasPipelineThread } from './pipeline-host.ts';
import type { KeyOctets, ServedUrls } from './process-orders.ts';
import { filesOfIdentity, filesOfTls, RenewedFiles } from './renewed-files.ts';
import type { ServeOrder } from './serve-settings.ts';
import { Supervisor } from './supervisor.ts';

/** Resolves when all of them serve; they are ended with `resources`. */
export async function serveInProcesses(order: ServeOrder, processes: number): Promise<ServedUrls> {
  const { config, directory, logLevel, makesCertificates, context, log, resources } = order;
  const thread =
    makesCertificates && hasPipelineThread(config, context) ? { directory, logLevel } : undefined;
  const supervisor = new Supervisor(processes, log, thread);
  let ops: OpsServer | undefined;
  // Closed last: until everything has ended, operators see that it ends.
  resources.defer(async () => void (await ops?.close()));
  resources.defer(() => supervisor.stop());
  supervisor.load();
  // While they load their code.
  const { METRICS_TYPE, startOpsServer, textOfAll } = await import('@chrysalis/ra/operations');
  const keys = await openServedKeys(order);
  // Whoever is asked for a passphrase is asked once, here.
  await openKeysOf(config, directory, keys);
  if (config.ops) {
    ops = await startOpsServer({
      port: config.ra.port === 0 ? 0 : config.ops.port,
      readiness: supervisor,
      metrics: {
        contentType: METRICS_TYPE,
        text: async () => textOfAll(await supervisor.figures()),
      },
      log,
    });
  }
  const urls = await supervisor.start(async () => ({
    ...{ directory, logLevel, processes, makesCertificates },
    keys: await keyOctetsOf(keys),
  }));
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

async function keyOctetsOf(keys: KeyCustody): Promise<KeyOctets> {
  const masters = await keys.masters();
  return {
    masters: masters.map(({ kdf, key }) => ({ kdf, key: key.reveal() })),
    passphrase: (await keys.asked())?.reveal(),
    scheme: keys.scheme,
  };
}
