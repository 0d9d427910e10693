/**
 * How long answers take, as a stranger on the network sees it: a thread of its own, so that what the server does in its
 * event loop delays the watch no more than it would delay another machine's.
 */
import { once } from 'node:events';
import { connect } from 'node:tls';
import { parentPort, Worker, workerData } from 'node:worker_threads';

/** What is asked again and again, in an order that is the caller's. */
export interface Timing {
  readonly port: number;
  readonly ca: string;
  /** Whole HTTP requests. */
  readonly requests: readonly Uint8Array[];
  /** Milliseconds before each request, on an open connection: where in a millisecond of the server it falls. */
  readonly pausesMs: readonly number[];
}

/** Milliseconds from the last octet of each request to the first of its answer; rejects when one is not answered. */
export async function timeAnswers(timing: Timing): Promise<readonly number[]> {
  const worker = new Worker(new URL(import.meta.url), { workerData: timing });
  const [times] = (await once(worker, 'message')) as [readonly number[]];
  return times;
}

async function timeOne(
  { port, ca }: Timing,
  request: Uint8Array,
  pauseMs: number,
): Promise<number> {
  const socket = connect({ host: '127.0.0.1', port, servername: 'localhost', ca });
  socket.setNoDelay(true);
  await once(socket, 'secureConnect');
  await new Promise((resolve) => setTimeout(resolve, 1));
  for (const end = performance.now() + pauseMs; performance.now() < end; );
  const start = performance.now();
  socket.write(request);
  await once(socket, 'data');
  const took = performance.now() - start;
  socket.destroy();
  return took;
}

if (parentPort !== null) {
  const timing = workerData as Timing;
  const times: number[] = [];
  for (const [n, request] of timing.requests.entries()) {
    times.push(await timeOne(timing, request, timing.pausesMs[n] ?? 0));
  }
  parentPort.postMessage(times);
}
