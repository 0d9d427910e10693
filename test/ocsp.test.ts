/** OCSP stapling from `init` to a device: `chrysalis serve`, our EE, openssl and curl, over real TLS and in real time. */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { httpsTransport } from '@chrysalis/ee';
import { openTestResponder } from '../packages/cli/src/ocsp-source.ts';
import { run } from '../packages/cli/test/run-main.ts';
import { temporaryDirectory } from './support/temporary-directory.ts';

const HOUR_MS = 3_600_000;
const skip = spawnSync('openssl', ['version']).status !== 0 && 'no openssl';
const curlHelp = spawnSync('curl', ['--help', 'all'], { encoding: 'utf8' });
const skipCurl = !curlHelp.stdout?.includes('--cert-status') && 'no curl that checks OCSP';

describe('chrysalis serve with [ocsp]', { skip }, () => {
  it('staples good until the certificate is revoked, and then says so', async (t) => {
    const { cli, serve, root } = await state(t);
    const ra = await serve();
    for (const version of ['-tls1_2', '-tls1_3']) {
      for (const url of [ra.url, ra.crlUrl]) {
        const seen = await sClient(url, root, version);
        assert.match(seen, /OCSP Response Status: successful/);
        assert.match(seen, /Cert Status: good/);
        assert.match(seen, /Verify return code: 0 \(ok\)/);
      }
    }
    assert.equal(await ask(ra.url, root), 200);

    const revoked = await cli('tls', 'revoke', '--reason', 'keyCompromise');
    assert.match(revoked.stdout, /^ {2}status {2}revoked at .*Z, keyCompromise$/m);
    // What was fetched before still holds: the RA asks again at half of its time.
    assert.match(await sClient(ra.url, root), /Cert Status: good/);
    ra.advance(HOUR_MS / 2);
    await eventually(async () => /Cert Status: revoked/.test(await sClient(ra.url, root)));
    await ra.stop();
    assert.match(ra.stderr(), /TLS certificate of the RA is revoked/);

    const again = await serve();
    assert.match(await sClient(again.url, root), /Cert Status: revoked/);
    await assert.rejects(ask(again.url, root), {
      code: 'tls',
      message: 'stapled OCSP response: expected a certificate that is good, saw revoked',
    });
    await again.stop();
  });

  it('satisfies curl --cert-status', { skip: skipCurl }, async (t) => {
    const { directory, cli, serve, root, rootFile } = await state(t);
    // curl looks for the issuer in what the server sends, and nowhere else.
    await appendFile(join(directory, 'ra/tls-certificate.pem'), root.pem);
    const curl = (url: string) =>
      new Promise<string>((resolve) => {
        const args = ['-sS', '--cert-status', '--cacert', rootFile, '-o', '/dev/null'];
        const wanted = ['-w', '%{http_code}', `${url}/download/policy/local`];
        execFile('curl', [...args, ...wanted], (_error, stdout, stderr) =>
          resolve(stdout + stderr),
        );
      });
    const ra = await serve();
    assert.equal(await curl(ra.url), '200');
    await ra.stop();
    await cli('tls', 'revoke', '--reason', 'superseded');
    const again = await serve();
    assert.match(await curl(again.url), /revocation reason: superseded \(4\)/);
    await assert.rejects(ask(again.url, root), { code: 'tls', message: /saw revoked/ });
    await again.stop();
  });

  it('staples nothing without the section: a device that asks does not go on', async (t) => {
    const { serve, root, configure } = await state(t);
    await configure(undefined);
    const ra = await serve();
    assert.match(await sClient(ra.url, root), /OCSP response: no response sent/);
    await assert.rejects(ask(ra.url, root), {
      code: 'tls',
      message: 'expected a stapled OCSP response, saw none',
    });
    await ra.stop();
  });

  it('asks a responder by HTTP, and staples nothing once its answer has expired', async (t) => {
    const { directory, serve, root, configure } = await state(t);
    let isAway = false;
    const types: (string | undefined)[] = [];
    const responder = await openTestResponder(directory, { now: () => Date.now() });
    const http = createServer(async (request, response) => {
      types.push(request.headers['content-type']);
      const body = Buffer.concat(await Array.fromAsync(request));
      if (isAway) response.writeHead(503).end();
      else {
        response.writeHead(200, { 'content-type': 'application/ocsp-response' });
        response.end(await responder.respond(body));
      }
    });
    http.listen(0, '127.0.0.1');
    await once(http, 'listening');
    t.after(() => http.close().closeAllConnections());
    const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}/`;
    // Another asks the same responder first: what it answers is OCSP to openssl, too.
    const verdict = await openssl(
      ...['ocsp', '-issuer', root.file, '-cert', join(directory, 'ra/tls-certificate.pem')],
      ...['-CAfile', root.file, '-url', url],
    );
    assert.match(verdict, /Response verify OK/);
    assert.match(verdict, /tls-certificate\.pem: good/);

    await configure(`mode = "http"\nurl = "${url}"`);
    const ra = await serve();
    assert.match(await sClient(ra.url, root), /Cert Status: good/);
    assert.equal(await ask(ra.url, root), 200);
    assert(types.every((type) => type === 'application/ocsp-request'));
    isAway = true;
    ra.advance(HOUR_MS - 60_000);
    assert.match(await sClient(ra.url, root), /Cert Status: good/);
    ra.advance(60_000);
    assert.match(await sClient(ra.url, root), /OCSP response: no response sent/);
    await assert.rejects(ask(ra.url, root), { message: /saw none/ });
    await eventually(async () => /has expired: nothing is stapled/.test(ra.stderr()));
    assert.match(ra.stderr(), /expected status 200, saw 503/);
    await ra.stop();
  });

  it('reads no more than 64 KiB of an answer', async (t) => {
    const { serve, root, configure } = await state(t);
    const http = createServer((_request, response) => response.end(Buffer.alloc(100_000)));
    http.listen(0, '127.0.0.1');
    await once(http, 'listening');
    t.after(() => http.close().closeAllConnections());
    const { port } = http.address() as AddressInfo;
    await configure(`mode = "http"\nurl = "http://127.0.0.1:${port}/"`);
    const ra = await serve();
    assert.match(await sClient(ra.url, root), /OCSP response: no response sent/);
    assert.match(ra.stderr(), /expected up to 65536 octets, saw more/);
    await ra.stop();
  });
});

interface Root {
  readonly pem: string;
  readonly file: string;
}

/** A state directory of `init`, and an RA on it whose clock can be set ahead. */
async function state(t: TestContext) {
  const parent = temporaryDirectory();
  const directory = join(parent, 'state');
  const clock = { now: () => Date.now() };
  const cli = async (...args: string[]) => {
    const outcome = await run(['--dir', directory, ...args], { clock });
    assert.equal(outcome.status, 0, outcome.stderr);
    return outcome;
  };
  await cli('init', '--port', '0', '--weeks-ahead', '1');
  const rootFile = join(directory, 'authorities/x509-root/certificate.pem');
  const root: Root = { pem: await readFile(rootFile, 'utf8'), file: rootFile };

  /** Puts another [ocsp] in the place of the one that `init` wrote, or none. */
  async function configure(section: string | undefined) {
    const file = join(directory, 'chrysalis.toml');
    const text = await readFile(file, 'utf8');
    const changed = text.replace(
      /^\[ocsp\]\n[^[]*/m,
      section === undefined ? '' : `[ocsp]\n${section}\n\n`,
    );
    assert.notEqual(changed, text);
    await writeFile(file, changed);
  }

  async function serve() {
    const stopping = new AbortController();
    const clockSteps = new EventTarget();
    const printed = Promise.withResolvers<{ url: string; crlUrl: string }>();
    let aheadMs = 0;
    let written = '';
    const running = run(['--dir', directory, '--json', 'serve'], {
      clock: { now: () => Date.now() + aheadMs },
      clockSteps,
      signal: stopping.signal,
      stdout: { write: (text) => printed.resolve(JSON.parse(text)) },
      stderr: { write: (text) => (written += text) },
    });
    const stop = async () => {
      stopping.abort();
      assert.equal((await running).status, 0, written);
    };
    t.after(stop);
    const failed = running.then(() => Promise.reject(new Error(written)));
    failed.catch(() => {});
    return {
      ...(await Promise.race([printed.promise, failed])),
      stderr: () => written,
      advance(ms: number) {
        aheadMs += ms;
        clockSteps.dispatchEvent(new Event('step'));
      },
      stop,
    };
  }
  return { directory, cli, configure, serve, root, rootFile };
}

/** The RA runs in this process: openssl must not block it. */
function openssl(...args: string[]): Promise<string> {
  return new Promise((resolve) => {
    const child = execFile('openssl', args, { timeout: 20_000 }, (_error, stdout, stderr) =>
      resolve(stdout + stderr),
    );
    child.stdin?.end();
  });
}

function sClient(url: string, { file }: Root, ...args: string[]): Promise<string> {
  const { port } = new URL(url);
  return openssl(
    ...['s_client', '-connect', `127.0.0.1:${port}`, '-servername', 'localhost'],
    ...['-CAfile', file, '-status', ...args],
  );
}

/** What our EE gets that demands a stapled response. */
async function ask(url: string, { pem }: Root): Promise<number> {
  const transport = httpsTransport({ x509Root: pem, ocsp: true });
  try {
    const { status, discard } = await transport.exchange({
      method: 'GET',
      url: new URL('/download/policy/local', url),
      message: () => ({ headers: {} }),
    });
    discard();
    return status;
  } finally {
    await transport.close();
  }
}

async function eventually(look: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!(await look())) {
    assert(Date.now() < deadline, 'expected it within ten seconds');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
