import { CoerError, decode, encode } from '@chrysalis/coer';
import { linkageSeedAt } from '@chrysalis/crypto';
import {
  type CertificateBase,
  endOfValidity,
  type HashedCertificate,
  type HashedId10,
  hashedId10,
  type Ieee1609Dot2Data,
  signedPayload,
  type Time32,
} from '@chrysalis/ieee1609dot2';
import {
  type Clock,
  type ComponentSigner,
  CompositeCrl,
  CRL_SERIES,
  CrlContents,
  type CrlTypeSpecific,
  type IMaxGroup,
  IPeriodClock,
  type JMaxGroup,
  type LAGroup,
  signCrl,
  timeOf,
} from '@chrysalis/scms';
import { AuthorityError } from './error.ts';
import type { Authority } from './test-scms.ts';

/** What is revoked. */
export type Revocation =
  /** The pseudonym certificates of one device, from a period on: its seeds of that period, as the LAs give them. */
  | {
      readonly type: 'linkage';
      readonly i: number;
      /** The last period for which it has certificates. */
      readonly iMax: number;
      /** Certificates in a period. */
      readonly jMax: number;
      readonly la1Id: Uint8Array;
      readonly la2Id: Uint8Array;
      readonly linkageSeed1: Uint8Array;
      readonly linkageSeed2: Uint8Array;
    }
  /** One certificate of another kind. */
  | {
      readonly type: 'certificate';
      readonly id: HashedId10;
      readonly crlSeries: number;
      readonly expiry: Time32;
    };

type LinkageRevocation = Extract<Revocation, { type: 'linkage' }>;
type CertificateRevocation = Extract<Revocation, { type: 'certificate' }>;

/** The revocation of a certificate by its hash. */
export function revocationOf({ certificate, hash }: HashedCertificate): CertificateRevocation {
  const { crlSeries, validityPeriod }: CertificateBase['toBeSigned'] = certificate.toBeSigned;
  const expiry = Math.min(Math.ceil(endOfValidity(validityPeriod)), MAX_TIME32);
  return { type: 'certificate', id: hashedId10(hash), crlSeries, expiry };
}

export interface CrlGeneratorOptions {
  readonly crlg: Authority;
  /** Signs series 256 itself: only the root can announce that a CRLG is revoked. */
  readonly root: Authority;
  readonly clock: Clock;
  /** From one CRL to the next: a week when missing. */
  readonly intervalSec?: number;
  /** CAMP's when missing. */
  readonly iPeriods?: IPeriodClock;
}

/** A CRLG. */
export interface CrlGenerator {
  /**
   * A CompositeCrl of full CRLs, one for each series, that list all that is given and has not run out.
   *
   * @param previous the CompositeCrl before, whose serial numbers are continued; the first when missing
   * @throws AuthorityError `malformed-crl` when `previous` is none of ours
   */
  issue(revocations: readonly Revocation[], previous?: Uint8Array): Uint8Array;
}

const MAX_TIME32 = 0xffff_ffff;
const WEEK_SEC = 604_800;
const MAX_UINT8 = 0xff;

/** The series that list certificates by hash; series 1 lists devices by linkage seeds. */
const HASH_SERIES = [
  CRL_SERIES.scmsComponent,
  CRL_SERIES.eeNonPseudonym,
  CRL_SERIES.eeEnrollment,
  CRL_SERIES.scmsSpecialComponent,
];

/** A CRLG in this process. It keeps no state: what has to be continued stands in the CRL before. */
export function createCrlGenerator(options: CrlGeneratorOptions): CrlGenerator {
  return {
    issue(revocations, previous) {
      const earlier = previous === undefined ? [] : contentsOf(previous);
      const linked = linkedCrl(options, revocations, earlier);
      const hashed = HASH_SERIES.map((crlSeries) =>
        hashCrl(options, crlSeries, revocations, earlier),
      );
      return encode(CompositeCrl, {
        securedCrlSeries: [linked, ...hashed],
        revokedRootCAs: [],
        revokedElectors: [],
      });
    },
  };
}

function hashCrl(
  options: CrlGeneratorOptions,
  crlSeries: number,
  revocations: readonly Revocation[],
  earlier: readonly CrlContents[],
): Ieee1609Dot2Data {
  const now = timeOf(options.clock);
  const entries = revocations
    .filter((revocation): revocation is CertificateRevocation => revocation.type === 'certificate')
    .filter((revocation) => revocation.crlSeries === crlSeries && revocation.expiry > now)
    .map(({ id, expiry }) => ({ id, expiry }))
    // The order in which revocations came to us is nobody's business.
    .sort((a, b) => Buffer.compare(a.id, b.id));
  const before = earlier.find((crl) => crl.crlSeries === crlSeries)?.typeSpecific;
  const crlSerial = before?.type === 'fullHashCrl' ? before.value.crlSerial + 1 : 0;
  return sign(options, crlSeries, { type: 'fullHashCrl', value: { crlSerial, entries } });
}

function linkedCrl(
  options: CrlGeneratorOptions,
  revocations: readonly Revocation[],
  earlier: readonly CrlContents[],
): Ieee1609Dot2Data {
  const { clock, iPeriods = new IPeriodClock() } = options;
  const current = iPeriods.at(timeOf(clock));
  const due = revocations
    .filter((revocation): revocation is LinkageRevocation => revocation.type === 'linkage')
    // Seeds of a period to come wait for it: they could not be brought back to the others'.
    .filter((revocation) => revocation.i <= current && revocation.iMax >= current - 1);
  // All seeds of a CRL belong to one period. The one before now, whose certificates are valid for an hour of overlap,
  // unless some seed is of now and cannot be brought back.
  const iRev = Math.max(current - 1, ...due.map(({ i }) => i));
  const crlSeries = CRL_SERIES.obePseudonym;
  const before = earlier.find((crl) => crl.crlSeries === crlSeries)?.typeSpecific;
  const isContinued = before?.type === 'fullLinkedCrl' && before.value.iRev === iRev;
  const indexWithinI = isContinued ? Math.min(before.value.indexWithinI + 1, MAX_UINT8) : 0;
  const individual = groupsOf(due, iRev);
  return sign(options, crlSeries, {
    type: 'fullLinkedCrl',
    value: { iRev, indexWithinI, individual },
  });
}

/** Grouped as the CRL has it: by jMax, then by the pair of LAs, then by iMax; each seed brought on to iRev. */
function groupsOf(due: readonly LinkageRevocation[], iRev: number): JMaxGroup[] {
  return groupBy(due, ({ jMax }) => `${jMax}`).map((sameJ): JMaxGroup => {
    const contents = groupBy(sameJ, laPairOf).map((sameLas): LAGroup => {
      const [{ la1Id, la2Id }] = sameLas;
      const iMaxGroups = groupBy(sameLas, ({ iMax }) => `${iMax}`).map((sameI): IMaxGroup => {
        const individuals = sameI.map((device) => ({
          linkageSeed1: linkageSeedAt(la1Id, device.linkageSeed1, iRev - device.i),
          linkageSeed2: linkageSeedAt(la2Id, device.linkageSeed2, iRev - device.i),
        }));
        individuals.sort((a, b) => Buffer.compare(a.linkageSeed1, b.linkageSeed1));
        return { iMax: sameI[0].iMax, contents: individuals };
      });
      return { la1Id, la2Id, contents: iMaxGroups };
    });
    return { jmax: sameJ[0].jMax, contents };
  });
}

function laPairOf({ la1Id, la2Id }: LinkageRevocation): string {
  return Buffer.concat([la1Id, la2Id]).toString('hex');
}

function groupBy<T>(all: readonly T[], keyOf: (member: T) => string): [T, ...T[]][] {
  const groups = new Map<string, [T, ...T[]]>();
  for (const member of all) {
    const group = groups.get(keyOf(member));
    if (group) group.push(member);
    else groups.set(keyOf(member), [member]);
  }
  return [...groups.values()];
}

/** The authority over all series is the root, whose hash stands in every certificate. */
function sign(
  { crlg, root, clock, intervalSec = WEEK_SEC }: CrlGeneratorOptions,
  crlSeries: number,
  typeSpecific: CrlTypeSpecific,
): Ieee1609Dot2Data {
  const issueDate = timeOf(clock);
  const by = crlSeries === CRL_SERIES.scmsSpecialComponent ? root : crlg;
  const signer: ComponentSigner = { certificate: by.certificate, key: by.signingKey };
  const contents: CrlContents = {
    version: 1,
    crlSeries,
    crlCraca: root.certificate.id,
    issueDate,
    nextCrl: issueDate + intervalSec,
    priorityInfo: {},
    typeSpecific,
  };
  return signCrl(contents, signer);
}

/** The lists of a CompositeCrl that we made ourselves: who signed is not asked again. */
function contentsOf(composite: Uint8Array): CrlContents[] {
  try {
    return decode(CompositeCrl, composite).securedCrlSeries.map(({ content }) => {
      if (content.type !== 'signedData')
        throw malformed(`expected signedData, saw ${content.type}`);
      return decode(CrlContents, signedPayload(content.value));
    });
  } catch (cause) {
    if (!(cause instanceof CoerError)) throw cause;
    throw malformed(cause.message, cause);
  }
}

function malformed(message: string, cause?: unknown): AuthorityError {
  return new AuthorityError('malformed-crl', `expected a CompositeCrl of ours: ${message}`, {
    cause,
  });
}
