/** The thread of a `CheckWorker`: opens the fleet for itself, checks the devices that it is told, one lane each. */
import { parentPort, workerData } from 'node:worker_threads';
import { checkDevice, type Lane, openLane } from './check-device.ts';
import type { CheckOrder, CheckReply, CheckWorkerData } from './check-worker-client.ts';
import { Fleet } from './fleet.ts';

const { path, perPeriod, raUrl, offsetMs } = workerData as CheckWorkerData;
const fleet = await Fleet.open(path, { lock: false });
const clock = { now: () => Date.now() + offsetMs };
const options = { fleet, perPeriod, clock, ...(raUrl && { raUrl: new URL(raUrl) }) };
const idle: Lane[] = [];

parentPort?.on('message', ({ device }: CheckOrder) => {
  const lane = idle.pop() ?? openLane();
  checkDevice(device, lane, options).then(
    (checked) => {
      idle.push(lane);
      parentPort?.postMessage({ device, checked } satisfies CheckReply);
    },
    (error: unknown) => {
      const message = error instanceof Error ? error.message : String(error);
      parentPort?.postMessage({ device, message } satisfies CheckReply);
    },
  );
});
