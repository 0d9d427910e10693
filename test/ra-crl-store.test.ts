/** The CRL store (C1): anybody fetches the CompositeCrl, and once more only when there is another. */
import assert from 'node:assert/strict';
import diagnostics from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { connect } from 'node:tls';
import { createCrlGenerator, revocationOf } from '@chrysalis/authorities';
import { time32FromUnix } from '@chrysalis/ieee1609dot2';
import { startCrlStore } from '@chrysalis/ra/server';
import { openCompositeCrl, RA_EE_ERRORS, RevocationList, timeOf } from '@chrysalis/scms';
import { type Sending, send } from './support/https-client.ts';
import { type RaFixture, startRaFixture } from './support/ra-fixture.ts';

const NOW = time32FromUnix(Date.UTC(2026, 10, 21, 12));
const PATH = '/download-crl/';

/** More than the systems of both sides hold for a peer that does not read. */
const HUGE_OCTETS = 32_000_000;

describe('the CRL store', () => {
  it('gives a device the CRLs of series 1 to 4 and 256, and the next ones when there are any', async (t) => {
    const { fixture, get, issue } = await start(t);
    const { scms, trust, clock } = fixture;
    issue();

    const first = await get();
    assert.equal(first.status, 200);
    assert.equal(first.headers['content-type'], 'application/octet-stream');
    const name = nameOf(first.headers);
    assert.match(name, /^composite_crl_[0-9a-f]{16}\.oer$/);
    assert.equal(first.headers.etag, `"${name}"`);
    const crls = openCompositeCrl(first.body, trust, timeOf(clock));
    assert.deepEqual(
      crls.map(({ contents }) => contents.crlSeries),
      [1, 2, 3, 4, 256],
    );
    const ra = trust.get(scms.ra.certificate.id)!;
    assert.equal(new RevocationList(crls).find(ra), undefined);

    for (const held of [name, `"${name}"`, '*']) {
      const again = await get({ headers: { 'If-None-Match': held } });
      assert.deepEqual([again.status, again.body.length], [304, 0]);
    }

    clock.advance(3600);
    issue([revocationOf(scms.ra.certificate)]);
    const second = await get({ headers: { 'If-None-Match': `"${name}"` } });
    assert.equal(second.status, 200);
    const list = new RevocationList(openCompositeCrl(second.body, trust, timeOf(clock)));
    assert(list.find(ra), 'the RA stands on it');
  });

  it('goes on with a download that broke off, unless there is another CRL by then', async (t) => {
    const { get, issue, fixture } = await start(t);
    issue();
    const whole = await get();
    const etag = String(whole.headers.etag);
    const headers = { Range: 'bytes=100-', 'If-Range': etag };
    const rest = await get({ headers });
    assert.equal(rest.status, 206);
    assert.deepEqual(rest.body, whole.body.slice(100));
    fixture.clock.advance(1);
    issue();
    assert.equal((await get({ headers })).status, 200);
  });

  it('refuses like the RA what it does not know: 500 and nothing', async (t) => {
    const { get, fixture } = await start(t);
    const { raNoCertFileAvailable, raInvalidURL } = RA_EE_ERRORS;
    const none = await get();
    assert.equal(none.status, 500);
    assert.equal(none.headers['scms-poc-error'], String(raNoCertFileAvailable));
    const other = await get({}, '/download/info');
    assert.equal(other.headers['scms-poc-error'], String(raInvalidURL));
    assert.equal((await fixture.send(PATH)).status, 500, 'it is no service of the RA');
  });
});

describe('a peer that does not take what it has asked for', () => {
  for (const [name, then] of Object.entries({
    'and asks for nothing more': '',
    'and for a tunnel': 'CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n',
    'and for another protocol':
      'GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n',
    'and sends what is no HTTP': 'hello\r\n\r\n',
  })) {
    it(`${name}, is given up after a time without an octet`, async (t) => {
      const fixture = await startRaFixture({ now: NOW });
      t.after(() => fixture.close());
      const { raOptions, ca } = fixture;
      const newest = async () => new Uint8Array(HUGE_OCTETS);
      const store = await startCrlStore({ ...raOptions, limits: { stalledMs: 300 }, newest });
      t.after(() => store.close());
      const accepting = nextAccepted(t);
      const socket = connect({ port: store.port, servername: 'localhost', ca });
      socket.on('error', () => {});
      socket.write(`GET ${PATH} HTTP/1.1\r\nHost: x\r\n\r\n`);
      await once(socket, 'data');
      socket.pause().write(then);
      const [accepted] = await accepting;
      await once(accepted, 'close', { signal: AbortSignal.timeout(GIVEN_UP_MS) });
      socket.destroy();
    });
  }
});

/** Twice the time without an octet, the second being the answer's own (Node lets one pass while it is on its way), and a busy machine. */
const GIVEN_UP_MS = 20_000;

/** The next socket that a server in this process accepts. */
async function nextAccepted(t: TestContext): Promise<[Socket]> {
  const { promise, resolve } = Promise.withResolvers<[Socket]>();
  const take = (message: unknown) => resolve([(message as { socket: Socket }).socket]);
  diagnostics.subscribe('net.server.socket', take);
  t.after(() => diagnostics.unsubscribe('net.server.socket', take));
  return promise;
}

async function start(t: TestContext) {
  const fixture: RaFixture = await startRaFixture({ now: NOW });
  const { scms, clock, raOptions, ca } = fixture;
  const crlg = createCrlGenerator({ crlg: scms.crlg, root: scms.root, clock });
  let newest: Uint8Array | undefined;
  const store = await startCrlStore({ ...raOptions, newest: async () => newest });
  t.after(async () => {
    await store.close();
    await fixture.close();
  });
  return {
    fixture,
    get: (sending: Sending = {}, path = PATH) =>
      send(`https://localhost:${store.port}${path}`, ca, sending),
    issue(revocations: Parameters<typeof crlg.issue>[0] = []) {
      newest = crlg.issue(revocations, newest);
    },
  };
}

function nameOf(headers: Readonly<Record<string, unknown>>): string {
  return /filename="(.*)"$/.exec(String(headers['content-disposition']))?.[1] ?? '';
}
