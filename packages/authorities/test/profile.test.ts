import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decode } from '@chrysalis/coer';
import { systemRandom } from '@chrysalis/crypto';
import {
  asCertificate,
  checkValidAt,
  endOfValidity,
  type HashedCertificate,
  TrustStore,
} from '@chrysalis/ieee1609dot2';
import { CAMP_APPLICATIONS, CAMP_RA_APPLICATIONS } from '../src/application-permissions.ts';
import { CrlSsp, createTestScms, hostnameOf, ScmsSsp, scmsSspOf } from '../src/index.ts';
import { NOW, scms } from './ra-side.ts';

const ISSUED = ['ica', 'eca', 'pca', 'la1', 'la2', 'pg', 'ma', 'crlg', 'ra'] as const;
const tbsOf = ({ certificate }: HashedCertificate) => certificate.toBeSigned;
const sspHex = (certificate: HashedCertificate, psid: number) => {
  const ssp = tbsOf(certificate).appPermissions?.find((p) => p.psid === psid)?.ssp;
  return ssp?.type === 'opaque' ? Buffer.from(ssp.value).toString('hex') : undefined;
};

describe('the certificates of a test SCMS', () => {
  for (const applications of ['camp', 'any'] as const) {
    it(`pass a strict verifier (applications: ${applications})`, () => {
      const made = createTestScms({
        now: NOW,
        random: systemRandom,
        raHostname: 'ra.example',
        applications,
        countries: [840, 410],
      });
      const trust = new TrustStore([asCertificate(made.root.certificate)]);
      for (const name of ISSUED) {
        const verified = trust.add(asCertificate(made[name].certificate));
        checkValidAt(verified, NOW);
        assert.deepEqual(
          verified.publicKey.point,
          made[name].signingKey.publicPoint,
          `${name}: key`,
        );
      }
    });
  }

  it('outlive what they issue', () => {
    const endOf = ({ certificate }: { certificate: HashedCertificate }) =>
      endOfValidity(tbsOf(certificate).validityPeriod);
    for (const name of ['ica', 'pg', 'crlg'] as const) {
      assert.ok(endOf(scms[name]) < endOf(scms.root), name);
    }
    for (const name of ['eca', 'pca', 'la1', 'la2', 'ma', 'ra'] as const) {
      assert.ok(endOf(scms[name]) < endOf(scms.ica), name);
      assert.ok(endOf(scms[name]) > NOW + 156 * 7 * 86_400, `${name} lasts 156 weeks`);
    }
  });

  it('carry the SSPs of their role, octet for octet as fielded ones do', () => {
    const expected = {
      root: '810001',
      pg: '820001',
      ica: '830001',
      eca: '840001',
      pca: '850001',
      crlg: '860001',
      la1: '8800010001',
      la2: '8800010002',
      ma: undefined,
      ra: '8b0001',
    };
    for (const [name, ssp] of Object.entries(expected)) {
      assert.equal(sspHex(scms[name as keyof typeof expected].certificate, 0x23), ssp, name);
    }
    assert.equal(sspHex(scms.root.certificate, 0x100), '00010001010100');
    assert.deepEqual(
      decode(CrlSsp, Buffer.from(sspHex(scms.crlg.certificate, 0x100) ?? '', 'hex')),
      { version: 1, associatedCraca: 'issuerIsCraca', crls: [4, 3, 1, 2] },
    );
    assert.equal(scmsSspOf(scms.ra.certificate)?.type, 'ra');
    assert.equal(scmsSspOf(scms.ma.certificate), undefined);
    assert.equal(decode(ScmsSsp, Uint8Array.of(0x84, 0, 1)).type, 'eca');
  });

  it('are named, and announce who may revoke them', () => {
    const seriesOf = (name: keyof typeof scms & (typeof ISSUED)[number]) =>
      tbsOf(scms[name].certificate).crlSeries;
    for (const name of ISSUED) {
      const tbs = tbsOf(scms[name].certificate);
      assert.deepEqual(tbs.cracaId, scms.root.certificate.hash.slice(-3), name);
      const isSpecial = name === 'pg' || name === 'ma' || name === 'crlg';
      assert.equal(seriesOf(name), isSpecial ? 256 : 2, name);
      assert.equal(tbs.region === undefined, isSpecial, `${name}: region`);
      assert.equal(tbs.canRequestRollover, null);
      assert.equal(hostnameOf(scms[name].certificate), `${name}.scms.test`);
    }
    assert.deepEqual(tbsOf(scms.root.certificate).cracaId, new Uint8Array(3));
  });

  it('let the ECA, the PCA, the RA and the MA be written to in secret', () => {
    for (const name of ['root', ...ISSUED] as const) {
      const has = ['eca', 'pca', 'ra', 'ma'].includes(name);
      assert.equal(tbsOf(scms[name].certificate).encryptionKey !== undefined, has, name);
      assert.equal(scms[name].encryptionKey !== undefined, has, name);
    }
  });

  it('list the applications of the CAMP module', () => {
    assert.equal(CAMP_APPLICATIONS.length, 26);
    assert.equal(CAMP_RA_APPLICATIONS.length, 25);
    assert.equal(CAMP_APPLICATIONS.at(-1)?.psid, 0x204097);
  });
});
