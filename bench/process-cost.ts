/** What another process costs, as Linux accounts for it: all of its threads, and the kernel's work for it. */
import { readdirSync, readFileSync } from 'node:fs';

/**
 * Microseconds of CPU, user and system, that a process has used, all of its threads that are there: what /proc/PID/stat
 * counts in steps of 10 ms, from where it is counted in nanoseconds (sched-stats(5)). Only differences mean anything.
 */
export function cpuUsOf(pid: number): number {
  const tasks = readdirSync(`/proc/${pid}/task`);
  return (
    tasks.reduce((sum, task) => sum + runTimeNs(`/proc/${pid}/task/${task}/schedstat`), 0) / 1000
  );
}

/** 0 for a thread that has ended meanwhile. */
function runTimeNs(path: string): number {
  try {
    return Number(readFileSync(path, 'utf8').split(' ')[0]);
  } catch {
    return 0;
  }
}

/** Resident memory of a process now, in MB of a million octets. */
export function rssMbOf(pid: number): number {
  const [, kilobytes] =
    /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return (Number(kilobytes) * 1024) / 1e6;
}
