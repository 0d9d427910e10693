import type { AddressInfo } from 'node:net';
import { Authenticator } from './authenticate.ts';
import { Blacklist } from './blacklist.ts';
import { DeviceRegistry } from './device-registry.ts';
import { Door } from './door.ts';
import { Downloads } from './download.ts';
import { createHttpServer } from './http-server.ts';
import { LocalFiles } from './local-files.ts';
import type { RaOptions } from './options.ts';
import { Pipeline } from './pipeline.ts';
import { Provisioning } from './provision.ts';

/** A Registration Authority that is running. */
export interface RegistrationAuthority {
  /** `https://<host>:<port>`, with the port that is really listened on. */
  readonly url: string;
  readonly port: number;
  readonly blacklist: Blacklist;
  /** Lets the RA look again what is due: for whoever has stepped the clock. */
  wake(): void;
  /** Answers what has arrived, ends the pipeline after its step, and listens no more. The caller closes the stores. */
  close(): Promise<void>;
}

/** Starts an RA: its pipeline goes on where the last one stopped, and its port answers when the promise resolves. */
export async function startRegistrationAuthority(
  options: RaOptions,
): Promise<RegistrationAuthority> {
  const blacklist = new Blacklist(options.database);
  const registry = new DeviceRegistry(options.database);
  const authenticator = new Authenticator(options, blacklist, registry);
  const pipeline = new Pipeline(options);
  const files = new LocalFiles(options);
  const door = new Door(options.errorDetail, options.log);
  let port = options.listen.port;
  const publicUrl = () => options.publicUrl ?? `https://${options.identity.hostname}:${port}`;

  const app = createHttpServer(
    options,
    {
      provisioning: new Provisioning(options, authenticator, registry, {
        publicUrl,
        wakePipeline: () => pipeline.wake(),
      }),
      downloads: new Downloads(options, authenticator),
      files,
      raCertificate: options.identity.certificate.octets,
    },
    door,
  );
  await files.start();
  await app.listen({ host: options.listen.address, port });
  port = (app.server.address() as AddressInfo).port;
  pipeline.start();
  options.log.info({ url: publicUrl() }, 'registration authority started');
  return {
    url: publicUrl(),
    port,
    blacklist,
    wake() {
      pipeline.wake();
      void files.wake();
    },
    async close() {
      await app.close();
      await files.stop();
      await pipeline.stop();
    },
  };
}
