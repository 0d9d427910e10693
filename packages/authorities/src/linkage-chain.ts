/**
 * The chains of an LA. A chain is one seed, ls(0), and everything else follows from it: the seed of period i is ls(0)
 * hashed i times, counted from i = 0 of the SCMS clock (2015), not from where the RA began to ask. So the LA keeps no
 * state, a LinkageChainId holds all that it needs to go on, and a chain that is continued has the values that one long
 * request would have given. The price is up to 65,535 hashes to reach a period, some 65 milliseconds at the very end.
 */
import { setImmediate } from 'node:timers/promises';
import { decode, encode } from '@chrysalis/coer';
import {
  equalConstantTime,
  linkageSeedAt,
  nextLinkageSeed,
  preLinkageValues,
  type Random,
  type Secret,
} from '@chrysalis/crypto';
import { decryptSymmetric, encryptSymmetric } from '@chrysalis/ieee1609dot2';
import {
  type EncryptedIndividualPlv,
  type IndividualPlvResponseLinkageChain,
  type LinkageChainId,
  LinkageSeedAndLaId,
  ToBeEncryptedIndividualPlv,
} from '@chrysalis/scms';
import { symmetricKeyId } from './shared-key.ts';

const SEED_OCTETS = 16;

/** What an LA needs to make and continue chains. */
export interface LinkageChainKeys {
  /** Two octets. */
  readonly laId: Uint8Array;
  /** Shared with the PCA: values are encrypted under it. */
  readonly sharedKey: Secret;
  /** The LA's own: LinkageChainIds are encrypted under it. */
  readonly chainKey: Secret;
  readonly random: Random;
}

/** Which values of a chain are wanted. */
export interface LinkageChainRange {
  readonly iMin: number;
  /** Inclusive. */
  readonly iMax: number;
  /** Values per period: j from 0 to jMax - 1. */
  readonly jMax: number;
}

/** A chain with a new seed. */
export async function freshChain(
  keys: LinkageChainKeys,
  range: LinkageChainRange,
): Promise<IndividualPlvResponseLinkageChain> {
  const seed = keys.random(SEED_OCTETS);
  const plaintext = encode(LinkageSeedAndLaId, { linkageSeed: seed, laId: keys.laId });
  const linkageChainId = encryptSymmetric(
    plaintext,
    keys.chainKey.reveal(),
    symmetricKeyId(keys.chainKey),
    keys.random,
  );
  return { jMax: range.jMax, values: await chainValues(keys, seed, range), linkageChainId };
}

/**
 * More of a chain that was handed out before; the answer carries the same LinkageChainId, octet for octet.
 *
 * @throws Ieee1609Dot2Error or CoerError when the id is not one of this LA's.
 */
export async function continuedChain(
  keys: LinkageChainKeys,
  linkageChainId: LinkageChainId,
  range: LinkageChainRange,
): Promise<IndividualPlvResponseLinkageChain> {
  return {
    jMax: range.jMax,
    values: await chainValues(keys, openChainId(keys, linkageChainId), range),
    linkageChainId,
  };
}

/** ls(0) of a chain. @throws Ieee1609Dot2Error, CoerError, RangeError */
export function openChainId(
  keys: Pick<LinkageChainKeys, 'laId' | 'chainKey'>,
  linkageChainId: LinkageChainId,
): Uint8Array {
  const id = symmetricKeyId(keys.chainKey);
  const plaintext = decryptSymmetric(linkageChainId, keys.chainKey.reveal(), id);
  const { linkageSeed, laId } = decode(LinkageSeedAndLaId, plaintext);
  if (!equalConstantTime(laId, keys.laId)) {
    throw new RangeError('expected a linkage chain of this LA, saw one of another');
  }
  return linkageSeed;
}

/** By i from iMin, then by j from 0. Others get their turn after each period: a chain of three years takes a while. */
async function chainValues(
  keys: LinkageChainKeys,
  seed0: Uint8Array,
  { iMin, iMax, jMax }: LinkageChainRange,
): Promise<EncryptedIndividualPlv[][]> {
  const keyId = symmetricKeyId(keys.sharedKey);
  const encrypt = (iValue: number) => (plv: Uint8Array) => ({
    version: 1,
    laId: keys.laId,
    encPlv: encryptSymmetric(
      encode(ToBeEncryptedIndividualPlv, { iValue, plv }),
      keys.sharedKey.reveal(),
      keyId,
      keys.random,
    ),
  });
  const values: EncryptedIndividualPlv[][] = [];
  let seed = linkageSeedAt(keys.laId, seed0, iMin);
  for (let i = iMin; i <= iMax; i++) {
    values.push(preLinkageValues(keys.laId, seed, jMax).map(encrypt(i)));
    seed = nextLinkageSeed(keys.laId, seed);
    await setImmediate();
  }
  return values;
}
