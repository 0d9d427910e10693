/** The components of an SCMS that the files are about, each with the SSP of its part. */
import { asCertificate, hashedId3, type Issuer, TrustStore } from '@chrysalis/ieee1609dot2';
import { type ComponentSigner, crlSsp, roleSsp } from '@chrysalis/scms';
import {
  allOf,
  encryptionKeyOf,
  issue,
  keyOf,
  SECURITY_MANAGEMENT,
} from '../../ieee1609dot2/test/pki.ts';

const ALL_SERIES = [1, 2, 3, 4];
const sspOf = (role: 'pg' | 'ra' | 'pca' | 'crl') => ({ psid: 0x23, ssp: roleSsp(role) });
const crlPsid = (ssp: Parameters<typeof crlSsp>[0]) => ({ psid: 0x100, ssp: crlSsp(ssp) });

export const root = issue('root of components', {
  appPermissions: [...SECURITY_MANAGEMENT, crlPsid({ associatedCraca: 'isCraca', crls: [256] })],
  certIssuePermissions: [allOf(1, -1)],
});
const cracaId = hashedId3(root.certificate.hash);
const special = { cracaId, crlSeries: 256 };

export const ica = issue(
  'ica of components',
  {
    cracaId,
    appPermissions: SECURITY_MANAGEMENT,
    certIssuePermissions: [allOf(1, 1)],
  },
  root,
);
export const pca = issue(
  'pca of components',
  { cracaId, appPermissions: [sspOf('pca')], certIssuePermissions: [allOf(1, 0)] },
  ica,
);
export const ra = issue('ra.test', { cracaId, appPermissions: [sspOf('ra')] }, ica);
export const otherRa = issue('other.test', { cracaId, appPermissions: [sspOf('ra')] }, ica);
export const pg = issue('pg.test', { ...special, appPermissions: [sspOf('pg')] }, root);
export const crlg = issue(
  'crlg.test',
  {
    ...special,
    appPermissions: [sspOf('crl'), crlPsid({ associatedCraca: 'issuerIsCraca', crls: ALL_SERIES })],
  },
  root,
);
export const maKey = keyOf('ma.test encryption');
export const ma = issue(
  'ma.test',
  { ...special, appPermissions: SECURITY_MANAGEMENT, encryptionKey: encryptionKeyOf(maKey) },
  ica,
);

export const signerOf = ({ certificate, key }: Issuer): ComponentSigner => ({ certificate, key });

/** Knows what an EE knows: the root and the chain of its PCA. */
export function trust(): TrustStore {
  const store = new TrustStore([root.given]);
  for (const { certificate } of [ica, pca]) store.add(asCertificate(certificate));
  return store;
}
