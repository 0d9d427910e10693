import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Codec, encode } from '@chrysalis/coer';
import {
  type ApplicationRequest,
  type Dialect,
  decodeSigned,
  decodeSignedRequest,
  type EeRaRequest,
  encodeScopedRequest,
  type IdentificationRequest,
  type PseudonymRequest,
  ScmsPdu122,
  ScmsPdu124,
  SignedCertificateRequest122,
  signRequest,
} from '@chrysalis/scms';
import fc from 'fast-check';
import { encryptionKeyOf, keyOf, ra, toHex, USA } from '../../ieee1609dot2/test/pki.ts';
import { SEED } from '../../ieee1609dot2/test/round-trip.ts';
import { device, enroll } from './device.ts';

const NOW = 0x2b0ea52d;
const seed = device.seed;
const pseudonym: PseudonymRequest = {
  type: 'pseudonym',
  verifyKeyInfo: seed,
  respEncKeyInfo: seed,
  currentTime: NOW,
};
const identification: IdentificationRequest = { ...pseudonym, type: 'identification', region: USA };
const application: ApplicationRequest = {
  type: 'application',
  verifyKey: { type: 'ecdsaNistP256', value: seed.seedKey },
  responseEncryptionKey: encryptionKeyOf(keyOf('response')),
  currentTime: NOW,
  requestedStartTime: NOW + 60,
  region: USA,
};
const download: EeRaRequest = {
  type: 'download',
  timestamp: NOW,
  filename: '5A2232D10616FDF7.info',
};

function sign(request: EeRaRequest, dialect: Dialect): Uint8Array {
  const scoped = encodeScopedRequest(request, dialect);
  return decodeSigned(signRequest(scoped, device.certificate, device.key));
}

/** What is left of a request when one release has carried it. */
function carriedBy(dialect: Dialect, request: EeRaRequest): EeRaRequest {
  if (request.type === 'download') return request;
  if (dialect === '1.2.2') {
    const { region: _, ...rest } = { region: undefined, ...request };
    return {
      ...rest,
      requestedStartTime: request.requestedStartTime ?? request.currentTime,
    } as EeRaRequest;
  }
  if (request.type === 'application') return request;
  const { requestedStartTime: _, ...rest } = request;
  return rest as EeRaRequest;
}

const requests = [
  pseudonym,
  { ...pseudonym, requestedStartTime: NOW + 60 },
  identification,
  { ...identification, certEncKeyInfo: seed },
  application,
  { ...application, certEncryptionKey: encryptionKeyOf(keyOf('more')) },
];

describe('a signed request in each release', () => {
  for (const dialect of ['1.2.2', '1.2.4'] as const) {
    for (const request of requests) {
      const extras = Object.keys(request).length - 4;
      test(`${request.type} with ${extras} options, ${dialect}: is told apart and reads as it was written`, () => {
        const octets = sign(request, dialect);
        const signed = decodeSignedRequest(octets);
        assert.equal(signed.dialect, dialect);
        assert.deepEqual(signed.request, carriedBy(dialect, request));
        assert.equal(toHex(signed.tbsRequest), toHex(encodeScopedRequest(request, dialect)));
        assert.deepEqual(decodeSignedRequest(octets, [dialect]), signed);
      });

      test(`${request.type} with ${extras} options, ${dialect}: is malformed to an RA of the other`, () => {
        const other = dialect === '1.2.2' ? '1.2.4' : '1.2.2';
        assert.throws(() => decodeSignedRequest(sign(request, dialect), [other]), {
          name: 'ScmsDataError',
          code: 'malformed',
        });
      });
    }
  }

  test('a download request reads the same in both', () => {
    assert.equal(toHex(sign(download, '1.2.2')), toHex(sign(download, '1.2.4')));
    for (const dialects of [['1.2.2'], ['1.2.4'], ['1.2.4', '1.2.2']] as const) {
      assert.deepEqual(decodeSignedRequest(sign(download, '1.2.2'), dialects).request, download);
    }
  });

  test('no time in it makes one release pass for the other', () => {
    const anyTime = fc.integer({ min: 0, max: 0xffff_ffff });
    const anyRequest = fc.constantFrom(...requests);
    const anyDialect = fc.constantFrom('1.2.2' as const, '1.2.4' as const);
    fc.assert(
      fc.property(anyRequest, anyDialect, anyTime, anyTime, (request, dialect, now, start) => {
        const timed = { ...request, currentTime: now, requestedStartTime: start };
        const signed = decodeSignedRequest(sign(timed, dialect));
        assert.equal(signed.dialect, dialect);
        assert.deepEqual(signed.request, carriedBy(dialect, timed));
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  test('the low octet of the time makes a signer of an unknown kind, which yields to the right reading', () => {
    for (let low = 0; low < 256; low++) {
      const timed = { ...pseudonym, currentTime: 0x2b0ea500 + low, requestedStartTime: 0 };
      assert.equal(decodeSignedRequest(sign(timed, '1.2.2')).dialect, '1.2.2');
    }
  });

  test('bug: a request was refused as ambiguous when the wrong reading ended in things unknown', () => {
    // Read as 1.2.4 the time ends an octet early. Its last octet becomes the tag of an unknown signer, the start time
    // the length of it; the unknown signer ends inside the certificate's id, which has the tag and length of an
    // unknown signature that reaches to the end.
    const toId = 3 + 3 + 15;
    const timed = { ...pseudonym, currentTime: 0x2b0ea583, requestedStartTime: toId * 0x0100_0000 };
    const scoped = encodeScopedRequest(timed, '1.2.2');
    const request = (value: Uint8Array) => {
      const { certificate, key } = enroll({ type: 'binaryId', value });
      return decodeSigned(signRequest(scoped, certificate, key));
    };
    const rest = request(new Uint8Array(3)).length - 1 - scoped.length - 3 - 15 - 3;
    const octets = request(Uint8Array.of(0x85, 0x81, rest));
    assert.equal(decodeSignedRequest(octets, ['1.2.4']).signer.type, 'unknown');
    assert.equal(decodeSignedRequest(octets, ['1.2.2']).signer.type, 'certificate');
    assert.equal(decodeSignedRequest(octets).dialect, '1.2.2');
  });
});

describe('what is refused', () => {
  test('octets that are no request: malformed, with the reason as the cause', () => {
    const error = { name: 'ScmsDataError', code: 'malformed' };
    assert.throws(() => decodeSignedRequest(new Uint8Array(0)), error);
    assert.throws(
      () => decodeSignedRequest(new Uint8Array(300).fill(0x83)),
      (thrown: Error) => {
        assert.equal((thrown.cause as Error).name, 'CoerError');
        return true;
      },
    );
    const octets = sign(pseudonym, '1.2.2');
    for (let length = 0; length < octets.length; length++) {
      assert.throws(() => decodeSignedRequest(octets.slice(0, length)), error);
    }
    assert.throws(() => decodeSignedRequest(Uint8Array.from([...octets, 0])), error);
  });

  test('a stray octet before the ScmsPDU, as one old tool had it: malformed', () => {
    const octets = sign(pseudonym, '1.2.2');
    const stray = Uint8Array.from([octets[0]!, 0, ...octets.subarray(1)]);
    assert.throws(() => decodeSignedRequest(stray), { code: 'malformed' });
  });

  test('a PDU that no EE sends: unexpected-message', () => {
    const ack = {
      version: 1,
      content: {
        type: 'eeRa',
        value: {
          type: 'raEePseudonymCertProvisioningAck',
          value: {
            version: 1,
            requestHash: new Uint8Array(8),
            reply: { type: 'ack', value: { certDLTime: 0, certDLURL: '' } },
          },
        },
      },
    } as const;
    for (const codec of [ScmsPdu122, ScmsPdu124] as Codec<unknown>[]) {
      const request = decodeSigned(signRequest(encode(codec, ack), ra.certificate, ra.key));
      assert.throws(() => decodeSignedRequest(request), { code: 'unexpected-message' });
    }
    const unknown = encode(ScmsPdu122, {
      version: 1,
      content: { type: 'unknown', tag: 40, value: new Uint8Array(3) },
    });
    const request = decodeSigned(signRequest(unknown, ra.certificate, ra.key));
    assert.throws(() => decodeSignedRequest(request), { code: 'unexpected-message' });
  });

  test('no release enabled: malformed', () => {
    assert.throws(() => decodeSignedRequest(sign(download, '1.2.2'), []), { code: 'malformed' });
  });

  test('1.2.4 without a region: dialect', () => {
    const { region: _, ...rest } = identification;
    const { region: __, ...app } = application;
    for (const request of [rest, app]) {
      encodeScopedRequest(request, '1.2.2');
      assert.throws(() => encodeScopedRequest(request, '1.2.4'), {
        name: 'ScmsDataError',
        code: 'dialect',
      });
    }
  });
});

test('additions of a later release are covered by the signature and left out of the request', () => {
  const unknownAdditions = {
    bitmapLength: 1,
    present: [{ index: 0, octets: Uint8Array.of(1, 2) }],
  };
  const common = { currentTime: NOW, requestedStartTime: NOW };
  const value = { version: 1, verifyKeyInfo: seed, respEncKeyInfo: seed, common, unknownAdditions };
  const scoped = encode(ScmsPdu122, {
    version: 1,
    content: { type: 'eeRa', value: { type: 'eeRaIdCertProvisioningRequest', value } },
  });
  const octets = encode(SignedCertificateRequest122, {
    hashId: 'sha256',
    tbsRequest: { value: undefined as never, octets: scoped },
    signer: { type: 'self', value: null },
    signature: {
      type: 'ecdsaNistP256Signature',
      value: { r: seed.seedKey, s: new Uint8Array(32) },
    },
  });
  const { request, tbsRequest } = decodeSignedRequest(octets);
  assert.equal(toHex(tbsRequest), toHex(scoped));
  assert.deepEqual(Object.keys(request).sort(), [
    'currentTime',
    'requestedStartTime',
    'respEncKeyInfo',
    'type',
    'verifyKeyInfo',
  ]);
});
