/** When an RA asks for the status of its TLS certificate, and what it staples meanwhile. */
import assert from 'node:assert/strict';
import { createPrivateKey, webcrypto, X509Certificate } from 'node:crypto';
import { before, describe, it, type TestContext } from 'node:test';
import {
  createOcspResponder,
  createX509Root,
  formatSerialNumber,
  issueX509ServerCertificate,
  OCSP_VALIDITY_MS,
  type X509Identity,
  type X509Revocation,
} from '@chrysalis/authorities/x509';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import { OcspStaple } from '../src/ocsp-staple.ts';

const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;
const NOW = Date.UTC(2026, 10, 21, 12);
const VALIDITY = { notBefore: new Date(NOW - DAY_MS), notAfter: new Date(NOW + DAY_MS) };

let root: X509Identity;
let tls: X509Identity;
before(async () => {
  root = await createX509Root({ commonName: 'test root', ...VALIDITY });
  tls = await issueX509ServerCertificate(root, {
    commonName: 'ra.test',
    dnsNames: ['ra.test'],
    ...VALIDITY,
  });
});

async function scene(t: TestContext, { issuer = root }: { readonly issuer?: X509Identity } = {}) {
  let now = NOW;
  const clock = { now: () => now };
  const revocations = new Map<string, X509Revocation>();
  const responder = await createOcspResponder({
    root: issuer,
    clock,
    revocationOf: async (serialNumber) => revocations.get(serialNumber),
  });
  const logged: string[] = [];
  const write = (level: string) => (_fields: object, message: string) => {
    logged.push(`${level}: ${message}`);
  };
  const asked: number[] = [];
  const answers: Uint8Array[] = [];
  const source = { respond: responder.respond as (request: Uint8Array) => Promise<Uint8Array> };
  const staple = new OcspStaple({
    tls,
    clock,
    log: { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') },
    ocsp: {
      issuerPem: root.certificatePem,
      async respond(request) {
        asked.push(now);
        const answer = await source.respond(request);
        answers.push(answer);
        return answer;
      },
    },
  });
  t.after(() => staple.stop());
  return {
    staple,
    source,
    responder,
    logged,
    asked,
    answers,
    advance: async (ms: number) => {
      now += ms;
      await staple.wake();
    },
    /** Lets time pass without the RA looking. */
    pass: (ms: number) => {
      now += ms;
    },
    revoke() {
      const serialNumber = formatSerialNumber(new X509Certificate(tls.certificatePem).serialNumber);
      revocations.set(serialNumber, { revokedAt: new Date(now), reason: 'keyCompromise' });
    },
  };
}

const away = async () => Promise.reject(new Error('away'));

describe('OcspStaple', () => {
  it('has an answer when it has started, and a new one when half its time is over', async (t) => {
    const { staple, asked, answers, advance } = await scene(t);
    assert.equal(staple.current(), null);
    await staple.start();
    assert.deepEqual(staple.current(), Buffer.from(answers[0]!));
    await advance(OCSP_VALIDITY_MS / 2 - 1);
    assert.equal(asked.length, 1);
    await advance(1);
    assert.equal(asked.length, 2);
    assert.deepEqual(staple.current(), Buffer.from(answers[1]!));
    assert.notDeepEqual(answers[0], answers[1]);
  });

  it('asks again when the clock was set back', async (t) => {
    const { staple, asked, advance } = await scene(t);
    await staple.start();
    await advance(-DAY_MS / 2);
    assert.equal(asked.length, 2);
    assert.notEqual(staple.current(), null);
  });

  it('asks, and complains of nothing, when the clock was set past the end of the last answer', async (t) => {
    const { staple, answers, advance, logged } = await scene(t);
    await staple.start();
    await advance(DAY_MS / 2);
    assert.equal(answers.length, 2);
    assert.deepEqual(staple.current(), Buffer.from(answers[1]!));
    assert.deepEqual(logged, ['info: new OCSP response', 'info: new OCSP response']);
  });

  it('goes on with the last one while the responder is away, and staples nothing once it is over', async (t) => {
    const { staple, source, responder, asked, answers, advance, pass, logged } = await scene(t);
    await staple.start();
    source.respond = away;
    await advance(OCSP_VALIDITY_MS / 2);
    await advance(0);
    assert.equal(asked.length, 2, 'asked again before its pause was over');
    for (let n = 0; n < 10; n += 1) await advance(MINUTE_MS);
    assert.equal(asked.length, 12, 'a pause longer than a minute');
    assert.deepEqual(staple.current(), Buffer.from(answers[0]!));
    const before = logged.length;
    // The device that connects first sees it, not the RA's next look.
    pass(OCSP_VALIDITY_MS / 2 - 10 * MINUTE_MS);
    assert.equal(staple.current(), null);
    await advance(0);
    assert.deepEqual(logged.slice(before), [
      'warn: no new OCSP response',
      'error: the OCSP response has expired: nothing is stapled',
    ]);
    source.respond = responder.respond;
    await advance(MINUTE_MS);
    assert.deepEqual(staple.current(), Buffer.from(answers[1]!));
  });

  it('starts without an answer when there is none', async (t) => {
    const { staple, source, logged } = await scene(t);
    source.respond = away;
    await staple.start();
    assert.equal(staple.current(), null);
    assert.deepEqual(logged, ['warn: no new OCSP response']);
  });

  it('staples no rubbish, and nothing of another root', async (t) => {
    const stranger = await createX509Root({ commonName: 'test root', ...VALIDITY });
    const { staple } = await scene(t, { issuer: stranger });
    await staple.start();
    assert.equal(staple.current(), null);
    const other = await scene(t);
    other.source.respond = async () => Uint8Array.of(0x30, 3, 0x0a, 1, 3);
    await other.staple.start();
    assert.equal(other.staple.current(), null);
  });

  it('staples revoked, tells the operator, and does not go back to an older good', async (t) => {
    const { staple, source, responder, answers, revoke, advance, pass, logged } = await scene(t);
    await staple.start();
    let older = Uint8Array.of();
    source.respond = async (request) => {
      older = new Uint8Array(await responder.respond(request));
      pass(1000);
      revoke();
      return responder.respond(request);
    };
    await advance(OCSP_VALIDITY_MS / 2);
    assert.deepEqual(staple.current(), Buffer.from(answers[1]!));
    assert.equal(
      logged.at(-1),
      'error: the TLS certificate of the RA is revoked, and devices are told so',
    );
    // What was good a second before holds for half an hour more: somebody plays it back.
    source.respond = async () => older;
    const { length } = logged;
    await advance(OCSP_VALIDITY_MS / 2);
    assert.deepEqual(logged.slice(length), ['warn: no new OCSP response']);
    assert.deepEqual(staple.current(), Buffer.from(answers[1]!));
  });

  it('staples nothing any more when its issuer does not know the certificate', async (t) => {
    const { staple, source, responder, logged, advance } = await scene(t);
    await staple.start();
    source.respond = async (request) => asUnknown(await responder.respond(request));
    await advance(OCSP_VALIDITY_MS / 2);
    assert.equal(staple.current(), null);
    assert.deepEqual(logged.slice(-1), ['warn: no new OCSP response']);
  });

  it('does not wait for a responder when it stops', async (t) => {
    const { staple, source } = await scene(t);
    source.respond = () => new Promise(() => {});
    const started = staple.start();
    await staple.stop();
    await started;
    assert.equal(staple.current(), null);
  });

  it('refuses an issuer who is none', async () => {
    const { certificatePem: issuerPem } = tls;
    const nothing = () => {};
    assert.throws(
      () =>
        new OcspStaple({
          tls,
          clock: { now: () => NOW },
          log: { debug: nothing, info: nothing, warn: nothing, error: nothing },
          ocsp: { issuerPem, respond: away },
        }),
      { name: 'TypeError', message: /expected the issuer of the TLS certificate, saw CN=ra\.test/ },
    );
  });
});

/** The same answer, saying unknown, signed by the root anew. */
async function asUnknown(answer: Uint8Array): Promise<Uint8Array> {
  const engine = new pkijs.CryptoEngine({ name: 'node', crypto: webcrypto });
  const response = pkijs.OCSPResponse.fromBER(new Uint8Array(answer));
  const { response: value } = response.responseBytes!;
  const basic = pkijs.BasicOCSPResponse.fromBER(new Uint8Array(value.valueBlock.valueHexView));
  const idBlock = { tagClass: 3, tagNumber: 2 };
  basic.tbsResponseData.responses[0]!.certStatus = new asn1js.Primitive({ idBlock });
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
  const key = createPrivateKey(root.privateKeyPem).toCryptoKey(algorithm, false, ['sign']);
  await basic.sign(key, 'SHA-256', engine);
  const octets = basic.toSchema().toBER();
  response.responseBytes!.response = new asn1js.OctetString({ valueHex: octets });
  return new Uint8Array(response.toSchema().toBER());
}
