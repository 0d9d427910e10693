/** Whom the RA asks for the OCSP response that it staples: the test X.509 root in process, or a responder by HTTP. */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type KeyCustody, readPrivatePemFile } from '@chrysalis/authorities/keys';
import {
  createOcspResponder,
  type OcspResponder,
  type X509Identity,
} from '@chrysalis/authorities/x509';
import type { OcspSource } from '@chrysalis/ra';
import { isIssuedBy, MAX_OCSP_RESPONSE, OcspError } from '@chrysalis/ra/server';
import type { Clock } from '@chrysalis/scms';
import type { ChrysalisConfig } from './config.ts';
import { CliError } from './context.ts';
import { STATE_FILES } from './state-directory.ts';
import { readRevocations } from './tls-revocations.ts';

/** RFC 6960 appendix C. */
const REQUEST_TYPE = 'application/ocsp-request';
const RESPONSE_TYPE = 'application/ocsp-response';

/** @throws CliError when the certificate of the RA is not of the issuer who would be asked; StoreError */
export async function openOcspSource(
  config: ChrysalisConfig,
  ocsp: NonNullable<ChrysalisConfig['ocsp']>,
  directory: string,
  clock: Clock,
  keys?: KeyCustody,
): Promise<OcspSource> {
  const chain = certificatesOf(await readFile(config.ra.tlsCert, 'utf8'));
  const [server] = chain;
  if (server === undefined) throw new CliError(`${config.ra.tlsCert}: expected a certificate, PEM`);
  const candidates =
    ocsp.mode === 'in-process'
      ? [await readFile(join(directory, STATE_FILES.x509Root), 'utf8')]
      : [...chain.slice(1), await readFile(config.trust.x509Root, 'utf8')];
  const issuerPem = candidates.find((pem) =>
    isIssuedBy(new X509Certificate(server), new X509Certificate(pem)),
  );
  if (issuerPem === undefined) {
    throw new CliError('ocsp: expected the issuer of ra.tls-cert, saw another', {
      hint:
        ocsp.mode === 'in-process'
          ? 'mode "in-process" knows the certificates of the X.509 root of this state directory; others have mode "http"'
          : 'it has to follow in ra.tls-cert, or be trust.x509-root',
    });
  }
  if (ocsp.mode === 'http') return { issuerPem, respond: httpResponder(ocsp.url) };
  const { respond } = await openTestResponder(directory, clock, keys);
  return { issuerPem, respond };
}

/** The test X.509 root. It looks at each request what is revoked, so that `tls revoke` counts without a restart. */
export async function openTestResponder(
  directory: string,
  clock: Clock,
  keys?: KeyCustody,
): Promise<OcspResponder> {
  return createOcspResponder({
    root: await readX509Root(directory, keys),
    clock,
    revocationOf: async (serialNumber) => (await readRevocations(directory)).get(serialNumber),
  });
}

/** The test X.509 root of a state directory. @throws AuthorityError, as when others can read its key */
export async function readX509Root(directory: string, keys?: KeyCustody): Promise<X509Identity> {
  return {
    certificatePem: await readFile(join(directory, STATE_FILES.x509Root), 'utf8'),
    privateKeyPem: await readPrivatePemFile(join(directory, STATE_FILES.x509RootKey), keys),
  };
}

/** RFC 6960 appendix A.1.1, by POST: what all responders take. Whatever comes back is checked by the RA. */
function httpResponder(url: string): OcspSource['respond'] {
  return async (request, signal) => {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': REQUEST_TYPE, accept: RESPONSE_TYPE },
      body: new Uint8Array(request),
      redirect: 'error',
      signal,
    });
    if (response.status !== 200 || response.body === null) {
      await response.body?.cancel();
      throw new OcspError(`${url}: expected status 200, saw ${response.status}`);
    }
    return readBounded(response.body, url);
  };
}

async function readBounded(body: ReadableStream<Uint8Array>, url: string): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  // Leaving the loop by the exception cancels the stream.
  for await (const part of body) {
    length += part.length;
    if (length > MAX_OCSP_RESPONSE) {
      throw new OcspError(`${url}: expected up to ${MAX_OCSP_RESPONSE} octets, saw more`);
    }
    parts.push(part);
  }
  return new Uint8Array(Buffer.concat(parts));
}

function certificatesOf(pem: string): string[] {
  return pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}
