/** What operators read of several processes. It loads nothing of an RA: whoever only watches over one has this. */
export { type OpsServer, startOpsServer } from './ops-server.ts';
export {
  type Figures,
  METRICS_TYPE,
  type ProcessCounts,
  processFigures,
  textOfAll,
} from './process-figures.ts';
