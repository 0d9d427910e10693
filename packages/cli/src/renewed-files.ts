/** Certificates and keys that are replaced in their files while the RA runs: how that is noticed, and what becomes of it. */
import { createHash } from 'node:crypto';
import type { Log } from '@chrysalis/ra';
import { isPkcs11Uri } from '@chrysalis/ra/pkcs11';
import { readFileIfPresent } from '@chrysalis/store/files';
import { type ChrysalisConfig, loadConfig } from './config.ts';

/** How often it is looked whether a file has changed. Six small files. */
const LOOK_MS = 10_000;
/** Files that were refused are tried again: what was missing may have come, an OCSP responder as well. */
const RETRY_MS = 60_000;

/** Something that may be taken anew. */
export interface Renewable {
  /** For the log. */
  readonly name: string;
  /** Where it lies. */
  readonly files: (config: ChrysalisConfig) => readonly string[];
  /** @throws when what lies there will not do: nothing has changed then */
  readonly take: (config: ChrysalisConfig) => Promise<void>;
}

/** What the RA shows devices in TLS. */
export const filesOfTls = ({ ra }: ChrysalisConfig): readonly string[] => [ra.tlsCert, ra.tlsKey];

/** What it is in 1609.2. */
export const filesOfIdentity = ({ ra }: ChrysalisConfig): readonly string[] => [
  ra.certificate,
  ra.signingKey,
  ra.encryptionKey,
];

interface Watched extends Renewable {
  /** Of what was taken last. */
  digest: string;
  refused: { readonly digest: string; readonly atMs: number } | undefined;
}

/** Looks every ten seconds, and when it is told to. What is refused leaves what was there before in force. */
export class RenewedFiles {
  readonly #directory: string;
  readonly #log: Log;
  readonly #watched: Watched[] = [];
  #running: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #configProblem = '';

  constructor(directory: string, log: Log) {
    this.#directory = directory;
    this.#log = log;
  }

  /** @param config whose files are in force now */
  async start(renewables: readonly Renewable[], config: ChrysalisConfig): Promise<void> {
    for (const one of renewables) {
      const digest = await digestOf(one.files(config));
      this.#watched.push({ ...one, digest, refused: undefined });
    }
    this.#timer = setInterval(() => void this.look(), LOOK_MS).unref();
  }

  /** Takes what has changed. Never rejects. */
  look(): Promise<void> {
    return this.#enqueue(false);
  }

  /** Takes everything anew, whether it has changed or not. Never rejects. */
  takeAll(): Promise<void> {
    return this.#enqueue(true);
  }

  /** Ends after what is under way. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running;
  }

  #enqueue(isWanted: boolean): Promise<void> {
    this.#running = this.#running.then(() => this.#lookAt(isWanted));
    return this.#running;
  }

  async #lookAt(isWanted: boolean): Promise<void> {
    const config = await this.#config();
    if (config === undefined) return;
    for (const one of this.#watched) {
      const digest = await digestOf(one.files(config)).catch(() => 'unreadable');
      if (isWanted || isDue(one, digest)) await this.#take(one, digest, config);
    }
  }

  /** Undefined, and said once, when it cannot be read. */
  async #config(): Promise<ChrysalisConfig | undefined> {
    try {
      const config = await loadConfig(this.#directory);
      this.#configProblem = '';
      return config;
    } catch (error) {
      const problem = messageOf(error);
      if (problem !== this.#configProblem) {
        this.#log.error({ problem }, 'the configuration is refused: certificates and keys stay');
      }
      this.#configProblem = problem;
      return undefined;
    }
  }

  async #take(one: Watched, digest: string, config: ChrysalisConfig): Promise<void> {
    const { name } = one;
    try {
      await one.take(config);
      one.digest = digest;
      one.refused = undefined;
      this.#log.info({ renewed: name }, 'new certificate and key in force');
    } catch (error) {
      one.refused = { digest, atMs: performance.now() };
      const problem = messageOf(error);
      this.#log.error(
        { refused: name, problem },
        'new certificate and key refused: the former ones stay in force',
      );
    }
  }
}

/** Refused files are tried again when they change, and after a minute. */
function isDue({ digest: taken, refused }: Watched, digest: string): boolean {
  if (digest === taken) return false;
  return refused?.digest !== digest || performance.now() - refused.atMs >= RETRY_MS;
}

/** By what is in them: a file that is written anew as it was is none. */
async function digestOf(files: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const file of files) {
    const octets = isPkcs11Uri(file) ? undefined : await readFileIfPresent(file);
    hash.update(`${file}\0${octets?.length ?? -1}\0`).update(octets ?? new Uint8Array());
  }
  return hash.digest('hex');
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
