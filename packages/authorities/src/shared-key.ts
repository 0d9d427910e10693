import { encode } from '@chrysalis/coer';
import { type Secret, sha256 } from '@chrysalis/crypto';
import { type HashedId8, hashedId8, SymmetricEncryptionKey } from '@chrysalis/ieee1609dot2';

/**
 * How data name the symmetric key that they are encrypted under: the HashedId8 of the key's COER (1609.2 §6.3.33). CAMP
 * names the key by the hash of the message with which the PCA began to negotiate it; there is no such message here.
 */
export function symmetricKeyId(key: Secret): HashedId8 {
  return hashedId8(
    sha256(encode(SymmetricEncryptionKey, { type: 'aes128Ccm', value: key.reveal() })),
  );
}
