/** `chrysalis policy`, and what `serve` makes of it: policy file, chain file and CRLs of a state directory. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { createCrlGenerator, readTestScms, revocationOf } from '@chrysalis/authorities';
import { systemRandom } from '@chrysalis/crypto';
import {
  asCertificate,
  encryptForCertificate,
  TrustStore,
  time32FromUnix,
} from '@chrysalis/ieee1609dot2';
import {
  adoptLocalChainFile,
  DEFAULT_GLOBAL_POLICY,
  openCompositeCrl,
  openLocalPolicyFile,
  policyAt,
  RevocationList,
  timeOf,
} from '@chrysalis/scms';
import { writeFileDurably } from '@chrysalis/store/files';
import { type Answer, send } from '../../../test/support/https-client.ts';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { formatPolicy, parsePolicy, parseTime, parseValue } from '../src/policy-text.ts';
import { NOW_MS, run } from './run-main.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

describe('chrysalis policy', () => {
  it('shows CAMP defaults first, then what was set, now and announced', async (t) => {
    const { cli } = await stateDirectory(t);
    const first = await cli('policy', 'show');
    assert.match(first.stdout, /^global policy, version 1:\n/);
    assert.match(first.stdout, /^ {2}min-certs-per-i-period +20$/m);
    assert.match(first.stdout, /^ {2}max-available-cert-supply +3 years$/m);

    const announced = await cli(
      ...['policy', 'set', 'min-certs-per-i-period', '30', '--at', '2027-01-05T09:00:00Z'],
    );
    assert.equal(
      announced.stdout,
      'min-certs-per-i-period: 30 from 2027-01-05T09:00:00Z, global policy version 2\n',
    );
    await cli('policy', 'set', 'max-gpf-gccf-retrieval-interval', '1 hour');
    const { stdout } = await cli('policy', 'show');
    assert.match(stdout, /version 3/);
    assert.match(stdout, /^ {2}min-certs-per-i-period +20\n +30 from 2027-01-05T09:00:00Z$/m);
    assert.match(stdout, /^ {2}max-gpf-gccf-retrieval-interval +1 hour$/m);

    const json = JSON.parse((await cli('--json', 'policy', 'show')).stdout);
    assert.equal(json.version, 3);
    assert.deepEqual(json.policy['min-certs-per-i-period'], {
      initial: '20',
      changes: [{ at: '2027-01-05T09:00:00Z', value: '30' }],
    });
  });

  it('refuses what it does not know, and what nobody could live by', async (t) => {
    const { cli } = await stateDirectory(t);
    for (const [args, message] of [
      [['colour', 'blue'], /expected a parameter of the policy, saw "colour"/],
      [['i-period', '1 fortnight'], /i-period: expected up to 65535 of seconds, .* saw "1 fort/],
      [['min-certs-per-i-period', '256'], /expected an integer from 0 to 255, saw "256"/],
      [['cert-validity-model', 'lax'], /expected concurrent or nonConcurrent, saw "lax"/],
      [['i-period', '90 minutes'], /expected iPeriod of whole hours/],
      [['scms-version', '1', '--at', 'soon'], /expected a time as 2027-01-01T00:00:00Z/],
    ] as const) {
      const { status, stderr } = await cli('policy', 'set', ...args);
      assert.equal(status, 1);
      assert.match(stderr, message);
    }
    assert.match((await cli('policy', 'show')).stdout, /version 1:/);
  });

  it('writes a policy so that it reads the same again', () => {
    assert.deepEqual(parsePolicy(formatPolicy(DEFAULT_GLOBAL_POLICY)), DEFAULT_GLOBAL_POLICY);
    assert.deepEqual(parseValue('i-period', '1 hour'), { type: 'hours', value: 1 });
    assert.equal(parseTime('2027-01-01T00:00:00Z'), time32FromUnix(Date.UTC(2027, 0, 1)));
  });
});

describe('chrysalis serve', () => {
  it('gives devices the policy, the chains and the CRLs of its state directory', async (t) => {
    const { directory, cli, serve, clock } = await stateDirectory(t, Date.now());
    const scms = await readTestScms(directory);
    const root = asCertificate(scms.root.certificate);
    const first = await serve();

    const chain = await first.get('/download/local-certificate-chain');
    assert.match(nameIn(chain), /^local_certificate_chains_01_[0-9A-F]{4}\.oer$/);
    const { trust } = adoptLocalChainFile(chain.body, [root]);
    assert(trust.get(scms.pca.certificate.id));
    const policy = await first.get('/download/policy/local');
    assert.match(nameIn(policy), /^local_policy_0001_[0-9A-F]{4}\.oer$/);
    const crl = await first.getCrl();
    const crls = openCompositeCrl(crl.body, trust, timeOf(clock));
    assert.equal(crls.length, 5);
    const report = encryptForCertificate(new Uint8Array(9), scms.ma.certificate, systemRandom);
    assert.equal((await first.post('/process-misbehavior-report', report)).status, 200);
    await first.stop();

    await cli('policy', 'set', 'min-certs-per-i-period', '30');
    const second = await serve();
    const changed = await second.get('/download/policy/local');
    assert.match(nameIn(changed), /^local_policy_0002_[0-9A-F]{4}\.oer$/);
    const opened = openLocalPolicyFile(changed.body, trust, { time: timeOf(clock) });
    assert.equal(policyAt(opened.policy, timeOf(clock)).certsPerIPeriod, 30);
    assert.equal(nameIn(await second.get('/download/local-certificate-chain')), nameIn(chain));
    assert.deepEqual((await second.getCrl()).body, crl.body);
    await second.stop();
  });

  it('gives an RSE certificates by the policy, and keeps what it promised when that changes', async (t) => {
    const { directory, cli, serve, clock } = await stateDirectory(t, Date.now());
    const set = async (key: string, value: string) => {
      const { status, stderr } = await cli('policy', 'set', `rse-application-cert-${key}`, value);
      assert.equal(status, 0, stderr);
    };
    await set('validity', '48 hours');
    await set('overlap', '24 hours');
    const first = await serve();
    const [profile, bundle] = [join(directory, '../rsu'), join(directory, '../bundle')];
    const ee = async (command: string, ...args: string[]) => {
      const outcome = await cli('--json', 'ee', command, '--profile', profile, ...args);
      assert.equal(outcome.status, 0, outcome.stderr);
      return JSON.parse(outcome.stdout);
    };
    await ee('bootstrap', '--new', '--kind', 'rse');
    const request = join(profile, 'SignedEeEnrollmentCertRequest.oer');
    const enrolled = await cli(
      ...['enroll', '--request', request, '--out', bundle, '--ra-url', first.url],
    );
    assert.equal(enrolled.status, 0, enrolled.stderr);
    await ee('bootstrap', '--bundle', bundle);
    /** When the RSE asked if it did, and when it will ask for another. */
    const topUp = async (
      url: string,
    ): Promise<{ readonly asked: number; readonly due: number }> => {
      const asked = clock.now();
      await ee('topup', '--ra', url);
      clock.advance(10_000);
      const { due } = await ee('topup', '--ra', url);
      return { asked, due: Date.parse(due.at) };
    };
    const { asked, due } = await topUp(first.url);
    assert(Math.abs(due - (asked + 48 * HOUR_MS)) <= 1000, `${due - asked}`);
    await first.stop();

    await set('validity', '40 hours');
    await set('overlap', '30 hours');
    const second = await serve();
    assert.equal((await topUp(second.url)).due, due);
    clock.advance(due - clock.now());
    const renewed = await topUp(second.url);
    assert(Math.abs(renewed.due - (due + 40 * HOUR_MS)) <= 1000, `${renewed.due - due}`);
    await second.stop();
  });

  it('counts i-periods as the policy did at the first start', async (t) => {
    const { cli, serve, directory } = await stateDirectory(t, Date.now());
    await cli('policy', 'set', 'i-period', '24 hours');
    const first = await serve();
    const policy = await first.get('/download/policy/local');
    await first.stop();
    const request = join(directory, '../obu/SignedEeEnrollmentCertRequest.oer');
    await cli('ee', 'bootstrap', '--profile', join(directory, '../obu'), '--new');
    const bundle = join(directory, '../bundle');
    const url = ['--ra-url', 'https://localhost:8892'];
    const enrolled = await cli('enroll', '--request', request, '--out', bundle, ...url);
    assert.equal(enrolled.status, 0, enrolled.stderr);
    const bootstrap = JSON.parse(await readFile(join(bundle, 'bootstrap.json'), 'utf8'));
    assert.deepEqual(bootstrap.iPeriod, { epoch: 347_619_603, lengthSec: 86_400 });

    // The RA keeps the policy that it has, and says why.
    await cli('policy', 'set', 'i-period', '168 hours');
    const second = await serve();
    assert.deepEqual((await second.get('/download/policy/local')).body, policy.body);
    assert.match(
      await second.stop(),
      /expected iPeriod of 86400 s, by which i-values are counted, saw 604800 s/,
    );
    // Nor may its operator say otherwise.
    const file = join(directory, 'chrysalis.toml');
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace('# length-sec', 'length-sec'));
    const { status, stderr } = await cli('serve');
    assert.equal(status, 1);
    assert.match(stderr, /iperiod: expected i-periods of 86400 s from \d+, .*saw 604800 s/);
  });

  it('lists what is revoked at once, and carries it on into the CRL of the next day', async (t) => {
    const { directory, cli, serve, clock } = await stateDirectory(t, Date.now());
    const { crlg, root, ra, ica, pca } = await readTestScms(directory);
    const trust = new TrustStore([asCertificate(root.certificate)]);
    for (const { certificate } of [ica, pca, crlg, ra]) trust.add(asCertificate(certificate));
    const isListed = (composite: Uint8Array, { certificate }: typeof ra) =>
      new RevocationList(openCompositeCrl(composite, trust, timeOf(clock))).find(
        trust.get(certificate.id)!,
      ) !== undefined;
    // A CRL that somebody put there is no list of ours, signed or not.
    const planted = createCrlGenerator({ crlg, root, clock }).issue([
      revocationOf(pca.certificate),
    ]);
    await writeFileDurably(join(directory, 'authorities/crlg/crl.oer'), planted);

    const server = await serve();
    const first = (await server.getCrl()).body;
    assert(!isListed(first, ra) && !isListed(first, pca));
    const file = join(directory, 'ra/certificate.oer');
    const { status, stderr } = await cli('crl', 'revoke', '--certificate', file);
    assert.equal(status, 0, stderr);
    const second = (await server.getCrl()).body;
    assert(isListed(second, ra) && !isListed(second, pca));
    clock.advance(DAY_MS);
    const third = (await server.getCrl()).body;
    assert.notDeepEqual(third, second);
    assert(isListed(third, ra) && !isListed(third, pca));
    await server.stop();
  });
});

/** A state directory, commands on it, and an RA that runs on it: in real time then, for TLS knows no other. */
async function stateDirectory(t: TestContext, startMs = NOW_MS) {
  const directory = join(temporaryDirectory(), 'state');
  let aheadMs = 0;
  const clock = {
    now: () => startMs + aheadMs,
    advance(ms: number) {
      aheadMs += ms;
    },
  };
  const cli = (...args: string[]) => run(['--dir', directory, ...args], { clock });
  const { status, stderr } = await cli('init', '--port', '0', '--weeks-ahead', '1');
  assert.equal(status, 0, stderr);
  const ca = await readFile(join(directory, 'authorities/x509-root/certificate.pem'), 'utf8');

  async function serve() {
    const stopping = new AbortController();
    const printed = Promise.withResolvers<{ url: string; crlUrl: string }>();
    const args = ['--dir', directory, '--json', 'serve', '--log-level', 'warn'];
    const running = run(args, {
      clock,
      signal: stopping.signal,
      stdout: { write: (text) => printed.resolve(JSON.parse(text)) },
    });
    t.after(() => stopping.abort());
    const failed = running.then((outcome) => Promise.reject(new Error(outcome.stderr)));
    failed.catch(() => {});
    const { url, crlUrl } = await Promise.race([printed.promise, failed]);
    return {
      url,
      get: (path: string) => send(`${url}${path}`, ca),
      post: (path: string, body: Uint8Array) => send(`${url}${path}`, ca, { method: 'POST', body }),
      getCrl: () => send(`${crlUrl}/download-crl/`, ca),
      async stop() {
        stopping.abort();
        const { status, stderr } = await running;
        assert.equal(status, 0);
        return stderr;
      },
    };
  }
  return { directory, cli, serve, clock };
}

function nameIn({ status, headers }: Answer): string {
  assert.equal(status, 200);
  return /filename="(.*)"$/.exec(String(headers['content-disposition']))?.[1] ?? '';
}
