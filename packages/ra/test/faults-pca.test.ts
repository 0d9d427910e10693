/** A PCA that answers nonsense, too much or nothing: devices are registered and served meanwhile, and get theirs when it is itself again. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encode } from '@chrysalis/coer';
import { Ieee1609Dot2Data } from '@chrysalis/ieee1609dot2';
import { AuthorityUnavailableError, type CertificateAuthority } from '@chrysalis/scms';
import { createScene, eventually } from './scene.ts';
import { seededRandom } from './stage.ts';

const MB = 1024 * 1024;
const draw = seededRandom('a PCA that is not itself');

/** What it says instead of an answer. */
const ANSWERS: Readonly<Record<string, CertificateAuthority['requestCertificate']>> = {
  nothing: async () => new Uint8Array(0),
  'octets at random': async () => draw(700),
  '16 MB of zeros': async () => new Uint8Array(16 * MB),
  '16 MB at one depth after another': async () => new Uint8Array(16 * MB).fill(0x80),
  'the request itself': async (request) => request,
  'data that are not signed': async () =>
    encode(Ieee1609Dot2Data, {
      protocolVersion: 3,
      content: { type: 'unsecuredData', value: draw(300) },
    }),
  silence: async () => {
    throw new AuthorityUnavailableError('no answer within 10 s');
  },
  'an exception that is none of its own': async () => {
    throw new TypeError('expected a PCA');
  },
};

for (const [name, answer] of Object.entries(ANSWERS)) {
  describe(`a PCA that answers ${name}`, () => {
    it('is told of, costs nothing else, and is asked again until it is itself', async (t) => {
      let isSound = true;
      const scene = await createScene(t, {
        wrapPca: (pca) => ({
          requestCertificate: (request) =>
            isSound ? pca.requestCertificate(request) : answer(request),
        }),
      });
      const ra = await scene.start();
      const served = await scene.register(ra);
      await eventually(() => scene.download(ra, served));
      isSound = false;
      const device = await scene.register(ra);
      const said = await eventually(async () =>
        scene.logged.find(({ message }) => /^no (certificate|answer) from the PCA$/.test(message)),
      );
      assert(said.fields.err instanceof Error);
      assert(await scene.download(ra, served));
      assert.equal(await scene.download(ra, device), undefined);
      const incident = await scene.options.database.query
        .selectFrom('incident')
        .selectAll()
        .where('source', '=', 'pca')
        .executeTakeFirst();
      assert((incident?.count ?? 0) > 0, 'chrysalis status shows it');

      isSound = true;
      await eventually(async () => {
        // The pause before the next attempt.
        scene.clock.advance(1);
        ra.wake();
        return scene.download(ra, device);
      });
      assert(await scene.download(ra, served));
      const keys = await scene.issued();
      assert.equal(new Set(keys).size, keys.length);
      assert.equal(keys.length, 2 * scene.options.policy.certificatesPerPeriod);
    });
  });
}
