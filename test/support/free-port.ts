import { createServer } from 'node:net';

const taken = new Set<number>();

/** Ports that a process takes at most: files of tests run side by side, in processes with neighbouring numbers. */
const EACH = 64;

/** Below the range that systems give to outgoing connections, so that it is still free when it is listened on again. */
export async function freePort(): Promise<number> {
  for (let port = 20_000 + ((process.pid * EACH) % 12_000); ; port++) {
    if (taken.has(port)) continue;
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (!isFree) continue;
    taken.add(port);
    return port;
  }
}
