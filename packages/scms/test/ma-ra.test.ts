/** The envelopes of ma-ra, and what an MA takes for the answer to its request. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decode } from '@chrysalis/coer';
import { systemRandom } from '@chrysalis/crypto';
import { asCertificate, decrypterOf, Ieee1609Dot2Data } from '@chrysalis/ieee1609dot2';
import {
  composeMaRaRequest,
  composeRaMaResponse,
  decodeSecured,
  expectMisbehaviorAuthority,
  type MaRaRequest,
  openMaRa,
  openMaRaResponse,
  openSecured,
  type RaMaResponse,
  requestHash,
  roleSsp,
  secureMaRa,
} from '@chrysalis/scms';
import { encryptionKeyOf, issue, keyOf, NOW } from '../../ieee1609dot2/test/pki.ts';
import { ica, ma, maKey, trust as newTrust, otherRa, pg, signerOf } from './component.ts';

const raKey = keyOf('ra.test encryption');
const ra = issue(
  'ra.test',
  {
    appPermissions: [{ psid: 0x23, ssp: roleSsp('ra') }],
    encryptionKey: encryptionKeyOf(raKey),
  },
  ica,
);
const trust = newTrust();
for (const { certificate } of [ma, ra, otherRa, pg]) trust.add(asCertificate(certificate));

const HPCR = new Uint8Array(32).fill(5);
const OTHER = new Uint8Array(32).fill(6);
type Blacklisting = Extract<MaRaRequest, { type: 'maRaBlacklistRequest' }>;
const request = composeMaRaRequest(
  { type: 'maRaBlacklistRequest', maId: 'ma.test', identifiers: [HPCR] },
  [],
  NOW,
) as Blacklisting;
const toRa = { signer: signerOf(ma), recipient: ra.certificate, random: systemRandom };
const toMa = { signer: signerOf(ra), recipient: ma.certificate, random: systemRandom };
const octets = secureMaRa(request, toRa);
const head = { requestHash: requestHash(octets), raId: 'ra.test' };
const success = { type: 'success', value: null } as const;
const answer = composeRaMaResponse<'maRaBlacklistRequest'>(request, head, [success]);

const open = (response: Uint8Array) =>
  openMaRaResponse(
    response,
    { request, octets },
    {
      ma: ma.certificate,
      key: decrypterOf(maKey),
      ra: ra.certificate,
      raId: 'ra.test',
      trust,
      time: NOW,
    },
  );

describe('a message of ma-ra', () => {
  it('is encryptedData around signedData with PSID 0x23 and, as CAMP has it, nothing else in its header', () => {
    assert.equal(decodeSecured(octets).recipients.length, 1);
    const signed = openSecured(octets, ra.certificate, decrypterOf(raKey));
    const { content } = decode(Ieee1609Dot2Data, signed);
    assert(content.type === 'signedData');
    assert.deepEqual(content.value.tbsData.value.headerInfo, { psid: 0x23 });
    assert.deepEqual(content.value.signer, { type: 'digest', value: ma.certificate.id });
    const opened = openMaRa(octets, ra.certificate, decrypterOf(raKey), trust);
    assert.deepEqual(opened.pdu, request);
    assert.equal(opened.generationTime, undefined);
    assert.deepEqual(opened.signer.hash, ma.certificate.hash);
  });

  it('may have a generation time, which is in the signature', () => {
    const timed = secureMaRa(request, { ...toRa, generationTime: 77n });
    const opened = openMaRa(timed, ra.certificate, decrypterOf(raKey), trust);
    assert.equal(opened.generationTime, 77n);
    const plain = openMaRa(octets, ra.certificate, decrypterOf(raKey), trust);
    assert.notDeepEqual(opened.signedHash, plain.signedHash);
  });
});

describe('the MA', () => {
  it('is the one that is configured, valid now, and of no other role', () => {
    const verified = (who: typeof ma) => trust.get(who.certificate.id)!;
    expectMisbehaviorAuthority(verified(ma), ma.certificate, NOW);
    assert.throws(() => expectMisbehaviorAuthority(verified(ra), ma.certificate, NOW), {
      code: 'wrong-signer',
    });
    const year = 366 * 86_400;
    assert.throws(() => expectMisbehaviorAuthority(verified(ma), ma.certificate, NOW + year), {
      code: 'expired',
    });
    assert.throws(() => expectMisbehaviorAuthority(verified(pg), pg.certificate, NOW), {
      message: 'expected a certificate of an MA, saw one of pg',
    });
  });

  it('takes the answer of its RA to its request', () => {
    assert.deepEqual(open(secureMaRa(answer, toMa)), answer);
  });

  const wrong: Readonly<Record<string, [Uint8Array, string]>> = {
    'of another RA': [secureMaRa(answer, { ...toMa, signer: signerOf(otherRa) }), 'wrong-signer'],
    'to another request': [
      secureMaRa(respond({ requestHash: new Uint8Array(8) }), toMa),
      'wrong-answer',
    ],
    'in the name of another RA': [
      secureMaRa(respond({ raId: 'other.test' }), toMa),
      'wrong-answer',
    ],
    'about another HPCR': [secureMaRa(about([OTHER]), toMa), 'wrong-answer'],
    'about one more': [secureMaRa(about([HPCR, OTHER]), toMa), 'wrong-answer'],
    'about none': [secureMaRa(about([]), toMa), 'wrong-answer'],
    'of another kind': [
      secureMaRa({ type: 'raMaLCIResponse', value: { version: 1, ...head, lciInfo: [] } }, toMa),
      'unexpected-message',
    ],
    'that is its own request': [secureMaRa(request, toMa), 'unexpected-message'],
    'to somebody else': [
      secureMaRa(answer, { ...toMa, recipient: ra.certificate }),
      'wrong-recipient',
    ],
  };
  for (const [name, [message, code]] of Object.entries(wrong)) {
    it(`takes no answer ${name}`, () => {
      assert.throws(() => open(message), { code });
    });
  }
});

function respond(changes: Partial<typeof head>): RaMaResponse {
  return composeRaMaResponse<'maRaBlacklistRequest'>(request, { ...head, ...changes }, [success]);
}

function about(hpcrs: readonly Uint8Array[]): RaMaResponse {
  const status = hpcrs.map((hpcr) => ({ hpcr, reply: success }));
  return { type: 'raMaBlacklistResponse', value: { version: 1, ...head, status } };
}
