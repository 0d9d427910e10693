export { ccmOpen, ccmSeal } from './aes-ccm.ts';
export { cocoonPoints, cocoonPrivateKey, Expansion, type ExpansionUse } from './butterfly.ts';
export type { EcdsaSignature } from './ecdsa-signature.ts';
export { type EciesCiphertext, eciesUnwrap, eciesWrap, type KeyAgreement } from './ecies.ts';
export {
  ecqvPrivateKey,
  ecqvPublicKey,
  ecqvReconstructionPoint,
  ecqvReconstructionPoints,
  ecqvReconstructionValue,
} from './ecqv.ts';
export { CryptoError, type CryptoErrorCode } from './errors.ts';
export { hmacSha256, SHA256_EMPTY, sha256 } from './hash.ts';
export { kdf2Sha256 } from './kdf2.ts';
export { PrivateKey, PublicKey } from './keys.ts';
export {
  linkageSeedAt,
  linkageValue,
  nextLinkageSeed,
  preLinkageValue,
  preLinkageValues,
} from './linkage.ts';
export {
  compressPoint,
  equalPoints,
  type Point,
  pointFromCompressed,
  pointFromUncompressed,
  pointOfOurs,
} from './point.ts';
export { multiplyGenerator, multiplyPoint } from './point-multiple.ts';
export { addPairs, addPoints, addToPoint } from './point-sum.ts';
export { type Random, systemRandom } from './random.ts';
export { isScalar, scalarAdd, scalarMultiplyAdd, scalarReduce } from './scalar.ts';
export { equalConstantTime, Secret } from './secret.ts';
