/** What lies between a program and its PostgreSQL, and loses connections at the worst moments. */
import { connect, createServer, type Socket } from 'node:net';

/** What becomes of a commit: `cut-before` does not reach the server; `cut-after` does, and its answer is lost. */
export type CommitFate = 'works' | 'delays' | 'cut-before' | 'cut-after';

export interface LossyProxy {
  readonly port: number;
  /** Commits that were cut so far. */
  readonly cuts: { before: number; after: number };
  close(): Promise<void>;
}

const DELAY_MS = 10;
/** A message Query, or Parse, that says commit. */
const COMMIT = Buffer.from('commit\0');

/** @param fate of each commit, by the number of those before */
export async function startLossyProxy(
  target: number,
  fate: (count: number) => CommitFate,
): Promise<LossyProxy> {
  const cuts = { before: 0, after: 0 };
  const sockets = new Set<Socket>();
  let commits = 0;
  const server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1');
    const cut = () => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('close', () => {
        sockets.delete(socket);
        cut();
      });
      socket.on('error', cut);
    }
    let isLost = false;
    client.on('data', (octets) => {
      const what = octets.includes(COMMIT) ? fate(commits++) : 'works';
      if (what === 'cut-before') {
        cuts.before += 1;
        return cut();
      }
      if (what === 'cut-after') isLost = true;
      if (what !== 'delays') return upstream.write(octets);
      client.pause();
      setTimeout(() => {
        if (!upstream.destroyed) upstream.write(octets);
        client.resume();
      }, DELAY_MS);
      return undefined;
    });
    upstream.on('data', (octets) => {
      if (!isLost) return client.write(octets);
      // The server has answered: it is done.
      cuts.after += 1;
      return cut();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  return {
    port,
    cuts,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
