/** `chrysalis policy`, and what `serve` makes of it: policy file, chain file and CRLs of a state directory. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { createCrlGenerator, readTestScms, revocationOf } from '@chrysalis/authorities';
import { systemRandom } from '@chrysalis/crypto';
import {
  asCertificate,
  encryptForCertificate,
  type Time32,
  TrustStore,
  time32FromUnix,
} from '@chrysalis/ieee1609dot2';
import {
  adoptLocalChainFile,
  DEFAULT_GLOBAL_POLICY,
  IPeriodClock,
  openCompositeCrl,
  openLocalPolicyFile,
  policyAt,
  RevocationList,
  timeOf,
} from '@chrysalis/scms';
import { writeFileDurably } from '@chrysalis/store';
import { type Answer, send } from '../../../test/support/https-client.ts';
import { formatPolicy, parsePolicy, parseTime, parseValue } from '../src/policy-text.ts';
import { NOW_MS, run, temporaryDirectory } from './run-main.ts';

const DAY_MS = 86_400_000;

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
    assert.match(nameIn(chain), /^local_certificate_chains_01_01\.oer$/);
    const { trust } = adoptLocalChainFile(chain.body, [root]);
    assert(trust.get(scms.pca.certificate.id));
    const policy = await first.get('/download/policy/local');
    assert.equal(nameIn(policy), 'local_policy_0001_0001.oer');
    const crl = await first.getCrl();
    const crls = openCompositeCrl(crl.body, trust, timeOf(clock));
    assert.equal(crls.length, 5);
    const report = encryptForCertificate(new Uint8Array(9), scms.ma.certificate, systemRandom);
    assert.equal((await first.post('/process-misbehavior-report', report)).status, 200);
    await first.stop();

    await cli('policy', 'set', 'min-certs-per-i-period', '30');
    const second = await serve();
    const changed = await second.get('/download/policy/local');
    assert.equal(nameIn(changed), 'local_policy_0002_0002.oer');
    const opened = openLocalPolicyFile(changed.body, trust, { time: timeOf(clock) });
    assert.equal(policyAt(opened.policy, timeOf(clock)).certsPerIPeriod, 30);
    assert.equal(nameIn(await second.get('/download/local-certificate-chain')), nameIn(chain));
    assert.deepEqual((await second.getCrl()).body, crl.body);
    await second.stop();
  });

  it('carries every revocation on into the CRL of the next day', async (t) => {
    const { directory, serve, clock } = await stateDirectory(t, Date.now());
    const { crlg, root, ra, ica } = await readTestScms(directory);
    const now: Time32 = timeOf(clock);
    const generator = createCrlGenerator({ crlg, root, clock });
    const i = new IPeriodClock().at(now);
    const device = {
      type: 'linkage' as const,
      i,
      iMax: i + 100,
      jMax: 20,
      la1Id: Uint8Array.of(0, 1),
      la2Id: Uint8Array.of(0, 2),
      linkageSeed1: new Uint8Array(16).fill(1),
      linkageSeed2: new Uint8Array(16).fill(2),
    };
    const issued = generator.issue([revocationOf(ra.certificate), device]);
    await writeFileDurably(join(directory, 'authorities/crlg/crl.oer'), issued);

    const trust = new TrustStore([asCertificate(root.certificate)]);
    trust.add(asCertificate(ica.certificate));
    trust.add(asCertificate(crlg.certificate));
    const server = await serve();
    assert.deepEqual((await server.getCrl()).body, issued);
    clock.advance(DAY_MS);
    const next = await server.getCrl();
    assert.notDeepEqual(next.body, issued);
    const before = openCompositeCrl(issued, trust, now);
    const after = openCompositeCrl(next.body, trust, timeOf(clock));
    assert(new RevocationList(after).find(trust.add(asCertificate(ra.certificate))));
    assert.deepEqual(
      after.map(({ contents }) => contents.typeSpecific.type),
      before.map(({ contents }) => contents.typeSpecific.type),
    );
    const [linked] = after;
    assert(linked?.contents.typeSpecific.type === 'fullLinkedCrl');
    assert.deepEqual(linked.contents.typeSpecific.value.individual?.length, 1);
    await server.stop();
  });
});

/** A state directory, commands on it, and an RA that runs on it: in real time then, for TLS knows no other. */
async function stateDirectory(t: TestContext, startMs = NOW_MS) {
  const directory = join(await temporaryDirectory(t), 'state');
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
      get: (path: string) => send(`${url}${path}`, ca),
      post: (path: string, body: Uint8Array) => send(`${url}${path}`, ca, { method: 'POST', body }),
      getCrl: () => send(`${crlUrl}/download-crl/`, ca),
      async stop() {
        stopping.abort();
        assert.equal((await running).status, 0);
      },
    };
  }
  return { directory, cli, serve, clock };
}

function nameIn({ status, headers }: Answer): string {
  assert.equal(status, 200);
  return /filename="(.*)"$/.exec(String(headers['content-disposition']))?.[1] ?? '';
}
