/** What an LA tells the MA of a chain that is to be revoked (section 6.2, la-ma.asn): the seed of a period. */
import { CoerError, decode } from '@chrysalis/coer';
import { linkageSeedAt } from '@chrysalis/crypto';
import { Ieee1609Dot2Error } from '@chrysalis/ieee1609dot2';
import { LinkageChainId } from '@chrysalis/scms';
import { AuthorityError } from './error.ts';
import { openChainId } from './linkage-chain.ts';
import type { StoredLinkageAuthority } from './scms-directory.ts';

/**
 * The linkage seed of a period. With that of the other LA it tells the certificates of the device in this period and in
 * all that follow, and none before.
 *
 * @param linkageChainId COER, as the LA gave it to the RA
 * @returns 16 octets
 * @throws AuthorityError `foreign-chain` when the LA cannot open the id
 */
export function linkageSeedOf(
  { laId, chainKey }: Pick<StoredLinkageAuthority, 'laId' | 'chainKey'>,
  linkageChainId: Uint8Array,
  i: number,
): Uint8Array {
  return linkageSeedAt(laId, openedBy(laId, chainKey, linkageChainId), i);
}

function openedBy(
  laId: Uint8Array,
  chainKey: StoredLinkageAuthority['chainKey'],
  linkageChainId: Uint8Array,
): Uint8Array {
  try {
    return openChainId({ laId, chainKey }, decode(LinkageChainId, linkageChainId));
  } catch (cause) {
    const isForeign =
      cause instanceof CoerError ||
      cause instanceof Ieee1609Dot2Error ||
      cause instanceof RangeError;
    if (!isForeign) throw cause;
    throw new AuthorityError('foreign-chain', 'expected a linkage chain of this LA', { cause });
  }
}
