/**
 * Whether a certificate, or one above it, is revoked (1609.2 §5.1.3). The signatures of the lists have been verified
 * before (`crl-file.ts`).
 */
import { equalConstantTime } from '@chrysalis/crypto';
import { hashedId10, type Time32, type VerifiedCertificate } from '@chrysalis/ieee1609dot2';
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
