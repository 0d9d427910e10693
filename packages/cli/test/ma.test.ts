/** `chrysalis ma`: the test MA at an RA that serves, over its port for the MA. */
import assert from 'node:assert/strict';
import {
  appendFile,
  copyFile,
  mkdir,
  readdir,
  readFile,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { sha256 } from '@chrysalis/crypto';
import { DirectoryStorage, Profile } from '@chrysalis/ee';
import { send } from '../../../test/support/https-client.ts';
import { stateDirectory } from './served.ts';

const MA_PORT = `
[ma-port]
port = 0
tls-ca = "authorities/x509-root/certificate.pem"
clients = ["ma.scms.test"]
certificate = "authorities/ma/certificate.oer"
`;
const UNKNOWN = Buffer.from(sha256(Uint8Array.of(1)))
  .toString('hex')
  .toUpperCase();

/** An RA with its port for the MA, and a device with two weeks of certificates. */
async function start(t: TestContext, more = '') {
  const state = await stateDirectory(t);
  const { directory, serve, enroll, json, cli } = state;
  await appendFile(join(directory, 'chrysalis.toml'), MA_PORT + more);
  const ra = await serve();
  const { maUrl } = ra;
  assert(maUrl !== undefined);
  const device = await enroll(ra.url);
  await device.topUp();
  const profile = join(device.certificate, '..');
  const storage = await DirectoryStorage.open(profile);
  const held = new Profile(storage).certificates('pseudonym');
  const [i = Number.NaN] = await held.openedNumbers();
  const [first] = (await held.opened(i))?.certificates ?? [];
  assert(first !== undefined);
  const certificate = join(profile, 'first.oer');
  await writeFile(certificate, first.certificate);
  const { requestHash } = JSON.parse((await device.ee('status', '--json')).stdout).supplies[0];
  const ca = await readFile(join(directory, 'authorities/x509-root/certificate.pem'), 'utf8');
  return {
    ...state,
    ra,
    device,
    maUrl,
    certificate,
    ma: (...args: string[]) => cli('ma', ...args, '--url', maUrl),
    async maJson(...args: string[]) {
      return (await json('ma', ...args, '--url', maUrl)) as {
        readonly request: string;
        readonly replies: readonly Record<string, unknown>[];
      };
    },
    async info() {
      const { stdout } = await device.ee('header', `${requestHash}.info`);
      const [name = '', value = ''] = stdout.trim().split(': ');
      return (await send(`${ra.url}/download/info`, ca, { headers: { [name]: value } })).status;
    },
  };
}

describe('chrysalis ma', () => {
  it('asks for linkage and digests, and blacklists by a certificate', async (t) => {
    const { ma, maJson, certificate, device, info, ra, directory, json } = await start(t);
    const linkage = await maJson('linkage', UNKNOWN, '--certificate', certificate);
    assert.equal(linkage.request, 'maRaLCIRequest');
    const [unknown, chains] = linkage.replies;
    assert.deepEqual(unknown, { id: UNKNOWN, failure: 'hpcrIsUnknownToRA' });
    const { name, chain } = (chains as Record<string, unknown>).la1 as {
      name: string;
      chain: string;
    };
    assert.equal(name, 'la1.scms.test');
    assert.match(chain, /^(?:[0-9A-F]{2})+$/);
    assert.equal(typeof chains?.iMax, 'number');
    const digests = await ma('digests', device.id);
    assert.equal(
      digests.stdout,
      `${device.id}  maRa maRaCdvError noCertificateDigestValuesKnownForRIF\n`,
    );

    assert.equal(await info(), 200);
    const blacklisted = await ma('blacklist', '--certificate', certificate);
    assert.match(blacklisted.stdout, /^[0-9A-F]{64} {2}blacklisted\n$/);
    assert.equal(await info(), 500);
    const again = await ma('blacklist', device.id, '--generation-time');
    assert.match(again.stdout, /alreadyBlacklisted\n$/);
    const [entry] = (await json('blacklist', 'list')) as { enrollment: string; reason: string }[];
    assert.equal(entry?.enrollment, device.id);
    assert.match(entry?.reason ?? '', /^request [0-9a-f]{16} of the MA$/);
    const key = await stat(join(directory, 'authorities/ma/tls-client-key.pem'));
    assert.equal(key.mode & 0o777, 0o600);
    assert.equal((await ra.stop()).includes('error'), false);
  });

  it('countersigns as an auditor, and says when it was signed where that is required', async (t) => {
    const auditor = 'auditors = ["authorities/pg/certificate.oer"]\ncountersignatures = 1\n';
    const { ma, directory, device, info, ra } = await start(
      t,
      `${auditor}generation-time = "required"\n`,
    );
    const alone = await ma('blacklist', device.id);
    assert.match(alone.stdout, /maRaBaseError raNoMaAuthorizationSignature\n$/);
    const wrong = await ma(
      'blacklist',
      device.id,
      '--auditor',
      join(directory, 'authorities/crlg'),
    );
    assert.match(wrong.stdout, /maRaBaseError raInvalidMaAuthorizationSignature\n$/);
    assert.equal(await info(), 200);
    const right = await ma('blacklist', device.id, '--auditor', join(directory, 'authorities/pg'));
    assert.equal(right.stdout, `${device.id}  blacklisted\n`);
    assert.equal(await info(), 500);
    await ra.stop();
  });

  it('speaks to an RA of another directory, that knows its MA', async (t) => {
    const { directory, maUrl, device, ra, certificate } = await start(t);
    // An MA of another SCMS, which takes the RA for its own.
    const other = await stateDirectory(t);
    const raCertificate = join(directory, 'ra/certificate.oer');
    const ask = () =>
      other.cli('ma', 'blacklist', device.id, '--url', maUrl, '--ra-certificate', raCertificate);
    const foreign = await ask();
    assert.equal(foreign.status, 1);
    assert.match(foreign.stderr, /expected an answer from https:/);

    // The right MA, in a directory that has nothing of the RA but what is public.
    for (const name of ['ma', 'x509-root', 'root', 'ica']) {
      const to = join(other.directory, 'authorities', name);
      await mkdir(to, { recursive: true });
      for (const file of await readdir(join(directory, 'authorities', name))) {
        if (/\.(?:oer|key|pem)$/.test(file)) {
          await copyFile(join(directory, 'authorities', name, file), join(to, file));
        }
      }
    }
    for (const file of ['tls-client-certificate.pem', 'tls-client-key.pem']) {
      await rm(join(other.directory, 'authorities/ma', file), { force: true });
    }
    const own = await ask();
    assert.equal(own.stdout, `${device.id}  blacklisted\n`, own.stderr);
    const unknown = await other.cli('ma', 'linkage', '--certificate', certificate, '--url', maUrl);
    assert.match(unknown.stderr, /expected a certificate that the PCA of .* issued/);
    await ra.stop();
  });

  it('says what is missing', async (t) => {
    const { cli, directory } = await stateDirectory(t);
    for (const [args, message] of [
      [['linkage', UNKNOWN], /expected a section \[ma-port\] in the configuration, or --url/],
      [['linkage'], /expected an id, or --certificate FILE/],
      [['linkage', 'abcd'], /expected 64 hex digits, saw "abcd"/],
      [['blacklist', UNKNOWN, '0011223344556677'], /expected either HPCRs or RIFs, saw both/],
      [['digests', UNKNOWN], /expected 16 hex digits/],
      [['linkage', UNKNOWN, '--url', 'https://127.0.0.1:1'], /expected an answer from/],
      [['linkage', UNKNOWN, '--url', 'http://127.0.0.1'], /expected https:\/\/HOST:PORT/],
    ] as const) {
      const { status, stderr } = await cli('ma', ...args);
      assert.notEqual(status, 0);
      assert.match(stderr, message);
      assert.doesNotMatch(stderr, /internal error/);
    }
    const config = join(directory, 'chrysalis.toml');
    await appendFile(config, `${MA_PORT}countersignatures = 2\nauditors = ["a.oer"]\n`);
    const { stderr } = await cli('serve');
    assert.match(stderr, /ma-port\.auditors: expected as many auditors as countersignatures/);
  });
});
