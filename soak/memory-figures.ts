/** What the figures of an RA say of its memory. */
import { type Figures, figure } from '../test/support/live-ra.ts';

/** What the process has of the system. */
export function rssMbOf(figures: Figures): number {
  return Math.round(figure(figures, 'process_resident_memory_bytes') / 1e6);
}

/** What V8 keeps: the young generation comes and goes, and is not counted. */
export function keptMbOf(figures: Figures): number {
  const space = (name: string) =>
    figure(figures, `nodejs_heap_space_size_used_bytes{space="${name}"}`);
  const young = space('new') + space('new_large_object');
  const all = figure(figures, 'nodejs_heap_size_used_bytes') - young;
  return Math.round((all + figure(figures, 'nodejs_external_memory_bytes')) / 1e4) / 100;
}
