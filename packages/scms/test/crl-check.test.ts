import assert from 'node:assert/strict';
import { createCipheriv, createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { decode, encode } from '@chrysalis/coer';
import {
  asCertificate,
  hashedId10,
  Ieee1609Dot2Data,
  type Issuer,
  type LinkageData,
  signData,
  type VerifiedCertificate,
} from '@chrysalis/ieee1609dot2';
import {
  CompositeCrl,
  CrlContents,
  type CrlTypeSpecific,
  openCompositeCrl,
  openCrl,
  RevocationList,
  signCrl,
  signMessage,
} from '@chrysalis/scms';
import { issue, NOW } from '../../ieee1609dot2/test/pki.ts';
import { crlg, ica, otherRa, pca, pg, ra, root, signerOf, trust } from './component.ts';

const LA1 = Uint8Array.of(0, 1);
const LA2 = Uint8Array.of(0, 2);
const I_REV = 619;
const DAY = 86_400;

/** The formulas of section 4.11 once more, on node:crypto alone. */
function seedAt(laId: Uint8Array, seed: Uint8Array, steps: number): Uint8Array {
  let current = seed;
  for (let step = 0; step < steps; step++) {
    const hash = createHash('sha256').update(laId).update(current).update(Buffer.alloc(14));
    current = Uint8Array.from(hash.digest().subarray(0, 16));
  }
  return current;
}
function plv(laId: Uint8Array, seed: Uint8Array, j: number): Uint8Array {
  const block = Buffer.alloc(16);
  block.set(laId);
  block.writeUInt32BE(j, 2);
  const cipher = createCipheriv('aes-128-ecb', seed, null);
  return Uint8Array.from(cipher.update(block).subarray(0, 9), (octet, n) => octet ^ block[n]!);
}
const xor = (a: Uint8Array, b: Uint8Array) => a.map((octet, n) => octet ^ b[n]!);

/** A device by its two seeds of period I_REV. */
interface Device {
  readonly linkageSeed1: Uint8Array;
  readonly linkageSeed2: Uint8Array;
}
const device = (n: number): Device => ({
  linkageSeed1: new Uint8Array(16).fill(n),
  linkageSeed2: new Uint8Array(16).fill(n + 100),
});

function lvOf({ linkageSeed1, linkageSeed2 }: Device, i: number, j: number): Uint8Array {
  const steps = i - I_REV;
  return xor(
    plv(LA1, seedAt(LA1, linkageSeed1, steps), j),
    plv(LA2, seedAt(LA2, linkageSeed2, steps), j),
  );
}

function pseudonym(linkage: LinkageData): VerifiedCertificate {
  const { cracaId } = pca.certificate.certificate.toBeSigned;
  const { given } = issue(
    'pseudonym',
    {
      id: { type: 'linkageData', value: linkage },
      cracaId,
      crlSeries: 1,
      appPermissions: [{ psid: 0x20 }],
    },
    pca,
  );
  return trust().verify(given);
}
const certificateOf = (owner: Device, i: number, j = 0) =>
  pseudonym({ iCert: i, linkageValue: lvOf(owner, i, j) });

function contents(
  crlSeries: number,
  typeSpecific: CrlTypeSpecific,
  more: Partial<CrlContents> = {},
): CrlContents {
  return {
    version: 1,
    crlSeries,
    crlCraca: root.certificate.id,
    issueDate: NOW - 10,
    nextCrl: NOW + 7 * DAY,
    priorityInfo: {},
    typeSpecific,
    ...more,
  };
}
const hashed = (...certificates: readonly Issuer[]): CrlTypeSpecific => ({
  type: 'fullHashCrl',
  value: {
    crlSerial: 0,
    entries: certificates.map(({ certificate }) => ({
      id: hashedId10(certificate.hash),
      expiry: NOW + DAY,
    })),
  },
});
function linked(devices: readonly Device[], { iRev = I_REV, iMax = 700, jmax = 20 } = {}) {
  const laGroup = { la1Id: LA1, la2Id: LA2, contents: [{ iMax, contents: devices }] };
  const individual = [{ jmax, contents: [laGroup] }];
  return { type: 'fullLinkedCrl', value: { iRev, indexWithinI: 0, individual } } as const;
}
const secured = (made: CrlContents, by: Issuer = crlg) => signCrl(made, signerOf(by));
const opened = (...crls: readonly Ieee1609Dot2Data[]) =>
  new RevocationList(crls.map((crl) => openCrl(crl, trust(), NOW)));
const listOf = (...made: readonly CrlContents[]) => opened(...made.map((crl) => secured(crl)));

describe('a linked CRL', () => {
  const [thief, other] = [device(1), device(2)];
  const list = listOf(contents(1, linked([device(3), thief, device(4)])));

  test('lists the device in the period of revocation and in all that follow, with every j', () => {
    for (const i of [I_REV, I_REV + 1, I_REV + 30, 700]) {
      for (const j of [0, 1, 19]) {
        const certificate = certificateOf(thief, i, j);
        assert.equal(list.find(certificate)?.certificate, certificate, `i ${i} j ${j}`);
      }
    }
  });

  test('does not list it before, nor after the last period of the device', () => {
    const before = pseudonym({ iCert: I_REV - 1, linkageValue: lvOf(thief, I_REV, 0) });
    assert.equal(list.find(before), undefined);
    assert.equal(list.find(certificateOf(thief, 701)), undefined);
  });

  test('does not list its value in another period, nor beyond its j', () => {
    const value = lvOf(thief, I_REV, 0);
    assert.equal(list.find(pseudonym({ iCert: I_REV + 1, linkageValue: value })), undefined);
    assert.equal(list.find(certificateOf(thief, I_REV, 21)), undefined);
  });

  test('counts jMax inclusively, as 1609.2 can be read', () => {
    assert.ok(list.find(certificateOf(thief, I_REV, 20)));
  });

  test('lists nobody else, whatever the order in which periods are asked about', () => {
    for (const i of [650, I_REV, 640, I_REV + 1, 650, 699, 630]) {
      assert.equal(list.find(certificateOf(other, i)), undefined);
      assert.ok(list.find(certificateOf(thief, i)), `i ${i}`);
    }
  });

  test('does not take a value for its neighbour that differs in the last octet alone', () => {
    const near = lvOf(thief, I_REV, 0);
    near[8]! ^= 1;
    assert.equal(list.find(pseudonym({ iCert: I_REV, linkageValue: near })), undefined);
  });

  test('of nobody lists nobody', () => {
    const empty = listOf(contents(1, linked([])));
    assert.equal(empty.find(certificateOf(thief, I_REV)), undefined);
  });

  test('lists a group by the j that stands in the certificate', () => {
    const { linkageSeed1, linkageSeed2 } = thief;
    const group = { iMax: 700, la1Id: LA1, linkageSeed1, la2Id: LA2, linkageSeed2 };
    const byGroup = listOf(
      contents(1, {
        type: 'fullLinkedCrl',
        value: { iRev: I_REV, indexWithinI: 0, groups: [group] },
      }),
    );
    const member = (i: number, j: number, value = lvOf(thief, i, j)) =>
      pseudonym({
        iCert: i,
        linkageValue: new Uint8Array(9),
        groupLinkageValue: { jValue: Uint8Array.of(0, 0, j >> 8, j & 0xff), value },
      });
    assert.ok(byGroup.find(member(I_REV + 2, 3000)));
    assert.equal(byGroup.find(member(I_REV + 2, 3000, lvOf(other, I_REV + 2, 3000))), undefined);
    assert.equal(byGroup.find(member(701, 3)), undefined);
    assert.equal(byGroup.find(certificateOf(thief, I_REV)), undefined);
  });

  test('counts for its own series and authority only', () => {
    const { given } = issue(
      'of another authority',
      {
        id: {
          type: 'linkageData',
          value: { iCert: I_REV, linkageValue: lvOf(thief, I_REV, 0) },
        },
        cracaId: Uint8Array.of(1, 2, 3),
        crlSeries: 1,
        appPermissions: [{ psid: 0x20 }],
      },
      pca,
    );
    assert.equal(list.find(trust().verify(given)), undefined);
    const inThree = listOf(contents(3, linked([thief])));
    assert.equal(inThree.find(certificateOf(thief, I_REV)), undefined);
  });

  test('and its delta count together', () => {
    const delta = { ...linked([other]), type: 'deltaLinkedCrl' } as const;
    const both = listOf(contents(1, linked([thief])), contents(1, delta));
    assert.ok(both.find(certificateOf(thief, I_REV)));
    assert.ok(both.find(certificateOf(other, I_REV)));
  });
});

describe('a CRL of hashes', () => {
  test('lists the certificate, and none beside it', () => {
    const list = listOf(contents(2, hashed(ra)));
    const certificate = trust().verify(ra.given);
    assert.equal(list.find(certificate)?.certificate, certificate);
    assert.equal(list.find(trust().verify(otherRa.given)), undefined);
  });

  test('condemns what stands below: the pseudonym of a PCA, the PCA of an ICA', () => {
    const pseudonymOfNobody = certificateOf(device(9), I_REV);
    for (const above of [pca, ica]) {
      const list = listOf(contents(2, hashed(above)));
      const found = list.find(pseudonymOfNobody);
      assert.deepEqual(found?.certificate.id, above.certificate.id);
      assert.equal(found?.crl.contents.crlSeries, 2);
      assert.throws(() => list.expectUnlisted(pseudonymOfNobody), {
        code: 'revoked',
        message: /one above it in series 2/,
      });
    }
  });

  test('of a delta counts as well', () => {
    const full = hashed(ra);
    assert.ok(full.type === 'fullHashCrl');
    const delta = { type: 'deltaHashCrl', value: full.value } as const;
    assert.ok(listOf(contents(2, delta)).find(trust().verify(ra.given)));
  });
});

describe('a list is fresh', () => {
  const certificate = trust().verify(pca.given);
  const list = listOf(contents(2, hashed()));

  test('until nextCrl, and as long beyond it as the policy allows', () => {
    const next = NOW + 7 * DAY;
    assert.ok(list.isFresh(certificate, next - 1, 0));
    assert.ok(!list.isFresh(certificate, next, 0));
    assert.ok(list.isFresh(certificate, next + 14 * DAY - 1, 14 * DAY));
    assert.ok(!list.isFresh(certificate, next + 14 * DAY, 14 * DAY));
  });

  test('for a chain only when there is one for each member', () => {
    const below = certificateOf(device(1), I_REV);
    assert.ok(!list.isFresh(below, NOW, 0));
    const whole = listOf(contents(2, hashed()), contents(1, linked([])));
    assert.ok(whole.isFresh(below, NOW, 0));
    assert.ok(!new RevocationList([]).isFresh(certificate, NOW, 0));
  });
});

describe('a SecuredCrl is refused', () => {
  const good = contents(2, hashed());
  const rows: readonly [string, () => Ieee1609Dot2Data, string][] = [
    ['signed by one who signs no CRL', () => secured(good, pg), 'wrong-signer'],
    [
      'of a series that its signer may not sign',
      () => secured({ ...good, crlSeries: 256 }),
      'wrong-signer',
    ],
    ['of series 2 signed by the root', () => secured(good, root), 'wrong-signer'],
    [
      'for another authority',
      () => secured({ ...good, crlCraca: crlg.certificate.id }),
      'wrong-signer',
    ],
    ['issued in the future', () => secured({ ...good, issueDate: NOW + 1 }), 'unexpected-message'],
    [
      'that ends before it begins',
      () => secured({ ...good, nextCrl: NOW - 11 }),
      'unexpected-message',
    ],
    [
      'of a kind that nobody knows',
      () =>
        secured({ ...good, typeSpecific: { type: 'unknown', tag: 4, value: new Uint8Array(1) } }),
      'unexpected-message',
    ],
    [
      'that is no signed data',
      () => ({ protocolVersion: 3, content: { type: 'unsecuredData', value: new Uint8Array(1) } }),
      'not-signed',
    ],
    ['of another application', () => handmade({ psid: 0x23 }), 'unexpected-message'],
    [
      'with a generation time',
      () => handmade({ psid: 0x100, generationTime: 1n }),
      'unexpected-message',
    ],
    ['with nothing inside', () => handmade({ psid: 0x100 }, new Uint8Array(2)), 'malformed'],
  ];
  for (const [name, make, code] of rows) {
    test(`${name}: ${code}`, () => {
      assert.throws(() => openCrl(make(), trust(), NOW), { code });
    });
  }

  function handmade(
    headerInfo: Parameters<typeof signData>[0]['headerInfo'],
    payload = encode(CrlContents, good),
  ): Ieee1609Dot2Data {
    const { certificate, key } = crlg;
    const signed = signData({
      payload,
      headerInfo,
      certificate,
      key,
      signerIdentifier: 'certificate',
    });
    return decode(Ieee1609Dot2Data, signed);
  }

  test('when its signer has expired: expired', () => {
    const later = NOW + 10 * 31_556_952;
    assert.throws(() => openCrl(secured(good), trust(), later), { code: 'expired' });
  });

  test('with any octet changed', () => {
    const octets = encode(Ieee1609Dot2Data, secured(good));
    for (let at = 0; at < octets.length; at += 3) {
      const corrupted = Uint8Array.from(octets);
      corrupted[at]! ^= 0x01;
      assert.throws(
        () => openCrl(decode(Ieee1609Dot2Data, corrupted), trust(), NOW),
        (error: Error) => ['CoerError', 'ScmsDataError', 'Ieee1609Dot2Error'].includes(error.name),
        `octet ${at}`,
      );
    }
  });
});

describe('a CompositeCrl', () => {
  const composite = (...securedCrlSeries: readonly Ieee1609Dot2Data[]) =>
    encode(CompositeCrl, { securedCrlSeries, revokedRootCAs: [], revokedElectors: [] });
  const special = (...revoked: readonly Issuer[]) =>
    secured(contents(256, hashed(...revoked)), root);

  test('is opened, all series at once', () => {
    const octets = composite(
      secured(contents(1, linked([device(1)]))),
      secured(contents(2, hashed(ra))),
      special(pg),
    );
    const list = new RevocationList(openCompositeCrl(octets, trust(), NOW));
    octets.fill(0);
    assert.ok(list.find(certificateOf(device(1), I_REV)));
    assert.ok(list.find(trust().verify(ra.given)));
    assert.ok(list.find(trust().verify(pg.given)));
    assert.equal(list.find(trust().verify(crlg.given)), undefined);
  });

  test('without any series is nobody revoked', () => {
    assert.deepEqual(openCompositeCrl(composite(), trust(), NOW), []);
  });

  test('is refused whole when one of its signers is revoked by another', () => {
    const octets = composite(secured(contents(2, hashed())), special(crlg));
    assert.throws(() => openCompositeCrl(octets, trust(), NOW), { code: 'revoked' });
  });

  test('is refused whole when one series is wrong, and when it is nothing', () => {
    const octets = composite(special(), secured(contents(2, hashed()), pg));
    assert.throws(() => openCompositeCrl(octets, trust(), NOW), { code: 'wrong-signer' });
    assert.throws(() => openCompositeCrl(new Uint8Array(3), trust(), NOW), { code: 'malformed' });
    const message = signMessage(new Uint8Array(0), crlg.certificate, crlg.key);
    assert.throws(() => openCompositeCrl(message, trust(), NOW), { code: 'malformed' });
  });
});

test('the root stands on no list: nothing is asked about it', () => {
  const certificate = trust().verify(asCertificate(root.certificate));
  assert.equal(listOf(contents(2, hashed(root))).find(certificate), undefined);
});
