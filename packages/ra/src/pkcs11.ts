/** Private keys in tokens, and the URIs that name them. */
export { loadPkcs11, type Pkcs11Module } from './pkcs11-module.ts';
export { Token, type TokenKey } from './pkcs11-token.ts';
export { isPkcs11Uri, type Pkcs11Uri, parsePkcs11Uri } from './pkcs11-uri.ts';
export { TokenError, type TokenErrorCode } from './token-error.ts';
