/** The former keys of the RA: files of `ra/former`, or keys of a PKCS #11 token that files there name. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readFormerCertificates, readFormerRecipients } from '@chrysalis/authorities';
import type { KeyCustody } from '@chrysalis/authorities/keys';
import { decrypterOf, type HashedCertificate } from '@chrysalis/ieee1609dot2';
import type { RaIdentity } from '@chrysalis/ra';
import { isPkcs11Uri } from '@chrysalis/ra/pkcs11';
import { namesIn } from '@chrysalis/store/files';
import { CliError } from './context.ts';
import type { RaKeys } from './token-keys.ts';

type Former = NonNullable<RaIdentity['former']>[number];

const FORMER = 'former';
const URI = /^([0-9a-f]{16})\.uri$/;

/**
 * Who the RA was before, with what opens data that devices have sealed to it: `former/<HashedId8>.oer` is a certificate, and beside
 * it `<HashedId8>.key` its key, or `<HashedId8>.uri` the PKCS #11 URI of that.
 *
 * @param present the RA's certificate, which lies in `path`
 * @throws CliError when a URI is of no certificate, or its key is not there; AuthorityError; StoreError
 */
export async function formerIdentities(
  present: HashedCertificate,
  path: string,
  { keys, raKeys }: { readonly keys: KeyCustody; readonly raKeys: RaKeys },
): Promise<readonly Former[]> {
  const inFiles = await readFormerRecipients(path, keys);
  const inTokens: Former[] = [];
  for (const { certificate, file } of await urisIn(present, path)) {
    if (inFiles.some((one) => nameOf(one.certificate) === nameOf(certificate))) {
      throw new CliError(`${file}: expected a key in a token or in a file, saw both`);
    }
    const agreement = await raKeys.agreement(certificate, await uriOf(file), file);
    inTokens.push({ certificate, decrypter: decrypterOf(agreement) });
  }
  return [
    ...inFiles.map(({ certificate, encryptionKey }) => ({
      certificate,
      decrypter: decrypterOf(encryptionKey),
    })),
    ...inTokens,
  ];
}

/** The files that name keys of former certificates. */
async function urisIn(present: HashedCertificate, path: string) {
  const certificates = await readFormerCertificates(path);
  const names = (await namesIn(join(path, FORMER))).flatMap((name) => URI.exec(name)?.[1] ?? []);
  return names.sort().flatMap((name) => {
    const file = join(path, FORMER, `${name}.uri`);
    const certificate = certificates.find((one) => nameOf(one) === name);
    if (certificate !== undefined) return [{ certificate, file }];
    // One that was put back is the present one again.
    if (name === nameOf(present)) return [];
    throw new CliError(`${file}: expected the former certificate of the RA beside it, saw none`, {
      hint: `it is ${name}.oer`,
    });
  });
}

async function uriOf(file: string): Promise<string> {
  const source = (await readFile(file, 'utf8')).trim();
  if (isPkcs11Uri(source)) return source;
  throw new CliError(`${file}: expected a PKCS #11 URI, saw something else`, {
    hint: 'it is what ra.encryption-key was: pkcs11:token=…;object=…',
  });
}

function nameOf({ id }: HashedCertificate): string {
  return Buffer.from(id).toString('hex');
}
