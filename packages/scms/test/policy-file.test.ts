import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { capture, decode, encode } from '@chrysalis/coer';
import { Ieee1609Dot2Data, type Issuer } from '@chrysalis/ieee1609dot2';
import {
  type BasePolicyFile,
  composeGlobalPolicyFile,
  composeLocalPolicyFile,
  constantSeries,
  countersign,
  countersigned,
  customPolicy,
  DEFAULT_GLOBAL_POLICY,
  type LocalPolicyParts,
  localPolicyGenerationTime,
  openGlobalPolicyFile,
  openLocalPolicyFile,
  openPolicySignature,
  openSignedMessage,
  policyAt,
  requestPolicySignature,
  ScmsFile,
  ScmsPdu122,
  signMessage,
  signRaPg,
  ToBeSignedPolicyData,
  verifyCountersignature,
  versionOctets,
} from '@chrysalis/scms';
import { issue as issueUntrusted, NOW, SECURITY_MANAGEMENT } from '../../ieee1609dot2/test/pki.ts';
import { crlg, ica, otherRa, pg, ra, signerOf, trust } from './component.ts';

const times = { generationTime: NOW - 100, activeTime: NOW - 10 };
const CENTURY = 100 * 31_556_952;
const stranger = issueUntrusted('stranger', { appPermissions: SECURITY_MANAGEMENT }, undefined);

function customOf(hostname: string | null = 'ra.test', more = {}): ToBeSignedPolicyData {
  return customPolicy({
    ...times,
    policyID: versionOctets(3),
    custom: {
      globalPolicy: DEFAULT_GLOBAL_POLICY,
      ...(hostname !== null && { requestingRaHostname: hostname }),
    },
    ...more,
  });
}

interface Wish extends Partial<LocalPolicyParts> {
  readonly outside?: Issuer;
  readonly byPg?: Issuer;
}

function localPolicyFile({ outside = ra, byPg = pg, ...more }: Wish = {}): Uint8Array {
  return composeLocalPolicyFile(
    {
      ...times,
      gpfVersion: 3,
      lpfVersion: 0x105,
      custom: countersigned(customOf(), signerOf(byPg), NOW),
      local: { certsPerIPeriod: constantSeries(25), pcaHost: constantSeries('pca.test') },
      ...more,
    },
    signerOf(outside),
  );
}

const open = (octets: Uint8Array, raHostname = 'ra.test', time = NOW) =>
  openLocalPolicyFile(octets, trust(), { time, raHostname });

/** Takes a SignedLocalPolicyFile apart, changes it, and has the RA sign what comes of it. */
function changed(change: (file: { g: BasePolicyFile; l: BasePolicyFile }) => object): Uint8Array {
  const { payload } = openSignedMessage(localPolicyFile(), trust());
  const { content } = decode(ScmsFile, payload);
  assert.ok(content.type === 'policy' && content.value.type === 'localPolicyFile');
  const { globalParameters: g, localParameters: l } = content.value.value;
  const value = { globalParameters: g, localParameters: l, ...change({ g, l }) };
  const file = encode(ScmsFile, {
    version: 1,
    content: { type: 'policy', value: { type: 'localPolicyFile', value } },
  });
  return signMessage(file, ra.certificate, ra.key, { signerIdentifier: 'certificate' });
}

describe('a SignedLocalPolicyFile', () => {
  test('is opened by a device that knows the root and nothing of the PG', () => {
    const opened = open(localPolicyFile());
    assert.deepEqual(opened.versions, { gpfVersion: 3, lpfVersion: 0x105 });
    assert.deepEqual(opened.ra.id, ra.certificate.id);
    assert.deepEqual(opened.pg.id, pg.certificate.id);
    const values = policyAt(opened.policy, NOW);
    assert.deepEqual([values.certsPerIPeriod, values.pcaHost], [25, 'pca.test']);
  });

  test('tells when it was made, also to who cannot verify it', () => {
    const file = localPolicyFile();
    const made = BigInt(NOW - 100) * 1_000_000n;
    assert.equal(open(file).generationTime, made);
    assert.equal(localPolicyGenerationTime(file), made);
    const { payload } = openSignedMessage(file, trust());
    for (const octets of [new Uint8Array(3), payload]) {
      assert.throws(() => localPolicyGenerationTime(octets), { code: 'malformed' });
    }
    const global = { ...times, gpfVersion: 3, policy: DEFAULT_GLOBAL_POLICY };
    assert.throws(() => localPolicyGenerationTime(composeGlobalPolicyFile(global, signerOf(pg))), {
      code: 'unexpected-message',
    });
  });

  test('of any RA, when none is asked for; names in any case; a custom policy for nobody', () => {
    openLocalPolicyFile(localPolicyFile(), trust(), { time: NOW });
    open(localPolicyFile(), 'RA.Test');
    open(localPolicyFile({ custom: countersigned(customOf(null), signerOf(pg), NOW) }));
  });

  test('holds from activeTime on, to the second', () => {
    const later = localPolicyFile({ activeTime: NOW });
    open(later, 'ra.test', NOW);
    assert.throws(() => open(later, 'ra.test', NOW - 1), { code: 'policy' });
  });

  test('with a policyID that is not ours has no versions', () => {
    const file = changed(({ l }) => ({
      localParameters: countersigned(
        { ...l.tbsData.value, policyID: Uint8Array.of(1, 2, 3) },
        signerOf(ra),
        NOW,
      ),
    }));
    assert.equal(open(file).versions, undefined);
  });

  test('with an auditor whom nobody knows beside the PG', () => {
    const file = changed(({ g }) => ({
      globalParameters: {
        ...g,
        signatures: [countersign(g.tbsData.octets, signerOf(stranger), 1n), ...g.signatures],
      },
    }));
    assert.deepEqual(open(file).pg.id, pg.certificate.id);
  });
});

describe('a SignedLocalPolicyFile is refused', () => {
  const rows: readonly [string, () => Uint8Array, string][] = [
    ['signed outside by the PG', () => localPolicyFile({ outside: pg }), 'wrong-signer'],
    [
      'signed outside by a stranger',
      () => localPolicyFile({ outside: stranger }),
      'unknown-issuer',
    ],
    ['of another RA', () => localPolicyFile({ outside: otherRa }), 'wrong-signer'],
    [
      'with a custom part signed by the RA itself',
      () => localPolicyFile({ byPg: ra }),
      'wrong-signer',
    ],
    [
      'with a custom part signed by the CRLG',
      () => localPolicyFile({ byPg: crlg }),
      'wrong-signer',
    ],
    [
      'with a custom part signed by a stranger',
      () => localPolicyFile({ byPg: stranger }),
      'unknown-issuer',
    ],
    [
      'with the custom part of another RA',
      () => localPolicyFile({ custom: countersigned(customOf('other.test'), signerOf(pg), NOW) }),
      'wrong-signer',
    ],
    [
      'with a local part that another RA signed',
      () =>
        changed(({ l }) => ({
          localParameters: countersigned(l.tbsData.value, signerOf(otherRa), NOW),
        })),
      'wrong-signer',
    ],
    [
      'with a custom part that was changed after it was signed',
      () =>
        changed(({ g }) => {
          const tbsData = { ...g.tbsData.value, policyID: versionOctets(4) };
          return { globalParameters: { ...g, tbsData: capture(ToBeSignedPolicyData, tbsData) } };
        }),
      'unexpected-message',
    ],
    [
      'with a countersignature that carries its data',
      () =>
        changed(({ g }) => ({
          globalParameters: {
            ...g,
            signatures: [
              decode(
                Ieee1609Dot2Data,
                signMessage(g.tbsData.octets, pg.certificate, pg.key, {
                  signerIdentifier: 'certificate',
                }),
              ),
            ],
          },
        })),
      'unexpected-message',
    ],
    [
      'with a countersignature that is none',
      () =>
        changed(({ g }) => ({
          globalParameters: {
            ...g,
            signatures: [
              { protocolVersion: 3, content: { type: 'unsecuredData', value: new Uint8Array(1) } },
            ],
          },
        })),
      'not-signed',
    ],
    [
      'with the PG behind eight that nobody knows',
      () =>
        changed(({ g }) => ({
          globalParameters: {
            ...g,
            signatures: [
              ...Array.from({ length: 8 }, () =>
                countersign(g.tbsData.octets, signerOf(stranger), 1n),
              ),
              ...g.signatures,
            ],
          },
        })),
      'unknown-issuer',
    ],
    [
      'with a custom part for later',
      () =>
        localPolicyFile({
          custom: countersigned(customOf('ra.test', { activeTime: NOW + 1 }), signerOf(pg), NOW),
        }),
      'policy',
    ],
    [
      'with fewer certificates than the PG demands',
      () => localPolicyFile({ local: { certsPerIPeriod: constantSeries(19) } }),
      'policy',
    ],
    [
      'that is a global policy file',
      () =>
        composeGlobalPolicyFile(
          { ...times, gpfVersion: 1, policy: DEFAULT_GLOBAL_POLICY },
          signerOf(ra),
        ),
      'unexpected-message',
    ],
    [
      'that is no file',
      () =>
        signMessage(new Uint8Array(3), ra.certificate, ra.key, { signerIdentifier: 'certificate' }),
      'malformed',
    ],
  ];
  for (const [name, make, code] of rows) {
    test(`${name}: ${code}`, () => {
      assert.throws(
        () => open(make()),
        (error: { code?: string }) => error.code === code,
      );
    });
  }

  test('when its signers are no longer valid', () => {
    assert.throws(() => open(localPolicyFile(), 'ra.test', NOW + CENTURY), { code: 'expired' });
  });

  test('with any octet changed', () => {
    const file = localPolicyFile();
    for (let at = 0; at < file.length; at += 7) {
      const corrupted = Uint8Array.from(file);
      corrupted[at]! ^= 0x01;
      assert.throws(
        () => open(corrupted),
        (error: Error) => ['ScmsDataError', 'Ieee1609Dot2Error'].includes(error.name),
        `octet ${at}`,
      );
    }
  });
});

describe('a SignedGlobalPolicyFile', () => {
  const parts = { ...times, gpfVersion: 3, policy: DEFAULT_GLOBAL_POLICY };
  const file = composeGlobalPolicyFile(parts, signerOf(pg));

  test('is opened', () => {
    const opened = openGlobalPolicyFile(file, trust(), NOW);
    assert.deepEqual(opened.policy, DEFAULT_GLOBAL_POLICY);
    assert.equal(opened.gpfVersion, 3);
    assert.deepEqual(opened.policyID, versionOctets(3));
  });

  test('is refused of an RA, before its time, and when it is a local one', () => {
    const byRa = composeGlobalPolicyFile(parts, signerOf(ra));
    assert.throws(() => openGlobalPolicyFile(byRa, trust(), NOW), { code: 'wrong-signer' });
    assert.throws(() => openGlobalPolicyFile(file, trust(), NOW - 11), { code: 'policy' });
    const local = localPolicyFile({ outside: pg });
    assert.throws(() => openGlobalPolicyFile(local, trust(), NOW), { code: 'unexpected-message' });
    const unusable = composeGlobalPolicyFile(
      { ...parts, policy: { minCertsPerIPeriod: constantSeries(0) } },
      signerOf(pg),
    );
    assert.throws(() => openGlobalPolicyFile(unusable, trust(), NOW), { code: 'policy' });
  });
});

describe('a countersignature', () => {
  const octets = Uint8Array.of(1, 2, 3);

  test('is over the hash of octets and over nothing else', () => {
    const made = countersign(octets, signerOf(pg), 1n);
    assert.deepEqual(verifyCountersignature(made, octets, trust()).id, pg.certificate.id);
    assert.throws(() => verifyCountersignature(made, Uint8Array.of(1, 2), trust()), {
      code: 'unexpected-message',
    });
    const byStranger = countersign(octets, signerOf(stranger), 1n);
    assert.throws(() => verifyCountersignature(byStranger, octets, trust()), {
      code: 'unknown-issuer',
    });
  });
});

describe('RA and PG', () => {
  const custom = customOf();
  const raCertificate = trust().verify(ra.given);
  const answerOf = (value: BasePolicyFile, by: Issuer = pg) =>
    signRaPg(
      {
        type: 'raPgPolicySignatureRequestReply',
        value: { version: 1, signedFile: { type: 'success', value } },
      },
      signerOf(by),
      NOW,
      'certificate',
    );
  const openAnswer = (reply: Uint8Array) =>
    openPolicySignature(reply, custom, trust(), { time: NOW, ra: raCertificate });

  test('the request carries the custom policy, signed by the RA', () => {
    const request = requestPolicySignature(custom, signerOf(ra), NOW);
    const { payload, signer, generationTime } = openSignedMessage(request, trust());
    assert.deepEqual([signer.id, generationTime], [ra.certificate.id, BigInt(NOW) * 1_000_000n]);
    const { content } = decode(ScmsPdu122, payload);
    assert.ok(content.type === 'raPg' && content.value.type === 'raPgPolicySignatureRequest');
    assert.deepEqual(content.value.value.tbs.value, custom);
  });

  test('the answer goes into a local policy file', () => {
    const signed = openAnswer(answerOf(countersigned(custom, signerOf(pg), NOW)));
    open(localPolicyFile({ custom: signed }));
  });

  const refused: readonly [string, () => Uint8Array, string][] = [
    [
      'about another policy',
      () => answerOf(countersigned(customOf('other.test'), signerOf(pg), NOW)),
      'wrong-answer',
    ],
    [
      'that the RA signed itself',
      () => answerOf(countersigned(custom, signerOf(pg), NOW), ra),
      'wrong-signer',
    ],
    [
      'whose policy nobody of consequence signed',
      () => answerOf(countersigned(custom, signerOf(ica), NOW)),
      'wrong-signer',
    ],
    [
      'that is a failure',
      () =>
        signRaPg(
          {
            type: 'raPgPolicySignatureRequestReply',
            value: { version: 1, signedFile: { type: 'failure', value: 'raPgPolicyError' } },
          },
          signerOf(pg),
          NOW,
          'certificate',
        ),
      'reported-failure',
    ],
    [
      'that is a question',
      () => requestPolicySignature(custom, signerOf(pg), NOW),
      'unexpected-message',
    ],
  ];
  for (const [name, make, code] of refused) {
    test(`an answer is refused ${name}: ${code}`, () => {
      assert.throws(() => openAnswer(make()), { code });
    });
  }
});
