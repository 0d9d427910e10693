/** The answers of the X.509 root, judged by openssl, which also asks. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import {
  createOcspResponder,
  createX509Root,
  formatSerialNumber,
  issueX509ServerCertificate,
  OCSP_VALIDITY_MS,
  type X509Identity,
  type X509Revocation,
} from '../src/x509.ts';

const HOUR_MS = 3_600_000;
// openssl knows no clock but the machine's.
const NOW = Math.floor(Date.now() / 1000) * 1000;
const skip = spawnSync('openssl', ['version']).status !== 0 && 'no openssl';
const MALFORMED_REQUEST = Uint8Array.of(0x30, 3, 0x0a, 1, 1);

let root: X509Identity;
let server: X509Identity;
before(async () => {
  root = await newRoot();
  server = await issue(root);
});

describe('the OCSP responder of the X.509 root', { skip }, () => {
  for (const hash of ['sha1', 'sha256']) {
    it(`says good to a CertID of ${hash}, until somebody revokes`, async () => {
      const { ask, judge, revocations } = await scene();
      const request = await ask(server, `-${hash}`);
      const good = await judge(await respond(request, revocations), server);
      assert.match(good, /Response verify OK/);
      assert.match(good, /server\.pem: good/);
      assert.equal(
        Date.parse(after(good, 'Next Update')) - Date.parse(after(good, 'This Update')),
        OCSP_VALIDITY_MS,
      );

      const revokedAt = new Date(NOW - 2 * HOUR_MS);
      revocations.set(serialOf(server), { revokedAt, reason: 'keyCompromise' });
      const revoked = await judge(await respond(request, revocations), server);
      assert.match(revoked, /Response verify OK/);
      assert.match(revoked, /server\.pem: revoked/);
      assert.equal(after(revoked, 'Reason'), 'keyCompromise');
      assert.equal(Date.parse(after(revoked, 'Revocation Time')), revokedAt.getTime());
    });
  }

  it('gives no reason when none is specified', async () => {
    const { ask, judge, revocations } = await scene();
    revocations.set(serialOf(server), { revokedAt: new Date(NOW), reason: 'unspecified' });
    const verdict = await judge(await respond(await ask(server), revocations), server);
    assert.match(verdict, /server\.pem: revoked/);
    assert.doesNotMatch(verdict, /Reason/);
  });

  it('does not know the certificates of another root', async () => {
    const other = await newRoot();
    const { ask, judge, revocations } = await scene(other);
    const request = await ask(await issue(other));
    const response = await respond(request, revocations);
    assert.match(await judge(response, server, root), /server\.pem: ERROR: No Status found/);
    const text = spawnSync('openssl', ['ocsp', '-respin', '-', '-resp_text', '-noverify'], {
      input: response,
      encoding: 'utf8',
    });
    assert.match(text.stdout, /Cert Status: unknown/);
    assert.match(text.stdout, /Responder Id: [0-9A-F]{40}\n/);
  });

  it('answers for every certificate of a request, and repeats its nonce', async () => {
    const { directory, ask, revocations } = await scene();
    const second = await issue(root);
    await writeFile(join(directory, 'second.pem'), second.certificatePem);
    revocations.set(serialOf(second), { revokedAt: new Date(NOW), reason: 'superseded' });
    const request = await ask(server, '-nonce', '-cert', join(directory, 'second.pem'));
    const files = ['request.der', 'response.der'].map((name) => join(directory, name));
    await writeFile(files[0]!, request);
    await writeFile(files[1]!, await respond(request, revocations));
    const { stderr, stdout } = spawnSync(
      'openssl',
      [
        ...['ocsp', '-reqin', files[0]!, '-respin', files[1]!, '-resp_text'],
        ...['-CAfile', join(directory, 'root.pem')],
      ],
      { encoding: 'utf8' },
    );
    assert.match(stderr, /Response verify OK/);
    assert.doesNotMatch(stderr, /nonce/i);
    assert.match(stdout, /OCSP Nonce/);
    assert.match(stdout, /Cert Status: good.*Cert Status: revoked/s);
  });

  it('says malformedRequest to a request that is cut or followed by something, and never throws', async () => {
    const { ask, revocations } = await scene();
    const request = await ask(server, '-no_nonce');
    for (let n = 0; n < request.length; n += 1) {
      assert.deepEqual(await respond(request.subarray(0, n), revocations), MALFORMED_REQUEST);
      const altered = request.slice();
      altered[n]! ^= 0x41;
      assert.equal((await respond(altered, revocations))[0], 0x30);
    }
    for (const octets of [
      Uint8Array.of(...request, 0),
      new Uint8Array(5000),
      // A request for nothing: SEQUENCE { SEQUENCE { SEQUENCE {} } }.
      Uint8Array.of(0x30, 4, 0x30, 2, 0x30, 0),
    ]) {
      assert.deepEqual(await respond(octets, revocations), MALFORMED_REQUEST);
    }
  });

  it('rejects when it cannot tell what is revoked', async () => {
    const { ask } = await scene();
    const responder = await createOcspResponder({
      root,
      clock: { now: () => NOW },
      revocationOf: async () => Promise.reject(new Error('unreadable')),
    });
    await assert.rejects(responder.respond(await ask(server)), /unreadable/);
  });
});

describe('formatSerialNumber', () => {
  it('writes one number in one way', () => {
    assert.equal(formatSerialNumber('00AB01'), 'ab01');
    assert.equal(formatSerialNumber(Uint8Array.of(0, 0xab, 1)), 'ab01');
    assert.equal(formatSerialNumber('00'), '00');
  });
});

async function respond(
  request: Uint8Array,
  revocations: ReadonlyMap<string, X509Revocation>,
): Promise<Uint8Array> {
  const responder = await createOcspResponder({
    root,
    clock: { now: () => NOW },
    revocationOf: async (serialNumber) => revocations.get(serialNumber),
  });
  return responder.respond(request);
}

async function scene(issuer = root) {
  const directory = temporaryDirectory();
  const at = (name: string) => join(directory, name);
  const openssl = (...args: string[]) => {
    const { stdout, stderr } = spawnSync('openssl', ['ocsp', ...args], { encoding: 'utf8' });
    return stdout + stderr;
  };
  await writeFile(at('root.pem'), issuer.certificatePem);
  return {
    directory,
    revocations: new Map<string, X509Revocation>(),
    async ask({ certificatePem }: X509Identity, ...args: string[]) {
      await writeFile(at('asked.pem'), certificatePem);
      const [hash = '-sha1', ...more] = args[0]?.startsWith('-sha') ? args : ['-sha1', ...args];
      openssl(
        ...[hash, '-issuer', at('root.pem'), '-cert', at('asked.pem')],
        ...[...more, '-reqout', at('asked.der')],
      );
      return new Uint8Array(await readFile(at('asked.der')));
    },
    async judge(response: Uint8Array, { certificatePem }: X509Identity, by = issuer) {
      await writeFile(at('judge.pem'), by.certificatePem);
      await writeFile(at('server.pem'), certificatePem);
      await writeFile(at('response.der'), response);
      // The certificate is looked for under both hashes: one of the two fits.
      const [sha1, sha256] = ['-sha1', '-sha256'].map((hash) =>
        openssl(
          ...[hash, '-issuer', at('judge.pem'), '-cert', at('server.pem'), '-no_nonce'],
          ...['-CAfile', at('judge.pem'), '-respin', at('response.der')],
        ),
      );
      return sha1!.includes('No Status found') ? sha256! : sha1!;
    },
  };
}

function newRoot(): Promise<X509Identity> {
  return createX509Root({
    commonName: 'test root',
    notBefore: new Date(NOW - HOUR_MS),
    notAfter: new Date(NOW + HOUR_MS),
  });
}

function issue(issuer: X509Identity): Promise<X509Identity> {
  return issueX509ServerCertificate(issuer, {
    commonName: 'ra.test',
    dnsNames: ['ra.test'],
    notBefore: new Date(NOW - HOUR_MS),
    notAfter: new Date(NOW + HOUR_MS),
  });
}

function serialOf({ certificatePem }: X509Identity): string {
  return formatSerialNumber(new X509Certificate(certificatePem).serialNumber);
}

/** The rest of the line after a name and a colon. */
function after(text: string, name: string): string {
  return new RegExp(`${name}: (.*)`).exec(text)?.[1] ?? '';
}
