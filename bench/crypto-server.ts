/**
 * What Node allows: its own HTTPS server with the RA's suites, which answers every request with the same octets after the
 * cryptography of an authenticated download, by the barest calls of node:crypto and on keys of its own. Nothing else is in
 * this file. Run with the paths of certificate and key, and how many octets.
 */
import { createECDH, ECDH, generateKeyPairSync, randomBytes, sign, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tlsOptions } from '@chrysalis/ra/server';

const CURVE = 'prime256v1';
const [certificate, key, octets] = process.argv.slice(2) as [string, string, string];
const answer = Buffer.alloc(Number(octets), 0x5a);
const agreement = createECDH(CURVE);
agreement.generateKeys();
const peer = agreement.getPublicKey(null, 'compressed');
agreement.generateKeys();
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: CURVE });
const message = randomBytes(64);
const signature = sign('sha256', message, privateKey);
const tls = tlsOptions({
  certificatePem: readFileSync(certificate, 'utf8'),
  privateKeyPem: readFileSync(key, 'utf8'),
});
const server = createServer({ ...tls, keepAliveTimeout: 60_000 }, (_request, response) => {
  const point = ECDH.convertKey(peer, CURVE, undefined, undefined, 'uncompressed') as Buffer;
  agreement.computeSecret(point);
  verify('sha256', message, publicKey, signature);
  response.setHeader('content-length', answer.length);
  response.end(answer);
});
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
