/**
 * Whether a certificate, or one above it, is revoked (1609.2 §5.1.3). The signatures of the lists have been verified
 * before (`crl-file.ts`).
 */
import { equalConstantTime } from '@chrysalis/crypto';
import {
  formatTime32,
  hashedId10,
  type Time32,
  type VerifiedCertificate,
} from '@chrysalis/ieee1609dot2';
import type { VerifiedCrl } from './crl-file.ts';
import { ScmsDataError } from './error.ts';
import { LinkedRevocations } from './linked-revocations.ts';
import type { CrlTypeSpecific } from './pdu/crl.ts';

/** A certificate that is revoked, and where that stands. */
export interface RevokedCertificate {
  /** The one that was asked about, or one above it. */
  readonly certificate: VerifiedCertificate;
  readonly crl: VerifiedCrl;
}

/** One list, made ready for looking things up. */
interface ReadyCrl {
  readonly crl: VerifiedCrl;
  lists(certificate: VerifiedCertificate): boolean;
}

/**
 * All lists that one knows. A delta CRL counts beside the full one that it adds to: give both.
 *
 * @example
 * const list = new RevocationList(openCompositeCrl(octets, trust, now));
 * const revoked = list.find(trust.verify(pseudonymCertificate));
 */
export class RevocationList {
  readonly #crls: readonly ReadyCrl[];

  constructor(crls: readonly VerifiedCrl[]) {
    this.#crls = crls.map((crl) => ({ crl, lists: lookUp(crl.contents.typeSpecific) }));
  }

  /**
   * The first certificate, from this one up to the root, that some list names. Which period a pseudonym certificate
   * belongs to stands in it, so that no time is asked for: seeds of a later period tell nothing of an earlier one.
   */
  find(certificate: VerifiedCertificate): RevokedCertificate | undefined {
    for (const listed of chainOf(certificate)) {
      const found = this.#about(listed).find(({ lists }) => lists(listed));
      if (found) return { certificate: listed, crl: found.crl };
    }
    return undefined;
  }

  /** @throws ScmsDataError `revoked` */
  expectUnlisted(certificate: VerifiedCertificate): void {
    const found = this.find(certificate);
    if (found === undefined) return;
    const which = found.certificate === certificate ? 'this certificate' : 'one above it';
    const { crlSeries } = found.crl.contents;
    throw new ScmsDataError(
      'revoked',
      `expected a certificate on no CRL, saw ${which} in series ${crlSeries}`,
    );
  }

  /**
   * Whether for the certificate and all above it, the root aside, there is a list that is no older than it may be.
   *
   * @param toleranceSec how long after nextCrl a list still does: overdueCrlToleranceSec of the policy
   */
  isFresh(certificate: VerifiedCertificate, time: Time32, toleranceSec: number): boolean {
    return chainOf(certificate).every(
      (member) =>
        member.issuer === undefined ||
        this.#about(member).some(({ crl }) => time < crl.contents.nextCrl + toleranceSec),
    );
  }

  /**
   * Makes sure that these lists may take the place of others: each series and authority of those is here, and from no
   * earlier. CRLs travel side by side, unsigned as a whole, so that one could be left out.
   *
   * @throws ScmsDataError `unexpected-message`
   */
  expectReplaces(others: RevocationList): void {
    const issued = this.#latest('issueDate');
    for (const [of, before] of others.#latest('issueDate')) {
      const now = issued.get(of);
      if (now !== undefined && now >= before) continue;
      throw new ScmsDataError(
        'unexpected-message',
        `expected a CRL of series ${of.split(' ', 1)[0]} from ${formatTime32(before)} or later, saw ` +
          (now === undefined ? 'none' : formatTime32(now)),
      );
    }
  }

  /**
   * When the first of the series that are held should have been replaced: of each series and authority the latest
   * nextCrl, of these the earliest. Undefined without any list.
   */
  get nextDue(): Time32 | undefined {
    const due = [...this.#latest('nextCrl').values()];
    return due.length === 0 ? undefined : Math.min(...due);
  }

  /** The latest of a time, by series and authority. */
  #latest(which: 'issueDate' | 'nextCrl'): Map<string, Time32> {
    const latest = new Map<string, Time32>();
    for (const { crl } of this.#crls) {
      const { crlSeries, crlCraca, [which]: time } = crl.contents;
      const of = `${crlSeries} ${hexOf(crlCraca)}`;
      latest.set(of, Math.max(latest.get(of) ?? 0, time));
    }
    return latest;
  }

  /** The lists that a certificate would stand on: of its series and its authority, named by three octets. */
  #about({ certificate }: VerifiedCertificate): readonly ReadyCrl[] {
    const { crlSeries, cracaId } = certificate.toBeSigned;
    return this.#crls.filter(
      ({ crl: { contents } }) =>
        contents.crlSeries === crlSeries &&
        equalConstantTime(contents.crlCraca.subarray(-cracaId.length), cracaId),
    );
  }
}

function chainOf(certificate: VerifiedCertificate): VerifiedCertificate[] {
  const chain: VerifiedCertificate[] = [];
  for (let c: VerifiedCertificate | undefined = certificate; c !== undefined; c = c.issuer) {
    chain.push(c);
  }
  return chain;
}

function lookUp(typeSpecific: CrlTypeSpecific): ReadyCrl['lists'] {
  switch (typeSpecific.type) {
    case 'fullHashCrl':
    case 'deltaHashCrl': {
      // The expiry of an entry is not looked at: a certificate that was revoked does not come back when it expires.
      const ids = new Set(typeSpecific.value.entries.map(({ id }) => hexOf(id)));
      return ({ hash }) => ids.has(hexOf(hashedId10(hash)));
    }
    case 'fullLinkedCrl':
    case 'deltaLinkedCrl': {
      const revocations = new LinkedRevocations(typeSpecific.value);
      return ({ certificate }) => {
        const { id } = certificate.toBeSigned;
        return id.type === 'linkageData' && revocations.has(id.value);
      };
    }
    default:
      // `openCrl` lets none of these through.
      throw new TypeError(`expected a CRL of a kind known here, saw ${typeSpecific.type}`);
  }
}

function hexOf(octets: Uint8Array): string {
  return Buffer.from(octets).toString('hex');
}
