import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { decode } from '@chrysalis/coer';
import { linkageSeedAt, preLinkageValue, systemRandom } from '@chrysalis/crypto';
import { decryptSymmetric } from '@chrysalis/ieee1609dot2';
import {
  type EncryptedIndividualPlv,
  type LaRaReply,
  LinkageSeedAndLaId,
  openSignedMessage,
  requestHash,
  signMessage,
  ToBeEncryptedIndividualPlv,
} from '@chrysalis/scms';
import { createTestScms, MAX_VALUES_PER_REQUEST } from '../src/index.ts';
import { symmetricKeyId } from '../src/shared-key.ts';
import {
  CURRENT_I,
  type Form,
  NOW,
  nameOf,
  openLa as openLaHere,
  openPlvAnswer,
  type PlvWish,
  plvRequest,
  scms,
  TestClock,
  trustOf,
} from './ra-side.ts';

/** What the test LA promises, in whatever form it is reached. */
export function linkageAuthorityConformance(form: Form): void {
  describe(`the LA, ${form.name}`, () => {
    after(() => form.close());
    const openLa = (...which: Parameters<typeof openLaHere>) => form.la(openLaHere(...which));

    async function ask(wish: PlvWish, name: 'la1' | 'la2' = 'la1'): Promise<LaRaReply> {
      return openPlvAnswer(await (await openLa(name)).requestPreLinkageValues(plvRequest(wish)))
        .reply;
    }

    async function chainsOf(wish: PlvWish, name: 'la1' | 'la2' = 'la1') {
      const reply = await ask(wish, name);
      assert.equal(reply.type, 'success');
      return reply.value.individual;
    }

    /** What the PCA sees of a value. */
    function open({ encPlv }: EncryptedIndividualPlv) {
      const key = scms.pcaLa1Key;
      return decode(
        ToBeEncryptedIndividualPlv,
        decryptSymmetric(encPlv, key.reveal(), symmetricKeyId(key)),
      );
    }

    describe('the linkage authority', () => {
      it('gives fresh chains whose values follow from the seed in the chain id', async () => {
        const [first, second, ...more] = await chainsOf({
          fresh: 2,
          iMin: CURRENT_I,
          iMax: CURRENT_I + 1,
          jMax: 3,
        });
        assert.ok(first && second);
        assert.equal(more.length, 0);
        assert.notDeepEqual(open(first.values[0]![0]!), open(second.values[0]![0]!));
        const { linkageSeed, laId } = decode(
          LinkageSeedAndLaId,
          decryptSymmetric(
            first.linkageChainId,
            scms.la1ChainKey.reveal(),
            symmetricKeyId(scms.la1ChainKey),
          ),
        );
        assert.deepEqual(laId, scms.la1Id);
        assert.equal(first.jMax, 3);
        assert.deepEqual(
          first.values.map((row) => row.map(open)),
          [CURRENT_I, CURRENT_I + 1].map((iValue) =>
            [0, 1, 2].map((j) => ({
              iValue,
              plv: preLinkageValue(laId, linkageSeedAt(laId, linkageSeed, iValue), j),
            })),
          ),
        );
        assert.deepEqual(first.values[0]![0]!.laId, scms.la1Id);
      });

      it('continues a chain with the values that one long request would have given', async () => {
        const [whole] = await chainsOf({ fresh: 1, iMin: CURRENT_I, iMax: CURRENT_I + 3 });
        assert.ok(whole);
        const [continued] = await chainsOf({
          continued: [whole.linkageChainId],
          iMin: CURRENT_I + 2,
          iMax: CURRENT_I + 3,
        });
        assert.deepEqual(
          continued?.values.map((row) => row.map(open)),
          whole.values.slice(2).map((row) => row.map(open)),
        );
        assert.deepEqual(continued?.linkageChainId, whole.linkageChainId);
      });

      it('puts fresh chains first and continued ones after them, in the order asked', async () => {
        const [a, b] = await chainsOf({ fresh: 2 });
        const chains = await chainsOf({
          fresh: 1,
          continued: [b!.linkageChainId, a!.linkageChainId],
        });
        assert.equal(chains.length, 3);
        assert.deepEqual(
          chains.slice(1).map(({ linkageChainId }) => linkageChainId),
          [b!.linkageChainId, a!.linkageChainId],
        );
      });

      it('signs its answer, with the time and the hash of the request', async () => {
        const request = plvRequest({ fresh: 1 });
        const answer = await (await openLa('la2')).requestPreLinkageValues(request);
        const { signer, generationTime } = openSignedMessage(answer, trustOf());
        assert.deepEqual(signer.id, scms.la2.certificate.id);
        assert.equal(generationTime, BigInt(NOW) * 1_000_000n);
        assert.deepEqual(openPlvAnswer(answer).requestHash, requestHash(request));
        assert.equal(openPlvAnswer(answer).laId, nameOf('la2'));
      });

      it('keeps the values from the RA: they are encrypted, each under a key of its own', async () => {
        const [chain] = await chainsOf({ fresh: 1, jMax: 20 });
        const seen = chain!.values[0]!.map(({ encPlv }) => JSON.stringify(encPlv.ciphertext));
        assert.equal(new Set(seen).size, 20);
      });

      it('fills the largest request it takes with an answer that still decodes', async () => {
        const reply = await ask({
          fresh: 1,
          iMin: 0,
          iMax: 249,
          jMax: MAX_VALUES_PER_REQUEST / 250,
        });
        assert.equal(reply.type, 'success');
      });

      it('reaches the last period that 16 bits can name', async () => {
        const [chain] = await chainsOf({ fresh: 1, iMin: 65_535, jMax: 1 });
        assert.equal(open(chain!.values[0]![0]!).iValue, 65_535);
      });

      const refusals: [string, PlvWish, string][] = [
        [
          'a PCA that it shares no key with',
          { fresh: 1, pcaId: 'pca2.scms.test' },
          'invalidPcaKey',
        ],
        ['iMin after iMax', { fresh: 1, iMin: 2, iMax: 1 }, 'invalidIMin'],
        ['no values', { fresh: 1, jMax: 0 }, 'invalidJMax'],
        ['a chain that is too long', { fresh: 1, iMin: 0, iMax: 65_535 }, 'invalidIMax'],
        ['too many chains', { fresh: 0xffff_ffff }, 'invalidContinueChain'],
        ['no chain', { fresh: 0 }, 'invalidContinueChain'],
      ];
      for (const [what, wish, code] of refusals) {
        it(`refuses ${what}: ${code}`, async () => {
          assert.deepEqual(await ask(wish), {
            type: 'failure',
            value: { type: 'laRa', value: { type: 'laRa', value: code } },
          });
        });
      }

      it("refuses the other LA's chain: invalidLinkagechainId", async () => {
        const [theirs] = await chainsOf({ fresh: 1 }, 'la2');
        assert.deepEqual(await ask({ continued: [theirs!.linkageChainId] }), {
          type: 'failure',
          value: { type: 'laRa', value: { type: 'laRa', value: 'invalidLinkagechainId' } },
        });
      });

      const COMMON = { type: 'failure', value: { type: 'common', value: 1 } };
      const minute = 60_000_000n;
      const now = BigInt(NOW) * 1_000_000n;
      for (const [what, generationTime] of [
        ['no generation time', undefined],
        ['one of the past', now - 6n * minute],
        ['one of the future', now + 6n * minute],
      ] as const) {
        it(`refuses a request with ${what}`, async () => {
          assert.deepEqual(await ask({ fresh: 1, generationTime }), COMMON);
        });
      }

      it('refuses what is no request of an RA that it trusts', async () => {
        const la = await openLa('la1');
        const replyTo = async (request: Uint8Array) =>
          openPlvAnswer(await la.requestPreLinkageValues(request)).reply;
        assert.deepEqual(await replyTo(Uint8Array.of(3)), COMMON);
        const generationTime = now;
        const byEca = signMessage(
          openSignedMessage(plvRequest({ fresh: 1 }), trustOf()).payload,
          scms.eca.certificate,
          scms.eca.signingKey,
          { generationTime },
        );
        assert.deepEqual(await replyTo(byEca), COMMON);
        const { ra } = createTestScms({ now: NOW, random: systemRandom, raHostname: nameOf('ra') });
        const byStranger = signMessage(Uint8Array.of(1), ra.certificate, ra.signingKey, {
          generationTime,
        });
        assert.deepEqual(await replyTo(byStranger), COMMON);
        const notForLas = signMessage(Uint8Array.of(1), scms.ra.certificate, scms.ra.signingKey, {
          generationTime,
        });
        assert.deepEqual(await replyTo(notForLas), COMMON);
      });

      it('refuses an RA whose certificate has expired', async () => {
        const clock = new TestClock();
        clock.time = NOW + 26_448 * 3600;
        const generationTime = BigInt(clock.time) * 1_000_000n;
        const la = await openLa('la1', clock);
        const answer = await la.requestPreLinkageValues(plvRequest({ fresh: 1, generationTime }));
        assert.deepEqual(openPlvAnswer(answer).reply, COMMON);
      });
    });
  });
}
