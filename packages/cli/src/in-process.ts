/** PG, MA and CRLG of a test SCMS inside `serve`, on the keys of the state directory. */
import { join } from 'node:path';
import {
  authorityDirectory,
  type CrlLog,
  createCrlGenerator,
  createPolicyGenerator,
  openCrlLog,
  openMisbehaviorAuthority,
  readAuthority,
  readFormerCertificates,
  readFormerRecipients,
} from '@chrysalis/authorities';
import { type KeyCustody, readCertificateFile } from '@chrysalis/authorities/keys';
import { sha256 } from '@chrysalis/crypto';
import {
  asCertificate,
  endOfValidity,
  type Time32,
  type TrustStore,
} from '@chrysalis/ieee1609dot2';
import type { Log, ReportSink } from '@chrysalis/ra';
import {
  type ChainFileParts,
  type Clock,
  composeGlobalChainFile,
  formatHex,
  type IPeriodClock,
  type PolicyGenerator,
  timeOf,
} from '@chrysalis/scms';
import { readChainState, readPolicyState, writeChainState } from './pg-state.ts';

export interface InProcessOptions {
  readonly directory: string;
  readonly trust: TrustStore;
  readonly clock: Clock;
  readonly log: Log;
  /** Opens what is encrypted; nothing when missing. */
  readonly keys?: KeyCustody;
}

/** Everything in authorities/ that a device or an RA may have to verify, as CAMP's proof of concept has it in the GCCF. */
const IN_CHAIN_FILE = ['root', 'ica', 'pca', 'eca', 'pg', 'crlg', 'la1', 'la2'] as const;

/** A PG that can be told that certificates for its chain file have changed. */
export interface InProcessPolicyGenerator extends PolicyGenerator {
  /** Resolves when they were read again: the chain file has another version when one of them differs. */
  readCertificates(): Promise<void>;
}

/** The PG. It reads its policy whenever it is asked, so that `policy set` counts without a restart. */
export async function openPolicyGenerator(
  options: InProcessOptions,
): Promise<InProcessPolicyGenerator> {
  const { directory, trust, clock, log, keys } = options;
  const pg = await readAuthority(authorityDirectory(directory, 'pg'), 'signing only', keys);
  let chain = await chainParts(directory, timeOf(clock));
  let gccfVersion = await chainVersion(directory, chain);
  let made: { readonly version: number; readonly port: PolicyGenerator } | undefined;
  const current = async (): Promise<PolicyGenerator> => {
    const { version, policy } = await readPolicyState(directory);
    if (made?.version === version) return made.port;
    const onRefusal = (error: unknown, problem: string) => {
      log.warn({ error, problem }, 'the PG did not sign a policy');
    };
    const whole = { pg, trust, clock, gpfVersion: version, gccfVersion, policy, chain, onRefusal };
    made = { version, port: createPolicyGenerator(whole) };
    return made.port;
  };
  return {
    async readCertificates() {
      const next = await chainParts(directory, timeOf(clock));
      gccfVersion = await chainVersion(directory, next);
      chain = next;
      made = undefined;
    },
    globalPolicyFile: async () => (await current()).globalPolicyFile(),
    globalCertificateChainFile: async () => (await current()).globalCertificateChainFile(),
    signPolicy: async (request) => (await current()).signPolicy(request),
  };
}

/** The MA. What is opened is closed with `resources`. */
export async function openReportSink(
  { directory, trust, clock, log, keys }: InProcessOptions,
  resources: AsyncDisposableStack,
): Promise<ReportSink> {
  const path = authorityDirectory(directory, 'ma');
  const ma = await readAuthority(path, 'with encryption', keys);
  const former = await readFormerRecipients(path, keys);
  const port = await openMisbehaviorAuthority({
    ma,
    former,
    trust,
    clock,
    databaseUrl: `sqlite:${join(path, 'ma.db')}`,
    onRefusal: ({ code, message }) => {
      log.warn({ code, problem: message }, 'the MA could not read a report');
    },
  });
  resources.defer(() => port.close());
  const before = former.map(({ certificate }) => certificate);
  return { port, certificate: ma.certificate, former: before };
}

/** Where the CRLG keeps what is revoked, and the CRLs that say so. */
export async function openCrlg({
  directory,
  clock,
  keys,
  iPeriod,
}: Pick<InProcessOptions, 'directory' | 'clock' | 'keys'> & {
  readonly iPeriod: IPeriodClock;
}): Promise<CrlLog> {
  const path = authorityDirectory(directory, 'crlg');
  const crlg = await readAuthority(path, 'signing only', keys);
  const root = await readAuthority(authorityDirectory(directory, 'root'), 'signing only', keys);
  const generator = createCrlGenerator({ crlg, root, clock, iPeriods: iPeriod });
  return openCrlLog({ databaseUrl: `sqlite:${join(path, 'crlg.db')}`, generator, clock });
}

/**
 * After each present certificate those before it that are not over yet. Neither of RA nor MA: devices seal to the present ones
 * only, and nothing that a former one signed is verified anew.
 */
async function chainParts(directory: string, now: Time32): Promise<ChainFileParts> {
  const certs = await Promise.all(
    IN_CHAIN_FILE.map(async (name) => [
      await certificateOf(directory, name),
      ...(await readFormerCertificates(authorityDirectory(directory, name)))
        .filter(({ certificate }) => endOfValidity(certificate.toBeSigned.validityPeriod) > now)
        .map(asCertificate),
    ]),
  );
  return {
    maCertificate: await certificateOf(directory, 'ma'),
    certs: [...certs.flat(), await certificateOf(directory, 'ra')],
  };
}

/** The next version when a certificate has changed since the last start. */
async function chainVersion(directory: string, chain: ChainFileParts): Promise<number> {
  const digest = formatHex(sha256(composeGlobalChainFile(0, chain)));
  const last = await readChainState(directory);
  if (last?.digest === digest) return last.version;
  const version = (last?.version ?? 0) + 1;
  await writeChainState(directory, { version, digest });
  return version;
}

async function certificateOf(
  directory: string,
  name: Parameters<typeof authorityDirectory>[1],
): Promise<ReturnType<typeof asCertificate>> {
  const file = join(authorityDirectory(directory, name), 'certificate.oer');
  return asCertificate(await readCertificateFile(file));
}
