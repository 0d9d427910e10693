/** Certificates and keys that are replaced while `chrysalis serve` runs: over real TLS, with connections that stay open. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { chmod, copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { connect } from 'node:tls';
import { readTestScms } from '@chrysalis/authorities';
import { readCertificateFile } from '@chrysalis/authorities/keys';
import { systemRandom } from '@chrysalis/crypto';
import { asCertificate, type HashedCertificate, hashCertificate } from '@chrysalis/ieee1609dot2';
import { adoptLocalChainFile, parseVersionedFileName, timeOf } from '@chrysalis/scms';
import { createDevice, pseudonymRequest, securedBy } from '../../../test/support/device.ts';
import { send } from '../../../test/support/https-client.ts';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { WireClient } from '../../../test/support/wire-client.ts';
import { loadConfig } from '../src/config.ts';
import { issueRaTlsCertificate } from '../src/tls-certificate.ts';
import { run } from './run-main.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** The seed pages' octets of SecuredRACertRequest. */
const RA_CERT_REQUEST = Buffer.from('0380050183800001', 'hex');

/** A state directory whose RA is served in this process. */
async function served(t: TestContext, { formerKeyDays = 30 } = {}) {
  const directory = join(temporaryDirectory(), 'state');
  let nowMs = Math.floor(Date.now() / HOUR_MS) * HOUR_MS + HOUR_MS / 6;
  const clock = { now: () => nowMs };
  const cli = async (...args: string[]) => {
    const outcome = await run(['--dir', directory, ...args], { clock });
    assert.equal(outcome.status, 0, outcome.stderr);
    return outcome;
  };
  await cli('init', '--port', '0', '--weeks-ahead', '1');
  const file = join(directory, 'chrysalis.toml');
  const toml = await readFile(file, 'utf8');
  await writeFile(
    file,
    toml
      .replace('error-detail = "production"', 'error-detail = "qa"')
      .replace('linkage-cache = 200', 'linkage-cache = 5')
      .replace('former-key-days = 30', `former-key-days = ${formerKeyDays}`),
  );

  const stopping = new AbortController();
  const printed = Promise.withResolvers<{ url: string; crlUrl: string }>();
  let renew = () => {};
  let logged = '';
  const running = run(['--dir', directory, '--json', 'serve'], {
    clock,
    signal: stopping.signal,
    stdout: { write: (text) => printed.resolve(JSON.parse(text)) },
    stderr: { write: (text) => (logged += text) },
    onRenewal: (listener) => {
      renew = listener;
    },
  });
  t.after(async () => {
    stopping.abort();
    assert.equal((await running).status, 0, logged);
  });
  const failed = running.then(() => Promise.reject(new Error(logged)));
  failed.catch(() => {});
  const { url, crlUrl } = await Promise.race([printed.promise, failed]);
  const ca = await readFile(join(directory, 'authorities/x509-root/certificate.pem'), 'utf8');
  const lines = (message: string) => logged.split('\n').filter((line) => line.includes(message));
  return {
    ...{ directory, clock, cli, url, crlUrl, ca },
    port: Number(new URL(url).port),
    advance(ms: number) {
      nowMs += ms;
    },
    /** As SIGHUP does; resolves with the line that says what became of it. */
    async renewal(message: string): Promise<string> {
      const before = lines(message).length;
      renew();
      for (let n = 0; n < 500; n++) {
        if (lines(message).length > before) return lines(message).at(-1)!;
        await setTimeout(10);
      }
      throw new Error(`expected ${message}, saw ${logged}`);
    },
  };
}

/** What a new connection is shown. */
async function shown(url: string, ca: string) {
  const { port } = new URL(url);
  const socket = connect({ port: Number(port), servername: 'localhost', ca, requestOCSP: true });
  const stapled = once(socket, 'OCSPResponse');
  await once(socket, 'secureConnect');
  const [response] = (await stapled) as [Buffer | null];
  const certificate = socket.getPeerX509Certificate();
  socket.destroy();
  return { serialNumber: certificate?.serialNumber, response };
}

async function pairOf(directory: string) {
  const { tlsCert, tlsKey } = (await loadConfig(directory)).ra;
  const { serialNumber } = new X509Certificate(await readFile(tlsCert));
  return { tlsCert, tlsKey, serialNumber };
}

describe('a TLS certificate that is renewed while the RA serves', () => {
  it('is shown to new connections with a staple of its own, and open ones go on', async (t) => {
    const ra = await served(t);
    const before = await pairOf(ra.directory);
    const open = await WireClient.connect(ra.port, ra.ca);
    const ask = ['GET /download/policy/local HTTP/1.1'];
    assert.match((await open.exchange(ask)).statusLine, /200/);
    const first = await shown(ra.url, ra.ca);
    assert.equal(first.serialNumber, before.serialNumber);

    await ra.cli('tls', 'renew');
    const after = await pairOf(ra.directory);
    assert.notEqual(after.serialNumber, before.serialNumber);
    await ra.renewal('new certificate and key in force');
    for (const url of [ra.url, ra.crlUrl]) {
      const second = await shown(url, ra.ca);
      assert.equal(second.serialNumber, after.serialNumber);
      const asked = Buffer.from(after.serialNumber, 'hex');
      assert(second.response?.includes(asked), 'the staple is of the certificate that is shown');
      assert(!first.response?.includes(asked));
    }
    // The same connection, which began under the certificate before.
    assert.match((await open.exchange(ask)).statusLine, /200/);
    open.hangUp();
  });

  it('is refused when it will not do, and the one before stays until it does', async (t) => {
    const ra = await served(t);
    const { directory } = ra;
    const before = await pairOf(directory);
    const copy = `${before.tlsKey}.copy`;
    await copyFile(before.tlsKey, copy);
    const root = {
      certificatePem: ra.ca,
      privateKeyPem: await readFile(
        join(directory, 'authorities/x509-root/private-key.pem'),
        'utf8',
      ),
    };
    const put = async (pair: { certificatePem: string; privateKeyPem: string }) => {
      await writeFile(before.tlsCert, pair.certificatePem);
      await writeFile(before.tlsKey, pair.privateKeyPem);
    };
    const good = await issueRaTlsCertificate(root, 'localhost', ra.clock.now());
    const over = await issueRaTlsCertificate(root, 'localhost', ra.clock.now() - 4000 * DAY_MS);
    const key = await readFile(copy, 'utf8');
    const broken: [RegExp, () => Promise<void>][] = [
      [/key values mismatch/, () => put({ ...good, privateKeyPem: key })],
      [/PEM|no start line/, () => put({ ...good, certificatePem: 'nothing' })],
      [/valid now/, () => put(over)],
      [
        /owner/,
        async () => {
          await put(good);
          await chmod(before.tlsKey, 0o644);
        },
      ],
    ];
    for (const [problem, breakIt] of broken) {
      await breakIt();
      const line = await ra.renewal('new certificate and key refused');
      const said = JSON.parse(line);
      assert.equal(said.refused, 'ra.tls-cert');
      assert.match(said.problem, problem);
      assert.equal((await shown(ra.url, ra.ca)).serialNumber, before.serialNumber);
    }
    await chmod(before.tlsKey, 0o600);
    await ra.renewal('"renewed":"ra.tls-cert"');
    const { serialNumber } = new X509Certificate(good.certificatePem);
    assert.equal((await shown(ra.url, ra.ca)).serialNumber, serialNumber);
    assert.equal((await send(`${ra.url}/download/policy/local`, ra.ca)).status, 200);
  });

  it('stays when the configuration cannot be read', async (t) => {
    const ra = await served(t);
    const before = await pairOf(ra.directory);
    await writeFile(join(ra.directory, 'chrysalis.toml'), '[ra]\nport = "none"\n');
    assert.match(await ra.renewal('the configuration is refused'), /ra\.port/);
    assert.equal((await shown(ra.url, ra.ca)).serialNumber, before.serialNumber);
  });
});

describe('an RA certificate that is renewed while the RA serves', () => {
  it('is given out and named in the next chain file; the former key opens for a month', async (t) => {
    const ra = await served(t);
    const { directory, clock, url, ca } = ra;
    const former = await readCertificateFile(join(directory, 'ra/certificate.oer'));
    const scms = await readTestScms(directory);
    const chainFile = async () => {
      const { headers, body } = await send(`${url}/download/local-certificate-chain`, ca);
      const name = /filename="(.+)"/.exec(String(headers['content-disposition']))?.[1] ?? '';
      const file = parseVersionedFileName(name);
      assert(file.type === 'localCertificateChains');
      const { store } = adoptLocalChainFile(body, [asCertificate(scms.root.certificate)]);
      const names = store.certs.map((one) => hexOf(hashCertificate(one)));
      return {
        version: file.lccfVersion,
        has: (of: HashedCertificate) => names.includes(hexOf(of)),
      };
    };
    const sealedTo = (certificate: HashedCertificate) => {
      const now = timeOf(clock);
      const device = createDevice(scms, systemRandom, now);
      return securedBy(device, pseudonymRequest(device, now), certificate, systemRandom);
    };
    const provision = (body: Uint8Array) =>
      send(`${url}/provision-pseudonym-certificate-batch`, ca, { method: 'POST', body });
    const handedOut = async () =>
      (await send(`${url}/retrieve-ra-certificate`, ca, { method: 'POST', body: RA_CERT_REQUEST }))
        .body;

    const before = await chainFile();
    assert(before.has(former));
    assert.deepEqual(await handedOut(), former.octets);
    // A device that has sealed its request, and has not sent it yet.
    const onItsWay = sealedTo(former);

    await ra.cli('authority', 'renew', 'ra');
    const present = await readCertificateFile(join(directory, 'ra/certificate.oer'));
    await ra.renewal('"renewed":"ra.certificate"');
    assert.deepEqual(await handedOut(), present.octets);
    const after = await chainFile();
    assert(after.version > before.version);
    assert(after.has(present));
    assert(!after.has(former), 'a device should not find two to seal to');

    const acknowledged = await provision(onItsWay);
    assert.equal(acknowledged.status, 200, JSON.stringify(acknowledged.headers));
    assert.equal((await provision(sealedTo(present))).status, 200);
    ra.advance(30 * DAY_MS - 2000);
    assert.equal((await provision(sealedTo(former))).status, 200);
    ra.advance(2000);
    const late = await provision(sealedTo(former));
    assert.equal(late.status, 500);
    assert.match(String(late.headers['scms-poc-error-message']), /^chrysalisDecryptionFailed:/);
    assert.equal((await provision(sealedTo(present))).status, 200);
  });

  for (const [formerKeyDays, what] of [
    [2, 'opens for two days when the configuration says so'],
    [0, 'opens nothing more when it says none, as after a compromise'],
  ] as const) {
    it(`leaves a former key that ${what}`, async (t) => {
      const ra = await served(t, { formerKeyDays });
      const { directory, clock, url, ca } = ra;
      const former = await readCertificateFile(join(directory, 'ra/certificate.oer'));
      const scms = await readTestScms(directory);
      const provision = async (certificate: HashedCertificate) => {
        const now = timeOf(clock);
        const device = createDevice(scms, systemRandom, now);
        const request = pseudonymRequest(device, now);
        const body = securedBy(device, request, certificate, systemRandom);
        const path = '/provision-pseudonym-certificate-batch';
        const { status, headers } = await send(`${url}${path}`, ca, { method: 'POST', body });
        const reason = String(headers['scms-poc-error-message'] ?? '').split(':', 1)[0];
        return status === 200 ? status : `${status} ${reason}`;
      };
      await ra.cli('authority', 'renew', 'ra');
      await ra.renewal('"renewed":"ra.certificate"');
      const present = await readCertificateFile(join(directory, 'ra/certificate.oer'));
      if (formerKeyDays > 0) {
        assert.equal(await provision(former), 200);
        ra.advance(formerKeyDays * DAY_MS - 2000);
        assert.equal(await provision(former), 200);
        ra.advance(2000);
      }
      assert.equal(await provision(former), '500 chrysalisDecryptionFailed');
      assert.equal(await provision(present), 200);
    });
  }

  it('is refused when its key is another', async (t) => {
    const ra = await served(t);
    const former = await readCertificateFile(join(ra.directory, 'ra/certificate.oer'));
    await ra.cli('authority', 'renew', 'ra');
    const key = join(ra.directory, 'ra/signing.key');
    const right = await readFile(key);
    await writeFile(key, await readFile(join(ra.directory, 'authorities/eca/signing.key')));
    const said = JSON.parse(await ra.renewal('new certificate and key refused'));
    assert.equal(said.refused, 'ra.certificate');
    const ask = () =>
      send(`${ra.url}/retrieve-ra-certificate`, ra.ca, { method: 'POST', body: RA_CERT_REQUEST });
    assert.deepEqual((await ask()).body, former.octets);
    await writeFile(key, right);
    await ra.renewal('"renewed":"ra.certificate"');
    assert.notDeepEqual((await ask()).body, former.octets);
  });
});

function hexOf({ hash }: HashedCertificate): string {
  return Buffer.from(hash).toString('hex');
}
