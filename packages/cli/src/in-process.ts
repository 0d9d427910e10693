/** PG, MA and CRLG of a test SCMS inside `serve`, on the keys of the state directory. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  authorityDirectory,
  createCrlGenerator,
  createPolicyGenerator,
  openMisbehaviorAuthority,
  readAuthority,
  readCertificateFile,
} from '@chrysalis/authorities';
import { sha256 } from '@chrysalis/crypto';
import { asCertificate, type TrustStore } from '@chrysalis/ieee1609dot2';
import type { Log, ReportSink } from '@chrysalis/ra';
import {
  type ChainFileParts,
  type Clock,
  composeGlobalChainFile,
  formatHex,
  type PolicyGenerator,
  timeOf,
} from '@chrysalis/scms';
import { writeFileDurably } from '@chrysalis/store';
import { continuedRevocations, issueDateOf } from './crl-carry.ts';
import { readChainState, readPolicyState, writeChainState } from './pg-state.ts';

export interface InProcessOptions {
  readonly directory: string;
  readonly trust: TrustStore;
  readonly clock: Clock;
  readonly log: Log;
}

/** Everything in authorities/ that a device or an RA may have to verify, as CAMP's proof of concept has it in the GCCF. */
const IN_CHAIN_FILE = ['root', 'ica', 'pca', 'eca', 'pg', 'crlg', 'la1', 'la2'] as const;
/** A CRL is good for a week: one that is made each day is never overdue at a device that looks in now and then. */
const CRL_RENEWAL_SEC = 86_400;
const PUBLIC_FILE_MODE = 0o644;

/** The PG. It reads its policy whenever it is asked, so that `policy set` counts without a restart. */
export async function openPolicyGenerator(options: InProcessOptions): Promise<PolicyGenerator> {
  const { directory, trust, clock, log } = options;
  const pg = await readAuthority(authorityDirectory(directory, 'pg'));
  const chain = await chainParts(directory);
  const gccfVersion = await chainVersion(directory, chain);
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
    globalPolicyFile: async () => (await current()).globalPolicyFile(),
    globalCertificateChainFile: async () => (await current()).globalCertificateChainFile(),
    signPolicy: async (request) => (await current()).signPolicy(request),
  };
}

/** The MA. What is opened is closed with `resources`. */
export async function openReportSink(
  { directory, trust, clock, log }: InProcessOptions,
  resources: AsyncDisposableStack,
): Promise<ReportSink> {
  const path = authorityDirectory(directory, 'ma');
  const ma = await readAuthority(path, 'with encryption');
  const port = await openMisbehaviorAuthority({
    ma,
    trust,
    clock,
    databaseUrl: `sqlite:${join(path, 'ma.db')}`,
    onRefusal: ({ code, message }) => {
      log.warn({ code, problem: message }, 'the MA could not read a report');
    },
  });
  resources.defer(() => port.close());
  return { port, certificate: ma.certificate };
}

/** What the CRLG has signed last, in authorities/crlg/crl.oer; it makes another each day, with the same entries. */
export async function openCrlSource({
  directory,
  clock,
}: InProcessOptions): Promise<() => Promise<Uint8Array>> {
  const path = authorityDirectory(directory, 'crlg');
  const crlg = await readAuthority(path);
  const root = await readAuthority(authorityDirectory(directory, 'root'));
  const generator = createCrlGenerator({ crlg, root, clock });
  const file = join(path, 'crl.oer');
  const newest = async (): Promise<Uint8Array> => {
    const last = await readIfThere(file);
    const now = timeOf(clock);
    if (last && now < issueDateOf(last) + CRL_RENEWAL_SEC) return last;
    const next = generator.issue(last ? continuedRevocations(last) : [], last);
    await writeFileDurably(file, next, PUBLIC_FILE_MODE);
    return next;
  };
  // One at a time: two that made the next one together would give one number to two CRLs.
  let turn: Promise<unknown> = Promise.resolve();
  return () => {
    const answer = turn.then(newest);
    turn = answer.catch(() => {});
    return answer;
  };
}

async function chainParts(directory: string): Promise<ChainFileParts> {
  const certs = await Promise.all(IN_CHAIN_FILE.map((name) => certificateOf(directory, name)));
  return {
    maCertificate: await certificateOf(directory, 'ma'),
    certs: [...certs, await certificateOf(directory, 'ra')],
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

async function readIfThere(file: string): Promise<Uint8Array | undefined> {
  try {
    return new Uint8Array(await readFile(file));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
