import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { capture, encode } from '@chrysalis/coer';
import {
  type Certificate,
  CertificateBase,
  type CertificateContent,
  checkValidAt,
  type Issuer,
} from '@chrysalis/ieee1609dot2';
import {
  adoptGlobalChainFile,
  adoptLocalChainFile,
  type ChainFileParts,
  composeGlobalChainFile,
  composeLocalChainFile,
  ScmsFile,
} from '@chrysalis/scms';
import {
  allOf,
  encryptionKeyOf,
  fromHex,
  issue,
  NOW,
  SECURITY_MANAGEMENT,
  toHex,
} from '../../ieee1609dot2/test/pki.ts';
import { crlg, ica, ma, maKey, pca, pg, ra, root } from './component.ts';

const version = { gccfVersion: 1, lccfVersion: 3, raHostname: 'ra.test' };
const parts: ChainFileParts = {
  maCertificate: ma.given,
  // Issuers after those that they issued: order does not matter.
  certs: [ra, pca, crlg, pg, ica, root].map(({ given }) => given),
};
const otherRoot = issue('other root', { appPermissions: SECURITY_MANAGEMENT });
const adopt = (octets: Uint8Array) => adoptLocalChainFile(octets, [root.given]);
const local = (more: Partial<ChainFileParts> & { optionalCerts?: readonly Certificate[] } = {}) =>
  composeLocalChainFile(version, { ...parts, ...more });

describe('an LCCF', () => {
  test('begins as the recorded one, section 6.5', () => {
    assert.equal(
      toHex(local({ certs: [] })),
      `01808100${'00010003'}07${Buffer.from('ra.test').toString('hex')}00${'0100'}${'0100'}` +
        `${toHex(ma.given.octets)}${'0100'}${'0100'}`,
    );
  });

  test('is adopted with all chains, however they are ordered', () => {
    const adopted = adopt(local({ optionalCerts: [pca.given] }));
    assert.deepEqual(adopted.version, version);
    assert.deepEqual(adopted.ma.id, ma.certificate.id);
    assert.equal(adopted.certs.length, 6);
    assert.deepEqual(adopted.optionalCerts[0]?.id, pca.certificate.id);
    for (const { certificate } of [root, ica, pca, ra, ma, pg, crlg]) {
      const known = adopted.trust.get(certificate.id);
      assert.ok(known);
      checkValidAt(known, NOW);
    }
    assert.deepEqual(composeLocalChainFile(adopted.version, adopted.store), local());
  });

  test('does not change with the octets that it came from', () => {
    const octets = local();
    const adopted = adopt(octets);
    octets.fill(0);
    assert.deepEqual(adopted.trust.get(pca.certificate.id)?.octets, pca.given.octets);
  });

  test('takes a certificate that the owner vouches for, if its issuer signed it', () => {
    const given = issue(
      'ma.test',
      {
        appPermissions: SECURITY_MANAGEMENT,
        certIssuePermissions: [allOf(1, -1)],
        encryptionKey: encryptionKeyOf(maKey),
      },
      ica,
    ).given;
    const octets = local({ maCertificate: given });
    assert.throws(() => adopt(octets), { code: 'outside-issuer-permissions' });
    const adopted = adoptLocalChainFile(octets, [root.given], { pinned: [given] });
    assert.deepEqual(adopted.ma.octets, given.octets);
    const { signature } = pca.given.value;
    const forged = capture(CertificateBase, { ...given.value, ...(signature && { signature }) });
    assert.throws(
      () =>
        adoptLocalChainFile(local({ maCertificate: forged }), [root.given], { pinned: [forged] }),
      { code: 'invalid-signature' },
    );
  });

  test('may leave out the root and everything but the MA', () => {
    assert.equal(adopt(local({ certs: [ica.given] })).certs.length, 1);
  });
});

describe('certificates of before', () => {
  test('are trusted beside an LCCF that leaves them out, issuers in any order, if they verify', () => {
    const file = local({ certs: [ica, ra, crlg, pg].map(({ given }) => given) });
    const { appPermissions, certIssuePermissions } = ica.certificate.certificate.toBeSigned;
    const above = { appPermissions, certIssuePermissions } as Partial<CertificateContent>;
    const other = issue('ica of before', above, root);
    const below = issue('pca of before', { appPermissions: SECURITY_MANAGEMENT }, other);
    const stranger = issue('pca of elsewhere', { appPermissions: SECURITY_MANAGEMENT }, otherRoot);
    const former = [below, other, pca, ra, stranger, otherRoot].map(({ given }) => given);
    const adopted = adoptLocalChainFile(file, [root.given], { former });
    assert.deepEqual(
      adopted.former.map(({ id }) => toHex(id)),
      [other, pca, below].map(({ certificate }) => toHex(certificate.id)),
    );
    for (const { certificate } of [below, pca]) assert(adopted.trust.get(certificate.id));
    assert.equal(adopted.trust.get(stranger.certificate.id), undefined);
    assert.equal(adopted.trust.get(otherRoot.certificate.id), undefined);
  });
});

describe('an LCCF is refused whole', () => {
  const forged = (given: Certificate) => {
    const { signature } = issue('ra.test', { appPermissions: SECURITY_MANAGEMENT }).given.value;
    return capture(CertificateBase, { ...given.value, ...(signature && { signature }) });
  };
  const under = (issuer: Issuer) =>
    issue('under', { appPermissions: SECURITY_MANAGEMENT }, issuer).given;
  const withCert = (given: Certificate) => local({ certs: [...parts.certs, given] });

  const rows: readonly [string, () => Uint8Array, string][] = [
    ['a certificate of an unknown issuer', () => withCert(under(otherRoot)), 'unknown-issuer'],
    ['another root', () => withCert(otherRoot.given), 'unknown-issuer'],
    [
      'a root, and what it issued',
      () => local({ certs: [otherRoot.given, under(otherRoot)] }),
      'unknown-issuer',
    ],
    ['a wrong signature', () => withCert(forged(pca.given)), 'invalid-signature'],
    [
      'more permissions than its issuer may give',
      () => withCert(under(ra)),
      'outside-issuer-permissions',
    ],
    ['a missing ICA', () => local({ certs: [pca.given] }), 'unknown-issuer'],
    [
      'an MA to which nothing can be encrypted',
      () => local({ maCertificate: ra.given }),
      'unsupported',
    ],
    [
      'an optional certificate that does not verify',
      () => local({ optionalCerts: [under(otherRoot)] }),
      'unknown-issuer',
    ],
  ];
  for (const [name, make, code] of rows) {
    test(`for ${name}: ${code}`, () => {
      assert.throws(() => adopt(make()), { name: 'Ieee1609Dot2Error', code });
    });
  }

  test('when it is something else, or nothing', () => {
    const global = composeGlobalChainFile(1, parts);
    assert.throws(() => adopt(global), { code: 'unexpected-message' });
    assert.throws(() => adopt(new Uint8Array(7)), { name: 'ScmsDataError', code: 'malformed' });
    assert.throws(() => adopt(fromHex('01 82 01 00')), { code: 'unexpected-message' });
    const open = fromHex('01 80 82 01 00');
    assert.throws(() => adopt(open), { code: 'unexpected-message' });
  });

  test('when it holds more certificates than any SCMS has', () => {
    const certs = Array.from({ length: 2000 }, () => ica.given);
    assert.throws(() => adopt(local({ certs })), { code: 'unexpected-message', message: /2001/ });
  });
});

describe('a GCCF', () => {
  test('is adopted, and an LCCF is made of it', () => {
    const adopted = adoptGlobalChainFile(composeGlobalChainFile(7, parts), [root.given]);
    assert.equal(adopted.version, 7);
    assert.deepEqual(adopt(composeLocalChainFile(version, adopted.store)).certs.length, 6);
  });

  test('is no LCCF', () => {
    assert.throws(() => adoptGlobalChainFile(local(), [root.given]), {
      code: 'unexpected-message',
    });
  });

  test('carries ballots, which change nothing', () => {
    const endorsements = [
      { protocolVersion: 3, content: { type: 'unsecuredData', value: new Uint8Array(1) } },
    ] as const;
    const ballot = { certificate: otherRoot.given, endorsements };
    const octets = composeGlobalChainFile(1, { ...parts, rootCAEndorsements: [ballot] });
    const adopted = adoptGlobalChainFile(octets, [root.given]);
    assert.equal(adopted.trust.get(otherRoot.certificate.id), undefined);
    assert.equal(adopted.store.rootCAEndorsements.length, 1);
    assert.equal(
      encode(ScmsFile, {
        version: 1,
        content: {
          type: 'certChain',
          value: {
            type: 'globalCertificateChainFile',
            value: { version: 1, certStore: adopted.store },
          },
        },
      }).length,
      octets.length,
    );
  });
});
