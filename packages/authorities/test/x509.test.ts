import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { before, describe, it, type TestContext } from 'node:test';
import tls from 'node:tls';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import {
  createX509Root,
  issueX509ClientCertificate,
  issueX509ServerCertificate,
  type X509Identity,
} from '../src/x509.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const VALIDITY = {
  notBefore: new Date(Date.now() - DAY_MS),
  notAfter: new Date(Date.now() + 365 * DAY_MS),
};
const SERVER = {
  commonName: 'ra.example',
  dnsNames: ['localhost', '*.ra.example'],
  ipAddresses: ['127.0.0.1', '::1'],
  ...VALIDITY,
};

/** The four that SCMS devices offer; the server's preference in this order. */
const SUITES = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-AES128-CCM',
  'ECDHE-ECDSA-AES128-SHA256',
];

/** What the RA's HTTP room gives to node:https. */
const SERVER_TLS: https.ServerOptions = {
  minVersion: 'TLSv1.2',
  ciphers: SUITES.join(':'),
  honorCipherOrder: true,
  ecdhCurve: 'P-256:X25519:P-384',
  sessionIdContext: 'chrysalis-ra',
  sessionTimeout: 3600,
  ticketKeys: randomBytes(48),
};

let root: X509Identity;
let server: X509Identity;
before(async () => {
  root = await createX509Root({ commonName: 'Chrysalis TLS root', ...VALIDITY });
  server = await issueX509ServerCertificate(root, SERVER);
});

describe('X.509 certificates', () => {
  it('of a root verify under themselves and are certificate authorities', () => {
    const certificate = new X509Certificate(root.certificatePem);
    assert(certificate.ca);
    assert(certificate.verify(certificate.publicKey));
    assert(certificate.checkIssued(certificate));
    assert(certificate.checkPrivateKey(createPrivateKey(root.privateKeyPem)));
    assert.equal(certificate.subject, 'CN=Chrysalis TLS root');
    assert.equal(certificate.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
  });

  it('of a server verify under the root, for their names and no others', () => {
    const certificate = new X509Certificate(server.certificatePem);
    const issuer = new X509Certificate(root.certificatePem);
    assert(!certificate.ca);
    assert(certificate.verify(issuer.publicKey));
    assert(certificate.checkIssued(issuer));
    assert(certificate.checkPrivateKey(createPrivateKey(server.privateKeyPem)));
    assert.equal(certificate.checkHost('localhost'), 'localhost');
    assert.equal(certificate.checkHost('a.ra.example'), '*.ra.example');
    assert.equal(certificate.checkHost('elsewhere.example'), undefined);
    assert.equal(certificate.checkIP('127.0.0.1'), '127.0.0.1');
    assert.equal(certificate.checkIP('::1'), '::1');
    assert.equal(certificate.checkIP('127.0.0.2'), undefined);
    assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1']);
  });

  it('do not verify under another root of the same name', async () => {
    const other = await createX509Root({ commonName: 'Chrysalis TLS root', ...VALIDITY });
    const certificate = new X509Certificate(server.certificatePem);
    assert(!certificate.verify(new X509Certificate(other.certificatePem).publicKey));
  });

  it('have serial numbers of 16 octets, positive and different', async () => {
    const serials = new Set<string>();
    for (let i = 0; i < 20; i++) {
      const { certificatePem } = await createX509Root({ commonName: 'r', ...VALIDITY });
      const { serialNumber } = new X509Certificate(certificatePem);
      assert.match(serialNumber, /^[4-7][0-9A-F]{31}$/);
      serials.add(serialNumber);
    }
    assert.equal(serials.size, 20);
  });

  it('are valid exactly as long as asked, in whole seconds, beyond 2049 too', async () => {
    const notBefore = new Date('2049-12-31T23:59:59.999Z');
    const notAfter = new Date('2050-01-01T00:00:00.001Z');
    const { certificatePem } = await createX509Root({ commonName: 'r', notBefore, notAfter });
    const certificate = new X509Certificate(certificatePem);
    assert.equal(certificate.validFromDate.toISOString(), '2049-12-31T23:59:59.000Z');
    assert.equal(certificate.validToDate.toISOString(), '2050-01-01T00:00:00.000Z');
  });

  it('carry every form of an IPv6 address right', async () => {
    const ipAddresses = ['2001:db8::1.2.3.4', '::', 'fe80::1:2', '1:2:3:4:5:6:7:8', '1::'];
    const issued = await issueX509ServerCertificate(root, { ...SERVER, dnsNames: [], ipAddresses });
    const certificate = new X509Certificate(issued.certificatePem);
    for (const address of ipAddresses) assert.equal(certificate.checkIP(address), address);
  });

  it('are not made for what is no name, no address or no time', async () => {
    const wrong = [
      { dnsNames: [], ipAddresses: [] },
      { dnsNames: [''] },
      { dnsNames: ['a b'] },
      { dnsNames: ['a.*.b'] },
      { dnsNames: ['ä.example'] },
      { dnsNames: ['a\0.example'] },
      { dnsNames: ['-a.example'] },
      { ipAddresses: ['127.0.0.256'] },
      { ipAddresses: ['fe80::1%eth0'] },
      { ipAddresses: ['localhost'] },
      { commonName: '' },
      { commonName: 'x'.repeat(65) },
      { notAfter: VALIDITY.notBefore },
      { notAfter: new Date(Number.NaN) },
    ];
    for (const part of wrong) {
      const attempt = issueX509ServerCertificate(root, { ...SERVER, ...part });
      await assert.rejects(attempt, TypeError, JSON.stringify(part));
    }
    const noRoot = { certificatePem: 'nothing', privateKeyPem: 'nothing' };
    await assert.rejects(issueX509ServerCertificate(noRoot, SERVER), TypeError);
  });

  const openssl = spawnSync('openssl', ['version']);
  const withOpenssl = { skip: openssl.status !== 0 && 'openssl is not installed' };

  it('pass openssl verify, strictly, each for its own purpose only', withOpenssl, async () => {
    const client = await issueX509ClientCertificate(root, { ...SERVER, dnsNames: [] });
    const directory = temporaryDirectory();
    await writeFile(join(directory, 'root.pem'), root.certificatePem);
    await writeFile(join(directory, 'server.pem'), server.certificatePem);
    await writeFile(join(directory, 'client.pem'), client.certificatePem);
    const verify = (purpose: string, name: string) => {
      const options = ['-x509_strict', '-check_ss_sig', '-purpose', purpose];
      const files = ['-CAfile', join(directory, 'root.pem'), join(directory, `${name}.pem`)];
      const run = spawnSync('openssl', ['verify', ...options, ...files], { encoding: 'utf8' });
      return run.status === 0;
    };
    assert.equal(verify('sslserver', 'server'), true);
    assert.equal(verify('sslclient', 'server'), false);
    assert.equal(verify('sslclient', 'client'), true);
    assert.equal(verify('sslserver', 'client'), false);
    assert.equal(verify('any', 'root'), true);
  });
});

describe('a TLS server with these certificates', () => {
  it('answers a client that has the root, by name and by address, and no other', async (t) => {
    const port = await listen(t, {});
    assert.equal(await get({ port, host: '127.0.0.1', ca: root.certificatePem }), 'hello');
    assert.equal(
      await get({ port, host: '127.0.0.1', servername: 'localhost', ca: root.certificatePem }),
      'hello',
    );
    await assert.rejects(
      get({ port, host: '127.0.0.1' }),
      hasCode('UNABLE_TO_VERIFY_LEAF_SIGNATURE'),
    );
    const elsewhere = { port, host: '127.0.0.1', servername: 'elsewhere.example' };
    await assert.rejects(
      get({ ...elsewhere, ca: root.certificatePem }),
      hasCode('ERR_TLS_CERT_ALTNAME_INVALID'),
    );
  });

  for (const suite of SUITES) {
    it(`negotiates ${suite} under TLS 1.2 on P-256`, async (t) => {
      const port = await listen(t, {});
      const socket = await connect(t, { port, ciphers: suite, maxVersion: 'TLSv1.2' });
      assert.equal(socket.getProtocol(), 'TLSv1.2');
      assert.equal(socket.getCipher().name, suite);
      assert.deepEqual(socket.getEphemeralKeyInfo(), {
        type: 'ECDH',
        name: 'prime256v1',
        size: 256,
      });
    });
  }

  it('prefers its own order of suites', async (t) => {
    const port = await listen(t, {});
    const ciphers = SUITES.toReversed().join(':');
    const socket = await connect(t, { port, ciphers, maxVersion: 'TLSv1.2' });
    assert.equal(socket.getCipher().name, SUITES[0]);
  });

  it('speaks TLS 1.3 with whoever can', async (t) => {
    const port = await listen(t, {});
    assert.equal((await connect(t, { port })).getProtocol(), 'TLSv1.3');
  });

  it('refuses TLS 1.1 and 1.0, and suites without forward secrecy', async (t) => {
    const port = await listen(t, {});
    for (const version of ['TLSv1.1', 'TLSv1'] as const) {
      // SECLEVEL=0, or the client itself would not offer them and the test would prove nothing.
      const ciphers = 'ALL:@SECLEVEL=0';
      const attempt = connect(t, { port, ciphers, minVersion: version, maxVersion: version });
      await assert.rejects(attempt, hasCode('ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION'));
    }
    const weak = connect(t, { port, ciphers: 'AES128-GCM-SHA256', maxVersion: 'TLSv1.2' });
    await assert.rejects(weak, hasCode('ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE'));
  });

  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(`resumes by ticket under ${maxVersion}, at another server with the same keys too`, async (t) => {
      const first = await listen(t, {});
      const session = await sessionOf(await connect(t, { port: first, maxVersion }));
      for (const port of [first, await listen(t, {})]) {
        const resumed = await connect(t, { port, maxVersion, session });
        assert(resumed.isSessionReused());
      }
      const stranger = await listen(t, { ticketKeys: randomBytes(48) });
      const fresh = await connect(t, { port: stranger, maxVersion, session });
      assert(!fresh.isSessionReused(), 'other ticket keys mean a full handshake');
    });
  }

  it('knows its clients by their certificates when it asks for them', async (t) => {
    const mutual = { requestCert: true, rejectUnauthorized: true, ca: root.certificatePem };
    const port = await listen(t, mutual);
    const trust = { port, host: '127.0.0.1', ca: root.certificatePem };
    const as = ({ certificatePem: cert, privateKeyPem: key }: X509Identity) => ({ cert, key });
    const client = await issueX509ClientCertificate(root, {
      commonName: 'la1',
      dnsNames: ['la1.example'],
      ...VALIDITY,
    });
    const otherRoot = await createX509Root({ commonName: 'other', ...VALIDITY });
    const stranger = await issueX509ClientCertificate(otherRoot, { ...SERVER, commonName: 'la1' });

    assert.equal(await get({ ...trust, ...as(client) }), 'hello');
    await assert.rejects(get(trust), 'no certificate');
    await assert.rejects(get({ ...trust, ...as(stranger) }), 'another root');
    await assert.rejects(get({ ...trust, ...as(server) }), 'a server’s certificate');
  });
});

async function listen(t: TestContext, options: https.ServerOptions): Promise<number> {
  const { certificatePem: cert, privateKeyPem: key } = server;
  const listener = https.createServer({ ...SERVER_TLS, cert, key, ...options }, (_, response) => {
    response.end('hello');
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  t.after(() => {
    listener.close();
    listener.closeAllConnections();
  });
  return (listener.address() as AddressInfo).port;
}

async function connect(t: TestContext, options: tls.ConnectionOptions): Promise<tls.TLSSocket> {
  const socket = tls.connect({ host: '127.0.0.1', ca: root.certificatePem, ...options });
  t.after(() => socket.destroy());
  await once(socket, 'secureConnect');
  return socket;
}

/** In TLS 1.3 the ticket comes after the handshake, with the first answer. */
async function sessionOf(socket: tls.TLSSocket): Promise<Buffer> {
  if (socket.getProtocol() === 'TLSv1.2') return socket.getSession()!;
  const [session] = await once(socket, 'session');
  return session;
}

async function get(options: https.RequestOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = https.get({ ...options, agent: false }, async (response) => {
      let body = '';
      for await (const chunk of response) body += chunk;
      resolve(body);
    });
    request.on('error', reject);
  });
}

function hasCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof Error && 'code' in error && error.code === code;
}
