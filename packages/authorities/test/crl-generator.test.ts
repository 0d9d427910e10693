/** The CRLG and the device's check, on linkage values that the LAs made. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decode, encode } from '@chrysalis/coer';
import { linkageSeedAt, linkageValue, PrivateKey, systemRandom } from '@chrysalis/crypto';
import {
  asCertificate,
  type CertificateContent,
  decryptSymmetric,
  issueImplicit,
  type VerifiedCertificate,
} from '@chrysalis/ieee1609dot2';
import {
  CompositeCrl,
  IPeriodClock,
  openCompositeCrl,
  RevocationList,
  ToBeEncryptedIndividualPlv,
  type VerifiedCrl,
} from '@chrysalis/scms';
import { createCrlGenerator, type Revocation, revocationOf } from '../src/index.ts';
import { freshChain, openChainId } from '../src/linkage-chain.ts';
import { symmetricKeyId } from '../src/shared-key.ts';
import { CURRENT_I, NOW, scms, TestClock, trustOf } from './ra-side.ts';

const WEEK = 604_800;
const J_MAX = 3;
const PERIODS = 5;
const iPeriods = new IPeriodClock();

/** A chain of one LA: its seed ls(0), and the values that it hands to the PCA, opened as the PCA opens them. */
async function chainOf(which: 'la1' | 'la2') {
  const isFirst = which === 'la1';
  const keys = {
    laId: isFirst ? scms.la1Id : scms.la2Id,
    sharedKey: isFirst ? scms.pcaLa1Key : scms.pcaLa2Key,
    chainKey: isFirst ? scms.la1ChainKey : scms.la2ChainKey,
    random: systemRandom,
  };
  const iMin = CURRENT_I - 2;
  const range = { iMin, iMax: iMin + PERIODS - 1, jMax: J_MAX };
  const { values, linkageChainId } = await freshChain(keys, range);
  const plv = (i: number, j: number) => {
    const { encPlv } = values[i - iMin]![j]!;
    const key = keys.sharedKey;
    const octets = decryptSymmetric(encPlv, key.reveal(), symmetricKeyId(key));
    return decode(ToBeEncryptedIndividualPlv, octets).plv;
  };
  const seed0 = openChainId(keys, linkageChainId);
  return { plv, seedAt: (i: number) => linkageSeedAt(keys.laId, seed0, i) };
}

/** A device with a chain at each LA, and what the LAs tell when it is to be revoked from a period on. */
async function makeDevice() {
  const [first, second] = await Promise.all([chainOf('la1'), chainOf('la2')]);
  const certificate = (i: number, j: number): VerifiedCertificate => {
    const value = linkageValue(first.plv(i, j), second.plv(i, j));
    const content: CertificateContent = {
      id: { type: 'linkageData', value: { iCert: i, linkageValue: value } },
      cracaId: scms.pca.certificate.certificate.toBeSigned.cracaId,
      crlSeries: 1,
      validityPeriod: { start: iPeriods.start(i), duration: { type: 'hours', value: 169 } },
      appPermissions: [{ psid: 0x20 }, { psid: 0x26 }],
    };
    const { publicPoint } = PrivateKey.generate(systemRandom);
    const issuer = { certificate: scms.pca.certificate, key: scms.pca.signingKey };
    return trustOf().verify(issueImplicit(content, publicPoint, issuer, systemRandom).certificate);
  };
  const revocation = (i: number, iMax = CURRENT_I + 100): Revocation => ({
    type: 'linkage',
    i,
    iMax,
    jMax: J_MAX,
    la1Id: scms.la1Id,
    la2Id: scms.la2Id,
    linkageSeed1: first.seedAt(i),
    linkageSeed2: second.seedAt(i),
  });
  return { certificate, revocation };
}

const clock = new TestClock();
const crlg = createCrlGenerator({ crlg: scms.crlg, root: scms.root, clock });
/** A device that knows the root and its own chain opens what the CRLG made. */
const open = (composite: Uint8Array, time = clock.time) =>
  openCompositeCrl(composite, trustOf(), time);
const listOf = (composite: Uint8Array) => new RevocationList(open(composite));
const seriesOf = (crls: readonly VerifiedCrl[], series: number) => {
  const found = crls.find(({ contents }) => contents.crlSeries === series);
  assert.ok(found);
  return found;
};
const linkedOf = (composite: Uint8Array) => {
  const { typeSpecific } = seriesOf(open(composite), 1).contents;
  assert.ok(typeSpecific.type === 'fullLinkedCrl');
  return typeSpecific.value;
};

test('a CompositeCrl has every series, signed by whom devices expect', () => {
  const crls = open(crlg.issue([]));
  assert.deepEqual(
    crls.map(({ contents }) => contents.crlSeries),
    [1, 2, 3, 4, 256],
  );
  for (const { contents, signer } of crls) {
    const expected = contents.crlSeries === 256 ? scms.root : scms.crlg;
    assert.deepEqual(signer.id, expected.certificate.id);
    assert.deepEqual([contents.issueDate, contents.nextCrl], [NOW, NOW + WEEK]);
  }
});

describe('a device that is revoked', () => {
  test('finds itself in the period of revocation and after it, not before; others do not', async () => {
    const [thief, neighbour] = await Promise.all([makeDevice(), makeDevice()]);
    const list = listOf(crlg.issue([thief.revocation(CURRENT_I)]));
    for (let i = CURRENT_I - 2; i <= CURRENT_I + 2; i++) {
      for (let j = 0; j < J_MAX; j++) {
        const found = list.find(thief.certificate(i, j)) !== undefined;
        assert.equal(found, i >= CURRENT_I, `i ${i} j ${j}`);
        assert.equal(list.find(neighbour.certificate(i, j)), undefined);
      }
    }
  });

  test('also with other devices on the list, of whatever periods and numbers', async () => {
    const devices = await Promise.all(Array.from({ length: 4 }, makeDevice));
    const revocations = devices.map(({ revocation }, n) =>
      revocation(CURRENT_I - (n % 2), CURRENT_I + n),
    );
    const list = listOf(crlg.issue(revocations));
    for (const [n, { certificate }] of devices.entries()) {
      assert.ok(list.find(certificate(CURRENT_I, 1)), `device ${n}`);
      assert.equal(list.find(certificate(CURRENT_I + 2, 1)) !== undefined, n >= 2);
    }
  });

  test('is listed in the hour of overlap, when its seeds go back so far', async () => {
    const thief = await makeDevice();
    const made = crlg.issue([thief.revocation(CURRENT_I - 2)]);
    assert.equal(linkedOf(made).iRev, CURRENT_I - 1);
    assert.ok(listOf(made).find(thief.certificate(CURRENT_I - 1, 0)));
    assert.equal(listOf(made).find(thief.certificate(CURRENT_I - 2, 0)), undefined);
  });

  test('is not listed ahead of its time, nor when it has no certificates any more', async () => {
    const thief = await makeDevice();
    const early = crlg.issue([thief.revocation(CURRENT_I + 1)]);
    const late = crlg.issue([thief.revocation(CURRENT_I - 2, CURRENT_I - 2)]);
    for (const made of [early, late]) assert.deepEqual(linkedOf(made).individual, []);
  });

  test('stands there still two weeks later, its seeds brought on', async () => {
    const thief = await makeDevice();
    const later = new TestClock();
    const next = createCrlGenerator({ crlg: scms.crlg, root: scms.root, clock: later });
    later.time += 2 * WEEK;
    const made = next.issue([thief.revocation(CURRENT_I)]);
    const list = new RevocationList(open(made, later.time));
    assert.ok(list.find(thief.certificate(CURRENT_I + 2, 2)));
    assert.equal(list.find(thief.certificate(CURRENT_I, 2)), undefined);
  });
});

describe('certificates by hash', () => {
  test('stand in their series: an RA in 2, a PG in 256', () => {
    const revocations = [scms.ra, scms.pg].map(({ certificate }) => revocationOf(certificate));
    const list = listOf(crlg.issue(revocations));
    for (const [name, series] of [
      ['ra', 2],
      ['pg', 256],
    ] as const) {
      const found = list.find(trustOf().verify(asCertificate(scms[name].certificate)));
      assert.equal(found?.crl.contents.crlSeries, series, name);
    }
    assert.equal(list.find(trustOf().verify(asCertificate(scms.ma.certificate))), undefined);
  });

  test('a revoked PCA takes all its pseudonym certificates with it', async () => {
    const { certificate } = await makeDevice();
    const list = listOf(crlg.issue([revocationOf(scms.pca.certificate)]));
    assert.equal(list.find(certificate(CURRENT_I, 0))?.crl.contents.crlSeries, 2);
  });

  test('leave the list when they have run out', () => {
    const revocation = { ...revocationOf(scms.ra.certificate), expiry: NOW };
    const { typeSpecific } = seriesOf(open(crlg.issue([revocation])), 2).contents;
    assert.ok(typeSpecific.type === 'fullHashCrl');
    assert.deepEqual(typeSpecific.value.entries, []);
  });

  test('a revoked CRLG signs in vain', () => {
    const made = crlg.issue([revocationOf(scms.crlg.certificate)]);
    assert.throws(() => open(made), { code: 'revoked' });
  });
});

describe('numbers go on from the CRL before', () => {
  test('crlSerial always, indexWithinI for as long as iRev stays', async () => {
    const thief = await makeDevice();
    const first = crlg.issue([]);
    const second = crlg.issue([], first);
    const third = crlg.issue([thief.revocation(CURRENT_I)], second);
    const serials = [first, second, third].map((made) => {
      const { typeSpecific } = seriesOf(open(made), 4).contents;
      assert.ok(typeSpecific.type === 'fullHashCrl');
      return typeSpecific.value.crlSerial;
    });
    assert.deepEqual(serials, [0, 1, 2]);
    const linked = [first, second, third].map((made) => linkedOf(made));
    assert.deepEqual(
      linked.map(({ iRev, indexWithinI }) => [iRev - CURRENT_I, indexWithinI]),
      [
        [-1, 0],
        [-1, 1],
        [0, 0],
      ],
    );
  });

  test('of what is none of ours nothing is continued', () => {
    const notSigned = encode(CompositeCrl, {
      securedCrlSeries: [
        { protocolVersion: 3, content: { type: 'unsecuredData', value: new Uint8Array(1) } },
      ],
      revokedRootCAs: [],
      revokedElectors: [],
    });
    for (const previous of [new Uint8Array(1), notSigned]) {
      assert.throws(() => crlg.issue([], previous), {
        name: 'AuthorityError',
        code: 'malformed-crl',
      });
    }
  });
});
