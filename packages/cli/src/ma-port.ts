/** The port of an RA for its MA (ma-ra.asn): mutual TLS, and nothing else behind it. */
import { readFile } from 'node:fs/promises';
import { servicesOf, startAuthorityServer } from '@chrysalis/authorities';
import { readCertificateFile } from '@chrysalis/authorities/keys';
import {
  asCertificate,
  Ieee1609Dot2Error,
  type TrustStore,
  type VerifiedCertificate,
} from '@chrysalis/ieee1609dot2';
import {
  type Blacklist,
  EnquiryRefused,
  MisbehaviorEnquiries,
  type RaSettings,
} from '@chrysalis/ra';
import { hostnameOf } from '@chrysalis/scms';
import type { ChrysalisConfig } from './config.ts';
import { CliError } from './context.ts';

/** The keys of `[ma-port]`. */
export type MaPortConfig = NonNullable<ChrysalisConfig['maPort']>;

/**
 * Starts it, when it is configured; what is started is closed with `resources`.
 *
 * @returns its URL
 * @throws CliError, AuthorityError; Error of the system when the port is taken
 */
export async function serveMaPort(
  { ra, maPort }: Pick<ChrysalisConfig, 'ra' | 'maPort'>,
  settings: RaSettings,
  blacklist: Blacklist,
  resources: AsyncDisposableStack,
): Promise<string | undefined> {
  if (maPort === undefined) return undefined;
  const { log, trust } = settings;
  const ma = await trustedFile(trust, 'ma-port.certificate', maPort.certificate);
  if (hostnameOf(ma) === undefined) {
    throw new CliError(`ma-port.certificate: ${maPort.certificate}: expected the MA's host name`);
  }
  const auditors = maPort.auditors.map((file) => trustedFile(trust, 'ma-port.auditors', file));
  const enquiries = new MisbehaviorEnquiries(
    {
      ...settings,
      ma,
      countersignatures: {
        required: maPort.countersignatures,
        auditors: await Promise.all(auditors),
      },
      generationTime: maPort.generationTime,
      toleranceSec: maPort.ttlSec,
      maxEntries: maPort.maxEntries,
      requestsPerHour: maPort.requestsPerHour,
    },
    blacklist,
  );
  const server = await startAuthorityServer({
    services: servicesOf.registrationAuthority(enquiries),
    // A test RA that takes any free port takes any free one here.
    listen: { address: maPort.listen, port: ra.port === 0 ? 0 : maPort.port },
    tls: {
      certificatePem: settings.tls.certificatePem,
      privateKeyPem: settings.tls.privateKeyPem,
      clientCaPem: await readFile(maPort.tlsCa, 'utf8'),
    },
    clientNames: maPort.clients,
    onRefusal: (problem) => log.warn({ problem }, 'the port of the MA refused'),
    onFault: (err) => {
      // Said already, with what was wrong.
      if (!(err instanceof EnquiryRefused)) log.error({ err }, 'the port of the MA failed');
    },
  });
  resources.defer(() => server.close());
  settings.tls.follow?.((next) => () => server.replaceTls(next));
  log.info({ url: server.url }, 'the port of the MA is open');
  return server.url;
}

async function trustedFile(
  trust: TrustStore,
  key: string,
  file: string,
): Promise<VerifiedCertificate> {
  try {
    return trust.add(asCertificate(await readCertificateFile(file)));
  } catch (cause) {
    if (!(cause instanceof Ieee1609Dot2Error)) throw cause;
    throw new CliError(`${key}: ${file}: ${cause.message}`, { cause });
  }
}
