/**
 * The S3 stub in a thread of its own, for tests whose own thread is busy: Node accepts one connection in a turn of its event
 * loop, so that a fleet of devices beside it would let requests for objects run out of time.
 */
import { once } from 'node:events';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { type S3Stub, startS3Stub } from './s3-stub.ts';

export interface S3Thread extends Pick<S3Stub, 'endpoint' | 'bucket' | 'env'> {
  /** Of the objects that are there. */
  keys(): Promise<string[]>;
  /** From now on nothing may be put below this prefix, or everything everywhere. */
  deny(prefix: string | undefined): Promise<void>;
  close(): Promise<void>;
}

type Order = { readonly what: 'start' | 'keys' | 'close' } | { readonly deny: string | undefined };

export async function startS3Thread(): Promise<S3Thread> {
  const worker = new Worker(new URL(import.meta.url));
  let last: Promise<unknown> = Promise.resolve();
  // One after the other: an answer does not say to which question.
  const ask = (order: Order) => {
    last = last.then(async () => {
      worker.postMessage(order);
      const [answer] = await once(worker, 'message');
      return answer as unknown;
    });
    return last;
  };
  return {
    ...((await ask({ what: 'start' })) as Pick<S3Stub, 'endpoint' | 'bucket' | 'env'>),
    keys: async () => (await ask({ what: 'keys' })) as string[],
    deny: async (prefix) => void (await ask({ deny: prefix })),
    async close() {
      await ask({ what: 'close' });
      await worker.terminate();
    },
  };
}

if (!isMainThread) {
  const starting = startS3Stub();
  parentPort?.on('message', async (order: Order) => {
    parentPort?.postMessage(await obey(await starting, order));
  });
}

async function obey(stub: S3Stub, order: Order): Promise<unknown> {
  if ('deny' in order) {
    const { deny } = order;
    stub.fault = (method, key) =>
      deny !== undefined && method === 'PUT' && key.startsWith(deny) ? 'denies' : 'works';
    return undefined;
  }
  if (order.what === 'close') await stub.close();
  if (order.what === 'keys') return [...stub.objects.keys()];
  const { endpoint, bucket, env } = stub;
  return { endpoint, bucket, env };
}
