/**
 * The reference for downloads: Node's own HTTPS server with the RA's suites, which answers every request with the same octets. Nothing else is in
 * this file, so that nothing slows it down. Run with the paths of certificate and key, and how many octets.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tlsOptions } from '@chrysalis/ra/server';

const [certificate, key, octets] = process.argv.slice(2) as [string, string, string];
const answer = Buffer.alloc(Number(octets), 0x5a);
const tls = tlsOptions({
  certificatePem: readFileSync(certificate, 'utf8'),
  privateKeyPem: readFileSync(key, 'utf8'),
});
const server = createServer({ ...tls, keepAliveTimeout: 60_000 }, (_request, response) => {
  response.setHeader('content-length', answer.length);
  response.end(answer);
});
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
