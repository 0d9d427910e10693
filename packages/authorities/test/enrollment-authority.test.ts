import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, it } from 'node:test';
import { decode, encode } from '@chrysalis/coer';
import { ecqvPrivateKey, equalPoints, PrivateKey, sha256, systemRandom } from '@chrysalis/crypto';
import {
  asCertificate,
  Certificate,
  checkValidAt,
  EE_TYPE_APP,
  fromPoint,
  hashCertificate,
  Ieee1609Dot2Data,
  type PsidGroupPermissions,
  signatureInput,
  ToBeSignedCertificate,
  TrustStore,
  unixFromTime32,
} from '@chrysalis/ieee1609dot2';
import {
  decodeSigned,
  type EcaEeCertResponse,
  type EeEcaCertRequest,
  openSignedMessage,
  requestHash,
  ScmsPdu122,
  SignedCertificateRequest122,
  signRequest,
} from '@chrysalis/scms';
import {
  type Authority,
  countryRegion,
  createEnrollmentAuthority,
  type EnrollmentAuthorityOptions,
} from '../src/index.ts';
import { parsePrivateKey } from '../src/keys.ts';
import { NOW, scms, TestClock, trustOf } from './ra-side.ts';

const DAY = 86_400;
const BSM: PsidGroupPermissions = {
  subjectPermissions: {
    type: 'explicit',
    value: [
      { psid: 0x20, sspRange: { type: 'opaque', value: [new Uint8Array(0)] } },
      { psid: 0x26 },
    ],
  },
  minChainDepth: 0,
  chainDepthRange: 0,
  eeType: Uint8Array.of(EE_TYPE_APP),
};

function open(more: Partial<EnrollmentAuthorityOptions> = {}) {
  return createEnrollmentAuthority({
    eca: scms.eca,
    clock: new TestClock(),
    random: systemRandom,
    ...more,
  });
}

interface Wish {
  readonly key?: PrivateKey;
  readonly signedBy?: PrivateKey;
  readonly currentTime?: number;
  readonly tbs?: Partial<ToBeSignedCertificate>;
}

function enrollmentRequest({ key = PrivateKey.generate(systemRandom), ...wish }: Wish = {}) {
  const value: EeEcaCertRequest = {
    version: 1,
    currentTime: wish.currentTime ?? NOW,
    tbsData: {
      id: { type: 'name', value: '' },
      cracaId: new Uint8Array(3),
      crlSeries: 4,
      validityPeriod: { start: NOW, duration: { type: 'years', value: 6 } },
      region: countryRegion([840]),
      certRequestPermissions: [BSM],
      verifyKeyIndicator: {
        type: 'verificationKey',
        value: { type: 'ecdsaNistP256', value: fromPoint(key.publicPoint) },
      },
      ...wish.tbs,
    },
  };
  const scoped = encode(ScmsPdu122, {
    version: 1,
    content: { type: 'ecaEe', value: { type: 'eeEcaCertRequest', value } },
  });
  return signRequest(scoped, 'self', wish.signedBy ?? key);
}

function openResponse(response: Uint8Array, trust: TrustStore): EcaEeCertResponse {
  const { content } = decode(ScmsPdu122, openSignedMessage(response, trust).payload);
  assert.equal(content.type, 'ecaEe');
  assert.equal(content.value.type, 'ecaEeCertResponse');
  return content.value.value;
}

/** The private key of the certificate, as the device works it out. */
function reconstruct(response: EcaEeCertResponse, requestKey: PrivateKey): PrivateKey {
  const eca = hashCertificate(response.ecaCert);
  const tbs = encode(ToBeSignedCertificate, response.enrollmentCert.value.toBeSigned);
  const e = sha256(signatureInput(tbs, eca));
  return ecqvPrivateKey(e, requestKey, response.privKeyReconstruction);
}

describe('enrollment', () => {
  it('gives a certificate whose private key only the device can work out', () => {
    const key = PrivateKey.generate(systemRandom);
    const request = enrollmentRequest({ key });
    const trust = trustOf();
    const response = openResponse(open().enroll(request), trust);
    assert.deepEqual(response.requestHash, requestHash(request));
    assert.deepEqual(response.ecaCert, asCertificate(scms.eca.certificate));
    const verified = trust.verify(response.enrollmentCert);
    checkValidAt(verified, NOW);
    assert.ok(equalPoints(reconstruct(response, key).publicPoint, verified.publicKey.point));
    const { verifyKeyIndicator, ...content } = response.enrollmentCert.value.toBeSigned;
    assert.equal(verifyKeyIndicator.type, 'reconstructionValue');
    assert.deepEqual(content, {
      id: { type: 'name', value: '' },
      cracaId: scms.root.certificate.hash.slice(-3),
      crlSeries: 4,
      validityPeriod: { start: NOW, duration: { type: 'years', value: 6 } },
      region: countryRegion([840]),
      certRequestPermissions: [BSM],
    });
  });

  it('cuts a validity that is too long, in its own unit', () => {
    const validityOf = (wish: Wish, more: Partial<EnrollmentAuthorityOptions> = {}) =>
      openResponse(open(more).enroll(enrollmentRequest(wish)), trustOf()).enrollmentCert.value
        .toBeSigned.validityPeriod;
    const asked = (type: 'years' | 'hours', value: number, start = NOW): Wish => ({
      tbs: { validityPeriod: { start, duration: { type, value } } },
    });
    assert.deepEqual(validityOf(asked('years', 60)).duration, { type: 'years', value: 30 });
    const maxDuration = { type: 'years', value: 1 } as const;
    assert.deepEqual(validityOf(asked('hours', 65_535), { maxDuration }).duration, {
      type: 'hours',
      value: 8765,
    });
    const inTwentyYears = NOW + 20 * 365 * DAY;
    assert.deepEqual(validityOf(asked('years', 30, inTwentyYears)).duration, {
      type: 'years',
      value: 19,
    });
  });

  it('keeps a name or a number that the device has, and grants rollover when asked', () => {
    const tbsOf = (tbs: Partial<ToBeSignedCertificate>) =>
      openResponse(open().enroll(enrollmentRequest({ tbs })), trustOf()).enrollmentCert.value
        .toBeSigned;
    const binaryId = { type: 'binaryId', value: Uint8Array.of(1, 2) } as const;
    assert.deepEqual(tbsOf({ id: binaryId }).id, binaryId);
    const name = { type: 'name', value: 'obu-17' } as const;
    assert.deepEqual(tbsOf({ id: name }).id, name);
    assert.deepEqual(tbsOf({ id: { type: 'none', value: null } }).id, { type: 'name', value: '' });
    assert.equal(tbsOf({ canRequestRollover: null }).canRequestRollover, null);
  });

  it('takes a request of yesterday, for they travel by hand', () => {
    open().enroll(enrollmentRequest({ currentTime: NOW - DAY }));
    open().enroll(enrollmentRequest({ currentTime: NOW + DAY }));
    open({ toleranceSec: 10 * DAY }).enroll(enrollmentRequest({ currentTime: NOW - 10 * DAY }));
  });
});

describe('the ECA refuses', () => {
  const bsmWith = (more: Partial<PsidGroupPermissions>) => ({
    certRequestPermissions: [{ ...BSM, ...more }],
  });
  const refusals: [string, string, Wish][] = [
    ['an old request', 'ecaInvalidCurrentTime', { currentTime: NOW - DAY - 1 }],
    ['a request of the future', 'ecaInvalidCurrentTime', { currentTime: NOW + DAY + 1 }],
    [
      'a signature by another key',
      'ecaInvalidVerifyKey',
      { signedBy: PrivateKey.generate(systemRandom) },
    ],
    [
      'a key that is no point',
      'ecaInvalidVerifyKey',
      {
        tbs: {
          verifyKeyIndicator: {
            type: 'verificationKey',
            value: { type: 'ecdsaNistP256', value: { type: 'xOnly', value: new Uint8Array(32) } },
          },
        },
      },
    ],
    [
      'a reconstruction value for a key',
      'ecaInvalidVerifyKey',
      {
        tbs: {
          verifyKeyIndicator: {
            type: 'reconstructionValue',
            value: fromPoint(scms.eca.signingKey.publicPoint),
          },
        },
      },
    ],
    [
      'linkage data for an id',
      'ecaMalformedRequest',
      {
        tbs: { id: { type: 'linkageData', value: { iCert: 1, linkageValue: new Uint8Array(9) } } },
      },
    ],
    ["a region outside the ECA's", 'ecaInvalidRegion', { tbs: { region: countryRegion([124]) } }],
    ['application permissions', 'ecaInvalidPsid', { tbs: { appPermissions: [{ psid: 0x20 }] } }],
    ['permissions to issue', 'ecaInvalidPsid', { tbs: { certIssuePermissions: [BSM] } }],
    [
      'an application that the SCMS does not serve',
      'ecaInvalidPsid',
      {
        tbs: bsmWith({ subjectPermissions: { type: 'explicit', value: [{ psid: 0x24 }] } }),
      },
    ],
    [
      'every application',
      'ecaInvalidPsid',
      { tbs: bsmWith({ subjectPermissions: { type: 'all', value: null } }) },
    ],
    [
      'a right to request that reaches down a chain',
      'ecaInvalidPsid',
      { tbs: bsmWith({ minChainDepth: 1 }) },
    ],
    ['no permissions', 'ecaInvalidPsid', { tbs: { certRequestPermissions: [] } }],
    [
      'an encryption key',
      'ecaInvalidEncryptionKey',
      {
        tbs: {
          encryptionKey: {
            supportedSymmAlg: 'aes128Ccm',
            publicKey: {
              type: 'eciesNistP256',
              value: fromPoint(scms.eca.signingKey.publicPoint),
            },
          },
        },
      },
    ],
    [
      'an assurance level',
      'ecaInvalidAssuranceLevel',
      { tbs: { assuranceLevel: Uint8Array.of(0) } },
    ],
    [
      'a start before its own',
      'ecaInvalidRequestedStartTime',
      { tbs: { validityPeriod: { start: 1, duration: { type: 'years', value: 30 } } } },
    ],
    [
      'a start after its own end',
      'ecaInvalidRequestedStartTime',
      { tbs: { validityPeriod: { start: 0xffff_ffff, duration: { type: 'years', value: 1 } } } },
    ],
    [
      'a validity that is over',
      'ecaInvalidValidityPeriod',
      { tbs: { validityPeriod: { start: NOW - DAY, duration: { type: 'hours', value: 24 } } } },
    ],
    [
      'a validity of nothing',
      'ecaInvalidValidityPeriod',
      { tbs: { validityPeriod: { start: NOW + DAY, duration: { type: 'hours', value: 0 } } } },
    ],
  ];
  for (const [what, reason, wish] of refusals) {
    it(`${what}: ${reason}`, () => {
      assert.throws(() => open().enroll(enrollmentRequest(wish)), {
        name: 'EnrollmentRefusal',
        code: 'enrollment-refused',
        reason,
      });
    });
  }

  it('no region: ecaInvalidRegion', () => {
    const { scoped, key } = withoutRegion();
    assert.throws(() => open().enroll(signRequest(scoped, 'self', key)), {
      reason: 'ecaInvalidRegion',
    });
  });

  it('what is no enrollment request: ecaMalformedRequest', () => {
    const reason = 'ecaMalformedRequest';
    assert.throws(() => open().enroll(Uint8Array.of(3, 0x83)), { reason });
    assert.throws(() => open().enroll(new Uint8Array(0)), { reason });
    const { scoped } = withoutRegion();
    const byRa = signRequest(scoped, scms.ra.certificate, scms.ra.signingKey);
    assert.throws(() => open().enroll(byRa), { reason });
  });

  it('everything when its own certificate has expired: ecaInternalServerError', () => {
    const clock = new TestClock();
    clock.time = NOW + 41 * 365 * DAY;
    assert.throws(() => open({ clock }).enroll(enrollmentRequest({ currentTime: clock.time })), {
      reason: 'ecaInternalServerError',
    });
  });
});

function withoutRegion() {
  const key = PrivateKey.generate(systemRandom);
  const signed = decode(SignedCertificateRequest122, decodeSigned(enrollmentRequest({ key })))
    .tbsRequest.value;
  assert.equal(signed.content.type, 'ecaEe');
  assert.equal(signed.content.value.type, 'eeEcaCertRequest');
  const { region: _, ...tbsData } = signed.content.value.value.tbsData;
  const value = { ...signed.content.value.value, tbsData };
  const scoped = encode(ScmsPdu122, {
    version: 1,
    content: { type: 'ecaEe', value: { type: 'eeEcaCertRequest', value } },
  });
  return { scoped, key };
}

const RECORDED =
  process.env.CHRYSALIS_INTEROP_DIR ??
  resolve(import.meta.dirname, '../../../../shared/interop/obu-client');
const skip = existsSync(join(RECORDED, 'enrolment'))
  ? false
  : `no recorded device in ${RECORDED} (set CHRYSALIS_INTEROP_DIR)`;

describe('a recorded device', { skip }, () => {
  const read = (path: string) => new Uint8Array(readFileSync(join(RECORDED, path)));
  const certificate = (name: string) => decode(Certificate, read(`pki/${name}.oer`));
  const trust = () => {
    const store = new TrustStore([certificate('rca')]);
    store.add(certificate('ica'));
    store.add(certificate('eca'));
    return store;
  };
  const recordedEca = (): Authority => {
    const keys: Record<string, string> = JSON.parse(
      readFileSync(join(RECORDED, 'pki/keys.json'), 'utf8'),
    );
    const hex = (keys.eca ?? '').replace(/^0x/, '').padStart(64, '0');
    return {
      certificate: hashCertificate(certificate('eca')),
      signingKey: parsePrivateKey(Buffer.from(hex, 'hex'), 'keys.json'),
    };
  };
  const request = () => read('enrolment/SignedEeEnrollmentCertRequest.oer');
  const deviceKey = () => parsePrivateKey(read('enrolment/Initial.privkey'), 'Initial.privkey');
  /** The time inside the request. */
  const clock = { now: () => unixFromTime32(0x2b0ea135) };

  it('was given the private key that we reconstruct', () => {
    const response = openResponse(read('enrolment/ECResponse.oer'), trust());
    const key = reconstruct(response, deviceKey());
    assert.deepEqual(key.scalar().reveal(), read('enrolment/enrollment.privkey'));
    assert.deepEqual(response.enrollmentCert.octets, read('enrolment/enrollment.oer'));
  });

  it('is answered by our ECA as by its own, field by field', () => {
    const eca = recordedEca();
    const ours = createEnrollmentAuthority({ eca, clock, random: systemRandom }).enroll(request());
    const theirs = read('enrolment/ECResponse.oer');
    assert.equal(ours.length, theirs.length);
    const [a, b] = [ours, theirs].map((octets) => openResponse(octets, trust()));
    assert.ok(a && b);
    const verified = trust().verify(a.enrollmentCert);
    assert.deepEqual(reconstruct(a, deviceKey()).publicPoint, verified.publicKey.point);
    assert.deepEqual(a.ecaCert, b.ecaCert);
    const { toBeSigned: mine, ...myCertificate } = a.enrollmentCert.value;
    const { toBeSigned: its, ...itsCertificate } = b.enrollmentCert.value;
    assert.deepEqual(myCertificate, itsCertificate);
    // Their cracaId is that of the ECA; CAMP's profile wants that of the root.
    const { verifyKeyIndicator: _, cracaId: myCraca, ...myContent } = mine;
    const { verifyKeyIndicator: __, cracaId: itsCraca, ...itsContent } = its;
    assert.deepEqual(myContent, itsContent);
    assert.deepEqual(myCraca, hashCertificate(certificate('rca')).hash.slice(-3));
    assert.deepEqual(itsCraca, eca.certificate.id.slice(-3));
    // Both name the signer by certificate.
    const signerOf = (octets: Uint8Array) => {
      const { content } = decode(Ieee1609Dot2Data, octets);
      assert.equal(content.type, 'signedData');
      return content.value.signer;
    };
    assert.deepEqual(signerOf(ours), signerOf(theirs));
    assert.deepEqual(a.requestHash, b.requestHash);
  });
});
