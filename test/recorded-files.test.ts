/**
 * The recorded device asks for its files (11 to 14): first for what there is, then, with the name that it was given and
 * without quotes around it, for what is new.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestScms } from '@chrysalis/authorities';
import { PrivateKey, systemRandom } from '@chrysalis/crypto';
import { asCertificate, hashCertificate, hashedId3, issueExplicit } from '@chrysalis/ieee1609dot2';
import { adoptLocalChainFile, openLocalPolicyFile, roleSsp } from '@chrysalis/scms';
import { startRaFixture } from './support/ra-fixture.ts';
import { readRecordedRequest, recordedScms, SKIP_INTEROP } from './support/recorded-scms.ts';

/** When the device was recorded. */
const RECORDED_AT = 722_380_090;

describe('a recorded OBU that asks for its files', { skip: SKIP_INTEROP }, () => {
  for (const [what, first, again, digits] of [
    [
      'chains',
      '11-GET-download_local-certificate-chain',
      '12-GET-download_local-certificate-chain',
      'local_certificate_chains_01_4181.oer',
    ],
    [
      'policy',
      '13-GET-download_policy_local',
      '14-GET-download_policy_local',
      'local_policy_0001_4181.oer',
    ],
  ] as const) {
    it(`gets the ${what} once`, async (t) => {
      const { scms, trust } = withPg();
      const fixture = await startRaFixture({ now: RECORDED_AT, scms, trust });
      t.after(() => fixture.close());
      const { path, headers } = readRecordedRequest(first);

      const whole = await fixture.send(path, { headers });
      assert.equal(whole.status, 200);
      // That client cuts off the first and the last character, whatever they are.
      const [, quoted = ''] = String(whole.headers['content-disposition']).split('filename=');
      assert.equal(quoted, `"${digits}"`);
      if (what === 'chains') {
        const { ra, ma, root } = scms;
        const pinned = [ra, ma].map(({ certificate }) => asCertificate(certificate));
        const roots = [asCertificate(root.certificate)];
        const adopted = adoptLocalChainFile(whole.body, roots, { pinned });
        assert(adopted.trust.get(scms.pca.certificate.id));
      } else openLocalPolicyFile(whole.body, trust, { time: RECORDED_AT });

      const conditional = readRecordedRequest(again);
      assert.equal(conditional.path, path);
      assert.doesNotMatch(conditional.headers['If-None-Match'] ?? '"', /"/, 'sent bare');
      const theirs = await fixture.send(path, { headers: conditional.headers });
      assert.equal(theirs.status, 200, 'a name that another RA gave');
      const held = { ...conditional.headers, 'If-None-Match': quoted.slice(1, -1) };
      const unchanged = await fixture.send(path, { headers: held });
      assert.equal(unchanged.status, 304);
      assert.equal(unchanged.body.length, 0);
    });
  }
});

/** Among the recorded components there is no PG: its root makes one. */
function withPg(): ReturnType<typeof recordedScms> {
  const { scms, trust } = recordedScms(systemRandom);
  const { root } = scms;
  const signingKey = PrivateKey.generate(systemRandom);
  const { validityPeriod, region } = root.certificate.certificate.toBeSigned;
  const issued = issueExplicit(
    {
      id: { type: 'name', value: 'pg.test' },
      cracaId: hashedId3(root.certificate.hash),
      crlSeries: 256,
      validityPeriod,
      ...(region && { region }),
      appPermissions: [{ psid: 0x23, ssp: roleSsp('pg') }],
    },
    signingKey.publicPoint,
    { certificate: root.certificate, key: root.signingKey },
  );
  trust.add(issued);
  const pg: TestScms['pg'] = { certificate: hashCertificate(issued), signingKey };
  return { scms: { ...scms, pg }, trust };
}
