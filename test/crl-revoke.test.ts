/** `chrysalis crl revoke`, from the command to the device that finds itself on the CRL and stops. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { readTestScms } from '@chrysalis/authorities';
import { decode, encode } from '@chrysalis/coer';
import { type CertificateKind, DirectoryStorage, Profile } from '@chrysalis/ee';
import {
  asCertificate,
  Certificate,
  hashCertificate,
  hashedId10,
  TrustStore,
} from '@chrysalis/ieee1609dot2';
import { Blacklist, RA_MIGRATIONS, type RaSchema } from '@chrysalis/ra';
import { formatHex, openCompositeCrl, RevocationList, timeOf } from '@chrysalis/scms';
import { openDatabase } from '@chrysalis/store';
import { run } from '../packages/cli/test/run-main.ts';
import { send } from './support/https-client.ts';

/** Real time, for TLS knows no other; a test steps over what it would have to wait for. */
const clock = {
  aheadMs: 0,
  now(): number {
    return Date.now() + this.aheadMs;
  },
};
const PROMPT_MS = 6000;

let scene: Scene;
const resources = new AsyncDisposableStack();
before(async () => {
  scene = await start(resources);
});
after(() => resources.disposeAsync());

describe('chrysalis crl revoke', () => {
  it('of one pseudonym certificate stops its device at the next contact, and no other', async () => {
    const { bootstrap, topUp, certificates, revoke, list } = scene;
    const [revoked, other, rse] = [
      await bootstrap('revoked', 'obe'),
      await bootstrap('other', 'obe'),
      await bootstrap('rse', 'rse'),
    ];
    for (const device of [revoked, other, rse]) await supply(device);
    const theirs = await certificates(revoked, 'pseudonym');
    assert.equal(theirs.length, 40, 'two periods of 20');

    const { status, stdout, stderr } = await revoke(theirs[7]!, '--reason', 'stolen');
    assert.equal(status, 0, stderr);
    assert.match(
      stdout,
      /^revoked: series 1: a device, i \d+ to \d+, 20 in a period\nblacklisted enrollment: [0-9A-F]{16}\n$/,
    );

    const listed = await list();
    for (const octets of theirs) assert(listed.has(octets), 'each of the device');
    for (const octets of await certificates(other, 'pseudonym')) assert(!listed.has(octets));

    const stopped = await topUp(revoked);
    assert.equal(stopped.status, 1);
    assert.match(
      stopped.stderr,
      /chrysalis: a certificate \(pseudonym\): [0-9A-F]{16} is on the CRL of series 1 of /,
    );
    for (const device of [other, rse]) {
      const contact = await topUp(device);
      assert.equal(contact.status, 0, contact.stderr);
      assert.match(contact.stdout, /crl: new/);
    }

    // By another certificate of the same device nothing is added, and no other CRL is made.
    const before = await scene.crl();
    const again = await revoke(theirs[25]!);
    assert.match(again.stdout, /^revoked before: /);
    assert.deepEqual(await scene.crl(), before);
    assert(await scene.isBlacklisted(revoked));
    assert(!(await scene.isBlacklisted(other)));
  });

  it('of an application certificate stops the roadside unit, by HashedId10', async () => {
    const { topUp, certificates, revoke, list } = scene;
    const [certificate] = await certificates('rse', 'application');
    assert(certificate);
    const { status, stdout, stderr } = await revoke(certificate);
    assert.equal(status, 0, stderr);
    const id = formatHex(hashedId10(hashCertificate(decode(Certificate, certificate)).hash));
    assert.match(stdout, new RegExp(`^revoked: series 3: certificate ${id}, until 20`));
    assert((await list()).has(certificate));

    const stopped = await topUp('rse');
    assert.equal(stopped.status, 1);
    assert.match(stopped.stderr, /a certificate \(application\): .* is on the CRL of series 3 of /);
    assert(await scene.isBlacklisted('rse'));
    assert.equal((await topUp('other')).status, 0);
  });

  it('of an enrollment certificate stops the device that was enrolled with it', async () => {
    const enrollment = new Uint8Array(await readFile(join(scene.folder, 'other/enrollment.oer')));
    const { status, stdout, stderr } = await scene.revoke(enrollment);
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^revoked: series 4: certificate [0-9A-F]{20}, until 20/);
    const stopped = await scene.topUp('other');
    assert.equal(stopped.status, 1);
    assert.match(stopped.stderr, /the enrollment certificate: .* is on the CRL of series 4 of /);
    assert(await scene.isBlacklisted('other'));
  });

  it('of components: series 2, and 256 for those that only the root can announce', async () => {
    const { scms, revoke, list, cli } = scene;
    for (const [name, series] of [
      ['la1', 2],
      ['ra', 2],
      ['pg', 256],
    ] as const) {
      const { octets } = scms[name].certificate;
      const { status, stdout } = await revoke(octets, '--json');
      assert.equal(status, 0);
      assert.equal(JSON.parse(stdout).crlSeries, series);
      assert.equal(JSON.parse(stdout).enrollment, undefined);
      assert((await list()).has(octets));
    }
    const shown = await cli('crl', 'show');
    const lines = shown.stdout.trimEnd().split('\n');
    assert.equal(lines.length, 6);
    assert.match(shown.stdout, /^20\S+Z {2}series 1: a device, i \d+ to \d+, .* {2}\(stolen\)$/m);
    const all = JSON.parse((await cli('--json', 'crl', 'show')).stdout);
    assert.deepEqual(
      all.map(({ crlSeries }: { crlSeries: number }) => crlSeries).sort(),
      [1, 2, 2, 256, 3, 4],
    );
  });

  it('refuses what no CRL of this SCMS would list, and what it cannot find', async () => {
    const { scms, revoke, certificates, folder, cli } = scene;
    const [pseudonym] = await certificates('revoked', 'pseudonym');
    assert(pseudonym);
    const unknown = decode(Certificate, pseudonym);
    const { id } = unknown.value.toBeSigned;
    assert(id.type === 'linkageData');
    id.value.linkageValue[0]! ^= 1;
    const elsewhere = join(folder, 'elsewhere');
    const made = await run(['--dir', elsewhere, 'init', '--port', '0'], { clock });
    assert.equal(made.status, 0, made.stderr);
    const foreign = await readTestScms(elsewhere);
    for (const [octets, message] of [
      [scms.root.certificate.octets, /that a CRL of this SCMS can list, saw series 0/],
      [foreign.pca.certificate.octets, /expected a certificate of the SCMS in .*state/],
      [encode(Certificate, unknown), /expected a certificate that the PCA of this directory/],
      [Uint8Array.of(1, 2, 3), /expected an IEEE 1609\.2 certificate/],
    ] as const) {
      const { status, stderr } = await revoke(octets);
      assert.equal(status, 1, String(message));
      assert.match(stderr, message);
    }
    const absent = await cli('crl', 'revoke', '--certificate', join(folder, 'nothing.oer'));
    assert.match(absent.stderr, /expected a certificate in .*nothing\.oer, could not read it/);
    clock.aheadMs += 60 * 86_400_000;
    const { status, stderr } = await revoke(pseudonym);
    clock.aheadMs -= 60 * 86_400_000;
    assert.equal(status, 1);
    assert.match(stderr, /still valid, saw one that has run out/);
  });
});

type Scene = Awaited<ReturnType<typeof start>>;

/** A state directory with an RA and a CRL store that run on it, and the commands of operators and devices. */
async function start(stack: AsyncDisposableStack) {
  const folder = await mkdtemp(join(tmpdir(), 'chrysalis-crl-'));
  stack.defer(() => rm(folder, { recursive: true }));
  const directory = join(folder, 'state');
  const cli = (...args: string[]) => run(['--dir', directory, ...args], { clock });
  const made = await cli('init', '--port', '0', '--weeks-ahead', '2');
  assert.equal(made.status, 0, made.stderr);
  const ca = await readFile(join(directory, 'authorities/x509-root/certificate.pem'), 'utf8');
  const scms = await readTestScms(directory);
  const { url, crlUrl } = await serve(stack, directory);
  const profileOf = async (name: string) =>
    new Profile(await DirectoryStorage.open(join(folder, name)));
  const crl = async () => (await send(`${crlUrl}/download-crl/`, ca)).body;
  const trust = new TrustStore([asCertificate(scms.root.certificate)]);
  for (const name of ['ica', 'eca', 'pca', 'crlg', 'la1', 'la2', 'pg', 'ra'] as const) {
    trust.add(asCertificate(scms[name].certificate));
  }

  return {
    folder,
    scms,
    cli,
    crl,
    /** A device with an enrollment certificate; its profile has its name. */
    async bootstrap(name: string, kind: 'obe' | 'rse'): Promise<string> {
      const profile = join(folder, name);
      const bundle = join(folder, `${name}-bundle`);
      const request = join(profile, 'SignedEeEnrollmentCertRequest.oer');
      for (const argv of [
        ['ee', 'bootstrap', '--new', '--kind', kind, '--crl', crlUrl, '--profile', profile],
        ['enroll', '--request', request, '--out', bundle, '--ra-url', url],
        ['ee', 'bootstrap', '--bundle', bundle, '--profile', profile],
      ]) {
        const { status, stderr } = await cli(...argv);
        assert.equal(status, 0, stderr);
      }
      return name;
    },
    topUp: (name: string) => cli('ee', 'topup', '--profile', join(folder, name)),
    /** COER of every certificate that a device holds. */
    async certificates(name: string, kind: CertificateKind): Promise<Uint8Array[]> {
      const held = (await profileOf(name)).certificates(kind);
      const batches = await Promise.all((await held.openedNumbers()).map((i) => held.opened(i)));
      return batches.flatMap((batch) => batch?.certificates.map((c) => c.certificate) ?? []);
    },
    async revoke(certificate: Uint8Array, ...more: string[]) {
      const file = join(folder, 'certificate.oer');
      await writeFile(file, certificate);
      return cli('crl', 'revoke', '--certificate', file, ...more);
    },
    /** The CRLs as anybody may fetch and verify them. */
    async list() {
      const list = new RevocationList(openCompositeCrl(await crl(), trust, timeOf(clock)));
      return {
        has: (octets: Uint8Array) =>
          list.find(trust.verify(decode(Certificate, octets))) !== undefined,
      };
    },
    async isBlacklisted(name: string): Promise<boolean> {
      const enrollment = new Uint8Array(await readFile(join(folder, name, 'enrollment.oer')));
      const database = await openDatabase<RaSchema>(
        `sqlite:${join(directory, 'ra/chrysalis.db')}`,
        RA_MIGRATIONS,
      );
      const { hash } = hashCertificate(decode(Certificate, enrollment));
      const found = await new Blacklist(database).has(hash);
      await database.close();
      return found;
    },
  };
}

async function serve(stack: AsyncDisposableStack, directory: string) {
  const stopping = new AbortController();
  const printed = Promise.withResolvers<{ url: string; crlUrl: string }>();
  const running = run(['--dir', directory, '--json', 'serve', '--log-level', 'warn'], {
    clock,
    signal: stopping.signal,
    stdout: { write: (text) => printed.resolve(JSON.parse(text)) },
  });
  stack.defer(async () => {
    stopping.abort();
    await running;
  });
  const failed = running.then((outcome) => Promise.reject(new Error(outcome.stderr)));
  failed.catch(() => {});
  return Promise.race([printed.promise, failed]);
}

/** Asks, steps over the promised time, and fetches: a file that is not there yet the device waits for. */
async function supply(device: string): Promise<void> {
  const asked = await scene.topUp(device);
  assert.equal(asked.status, 0, asked.stderr);
  clock.aheadMs += PROMPT_MS;
  const kind = device === 'rse' ? 'application' : 'pseudonym';
  const expected = device === 'rse' ? 1 : 40;
  for (let contact = 0; contact < 10; contact += 1) {
    const { status, stderr } = await scene.topUp(device);
    assert.equal(status, 0, stderr);
    if ((await scene.certificates(device, kind)).length === expected) return;
  }
  assert.fail('expected all certificates after ten contacts');
}
