/** The CRL store on its own port: anybody may fetch from it, devices do. */
import type { RaSettings } from '@chrysalis/ra';
import { startCrlStore } from '@chrysalis/ra/server';
import { openCrlg } from './in-process.ts';
import type { Serving } from './serve-settings.ts';

/** One that is open. */
export interface CrlPort {
  readonly url: string;
  close(): Promise<void>;
}

/** Undefined when the configuration has none. What stands behind it is closed with `resources`. */
export async function serveCrls(
  { config, directory, context, keys, resources }: Serving,
  settings: RaSettings,
): Promise<CrlPort | undefined> {
  if (config.crl === undefined) return undefined;
  const { clock } = context;
  const crlg = await openCrlg({ directory, clock, keys, iPeriod: settings.iPeriod });
  resources.defer(() => crlg.close());
  const port = config.ra.port === 0 ? 0 : config.crl.port;
  const listen = { ...settings.listen, port };
  const store = await startCrlStore({ ...settings, listen, newest: () => crlg.newest() });
  return { url: `https://${config.ra.host}:${store.port}`, close: () => store.close() };
}
