/** What another process costs, as Linux accounts for it: all of its threads, and the kernel's work for it. */
import { readdirSync, readFileSync } from 'node:fs';

/**
 * Microseconds of CPU, user and system, that a process and all below it have used, all of their threads that are there: what
 * /proc/PID/stat counts in steps of 10 ms, from where it is counted in nanoseconds (sched-stats(5)). Only differences mean anything.
 */
export function cpuUsOf(pid: number): number {
  const own = readdirSync(`/proc/${pid}/task`).map((task) =>
    runTimeNs(`/proc/${pid}/task/${task}/schedstat`),
  );
  const below = childrenOf(pid).map(cpuUsOf);
  return own.reduce((sum, ns) => sum + ns, 0) / 1000 + below.reduce((sum, us) => sum + us, 0);
}

/** The processes that a process has started and that are there. */
export function childrenOf(pid: number): readonly number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return text.trim().split(' ').filter(Boolean).map(Number);
}

/** As {@link cpuUsOf}, of the thread alone in which a Node process runs its event loop. */
export function mainThreadCpuUsOf(pid: number): number {
  return runTimeNs(`/proc/${pid}/task/${pid}/schedstat`) / 1000;
}

/** 0 for a thread that has ended meanwhile. */
function runTimeNs(path: string): number {
  try {
    return Number(readFileSync(path, 'utf8').split(' ')[0]);
  } catch {
    return 0;
  }
}

/** Resident memory of a process and all below it now, in MB of a million octets; what they share counts in each. */
export function rssMbOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(status) ?? [];
  return childrenOf(pid).reduce(
    (sum, child) => sum + rssMbOf(child),
    (Number(kilobytes) * 1024) / 1e6,
  );
}
