/** What the processes of an RA have counted, as one. */
import { AggregatorRegistry, Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';

/** What one process has counted, as it travels to another. */
export type Figures = readonly object[];

/** The text format 0.0.4 of what several processes have counted: sums, of the delay of event loops the longest. */
export function textOfAll(figures: readonly Figures[]): Promise<string> {
  return AggregatorRegistry.aggregate([...figures]).metrics();
}

/** Of an RA in several processes. */
export interface ProcessCounts {
  /** Processes that are to answer devices, and those that do. */
  readonly wanted: number;
  readonly answering: number;
  /** Processes that have told their figures, whatever they do, with the one that asks. */
  readonly counted: number;
  /** How often one was started again. */
  readonly restarts: number;
}

/** What prom-client reads of each process. Made once, for it listens to the garbage collector. */
let ownDefaults: Registry | undefined;

/** As {@link Metrics.figures}, of whoever watches over the processes: its own memory and descriptors are in it. */
export async function processFigures(counts: ProcessCounts): Promise<Figures> {
  const { wanted, answering, counted, restarts } = counts;
  if (ownDefaults === undefined) {
    ownDefaults = new Registry();
    collectDefaultMetrics({ register: ownDefaults });
  }
  const registry = new Registry();
  const processes = new Gauge({
    name: 'chrysalis_processes',
    help: 'Processes that answer devices: how many there are to be, and how many do; and those, of all, whose figures are in these sums',
    labelNames: ['state'],
    registers: [registry],
  });
  processes.set({ state: 'wanted' }, wanted);
  processes.set({ state: 'answering' }, answering);
  processes.set({ state: 'counted' }, counted);
  new Counter({
    name: 'chrysalis_process_restarts_total',
    help: 'How often a process of the RA was started again after it had ended by itself',
    registers: [registry],
  }).inc(restarts);
  return [...(await ownDefaults.getMetricsAsJSON()), ...(await registry.getMetricsAsJSON())];
}

export const METRICS_TYPE: string = Registry.PROMETHEUS_CONTENT_TYPE;
