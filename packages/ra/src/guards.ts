import { type ConnectionLimits, Connections } from './connections.ts';
import { Load, type LoadLimits } from './load.ts';
import type { Metrics } from './metrics.ts';
import { RefusalTick } from './refusal-tick.ts';

/** What an RA takes from its peers, all together. */
export interface GuardLimits extends ConnectionLimits, LoadLimits {
  /** From the beginning of a request to the end of its head. */
  readonly headTimeoutMs: number;
  /** And to the end of its body. */
  readonly requestTimeoutMs: number;
  /** Without an octet in either direction. */
  readonly stalledMs: number;
  /** Connections that the system keeps until they are accepted. Whoever comes beyond is not answered, and knocks again after a second. */
  readonly waiting: number;
}

/** What a core serves in two to four seconds: docs/decisions/0059-who-waits-for-an-ra.md. */
const WAITING = 256;

/** The backlog of listen(2). */
export function backlogOf({ waiting = WAITING }: Partial<GuardLimits> = {}): number {
  return waiting;
}

/** What stands before the services of a server: none of it knows what they do. */
export interface Guards {
  readonly limits: Partial<GuardLimits>;
  readonly tick: RefusalTick;
  readonly connections: Connections;
  readonly load: Load;
  /** Without it nothing is counted. */
  readonly metrics?: Metrics;
}

/** @param refusalTickMs 100 when missing; 0 holds nothing */
export function createGuards(
  limits: Partial<GuardLimits> = {},
  refusalTickMs?: number,
): Omit<Guards, 'metrics'> {
  return {
    limits,
    tick: new RefusalTick(refusalTickMs),
    connections: new Connections(limits),
    load: new Load(limits),
  };
}
