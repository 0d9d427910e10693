/** From the hash of a request to the PCA back to the device that it was made for. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { sha256 } from '@chrysalis/crypto';
import { linkageChainsOf } from '@chrysalis/ra';
import { timeOf } from '@chrysalis/scms';
import { createScene, eventually } from './scene.ts';

describe('linkageChainsOf', () => {
  it('finds the enrollment certificate, the chains, the last period and the most in one', async (t) => {
    const requests: Uint8Array[] = [];
    const scene = await createScene(t, {
      policy: { certificatesPerPeriod: 3, weeksAhead: 2 },
      wrapPca: (pca) => ({
        requestCertificate(octets) {
          requests.push(octets);
          return pca.requestCertificate(octets);
        },
      }),
    });
    const ra = await scene.start();
    const [one, two] = [await scene.register(ra), await scene.register(ra)];
    const current = scene.options.iPeriod.at(timeOf(scene.clock));
    for (const device of [one, two]) {
      for (const i of [current, current + 1]) {
        await eventually(() => scene.download(ra, device, i));
      }
    }

    const origins = await Promise.all(
      requests.map((octets) => linkageChainsOf(scene.database, sha256(octets))),
    );
    assert.equal(origins.length, 12, 'two devices, two periods of three');
    for (const { device } of [one, two]) {
      const own = origins.filter(
        (origin) => origin && Buffer.compare(origin.enrollmentHash, device.certificate.hash) === 0,
      );
      assert.equal(own.length, 6);
      for (const origin of own) {
        assert.deepEqual(origin, own[0]);
        assert.equal(origin?.kind, 'pseudonym');
        assert.deepEqual([origin.linkage?.iMax, origin.linkage?.jMax], [current + 1, 3]);
      }
    }
    const chains = new Set(
      origins.map((origin) => Buffer.from(origin!.linkage!.la1Chain).toString('hex')),
    );
    assert.equal(chains.size, 2, 'each device has its own');
    assert.equal(await linkageChainsOf(scene.database, sha256(new Uint8Array(9))), undefined);
  });
});
