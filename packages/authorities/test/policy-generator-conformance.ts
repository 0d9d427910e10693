import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { asCertificate, type Duration, TrustStore } from '@chrysalis/ieee1609dot2';
import {
  adoptGlobalChainFile,
  adoptLocalChainFile,
  type ComponentSigner,
  type CustomPolicyData,
  composeLocalChainFile,
  composeLocalPolicyFile,
  constantSeries,
  customPolicy,
  DEFAULT_GLOBAL_POLICY,
  openGlobalPolicyFile,
  openLocalPolicyFile,
  openPolicySignature,
  policyAt,
  type RaPgError,
  requestPolicySignature,
  signMessage,
  versionOctets,
} from '@chrysalis/scms';
import {
  type Authority,
  chainPartsOf,
  createPolicyGenerator,
  type PolicyGeneratorOptions,
} from '../src/index.ts';
import { type Form, NOW, scms, TestClock, trustOf } from './ra-side.ts';

const signerOf = ({ certificate, signingKey }: Authority): ComponentSigner => ({
  certificate,
  key: signingKey,
});
const root = asCertificate(scms.root.certificate);
const ra = trustOf().verify(asCertificate(scms.ra.certificate));
const times = { generationTime: NOW, activeTime: NOW };
const policy = { ...DEFAULT_GLOBAL_POLICY, minCertsPerIPeriod: constantSeries(25) };

/** What the test PG promises, in whatever form it is reached. */
export function policyGeneratorConformance(form: Form): void {
  describe(`the PG, ${form.name}`, () => {
    after(() => form.close());

    async function openPg(more: Partial<PolicyGeneratorOptions> = {}) {
      const refusals: [RaPgError, string][] = [];
      const made = createPolicyGenerator({
        pg: scms.pg,
        trust: trustOf(),
        clock: new TestClock(),
        gpfVersion: 3,
        gccfVersion: 7,
        policy,
        chain: chainPartsOf(scms),
        onRefusal: (...refusal) => refusals.push(refusal),
        ...more,
      });
      return { pg: await form.pg(made), refusals };
    }

    /** What an RA wants signed: by default the global policy as it is. */
    function customOf(custom: Partial<CustomPolicyData> = {}, policyID = versionOctets(3)) {
      const globalPolicy = { certChainFileId: constantSeries(7), ...policy };
      return customPolicy({
        ...times,
        policyID,
        custom: { requestingRaHostname: 'ra.scms.test', globalPolicy, ...custom },
      });
    }

    describe('a PG', () => {
      test('gives out a global policy that names its GCCF, and that GCCF', async () => {
        const { pg } = await openPg();
        const global = openGlobalPolicyFile(await pg.globalPolicyFile(), trustOf(), NOW);
        assert.equal(global.gpfVersion, 3);
        const values = policyAt({ global: global.policy }, NOW);
        assert.deepEqual([values.globalCertChainFileId, values.certsPerIPeriod], [7, 25]);
        const chain = adoptGlobalChainFile(await pg.globalCertificateChainFile(), [root]);
        assert.equal(chain.version, 7);
        for (const name of ['ica', 'pca', 'ra', 'ma', 'pg', 'crlg'] as const) {
          assert.ok(chain.trust.get(scms[name].certificate.id), name);
        }
      });

      test('signs a custom policy, from which the RA makes files that a device takes', async () => {
        const { pg } = await openPg();
        const custom = customOf();
        const reply = await pg.signPolicy(requestPolicySignature(custom, signerOf(scms.ra), NOW));
        const signed = openPolicySignature(reply, custom, trustOf(), { time: NOW, ra });
        const local = { certsPerIPeriod: constantSeries(30) };
        const lpf = composeLocalPolicyFile(
          { ...times, gpfVersion: 3, lpfVersion: 1, custom: signed, local },
          signerOf(scms.ra),
        );
        const { store } = adoptGlobalChainFile(await pg.globalCertificateChainFile(), [root]);
        const version = { gccfVersion: 7, lccfVersion: 1, raHostname: 'ra.scms.test' };
        const device = adoptLocalChainFile(composeLocalChainFile(version, store), [root]);
        const opened = openLocalPolicyFile(lpf, device.trust, {
          time: NOW,
          raHostname: device.version.raHostname,
        });
        assert.equal(policyAt(opened.policy, NOW).certsPerIPeriod, 30);
      });

      test('signs a policy that leaves parameters out', async () => {
        const { pg, refusals } = await openPg();
        const custom = customOf({ globalPolicy: { iPeriod: policy.iPeriod } });
        const reply = await pg.signPolicy(requestPolicySignature(custom, signerOf(scms.ra), NOW));
        openPolicySignature(reply, custom, trustOf(), { time: NOW, ra });
        assert.deepEqual(refusals, []);
      });

      test('begins with no policy that nobody could live by', async () => {
        const nothing = { minCertsPerIPeriod: constantSeries(0) };
        await assert.rejects(openPg({ policy: nothing }), { code: 'policy' });
      });
    });

    describe('a PG refuses', () => {
      const week: Duration = { type: 'hours', value: 24 };
      const by = (signer: Authority, custom = customOf(), time = NOW) =>
        requestPolicySignature(custom, signerOf(signer), time);
      const rows: readonly [string, () => Uint8Array, RaPgError][] = [
        [
          'a changed parameter',
          () => by(scms.ra, customOf({ globalPolicy: { iPeriod: constantSeries(week) } })),
          'raPgPolicyError',
        ],
        [
          'a parameter of its own invention',
          () => by(scms.ra, customOf({ globalPolicy: { certChainFileId: constantSeries(8) } })),
          'raPgPolicyError',
        ],
        [
          'a policy derived from another',
          () => by(scms.ra, customOf({}, versionOctets(2))),
          'raPgPolicyError',
        ],
        [
          'a policy for another RA',
          () => by(scms.ra, customOf({ requestingRaHostname: 'other.test' })),
          'raPgPolicyError',
        ],
        ['an LA', () => by(scms.la1), 'raPgSignatureFailed'],
        [
          'a request of yesterday',
          () => by(scms.ra, customOf(), NOW - 86_400),
          'raPgSignatureFailed',
        ],
        [
          'something else that an RA signed',
          () => signMessage(new Uint8Array(3), scms.ra.certificate, scms.ra.signingKey),
          'raPgMalformedRequest',
        ],
        ['nothing', () => new Uint8Array(0), 'raPgMalformedRequest'],
      ];
      for (const [name, request, code] of rows) {
        test(`${name}: ${code}, in an answer that it signs`, async () => {
          const { pg, refusals } = await openPg();
          const reply = await pg.signPolicy(request());
          assert.throws(
            () => openPolicySignature(reply, customOf(), trustOf(), { time: NOW, ra }),
            {
              code: 'reported-failure',
              message: `expected a signature, saw ${code}`,
            },
          );
          assert.deepEqual(
            refusals.map(([refused]) => refused),
            [code],
          );
        });
      }

      test('a policy for nobody: any RA could hand it out', async () => {
        const { pg, refusals } = await openPg();
        const globalPolicy = { iPeriod: policy.iPeriod };
        const custom = customPolicy({
          ...times,
          policyID: versionOctets(3),
          custom: { globalPolicy },
        });
        await pg.signPolicy(requestPolicySignature(custom, signerOf(scms.ra), NOW));
        assert.deepEqual(refusals[0]?.[0], 'raPgPolicyError');
      });

      test('an RA that it does not know', async () => {
        const { pg, refusals } = await openPg({ trust: new TrustStore([root]) });
        await pg.signPolicy(requestPolicySignature(customOf(), signerOf(scms.ra), NOW));
        assert.deepEqual(refusals[0]?.[0], 'raPgSignatureFailed');
      });
    });
  });
}
