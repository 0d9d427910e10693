/** The examples of HAProxy and nginx: TLS is passed through to the nodes, and a node that is gone costs no device its answer. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { createServer, type Server, connect as tlsConnect } from 'node:tls';
import { createX509Root, issueX509ServerCertificate } from '@chrysalis/authorities/x509';
import { startHaproxy, startNginx, withoutHaproxy, withoutNginx } from './support/balancers.ts';
import { freePort } from './support/free-port.ts';
import { temporaryDirectory } from './support/temporary-directory.ts';

const NODES = 3;
const CONNECTIONS = 12;
const DAY_MS = 86_400_000;

for (const [name, start, skip] of [
  ['HAProxy', startHaproxy, withoutHaproxy],
  ['nginx', startNginx, withoutNginx],
] as const) {
  describe(`${name} as in the example`, { skip }, () => {
    it('passes TLS through to each node, and to the others when one is gone', async () => {
      await using resources = new AsyncDisposableStack();
      const validity = {
        notBefore: new Date(Date.now() - DAY_MS),
        notAfter: new Date(Date.now() + DAY_MS),
      };
      const root = await createX509Root({ commonName: 'test root', ...validity });
      const servers: Server[] = [];
      const ports: number[] = [];
      for (let n = 1; n <= NODES; n++) {
        const dnsNames = ['localhost'];
        const names = { commonName: `node${n}`, dnsNames, ipAddresses: [] };
        const { certificatePem, privateKeyPem } = await issueX509ServerCertificate(root, {
          ...names,
          ...validity,
        });
        const server = createServer({ cert: certificatePem, key: privateKeyPem }, (socket) => {
          socket.on('error', () => {});
          socket.end(`node${n}`);
        });
        const port = await freePort();
        server.listen(port, '127.0.0.1');
        await once(server, 'listening');
        resources.defer(() => void server.close());
        servers.push(server);
        ports.push(port);
      }
      const port = await freePort();
      const balancer = await start({ directory: temporaryDirectory(), port, nodes: ports });
      resources.defer(() => balancer.close());
      const ask = async () => {
        const socket = tlsConnect({ port, ca: root.certificatePem, servername: 'localhost' });
        await once(socket, 'secureConnect');
        // Of the node itself: nobody in between has its key.
        const shown = socket.getPeerCertificate().subject.CN;
        let said = '';
        for await (const chunk of socket.setEncoding('utf8')) said += chunk;
        assert.equal(said, shown);
        return said;
      };
      const askAll = async () => {
        const seen = new Set<string>();
        for (let n = 0; n < CONNECTIONS; n++) seen.add(await ask());
        return [...seen].sort();
      };
      assert.deepEqual(await askAll(), ['node1', 'node2', 'node3'], balancer.log());
      servers[1]?.close();
      assert.deepEqual(await askAll(), ['node1', 'node3'], balancer.log());
    });
  });
}
