/** Private keys and certificates in files: read, written, kept in custody. No authority is loaded with it. */
export { AuthorityError, type AuthorityErrorCode } from './error.ts';
export {
  KeyCustody,
  type KeyCustodyOptions,
  type MasterKey,
  PASSPHRASE_HINT,
  PLAIN_KEYS,
} from './key-custody.ts';
export {
  expectEncryptionKey,
  expectOwnersOnly,
  expectSigningKey,
  parsePrivateKey,
  parseSecret,
  readCertificateFile,
  readKeyFile,
  readKeyOf,
  readPrivateKeyFile,
  readPrivatePemFile,
  readSecretFile,
  writeCertificateFile,
  writePrivatePemFile,
  writeSecretFile,
} from './key-file.ts';
export {
  DEFAULT_COST,
  isMasterOf,
  isSealed,
  type KdfParameters,
  type KeyScheme,
  MAX_COST,
  MIN_COST,
  masterKey,
  newKdf,
  type PemKey,
  parseScheme,
  pemKeyOf,
  schemeOf,
  schemeText,
} from './sealed-key.ts';
