import {
  asCertificate,
  type Certificate,
  endOfChain,
  type HashedCertificate,
  hashCertificate,
  type VerifiedCertificate,
} from '@chrysalis/ieee1609dot2';
import { adoptGlobalChainFile, composeLocalChainFile, timeOf } from '@chrysalis/scms';
import type { RaSettings } from './options.ts';

/** An LCCF that lacks its version. */
export interface LocalChain {
  readonly gccfVersion: number;
  /** The ScopedLocalCertificateChainFile with this version. */
  compose(lccfVersion: number): Uint8Array;
}

/**
 * What the RA makes of a GCCF: all of it, as in CAMP's proof of concept, and those certificates of its own configuration
 * that a device needs and the PG does not know of: its own and its PCA's, the former ones too, with what stands between them and the
 * root.
 *
 * @throws Ieee1609Dot2Error, ScmsDataError when a chain in the GCCF does not verify
 */
export function localChainOf(gccf: Uint8Array, options: RaSettings): LocalChain {
  const { identity, trust, pca, pg, ma, clock } = options;
  const configured = [identity.certificate, ...(ma ? [ma.certificate] : [])];
  const pinned = configured.map((certificate) => asCertificate(certificate));
  const { version: gccfVersion, store } = adoptGlobalChainFile(gccf, pg?.roots ?? [], { pinned });
  const now = timeOf(clock);
  // Until it is over, files have certificates of a former one, and answers that were lost come again.
  const former = (pca.former ?? []).filter((certificate) => endOfChain(certificate) > now);
  const pcas = [pca.certificate, ...former];
  const own = [trust.get(identity.certificate.id), ...pcas].flatMap(belowRoot);
  const known = new Set([store.maCertificate, ...store.certs].map(nameOf));
  const certs = [...store.certs, ...own.filter((certificate) => isNew(known, certificate))];
  const raHostname = identity.hostname;
  return {
    gccfVersion,
    compose: (lccfVersion) =>
      composeLocalChainFile({ gccfVersion, lccfVersion, raHostname }, { ...store, certs }),
  };
}

function belowRoot(certificate: VerifiedCertificate | undefined): Certificate[] {
  if (certificate?.issuer === undefined) return [];
  return [asCertificate(certificate), ...belowRoot(certificate.issuer)];
}

function isNew(known: Set<string>, certificate: Certificate): boolean {
  const name = nameOf(certificate);
  if (known.has(name)) return false;
  known.add(name);
  return true;
}

function nameOf(certificate: Certificate): string {
  const { hash }: HashedCertificate = hashCertificate(certificate);
  return Buffer.from(hash).toString('hex');
}
