/** What the processes of an RA tell each other: topics and their values. */
import type { KeyCustodyOptions } from '@chrysalis/authorities/keys';
import type { TriedService } from '@chrysalis/ra';
import type { AuditWriterName } from './audit-parts.ts';
import type { LogLevel } from './log.ts';
import type { MasterOctets, PipelineThreadData } from './pipeline-host.ts';

/** `front` answers devices; there are several. `back` does, once, what devices do not wait for. */
export type ProcessRole = 'front' | 'back';

/** What a process knows from its fork on, so that it begins to load: nothing secret, for it lies in the environment. */
export interface ProcessPlace {
  /** Of the pipeline, where it runs in a thread of this process. */
  readonly thread?: PipelineThreadData | undefined;
}

const PLACE = 'CHRYSALIS_PROCESS_PLACE';

export function environmentOf(place: ProcessPlace): Readonly<Record<string, string>> {
  return { [PLACE]: JSON.stringify(place) };
}

export function placeOfProcess(env: Readonly<Record<string, string | undefined>>): ProcessPlace {
  return JSON.parse(env[PLACE] ?? '{}') as ProcessPlace;
}

/** What opens encrypted keys: it comes by the pipe, for arguments and environment can be read by others. */
export interface KeyOctets {
  readonly masters: readonly MasterOctets[];
  readonly passphrase: Uint8Array | undefined;
  readonly scheme: KeyCustodyOptions['scheme'] | undefined;
}

/** The question `begin`: the first that a process is told. */
export interface ProcessOrder {
  readonly role: ProcessRole;
  readonly directory: string;
  readonly logLevel: LogLevel;
  readonly writer: AuditWriterName;
  /** How many answer devices. */
  readonly processes: number;
  readonly keys: KeyOctets;
  /** False where workers make the certificates. */
  readonly makesCertificates: boolean;
}

export type ProcessUrls = Readonly<Partial<Record<'url' | 'crlUrl' | 'maUrl', string>>>;

/** Of all processes together. */
export type ServedUrls = ProcessUrls & { readonly opsUrl?: string };

/** Its answer. */
export type ProcessBeginning =
  | { readonly type: 'begun'; readonly urls: ProcessUrls }
  | { readonly type: 'refused'; readonly message: string; readonly hint: string | undefined };

/** The question `take`: what lies in new files. */
export type Taken = 'tls' | 'identity';

/** `end`: with the others, or while they go on. */
export type Ending = 'close' | 'leave';

/** `failed`: a device has spent a try. */
export interface SpentTry {
  readonly enrollmentHash: Uint8Array;
  readonly service: TriedService;
}
