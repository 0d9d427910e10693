/** `chrysalis crl revoke` on a directory from which authorities are gone, or in which none has run. */
import assert from 'node:assert/strict';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { readTestScms, type TestScms } from '@chrysalis/authorities';
import { PrivateKey, systemRandom } from '@chrysalis/crypto';
import {
  hashCertificate,
  issueExplicit,
  type ToBeSignedCertificate,
  time32FromUnix,
} from '@chrysalis/ieee1609dot2';
import { CRL_SERIES, IPeriodClock } from '@chrysalis/scms';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { NOW_MS, run } from './run-main.ts';

const CURRENT_I = new IPeriodClock().at(time32FromUnix(NOW_MS));

async function stateDirectory() {
  const folder = temporaryDirectory();
  const directory = join(folder, 'state');
  const cli = async (...args: string[]) => {
    const outcome = await run(['--dir', directory, ...args]);
    return { ...outcome, all: outcome.stdout + outcome.stderr };
  };
  assert.equal((await cli('init', '--weeks-ahead', '2')).status, 0);
  const scms = await readTestScms(directory);
  return {
    scms,
    cli,
    async exportOf(name: string): Promise<void> {
      const { status, stderr } = await cli('authority', 'export', name, '--to', join(folder, name));
      assert.equal(status, 0, stderr);
    },
    async revoke(certificate: Uint8Array) {
      const file = join(folder, 'certificate.oer');
      await writeFile(file, certificate);
      return cli('crl', 'revoke', '--certificate', file);
    },
    async hasLog(): Promise<boolean> {
      const files = await readdir(join(directory, 'authorities/pca'));
      return files.some((file) => file.startsWith('pca.db'));
    },
  };
}

/** As the PCA issues them; explicit, so that no key need be reconstructed. */
function issue({ pca }: TestScms, crlSeries: number, id: ToBeSignedCertificate['id']): Uint8Array {
  const certificate = issueExplicit(
    {
      id,
      cracaId: pca.certificate.certificate.toBeSigned.cracaId,
      crlSeries,
      validityPeriod: {
        start: new IPeriodClock().start(CURRENT_I),
        duration: { type: 'hours', value: 169 },
      },
      appPermissions: [{ psid: 0x20 }],
    },
    PrivateKey.generate(systemRandom).publicPoint,
    { certificate: pca.certificate, key: pca.signingKey },
  );
  return hashCertificate(certificate).octets;
}

function certificatesOf(scms: TestScms) {
  const linkageValue = systemRandom(9);
  return {
    pseudonym: issue(scms, CRL_SERIES.obePseudonym, {
      type: 'linkageData',
      value: { iCert: CURRENT_I, linkageValue },
    }),
    application: issue(scms, CRL_SERIES.eeNonPseudonym, {
      type: 'binaryId',
      value: systemRandom(8),
    }),
    component: scms.la1.certificate.octets,
  };
}

describe('chrysalis crl revoke', () => {
  it('makes no log for a PCA that has issued nothing', async () => {
    const { scms, cli, revoke, hasLog } = await stateDirectory();
    const { pseudonym, application, component } = certificatesOf(scms);
    const refused = await revoke(pseudonym);
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /expected a certificate that the PCA of this directory issued/);
    for (const octets of [application, component]) {
      assert.match((await revoke(octets)).all, /^revoked: series [23]: .*\n.*of no device here$/m);
    }
    assert.equal(JSON.parse((await cli('--json', 'crl', 'show')).stdout).length, 2);
    assert.equal(await hasLog(), false);
  });

  for (const name of ['la1', 'la2'] as const) {
    it(`refuses a pseudonym certificate, and no other, when ${name} is remote`, async () => {
      const { scms, exportOf, cli, revoke, hasLog } = await stateDirectory();
      const { pseudonym, application } = certificatesOf(scms);
      await exportOf(name);
      const { status, stderr } = await revoke(pseudonym);
      assert.equal(status, 1);
      const why = `expected ${name}.mode = "in-process" to revoke a certificate of series 1, saw "remote"`;
      assert(stderr.includes(why), stderr);
      assert.equal((await cli('crl', 'show')).stdout, 'nothing is revoked\n');
      assert.equal((await revoke(application)).status, 0);
      assert.equal(await hasLog(), false);
    });
  }

  it('refuses what the PCA issued when that is remote, and makes no log in its place', async () => {
    const { scms, exportOf, cli, revoke, hasLog } = await stateDirectory();
    const { pseudonym, application, component } = certificatesOf(scms);
    await exportOf('pca');
    for (const octets of [pseudonym, application]) {
      const { status, stderr } = await revoke(octets);
      assert.equal(status, 1);
      assert.match(stderr, /expected pca\.mode = "in-process" to revoke .* saw "remote"/);
      assert.doesNotMatch(stderr, /internal error/);
    }
    assert.equal((await cli('crl', 'show')).stdout, 'nothing is revoked\n');
    assert.equal((await revoke(component)).status, 0);
    assert.equal(await hasLog(), false);
  });
});
