import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decode, encode } from '@chrysalis/coer';
import { preLinkageValues, systemRandom } from '@chrysalis/crypto';
import { decryptSymmetric } from '@chrysalis/ieee1609dot2';
import { LinkageChainId, ToBeEncryptedIndividualPlv } from '@chrysalis/scms';
import { linkageSeedOf } from '../src/index.ts';
import { AuthorityError } from '../src/keys.ts';
import { freshChain } from '../src/linkage-chain.ts';
import { symmetricKeyId } from '../src/shared-key.ts';
import { CURRENT_I, scms } from './ra-side.ts';

const first = {
  laId: scms.la1Id,
  sharedKey: scms.pcaLa1Key,
  chainKey: scms.la1ChainKey,
  random: systemRandom,
};

describe('linkageSeedOf', () => {
  it('gives the seed from which the values of the period follow that the PCA was given', async () => {
    const range = { iMin: CURRENT_I, iMax: CURRENT_I + 2, jMax: 4 };
    const { values, linkageChainId } = await freshChain(first, range);
    const chainId = encode(LinkageChainId, linkageChainId);
    for (const [n, ofPeriod] of values.entries()) {
      const atPca = ofPeriod.map(({ encPlv }) => {
        const id = symmetricKeyId(first.sharedKey);
        const octets = decryptSymmetric(encPlv, first.sharedKey.reveal(), id);
        return decode(ToBeEncryptedIndividualPlv, octets).plv;
      });
      const seed = linkageSeedOf(first, chainId, CURRENT_I + n);
      assert.deepEqual(preLinkageValues(first.laId, seed, 4), atPca);
    }
  });

  it('opens no chain of another LA, and none that was changed', async () => {
    const range = { iMin: CURRENT_I, iMax: CURRENT_I, jMax: 1 };
    const { linkageChainId } = await freshChain(first, range);
    const chainId = encode(LinkageChainId, linkageChainId);
    const second = { laId: scms.la2Id, chainKey: scms.la2ChainKey };
    const isForeign = (error: unknown) =>
      error instanceof AuthorityError && error.code === 'foreign-chain';
    assert.throws(() => linkageSeedOf(second, chainId, CURRENT_I), isForeign);
    const renamed = { laId: scms.la2Id, chainKey: scms.la1ChainKey };
    assert.throws(() => linkageSeedOf(renamed, chainId, CURRENT_I), isForeign);
    chainId[chainId.length - 1]! ^= 1;
    assert.throws(() => linkageSeedOf(first, chainId, CURRENT_I), isForeign);
    assert.throws(() => linkageSeedOf(first, new Uint8Array(3), CURRENT_I), isForeign);
  });
});
