/**
 * What an MA decides and has done when a certificate is to be revoked (section 6.3): asks PCA, RA and both LAs who it
 * belongs to, has the RA blacklist the device, and tells the CRLG. Only in a test SCMS lie they all in one directory.
 */
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type AuthorityName,
  authorityDirectory,
  type CrlLog,
  linkageSeedOf,
  openPseudonymLog,
  type Revocation,
  readFormerCertificates,
  readLinkageAuthority,
  revocationOf,
  type StoredLinkageAuthority,
} from '@chrysalis/authorities';
import { type KeyCustody, readCertificateFile } from '@chrysalis/authorities/keys';
import { equalConstantTime, linkageValue, preLinkageValues } from '@chrysalis/crypto';
import {
  asCertificate,
  endOfValidity,
  type HashedCertificate,
  hashedId3,
  Ieee1609Dot2Error,
  type LinkageData,
  type Time32,
  TrustStore,
} from '@chrysalis/ieee1609dot2';
import { type Blacklist, linkageChainsOf, type RaSchema, type RequestOrigin } from '@chrysalis/ra';
import { CRL_SERIES, type IPeriodClock } from '@chrysalis/scms';
import type { Database } from '@chrysalis/store';
import type { ChrysalisConfig } from './config.ts';
import { CliError } from './context.ts';

/** What of a state directory takes part. */
export interface RevocationParties {
  readonly directory: string;
  readonly config: Pick<ChrysalisConfig, 'pca' | 'la1' | 'la2'>;
  readonly crlg: CrlLog;
  readonly ra: Database<RaSchema>;
  readonly blacklist: Blacklist;
  readonly iPeriod: IPeriodClock;
  readonly now: Time32;
  /** Opens what is encrypted; nothing when missing. */
  readonly keys?: KeyCustody;
}

export interface RevocationOutcome {
  readonly revocation: Revocation;
  /** False when it was listed before. */
  readonly isNew: boolean;
  /** Of the device whose certificate it is; undefined when it is of no device, or of none that the RA knows. */
  readonly blacklisted: Uint8Array | undefined;
}

type LinkageRevocation = Extract<Revocation, { type: 'linkage' }>;

const HASH_SERIES: readonly number[] = [
  CRL_SERIES.scmsComponent,
  CRL_SERIES.eeNonPseudonym,
  CRL_SERIES.eeEnrollment,
  CRL_SERIES.scmsSpecialComponent,
];
/** Those that issue. */
const ISSUERS: readonly AuthorityName[] = ['ica', 'eca', 'pca'];

/** Whose keys and records it takes to say of which device a certificate is: those of no other series are asked about. */
const ASKED: ReadonlyMap<number, readonly ('pca' | 'la1' | 'la2')[]> = new Map([
  [CRL_SERIES.obePseudonym, ['pca', 'la1', 'la2']],
  [CRL_SERIES.eeNonPseudonym, ['pca']],
]);

/**
 * Revokes the device of a pseudonym certificate, or a certificate of another kind alone. The device is blacklisted first,
 * so that no certificate leaves the RA that the CRL does not cover.
 *
 * @throws CliError when the certificate is not of this SCMS, has run out, or is of a device that is not known, and when an
 *   authority would have to be asked that is not in this directory; then nothing has changed
 */
export async function revoke(
  certificate: HashedCertificate,
  reason: string,
  parties: RevocationParties,
): Promise<RevocationOutcome> {
  await expectRevocable(certificate, parties);
  expectInProcess(certificate, parties);
  const hpcr = await requestHashOf(certificate, parties);
  const blacklisted = await blacklist(certificate, hpcr, reason, parties);
  const { id } = certificate.certificate.toBeSigned;
  const revocation =
    id.type === 'linkageData'
      ? await revocationOfDevice(id.value, hpcr, parties)
      : revocationOf(certificate);
  return { revocation, isNew: await parties.crlg.revoke(revocation, reason), blacklisted };
}

async function expectRevocable(
  given: HashedCertificate,
  { directory, now }: RevocationParties,
): Promise<void> {
  const { crlSeries, cracaId, id, validityPeriod } = given.certificate.toBeSigned;
  const read = (name: AuthorityName) =>
    readCertificateFile(join(authorityDirectory(directory, name), 'certificate.oer'));
  const root = await read('root');
  const trust = new TrustStore([asCertificate(root)]);
  try {
    for (const name of ISSUERS) {
      trust.add(asCertificate(await read(name)));
      // What they issued under certificates that they had before can be revoked as well.
      const former = await readFormerCertificates(authorityDirectory(directory, name));
      for (const certificate of former) trust.add(asCertificate(certificate));
    }
    trust.verify(asCertificate(given));
  } catch (cause) {
    if (!(cause instanceof Ieee1609Dot2Error)) throw cause;
    throw new CliError(`expected a certificate of the SCMS in ${directory}: ${cause.message}`, {
      cause,
    });
  }
  const expected = id.type === 'linkageData' ? [CRL_SERIES.obePseudonym] : HASH_SERIES;
  if (!expected.includes(crlSeries) || !equalConstantTime(cracaId, hashedId3(root.hash))) {
    throw new CliError(
      `expected a certificate that a CRL of this SCMS can list, saw series ${crlSeries}`,
    );
  }
  if (endOfValidity(validityPeriod) > now) return;
  throw new CliError('expected a certificate that is still valid, saw one that has run out', {
    hint: 'no CRL lists it; a later certificate of the same device can be revoked',
  });
}

/** What an authority in a process of its own knows, it tells no RA. */
function expectInProcess({ certificate }: HashedCertificate, { config }: RevocationParties): void {
  const { crlSeries } = certificate.toBeSigned;
  const remote = ASKED.get(crlSeries)?.find((name) => config[name].mode === 'remote');
  if (remote === undefined) return;
  throw new CliError(
    `expected ${remote}.mode = "in-process" to revoke a certificate of series ${crlSeries}, saw "remote"`,
    {
      hint: 'whose it is only PCA and LAs know, with records and keys that are not in this directory',
    },
  );
}

/** The PCA's part: the request that it issued a certificate for. Undefined for certificates of other authorities. */
export async function requestHashOf(
  { id, certificate }: HashedCertificate,
  { directory }: Pick<RevocationParties, 'directory'>,
): Promise<Uint8Array | undefined> {
  if (!ASKED.has(certificate.toBeSigned.crlSeries)) return undefined;
  const path = join(authorityDirectory(directory, 'pca'), 'pca.db');
  // To look is not to make one: a PCA that never ran has issued nothing.
  const hasIssued = await access(path).then(
    () => true,
    () => false,
  );
  if (!hasIssued) return undefined;
  const log = await openPseudonymLog(`sqlite:${path}`);
  try {
    return await log.requestHashOf(id);
  } finally {
    await log.close();
  }
}

/** The RA's part: the device may neither ask nor download, and nothing more is made for it. */
async function blacklist(
  { hash, certificate }: HashedCertificate,
  hpcr: Uint8Array | undefined,
  reason: string,
  { ra, blacklist: ofRa, now }: RevocationParties,
): Promise<Uint8Array | undefined> {
  const isEnrollment = certificate.toBeSigned.crlSeries === CRL_SERIES.eeEnrollment;
  const origin = hpcr && (await linkageChainsOf(ra, hpcr));
  const enrollmentHash = isEnrollment ? hash : origin?.enrollmentHash;
  if (enrollmentHash) await ofRa.add(enrollmentHash, reason, now);
  return enrollmentHash;
}

/** The seeds from the period before now on, whose certificates are valid for an hour of overlap. */
async function revocationOfDevice(
  data: LinkageData,
  hpcr: Uint8Array | undefined,
  parties: RevocationParties,
): Promise<LinkageRevocation> {
  if (hpcr === undefined) {
    throw new CliError('expected a certificate that the PCA of this directory issued');
  }
  // Read once the device is blacklisted: from then on its last period stays the last.
  const linkage = (await linkageChainsOf(parties.ra, hpcr))?.linkage;
  if (linkage === undefined) {
    throw new CliError("expected the request of this certificate in the RA's index, saw none", {
      hint: 'the index goes twelve periods after its certificates; take a later one of the device',
    });
  }
  const { directory, iPeriod, now, keys } = parties;
  const la1 = await readLinkageAuthority(directory, 'la1', keys);
  const la2 = await readLinkageAuthority(directory, 'la2', keys);
  expectLinked(data, linkage, la1, la2);
  const i = Math.max(0, iPeriod.at(now) - 1);
  return {
    type: 'linkage',
    i,
    iMax: linkage.iMax,
    jMax: linkage.jMax,
    la1Id: la1.laId,
    la2Id: la2.laId,
    linkageSeed1: linkageSeedOf(la1, linkage.la1Chain, i),
    linkageSeed2: linkageSeedOf(la2, linkage.la2Chain, i),
  };
}

/** What PCA, RA and LAs say has to lead back to the very certificate: nobody else is revoked in its place. */
function expectLinked(
  { iCert, linkageValue: wanted }: LinkageData,
  { la1Chain, la2Chain, jMax }: NonNullable<RequestOrigin['linkage']>,
  la1: StoredLinkageAuthority,
  la2: StoredLinkageAuthority,
): void {
  const first = preLinkageValues(la1.laId, linkageSeedOf(la1, la1Chain, iCert), jMax);
  const second = preLinkageValues(la2.laId, linkageSeedOf(la2, la2Chain, iCert), jMax);
  const isOne = first.some((plv, j) => {
    const other = second[j];
    return other !== undefined && equalConstantTime(linkageValue(plv, other), wanted);
  });
  if (!isOne) {
    throw new CliError("expected the certificate's linkage value in the chains of its device");
  }
}
