/** What a soak has shown. */
import type { Latency } from '@chrysalis/fleet';
import type { Flatness } from './flatness.ts';
import type { Outcomes } from './generator.ts';
import type { VisitKind } from './visitors.ts';

export interface Round {
  /** Visits in a second that were served when as many came as the RA takes. */
  readonly capacityPerSec: number;
  readonly offeredPerSec: number;
  readonly begun: number;
  readonly notSent: number;
}

export interface SoakReport {
  readonly seconds: number;
  /** That answered devices. Memory, descriptors and CPU are sums over all processes of the RA. */
  readonly processes: number;
  readonly rounds: readonly Round[];
  readonly visits: Readonly<Record<VisitKind, Outcomes>>;
  readonly acknowledged: number;
  readonly servedMs: Partial<Record<string, Latency>>;
  readonly refusedMs: Partial<Record<string, Latency>>;
  readonly health: { readonly asked: number; readonly failed: number; readonly ms: Latency };
  /** As the RA counts them: of the requests of a class, how many were shed. */
  readonly sheds: Readonly<Record<VisitKind, { readonly requests: number; readonly shed: number }>>;
  /** Seconds in which requests of a class were shed. */
  readonly shedSeconds: {
    readonly provisioningAlone: number;
    readonly both: number;
    readonly downloadsAlone: number;
  };
  readonly closedConnections: number;
  readonly droppedRefusals: number;
  readonly memoryMb: {
    readonly before: number;
    readonly peak: number;
    readonly after: number;
    readonly keptBefore: number;
  } & Flatness;
  readonly descriptors: { readonly before: number; readonly peak: number; readonly after: number };
  /** Looks at its figures to which no answer came. */
  readonly missedLooks: number;
  readonly memoryEveryMinuteMb: readonly number[];
  readonly lagMs: { readonly median: number; readonly max: number };
  readonly cpuSec: { readonly ra: number; readonly generator: number };
  readonly generatorDelayMs: Latency;
  readonly unexpected: readonly string[];
  readonly faults: readonly string[];
  readonly exitStatus: number | null;
}
