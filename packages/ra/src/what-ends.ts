/** What an RA lives by, and when each of it ends: certificates behind it and its own, and the policy in force. */
import { X509Certificate } from 'node:crypto';
import {
  endOfValidity,
  Ieee1609Dot2Error,
  type Time32,
  time32FromUnix,
  type VerifiedCertificate,
} from '@chrysalis/ieee1609dot2';
import { formatHex, hostnameOf, openLocalPolicyFile, ScmsDataError, timeOf } from '@chrysalis/scms';
import type { Database, ObjectStore } from '@chrysalis/store';
import type { RaOptions } from './options.ts';
import type { RaSchema } from './schema.ts';
import { VersionedFileStore } from './versioned-file-store.ts';

export type EndingRole = 'root' | 'ica' | 'pca' | 'eca' | 'la1' | 'la2' | 'ra' | 'tls' | 'policy';

/** Something that ends. */
export interface Ending {
  readonly role: EndingRole;
  /** Host name in the certificate, subject of an X.509 certificate, or name of a file. */
  readonly name: string;
  /** HashedId8 in hex; absent of what is no 1609.2 certificate. */
  readonly id?: string;
  /** The first second in which it is over. Of itself: what is above it has its own entry. */
  readonly endsAt: Time32;
}

/** The certificates that an RA uses, however they were opened. */
export interface CertificatesInUse {
  readonly identity: Pick<RaOptions['identity'], 'certificate' | 'hostname'>;
  readonly pca: Pick<RaOptions['pca'], 'certificate' | 'hostname'>;
  readonly la1: Pick<RaOptions['la1'], 'certificate' | 'hostname'>;
  readonly la2: Pick<RaOptions['la2'], 'certificate' | 'hostname'>;
  readonly ecas: readonly VerifiedCertificate[];
  /** Missing where no device is answered. */
  readonly tls?: Pick<RaOptions['tls'], 'certificatePem'>;
}

/**
 * Each certificate once, with those above the issuing ones, the first to end first.
 *
 * @throws Error of OpenSSL when `tls` holds no X.509 certificate
 */
export function endingsOf(inUse: CertificatesInUse): readonly Ending[] {
  const { identity, pca, la1, la2, ecas, tls } = inUse;
  const endings: Ending[] = [
    ending('ra', identity.certificate, identity.hostname),
    ending('pca', pca.certificate, pca.hostname),
    ending('la1', la1.certificate, la1.hostname),
    ending('la2', la2.certificate, la2.hostname),
    ...ecas.map((eca) => ending('eca', eca)),
    ...[pca.certificate, la1.certificate, la2.certificate, ...ecas].flatMap(above),
    ...(tls ? [endingOfTls(tls.certificatePem)] : []),
  ];
  const once = new Map(endings.map((one) => [`${one.role} ${one.id ?? ''}`, one]));
  return byEnd([...once.values()]);
}

function endingOfTls(certificatePem: string): Ending {
  const x509 = new X509Certificate(certificatePem);
  return {
    role: 'tls',
    name: x509.subject.replaceAll('\n', ', '),
    endsAt: time32FromUnix(x509.validToDate.getTime()),
  };
}

export function byEnd(endings: readonly Ending[]): readonly Ending[] {
  return endings.toSorted((a, b) => a.endsAt - b.endsAt);
}

/**
 * The policy in force: the newest local policy file. It is obeyed as long as the certificate of the PG that signed it is
 * valid: an RA that starts later goes by CAMP's defaults until it has another. Undefined without one, or when nobody can
 * verify it any more.
 *
 * @throws StoreError
 */
export async function endOfPolicy(
  database: Database<RaSchema>,
  objects: ObjectStore,
  { trust, clock }: Pick<RaOptions, 'trust' | 'clock'>,
): Promise<Ending | undefined> {
  const newest = await new VersionedFileStore(database, objects).newest('localPolicy');
  if (newest === undefined) return undefined;
  try {
    const { pg } = openLocalPolicyFile(newest.octets, trust, { time: timeOf(clock) });
    return { ...ending('policy', pg), name: newest.name };
  } catch (error) {
    if (error instanceof ScmsDataError || error instanceof Ieee1609Dot2Error) return undefined;
    throw error;
  }
}

/** The certificates that issued it, nearest first. */
function above({ issuer }: VerifiedCertificate): Ending[] {
  if (issuer === undefined) return [];
  return [ending(issuer.issuer === undefined ? 'root' : 'ica', issuer), ...above(issuer)];
}

function ending(
  role: EndingRole,
  certificate: CertificatesInUse['identity']['certificate'],
  hostname = hostnameOf(certificate),
): Ending {
  const { validityPeriod } = certificate.certificate.toBeSigned;
  const id = formatHex(certificate.id);
  return { role, name: hostname ?? id, id, endsAt: endOfValidity(validityPeriod) };
}
