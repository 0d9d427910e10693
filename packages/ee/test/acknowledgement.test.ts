import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemRandom } from '@chrysalis/crypto';
import {
  generateCaterpillarKeys,
  loadEnrollment,
  makeProvisioningBody,
  openAcknowledgement,
} from '../src/index.ts';
import { clockAtNow, enrolledProfile, SCMS } from './device.ts';
import { MemoryStorage } from './memory-storage.ts';
import { type AckOptions, acknowledge, createMockScms, NOW, openAsRa } from './mock-scms.ts';

const { profile } = await enrolledProfile(new MemoryStorage());
const ENROLLMENT = await loadEnrollment(profile, clockAtNow());
const BODY = makeProvisioningBody(
  { type: 'pseudonym', keys: generateCaterpillarKeys(systemRandom) },
  ENROLLMENT,
  NOW,
  systemRandom,
);

function open(options: AckOptions, time = NOW) {
  return openAcknowledgement('pseudonym', acknowledge(SCMS, BODY, options), BODY, ENROLLMENT, time);
}

describe('openAcknowledgement', () => {
  it('takes the acknowledgement of the RA for the body', () => {
    const { certDLTime, certDLURL } = open({ certDLTime: 7, certDLURL: 'ra.test' });
    assert.deepEqual({ certDLTime, certDLURL }, { certDLTime: 7, certDLURL: 'ra.test' });
  });

  it('refuses that of another request, of another signer, and what is no acknowledgement', () => {
    const refused = (message: RegExp) => ({ name: 'EeError', code: 'invalid-ack', message });
    assert.throws(() => open({ requestHash: new Uint8Array(8) }), refused(/saw 0000000000000000/));
    assert.throws(() => open({ signer: SCMS.ica }), refused(/RA's signature/));
    assert.throws(() => open({ signer: SCMS.pca }), refused(/known and trusted/));
    assert.throws(() => open({ kind: 'identification' }), refused(/saw raEeIdCertProvisioningAck/));
    assert.throws(() => open({ signer: createMockScms().ra }), refused(/known and trusted/));
    const forged = { certificate: SCMS.ra.certificate, key: SCMS.pca.key, given: SCMS.ra.given };
    assert.throws(() => open({ signer: forged }), refused(/signer's signature/));
    assert.throws(() => open({}, NOW + 700_000_000), refused(/valid at/));
    for (const octets of [new Uint8Array(0), new Uint8Array(200), BODY]) {
      assert.throws(
        () => openAcknowledgement('pseudonym', octets, BODY, ENROLLMENT, NOW),
        refused(/expected/),
      );
    }
  });

  it('never gives anything but its own error for an altered acknowledgement', () => {
    const octets = acknowledge(SCMS, BODY);
    for (let n = 0; n < octets.length; n += 1) {
      const altered = octets.slice();
      altered[n]! ^= 0x41;
      assert.throws(() => openAcknowledgement('pseudonym', altered, BODY, ENROLLMENT, NOW), {
        code: 'invalid-ack',
      });
    }
  });
});

describe('makeProvisioningBody', () => {
  it('is what the RA opens: both caterpillar keys and the time', () => {
    const request = openAsRa(SCMS, BODY);
    assert(request.type === 'pseudonym');
    assert.equal(request.currentTime, NOW);
    assert.equal(request.requestedStartTime, NOW);
    assert.notDeepEqual(request.verifyKeyInfo, request.respEncKeyInfo);
  });
});
