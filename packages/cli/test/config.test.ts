import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { stringify } from 'smol-toml';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { type ConfigFile, loadConfig, parseConfig, publicUrlOf } from '../src/config.ts';
import { configFileText } from '../src/config-file.ts';
import { CliError } from '../src/context.ts';
import { limitsOf } from '../src/serve-settings.ts';

const TEXT = configFileText({
  host: 'ra.example.com',
  listen: '127.0.0.1',
  port: 8892,
  weeksAhead: 4,
  pcaHostname: 'pca.scms.test',
  la1Hostname: 'la1.scms.test',
  la2Hostname: 'la2.scms.test',
});

/** The least that a file has to say. */
const peer = (name: string) => ({
  mode: 'in-process' as const,
  certificate: `${name}.oer`,
  hostname: name,
});
const LEAST: ConfigFile = {
  ra: {
    host: 'localhost',
    'tls-cert': 'tls.pem',
    'tls-key': 'tls.key',
    certificate: 'ra.oer',
    'signing-key': 'signing.key',
    'encryption-key': 'encryption.key',
  },
  trust: { roots: ['root.oer'], ecas: ['/pki/eca.oer'], 'x509-root': 'x509.pem' },
  pca: peer('pca'),
  la1: peer('la1'),
  la2: peer('la2'),
  certificates: {},
  shuffle: {},
  iperiod: {},
  store: { url: 'sqlite:ra.db' },
  objects: { url: 'file:/var/objects' },
};

/** The PCA in another process. */
const REMOTE = {
  mode: 'remote' as const,
  url: 'https://pca.example.com:8901',
  'tls-ca': 'x509.pem',
  'tls-cert': 'client.pem',
  'tls-key': 'client.key',
  certificate: 'pca.oer',
  hostname: 'pca',
};

/** The messages of a file, the least one with some section changed. */
function messagesOf(more: Record<string, unknown>): string[] {
  try {
    parseConfig(stringify({ ...LEAST, ...more }), '/state');
  } catch (error) {
    if (error instanceof CliError) return error.message.split('\n');
    throw error;
  }
  throw new Error('expected a refusal');
}

describe('chrysalis.toml', () => {
  it('as init writes it, is valid, and names every key that has a default with that default', () => {
    const written = parseConfig(TEXT, '/state');
    const defaults = parseConfig(stringify(LEAST), '/state');
    assert.deepEqual(written.ra, {
      host: 'ra.example.com',
      listen: '127.0.0.1',
      port: 8892,
      tlsCert: '/state/ra/tls-certificate.pem',
      tlsKey: '/state/ra/tls-key.pem',
      certificate: '/state/ra/certificate.oer',
      signingKey: '/state/ra/signing.key',
      encryptionKey: '/state/ra/encryption.key',
      formerKeyDays: 30,
      clientSignatureTtlSec: 5,
      errorDetail: 'production',
      refusalTickMs: 100,
      dialect: 'auto',
    });
    assert.deepEqual(Object.keys(written.ra), Object.keys(defaults.ra));
    // What is not named follows the policy.
    assert.deepEqual(written.certificates, {
      weeksAhead: 4,
      pauseAfterWeeks: 52,
      secondRequest: 'replace',
    });
    assert.deepEqual(defaults.pipeline, written.pipeline);
    assert.deepEqual(written.shuffle, { initial: 'immediate' });
    assert.deepEqual(written.pg, { mode: 'in-process' });
    assert.deepEqual(written.ma, {
      mode: 'in-process',
      reportsPerMinute: 1000,
      poolThreshold: 10_000,
      poolMaxAgeHours: 24,
    });
    assert.deepEqual(written.crl, { mode: 'in-process', port: 8894 });
    assert.deepEqual(written.limits, {
      provisioningFailuresPerHour: 5,
      downloadFailuresPerHour: 600,
      connections: 5000,
      handshakes: 500,
      waitingConnections: 256,
      provisioningUnderWay: 256,
      downloadsUnderWay: 1024,
      anonymousUnderWay: 256,
      anonymousPerSecond: 2000,
      shedAnonymousMs: 500,
      shedProvisioningMs: 250,
      shedDownloadsMs: 1000,
    });
    assert.deepEqual(defaults.limits, written.limits);
    // Whose configuration is older has no port that it does not know of.
    assert.deepEqual([written.ops, defaults.ops], [{ port: 8895, workerPort: 8897 }, undefined]);
    const { mode } = written.ma;
    const bare = parseConfig(stringify({ ...LEAST, ma: { mode }, crl: { mode } }), '/state');
    assert.deepEqual([bare.ma, bare.crl], [written.ma, written.crl]);
    assert.deepEqual(written.iperiod, { epoch: 347_619_603 });
    assert.equal(written.store.url, 'sqlite:/state/ra/chrysalis.db');
    assert.equal(written.objects.url, 'file:/state/ra/objects');
    for (const line of TEXT.split('\n')) assert.ok(line.length <= 120, line);
  });

  it('shuffles everything unless told otherwise', () => {
    const config = parseConfig(stringify(LEAST), '/state');
    assert.deepEqual(config.shuffle, { initial: 'pooled' });
    assert.deepEqual(config.certificates, { pauseAfterWeeks: 52, secondRequest: 'replace' });
    assert.deepEqual(config.pipeline, { threads: 1, linkageCache: 200 });
    assert.deepEqual([config.pg, config.ma, config.crl], [undefined, undefined, undefined]);
    assert.equal(config.ra.dialect, 'auto');
  });

  it('has paths that start at the file, unless absolute', () => {
    const { trust, store, objects } = parseConfig(stringify(LEAST), '/state');
    assert.deepEqual(trust, {
      roots: ['/state/root.oer'],
      intermediates: [],
      ecas: ['/pki/eca.oer'],
      x509Root: '/state/x509.pem',
    });
    assert.equal(store.url, 'sqlite:/state/ra.db');
    assert.equal(objects.url, 'file:/var/objects');
    const inMemory = { ...LEAST, store: { url: 'sqlite::memory:' } };
    assert.equal(parseConfig(stringify(inMemory), '/state').store.url, 'sqlite::memory:');
  });

  it('says where devices find the RA, when it can', () => {
    const urlOf = (ra: Partial<ConfigFile['ra']>) =>
      publicUrlOf(parseConfig(stringify({ ...LEAST, ra: { ...LEAST.ra, ...ra } }), '/state'));
    assert.equal(urlOf({}), 'https://localhost:8892');
    assert.equal(urlOf({ port: 0 }), undefined);
    assert.equal(urlOf({ port: 0, 'public-url': 'https://lop.example/' }), 'https://lop.example');
  });

  const refusals: [string, Record<string, unknown>, string[]][] = [
    [
      'a number out of range',
      { ra: { ...LEAST.ra, port: 70_000 } },
      ['chrysalis.toml: ra.port: expected 65535 or less, saw 70000'],
    ],
    [
      'text for a number',
      { certificates: { 'per-period': 'many' } },
      ['chrysalis.toml: certificates.per-period: expected a value of type number, saw "many"'],
    ],
    [
      'a fraction',
      { certificates: { 'per-period': 1.5 } },
      ['chrysalis.toml: certificates.per-period: expected an integer, saw 1.5'],
    ],
    [
      'a shuffle that waits for more than may wait',
      { shuffle: { threshold: 20_001 } },
      ['chrysalis.toml: shuffle.threshold: expected 20000 or less, saw 20001'],
    ],
    [
      'a word that is none of those',
      { shuffle: { initial: 'never' } },
      ['chrysalis.toml: shuffle.initial: expected "immediate" or "pooled", saw "never"'],
    ],
    [
      'unknown keys, in sections and at the top, all in one go',
      { shuffle: { treshold: 10 }, colour: 'blue' },
      [
        'chrysalis.toml: shuffle.treshold: expected a known key',
        'chrysalis.toml: colour: expected a known key',
      ],
    ],
    [
      'a missing key',
      { trust: { roots: ['root.oer'], ecas: ['eca.oer'] } },
      ['chrysalis.toml: trust.x509-root: expected a value of type string, saw nothing'],
    ],
    [
      'no roots',
      { trust: { ...LEAST.trust, roots: [] } },
      ['chrysalis.toml: trust.roots: expected 1 or more, saw []'],
    ],
    [
      'a host that is none',
      { ra: { ...LEAST.ra, host: 'https://ra' } },
      ['chrysalis.toml: ra.host: expected a host name, saw "https://ra"'],
    ],
    [
      'an address that is none',
      { ra: { ...LEAST.ra, listen: 'everywhere' } },
      ['chrysalis.toml: ra.listen: expected an IP address, saw "everywhere"'],
    ],
    [
      'a public URL without TLS',
      { ra: { ...LEAST.ra, 'public-url': 'http://ra' } },
      ['chrysalis.toml: ra.public-url: expected an https URL, saw "http://ra"'],
    ],
    [
      'a mode that is none',
      { pca: { ...LEAST.pca, mode: 'elsewhere' } },
      ['chrysalis.toml: pca.mode: expected "in-process" or "remote", saw "elsewhere"'],
    ],
    [
      'an authority without a mode',
      { la1: { certificate: 'la1.oer', hostname: 'la1' } },
      ['chrysalis.toml: la1.mode: expected "in-process" or "remote", saw nothing'],
    ],
    [
      'an authority behind anything but an https origin',
      { pca: { ...REMOTE, url: 'https://pca.example.com/path' } },
      ['chrysalis.toml: pca.url: expected https://HOST:PORT, saw "https://pca.example.com/path"'],
    ],
    [
      'an authority behind TLS that is not mutual',
      { pca: { ...LEAST.pca, mode: 'remote', url: REMOTE.url } },
      ['tls-ca', 'tls-cert', 'tls-key'].map(
        (key) => `chrysalis.toml: pca.${key}: expected a value of type string, saw nothing`,
      ),
    ],
    [
      'a store that is none, without its password',
      { store: { url: 'mysql://ra:secret@db' } },
      ['chrysalis.toml: store.url: expected sqlite:PATH or postgres://HOST/DATABASE, saw another'],
    ],
  ];
  for (const [what, more, messages] of refusals) {
    it(`refuses ${what}`, () => assert.deepEqual(messagesOf(more), messages));
  }

  it('takes an authority in another process, and gives it ten seconds', () => {
    const { pca } = parseConfig(stringify({ ...LEAST, pca: REMOTE }), '/state');
    assert.deepEqual(pca, {
      mode: 'remote',
      url: 'https://pca.example.com:8901',
      tlsCa: '/state/x509.pem',
      tlsCert: '/state/client.pem',
      tlsKey: '/state/client.key',
      timeoutSec: 10,
      certificate: '/state/pca.oer',
      hostname: 'pca',
      former: [],
    });
  });

  it('takes certificates that the PCA had before, of no other authority', () => {
    const former = ['former/1.oer', '/pki/2.oer'];
    const { pca } = parseConfig(stringify({ ...LEAST, pca: { ...peer('pca'), former } }), '/state');
    assert.deepEqual(pca.former, ['/state/former/1.oer', '/pki/2.oer']);
    assert.deepEqual(messagesOf({ la1: { ...peer('la1'), former } }), [
      'chrysalis.toml: la1.former: expected a known key',
    ]);
  });

  it('refuses what is no TOML, and says where', async () => {
    const directory = temporaryDirectory();
    await writeFile(join(directory, 'chrysalis.toml'), 'ra = {\nhost');
    await assert.rejects(loadConfig(directory), {
      name: 'CliError',
      message: /chrysalis\.toml:\d+:\d+: ./,
    });
  });

  it('tells a directory without one what to do', async () => {
    await assert.rejects(loadConfig(temporaryDirectory()), {
      name: 'CliError',
      message: /expected a state directory, saw no chrysalis\.toml/,
      hint: /chrysalis init/,
    });
  });
});

describe('limits of several processes', () => {
  const { limits } = parseConfig(stringify(LEAST), '/state');
  const of = (processes: number) => limitsOf({ limits, ma: undefined }, processes).limits;

  it('are shares of what all devices together may do, but for how late one is', () => {
    assert.equal(of(1).anonymousPerSecond, 2000);
    const shares = of(3);
    assert.equal(shares.anonymousPerSecond, 667);
    assert.equal(shares.provisioningUnderWay, 86);
    const { shedAnonymousMs, shedProvisioningMs, shedDownloadsMs } = shares;
    assert.deepEqual([shedAnonymousMs, shedProvisioningMs, shedDownloadsMs], [500, 250, 1000]);
  });
});
