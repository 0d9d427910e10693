/** X.509 for tests of mutual TLS: one root, whose certificates are valid now, by the clock of the machine. */
import {
  createX509Root,
  issueX509ClientCertificate,
  issueX509ServerCertificate,
  type X509Identity,
} from '../src/x509.ts';

const DAY_MS = 86_400_000;
const validity = {
  notBefore: new Date(Date.now() - DAY_MS),
  notAfter: new Date(Date.now() + DAY_MS),
};

export interface X509Ca {
  readonly root: X509Identity;
  server(name: string): Promise<X509Identity>;
  client(name: string): Promise<X509Identity>;
}

export async function createX509Ca(): Promise<X509Ca> {
  const root = await createX509Root({ commonName: 'test root', ...validity });
  const named = (name: string) => ({ commonName: 'any', dnsNames: [name], ...validity });
  return {
    root,
    server: (name) => issueX509ServerCertificate(root, named(name)),
    client: (name) => issueX509ClientCertificate(root, named(name)),
  };
}
