import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RA_EE_ERRORS } from '@chrysalis/scms';

test('the codes of CAMP are those of its table, and ours stay out of its range', () => {
  const camp = Object.entries(RA_EE_ERRORS).filter(([name]) => name.startsWith('ra'));
  assert.deepEqual(Object.fromEntries(camp), {
    raBlacklisted: 5055,
    raRequestForMultipleCerts: 5056,
    raDuplicateRequestReceived: 5057,
    raInvalidSignature: 5058,
    raRequestNotEncrypted: 5059,
    raNoCertFileAvailable: 5065,
    raAuthenticationFailed: 5067,
    raNoPcaCertificateChainFileAvailable: 5068,
    raNoInfoFileAvailable: 5069,
    raWrongParameters: 5070,
    raMoreThanAllowedTries: 5071,
    raInvalidURL: 5072,
  });
  const ours = Object.entries(RA_EE_ERRORS).filter(([name]) => name.startsWith('chrysalis'));
  assert.equal(camp.length + ours.length, Object.keys(RA_EE_ERRORS).length);
  for (const [name, code] of ours) assert.ok(code >= 5900 && code < 6000, name);
  assert.equal(new Set(Object.values(RA_EE_ERRORS)).size, Object.keys(RA_EE_ERRORS).length);
});
