/** Our question and the answers of a responder that is none of ours: `openssl ocsp`. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  createX509Root,
  issueX509ServerCertificate,
  type X509Identity,
} from '@chrysalis/authorities/x509';
import { MAX_OCSP_RESPONSE, OcspQuestion } from '../src/ocsp-response.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
// openssl knows no clock but the machine's.
const NOW = Date.now();
const VALIDITY = {
  notBefore: new Date(NOW - DAY_MS),
  notAfter: new Date(NOW + 30 * DAY_MS),
};
const skip = spawnSync('openssl', ['version']).status !== 0 && 'no openssl';

describe('OcspQuestion', { skip }, () => {
  let directory: string;
  let root: X509Identity;
  let server: X509Identity;
  let question: OcspQuestion;
  const at = (name: string) => join(directory, name);
  const openssl = (...args: string[]) =>
    execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'chrysalis-ocsp-'));
    root = await createX509Root({ commonName: 'test root', ...VALIDITY });
    server = await serverOf(root);
    question = await ask(server, root);
    await writeFile(at('request.der'), question.request);
    await keep('root', root);
    await responder('delegate', 'root', 'OCSPSigning');
  });
  after(() => rm(directory, { recursive: true }));

  /** What the index of a CA says of a serial number: valid, or revoked with a reason. */
  const valid = (of: X509Identity) => `V\t400101000000Z\t\t${serialOf(of)}\tunknown\t/CN=ra\n`;
  const revoked = (of: X509Identity) =>
    `R\t400101000000Z\t260101000000Z,keyCompromise\t${serialOf(of)}\tunknown\t/CN=ra\n`;

  /** openssl answers the request, signed by `signer`. */
  async function answer(index: string, signer: string, ...args: string[]): Promise<Uint8Array> {
    await writeFile(at('index.txt'), index);
    openssl(
      ...['ocsp', '-index', at('index.txt'), '-CA', at('root.pem'), '-reqin', at('request.der')],
      ...['-rsigner', at(`${signer}.pem`), '-rkey', at(`${signer}.key`)],
      ...[...(args.length > 0 ? args : ['-nmin', '60']), '-respout', at('response.der')],
    );
    return new Uint8Array(await readFile(at('response.der')));
  }

  async function keep(name: string, { certificatePem, privateKeyPem }: X509Identity) {
    await writeFile(at(`${name}.pem`), certificatePem);
    await writeFile(at(`${name}.key`), privateKeyPem);
  }

  /** A responder that an issuer certified for a purpose, for ten days. */
  async function responder(name: string, issuer: string, purpose: string) {
    await writeFile(at('purpose.cnf'), `extendedKeyUsage=${purpose}\n`);
    openssl(
      ...['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj'],
      ...[`/CN=${name}`, '-keyout', at(`${name}.key`), '-out', at('responder.csr')],
    );
    openssl(
      ...['x509', '-req', '-in', at('responder.csr'), '-CA', at(`${issuer}.pem`), '-days', '10'],
      ...['-CAkey', at(`${issuer}.key`), '-set_serial', '7', '-extfile', at('purpose.cnf')],
      ...['-out', at(`${name}.pem`)],
    );
  }

  it('is a request that openssl reads, without a nonce', () => {
    const text = openssl('ocsp', '-reqin', at('request.der'), '-req_text');
    assert.match(text, new RegExp(`Serial Number: ${serialOf(server)}`));
    assert.match(text, /Hash Algorithm: sha1/);
    assert.doesNotMatch(text, /Nonce/);
  });

  for (const signer of ['root', 'delegate']) {
    for (const id of [[], ['-resp_key_id']]) {
      it(`takes what ${signer} signs ${id.length > 0 ? 'by its key' : 'by its name'}`, async () => {
        for (const [status, index] of [
          ['good', valid(server)],
          ['revoked', revoked(server)],
          ['unknown', ''],
        ] as const) {
          const response = await answer(index, signer, '-nmin', '60', ...id);
          const checked = await question.check(response, Date.now());
          assert.equal(checked.status, status);
          assert.equal(checked.untilMs - checked.fromMs, HOUR_MS);
        }
      });
    }
  }

  it('believes a responder no longer than its certificate lasts', async () => {
    const response = await answer(valid(server), 'delegate', '-ndays', '20');
    const { untilMs } = await question.check(response, Date.now());
    const delegate = new X509Certificate(await readFile(at('delegate.pem')));
    assert.equal(untilMs, delegate.validToDate.getTime());
    await assert.rejects(question.check(response, untilMs + 1000), /issuer's signature/);
  });

  it('refuses a signer to whom the issuer gave no such right', async () => {
    const other = await createX509Root({ commonName: 'test root', ...VALIDITY });
    await keep('other', other);
    await responder('outsider', 'other', 'OCSPSigning');
    await responder('webserver', 'root', 'serverAuth');
    for (const signer of ['other', 'outsider', 'webserver']) {
      const response = await answer(valid(server), signer);
      await refuses(response, /expected the issuer's signature, or that of its responder/);
    }
  });

  it('refuses an answer about another certificate', async () => {
    const stranger = await serverOf(root);
    const response = await answer(valid(server), 'root');
    await refuses(response, /about the RA's certificate/, await ask(stranger, root));
  });

  it('refuses an answer of another time, and one without an end', async () => {
    const response = await answer(valid(server), 'root');
    const { fromMs, untilMs } = await question.check(response, Date.now());
    for (const ms of [fromMs - 300_001, untilMs, untilMs + DAY_MS]) {
      await refuses(
        response,
        /expected an answer of now, saw one from 20.* until 20/,
        question,
        ms,
      );
    }
    await question.check(response, fromMs - 300_000);
    await question.check(response, untilMs - 1);
    await refuses(await answer(valid(server), 'root', '-resp_no_certs'), /expected nextUpdate/);
  });

  it('refuses what is no answer', async () => {
    await refuses(Uint8Array.of(0x30, 3, 0x0a, 1, 3), /saw tryLater/);
    await refuses(Uint8Array.of(0x30, 3, 0x0a, 1, 0), /basic response/);
    await refuses(new TextEncoder().encode('<html>'), /DER/);
    await refuses(new Uint8Array(MAX_OCSP_RESPONSE + 1), /expected up to 65536 octets, saw 65537/);
    const response = await answer(valid(server), 'root');
    await refuses(Uint8Array.of(...response, 0), /one value and no more/);
  });

  it('does not take an octet for another', async () => {
    const response = await answer(revoked(server), 'delegate');
    const now = Date.now();
    const expected = await question.check(response, now);
    for (let n = 0; n < response.length; n += 1) {
      const altered = response.slice();
      altered[n]! ^= 0x41;
      // Outside of what is signed an octet may be altered without harm.
      const seen = await question.check(altered, now).catch((error) => error);
      if (seen instanceof Error) assert.equal(seen.name, 'OcspError', `octet ${n}: ${seen.stack}`);
      else assert.deepEqual(seen, expected, `octet ${n}`);
      await refuses(response.subarray(0, n), /./);
    }
  });

  async function refuses(
    response: Uint8Array,
    message: RegExp,
    asked = question,
    nowMs = Date.now(),
  ) {
    await assert.rejects(asked.check(response, nowMs), { name: 'OcspError', message });
  }
});

function ask(certificate: X509Identity, issuer: X509Identity): Promise<OcspQuestion> {
  return OcspQuestion.about(
    new X509Certificate(certificate.certificatePem).raw,
    new X509Certificate(issuer.certificatePem).raw,
  );
}

function serverOf(issuer: X509Identity): Promise<X509Identity> {
  return issueX509ServerCertificate(issuer, {
    commonName: 'ra.test',
    dnsNames: ['ra.test'],
    ...VALIDITY,
  });
}

function serialOf({ certificatePem }: X509Identity): string {
  return new X509Certificate(certificatePem).serialNumber;
}
