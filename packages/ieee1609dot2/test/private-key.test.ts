import { describe } from 'node:test';
import { PrivateKey } from '@chrysalis/crypto';
import { fixedRandom } from './pki.ts';
import { conformsToDecrypter, conformsToSigner } from './private-key-conformance.ts';

const key = PrivateKey.generate(fixedRandom('private key'));

describe('a private key in this process is a Signer', () => conformsToSigner(key, () => key));
describe('a private key in this process makes a Decrypter', () =>
  conformsToDecrypter(key, () => key));
