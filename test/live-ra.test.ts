/** What watches a live RA sees: an answer that does not come in time is none. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { textAt } from './support/live-ra.ts';

async function served(listener: RequestListener): Promise<{ url: string } & Disposable> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/healthz`,
    [Symbol.dispose]() {
      server.close();
      server.closeAllConnections();
    },
  };
}

describe('a health check', () => {
  it('has what was answered', async () => {
    using ra = await served((_request, response) => void response.end('ok\n'));
    assert.equal(await textAt(ra.url), 'ok\n');
  });

  it('fails with another status than 200', async () => {
    using ra = await served((_request, response) => void response.writeHead(503).end('no\n'));
    await assert.rejects(textAt(ra.url), /expected 200 .* saw 503/);
  });

  for (const [name, listener] of [
    ['that is not answered', () => {}],
    ['whose answer does not end', (_request, response) => void response.write('o')],
  ] as const satisfies readonly (readonly [string, RequestListener])[]) {
    it(`${name} fails when its time is over`, { timeout: 20_000 }, async () => {
      using ra = await served(listener);
      await assert.rejects(textAt(ra.url, 50), /expected an answer of .* within 50 ms/);
    });
  }
});
