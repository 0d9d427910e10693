import assert from 'node:assert/strict';
import { access, copyFile, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { openPseudonymLog } from '@chrysalis/authorities';
import { sha256, systemRandom } from '@chrysalis/crypto';
import { RemoteAuthority } from '@chrysalis/ra';
import { IPeriodClock, systemClock } from '@chrysalis/scms';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { loadConfig, parseConfig } from '../src/config.ts';
import { withRemoteAuthority } from '../src/config-edit.ts';
import { configFileText } from '../src/config-file.ts';
import { createLog } from '../src/log.ts';
import { openPeers } from '../src/peers.ts';
import { loadTrust } from '../src/trust.ts';
import { type Outcome, run } from './run-main.ts';

type Name = 'pca' | 'la1' | 'la2';

/** A test SCMS, and where its authorities are to go. */
async function scene() {
  const root = temporaryDirectory();
  const ra = join(root, 'ra');
  const made = await run(['--dir', ra, 'init', '--weeks-ahead', '2']);
  assert.equal(made.status, 0, made.stderr);
  const at = (name: Name) => join(root, name);
  const exportOf = (name: Name, ...more: string[]): Promise<Outcome> =>
    run(['--dir', ra, 'authority', 'export', name, '--to', at(name), ...more]);
  const files = async (directory: string) =>
    (await readdir(directory, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
      .toSorted();
  return { ra, at, exportOf, files };
}

const isThere = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );

describe('chrysalis authority export', () => {
  it('moves the keys of a PCA, and leaves its certificate', async () => {
    const { ra, at, exportOf, files } = await scene();
    const signingKey = await readFile(join(ra, 'authorities/pca/signing.key'), 'utf8');
    const outcome = await exportOf('pca', '--port', '18901');
    assert.equal(outcome.status, 0, outcome.stderr);
    assert.deepEqual(await files(join(ra, 'authorities/pca')), ['certificate.oer']);
    assert.equal(
      await readFile(join(at('pca'), 'authorities/pca/signing.key'), 'utf8'),
      signingKey,
    );
    assert.deepEqual(await files(at('pca')), [
      'authorities/la1/certificate.oer',
      'authorities/la1/shared.key',
      'authorities/la2/certificate.oer',
      'authorities/la2/shared.key',
      'authorities/pca/certificate.oer',
      'authorities/pca/encryption.key',
      'authorities/pca/signing.key',
      'authority.toml',
      'tls/certificate.pem',
      'tls/private-key.pem',
      'trust/intermediate-1.oer',
      'trust/ra.oer',
      'trust/root-1.oer',
      'trust/x509-root.pem',
    ]);
    const keys = (await files(at('pca'))).filter((file) => /key/.test(file));
    for (const path of [
      ...keys.map((file) => join(at('pca'), file)),
      join(ra, 'ra/tls-client-key.pem'),
    ]) {
      assert.equal((await stat(path)).mode & 0o777, 0o600, path);
    }
    const { pca, la1 } = await loadConfig(ra);
    assert.equal(la1.mode, 'in-process');
    assert(pca.mode === 'remote');
    assert.deepEqual(
      [pca.url, pca.tlsCert, pca.timeoutSec],
      ['https://127.0.0.1:18901', join(ra, 'ra/tls-client-certificate.pem'), 10],
    );
  });

  it('gives an LA its own keys and nothing of the other, and leaves the PCA in process what it needs', async () => {
    const { ra, at, exportOf, files } = await scene();
    for (const name of ['la1', 'la2'] as const) {
      assert.equal((await exportOf(name)).status, 0);
      const own = (await files(at(name))).filter((file) => file.startsWith('authorities/'));
      assert.deepEqual(
        own,
        ['certificate.oer', 'chain.key', 'shared.key', 'signing.key'].map(
          (file) => `authorities/${name}/${file}`,
        ),
      );
      assert.deepEqual(await files(join(ra, 'authorities', name)), [
        'certificate.oer',
        'shared.key',
      ]);
    }
    const config = await loadConfig(ra);
    await using resources = new AsyncDisposableStack();
    const { pca, la1, la2 } = await openPeers(
      {
        config,
        directory: ra,
        trust: await loadTrust(config.trust),
        iPeriod: new IPeriodClock(),
        clock: systemClock,
        random: systemRandom,
        log: createLog({ write() {} }, 'silent'),
      },
      resources,
    );
    assert.deepEqual(
      [pca, la1, la2].map(({ port }) => port instanceof RemoteAuthority),
      [false, true, true],
    );
    // It answers, with a refusal that it signs.
    assert((await pca.port.requestCertificate(Uint8Array.of(1))).length > 0);
    await resources.disposeAsync();
    const last = await exportOf('pca');
    assert.equal(last.status, 0, last.stderr);
    for (const name of ['pca', 'la1', 'la2']) {
      assert.deepEqual(await files(join(ra, 'authorities', name)), ['certificate.oer']);
    }
  });

  it('takes along what the PCA has issued, and waits for nobody who has it open', async () => {
    const { ra, at, exportOf } = await scene();
    const database = join('authorities/pca/pca.db');
    const log = await openPseudonymLog(`sqlite:${join(ra, database)}`);
    const requestHash = sha256(Uint8Array.of(1));
    const answer = Uint8Array.of(2);
    const cocoonKey = new Uint8Array(65);
    const certificateId = new Uint8Array(8);
    await log.record([{ requestHash, cocoonKey, certificateId, issuedAt: 1, answer }]);
    const toml = await readFile(join(ra, 'chrysalis.toml'), 'utf8');
    const refused = await exportOf('pca');
    assert.equal(refused.status, 1);
    assert.match(
      refused.stderr,
      /pca\.db for ourselves: .*locked\n.*hint: stop chrysalis serve first/,
    );
    assert.equal(await readFile(join(ra, 'chrysalis.toml'), 'utf8'), toml);
    assert(await isThere(join(ra, 'authorities/pca/signing.key')));
    await log.close();

    assert.equal((await exportOf('pca')).status, 0);
    assert.equal(await isThere(join(ra, database)), false);
    const moved = await openPseudonymLog(`sqlite:${join(at('pca'), database)}`);
    assert.deepEqual(await moved.find(requestHash), answer);
    await moved.close();
  });

  it('that was cut off before the RA knew begins anew', async () => {
    const { at, exportOf } = await scene();
    assert.equal((await exportOf('la1')).status, 0);
    const { ra, files } = await scene();
    // What an export leaves behind that was killed while it wrote: of another SCMS, so that it shows.
    const to = at('la1');
    await writeFile(join(to, '.chrysalis-export'), '');
    const again = await run(['--dir', ra, 'authority', 'export', 'la2', '--to', to]);
    assert.equal(again.status, 0, again.stderr);
    assert(!(await files(to)).some((file) => file.includes('la1') || file.startsWith('.')));
  });

  it('that was cut off after the RA knew goes on, and is not served before', async () => {
    const { ra, at, exportOf, files } = await scene();
    assert.equal((await exportOf('pca')).status, 0);
    for (const key of ['signing.key', 'encryption.key']) {
      const path = join('authorities/pca', key);
      await copyFile(join(at('pca'), path), join(ra, path));
    }
    await writeFile(join(at('pca'), '.chrysalis-export'), '');
    const serve = await run(['--dir', at('pca'), 'authority', 'serve', 'pca']);
    assert.equal(serve.status, 1);
    assert.match(serve.stderr, /expected a finished export, saw \.chrysalis-export/);
    const again = await exportOf('pca');
    assert.equal(again.status, 0, again.stderr);
    assert.deepEqual(await files(join(ra, 'authorities/pca')), ['certificate.oer']);
    assert.equal(await isThere(join(at('pca'), '.chrysalis-export')), false);
  });

  it('refuses what is done already, a directory in use, and other authorities', async () => {
    const { ra, at, exportOf } = await scene();
    assert.match(
      (await run(['--dir', ra, 'authority', 'export', 'la1', '--to', ra])).stderr,
      /empty/,
    );
    assert.equal((await exportOf('la1')).status, 0);
    assert.match((await exportOf('la1')).stderr, /expected la1\.mode = "in-process", saw "remote"/);
    const serve = (dir: string) => run(['--dir', dir, 'authority', 'serve', 'la2']);
    assert.match((await serve(at('la1'))).stderr, /expected the directory of la2, saw that of la1/);
    assert.match((await serve(ra)).stderr, /saw no authority\.toml/);
    const eca = await run(['--dir', ra, 'authority', 'export', 'eca', '--to', at('pca')]);
    assert.equal(eca.status, 2);
  });
});

describe('chrysalis.toml, when an authority leaves', () => {
  const TEXT = configFileText({
    host: 'localhost',
    listen: '127.0.0.1',
    port: 8892,
    weeksAhead: 4,
    pcaHostname: 'pca.scms.test',
    la1Hostname: 'la1.scms.test',
    la2Hostname: 'la2.scms.test',
  });
  const peer = { url: 'https://127.0.0.1:1', tlsCa: 'ca.pem', tlsCert: 'c.pem', tlsKey: 'k.pem' };

  it('changes one line of one section, and keeps every comment', () => {
    const edited = withRemoteAuthority(TEXT, 'la1', peer).split('\n');
    const before = TEXT.split('\n');
    assert.deepEqual(
      before.filter((line) => !edited.includes(line)),
      [],
    );
    assert.deepEqual(
      edited.filter((line) => !before.includes(line)),
      [
        'mode = "remote"',
        'url = "https://127.0.0.1:1"',
        'tls-ca = "ca.pem"',
        'tls-cert = "c.pem"',
        'tls-key = "k.pem"',
      ],
    );
    const { la1, la2 } = parseConfig(edited.join('\n'), '/state');
    assert.deepEqual([la1.mode, la2.mode], ['remote', 'in-process']);
  });

  for (const [what, text] of [
    ['written as an inline table', TEXT.replace(/\[pca\]\nmode = .*\n/, 'x = 1\n')],
    ['without a mode', TEXT.replace('[pca]\nmode = "in-process"', '[pca]')],
    ['that is remote already', withRemoteAuthority(TEXT, 'pca', peer)],
  ] as const) {
    it(`is left alone with a section ${what}`, () => {
      assert.throws(() => withRemoteAuthority(text, 'pca', peer), { name: 'CliError' });
    });
  }
});
