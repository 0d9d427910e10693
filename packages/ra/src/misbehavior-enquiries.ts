/** What the MA asks of the RA (section 6.3, ma-ra.asn): to blacklist a device, and where its linkage chains are. */
import { decode, encode } from '@chrysalis/coer';
import { CryptoError } from '@chrysalis/crypto';
import { type HashedCertificate, Ieee1609Dot2Error, type Time64 } from '@chrysalis/ieee1609dot2';
import {
  AuthorityUnavailableError,
  type CountersignaturePolicy,
  composeRaMaResponse,
  decodeSecured,
  expectMisbehaviorAuthority,
  type GroupAndLci,
  hostnameOf,
  identifiersOf,
  judgeCountersignatures,
  LinkageChainId,
  type MaRaError,
  MaRaInterfacePdu,
  type MaRaReply,
  type MaRaRequest,
  type MaRaSuccess,
  openMaRa,
  type RaMaResponse,
  type RegistrationAuthorityPort,
  type ResponseHead,
  repliesOf,
  requestHash,
  ScmsDataError,
  secureMaRa,
  timeOf,
} from '@chrysalis/scms';
import { wordsOf } from '@chrysalis/store';
import { StoreError } from '@chrysalis/store/files';
import { sql } from 'kysely';
import type { MaRequestEvent } from './audit-event.ts';
import type { Blacklist } from './blacklist.ts';
import { type BriefOrigin, originsOf } from './linkage-chains-of.ts';
import type { RaOptions } from './options.ts';
import { RateLimit } from './rate-limit.ts';
import { recipientOf } from './recipient.ts';

export interface MisbehaviorEnquiriesOptions
  extends Pick<
    RaOptions,
    'identity' | 'trust' | 'database' | 'clock' | 'random' | 'log' | 'audit'
  > {
  /** The MA: its requests alone are answered, and the answers encrypted to this certificate. */
  readonly ma: HashedCertificate;
  /** Names of the LAs whose chains the devices have. */
  readonly la1: { readonly hostname: string };
  readonly la2: { readonly hostname: string };
  readonly countersignatures: CountersignaturePolicy;
  /** Whether a request has to have a generation time, which CAMP leaves out; one that is there always has to be near ours. */
  readonly generationTime: 'optional' | 'required';
  /** How far a generation time may lie from ours, on either side. */
  readonly toleranceSec: number;
  /** HPCRs or RIFs of one request. */
  readonly maxEntries: number;
  readonly requestsPerHour: number;
}

/** A request that is not the MA's, or none: whoever sent it is told nothing. */
export class EnquiryRefused extends Error {
  override readonly name = 'EnquiryRefused';
}

type BaseError = Extract<MaRaError, { type: 'maRaBaseError' }>['value'];
type BlacklistRequest = Extract<
  MaRaRequest,
  { type: 'maRaBlacklistRequest' | 'maRaRseObeIdBlacklistRequest' }
>;
type LciRequest = Extract<MaRaRequest, { type: 'maRaLCIRequest' }>;

interface Opened {
  readonly request: MaRaRequest;
  readonly signedHash: Uint8Array;
  readonly generationTime: Time64 | undefined;
}

const HOUR_MS = 3_600_000;
const MICROSECONDS = 1_000_000n;
/** How long an answer about the blacklist is kept, for an MA that did not get it. */
const REPEATED_FOR_SEC = 86_400;
/** Group linkage is not in use: no device is of a group. */
const NO_GROUP = new Uint8Array(4);
const I_OCTETS = 4;
/** A revocation identifier is the end of the hash of an enrollment certificate: the indexes have it. */
const RIF_OCTETS = 8;
/** RIFs of one statement. */
const RIFS_AT_A_TIME = 500;

const AUDITED = {
  maRaBlacklistRequest: 'blacklist',
  maRaLCIRequest: 'linkage-chains',
  maRaRseObeIdBlacklistRequest: 'blacklist-by-rif',
  maRaCDVRequest: 'digests',
} as const satisfies Record<MaRaRequest['type'], MaRequestEvent['request']>;

/**
 * The RA's side of ma-ra. A request is answered when what it changed is durable, one request at a time. No answer names an
 * enrollment certificate.
 */
export class MisbehaviorEnquiries implements RegistrationAuthorityPort {
  readonly #options: MisbehaviorEnquiriesOptions;
  readonly #blacklist: Blacklist;
  readonly #rate: RateLimit;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: MisbehaviorEnquiriesOptions, blacklist: Blacklist) {
    this.#options = options;
    this.#blacklist = blacklist;
    this.#rate = new RateLimit(options.requestsPerHour, HOUR_MS);
  }

  /** @throws EnquiryRefused; AuthorityUnavailableError */
  async answerMisbehaviorAuthority(octets: Uint8Array): Promise<Uint8Array> {
    const opened = this.#open(octets);
    const response = await this.#inTurn(() => this.#answer(opened, octets));
    const { identity, ma, random } = this.#options;
    const signer = { certificate: identity.certificate, key: identity.signer };
    return secureMaRa(response, { signer, recipient: ma, random });
  }

  #open(octets: Uint8Array): Opened {
    const { identity, trust, clock, ma, log } = this.#options;
    const now = timeOf(clock);
    try {
      const { certificate, decrypter } = recipientOf(identity, decodeSecured(octets), now);
      const { pdu, signer, ...rest } = openMaRa(octets, certificate, decrypter, trust);
      expectMisbehaviorAuthority(signer, ma, now);
      if (!isRequest(pdu)) {
        throw new ScmsDataError('unexpected-message', `expected a request, saw ${pdu.type}`);
      }
      return { request: pdu, ...rest };
    } catch (cause) {
      if (!isPeersFault(cause)) throw cause;
      log.warn({ problem: cause.message }, 'what came to the port of the MA is not its request');
      throw new EnquiryRefused(cause.message, { cause });
    }
  }

  /** One request after the other: a request and its repetition never meet. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work).catch((cause: unknown) => {
      if (!(cause instanceof StoreError)) throw cause;
      throw new AuthorityUnavailableError('expected to record an answer', { cause });
    });
    this.#last = turn.catch(() => {});
    return turn;
  }

  async #answer(opened: Opened, octets: Uint8Array): Promise<RaMaResponse> {
    const { request } = opened;
    const { identity, clock } = this.#options;
    const head = { requestHash: requestHash(octets), raId: identity.hostname };
    let refused = this.#problemOf(opened);
    let response = refused === undefined ? await this.#answeredBefore(opened, head) : undefined;
    // A repetition is no new request.
    if (response === undefined && refused === undefined && !this.#rate.take(clock.now())) {
      refused = 'raNumberOfRequestsExceeded';
    }
    response ??=
      refused === undefined
        ? await this.#carryOut(opened, head)
        : composeRaMaResponse(request, head, failures(request, refused));
    await this.#record(request, response, refused);
    return response;
  }

  /** What is wrong with a request as a whole. */
  #problemOf({ request, generationTime }: Opened): BaseError | undefined {
    const { ma, trust, clock, maxEntries, countersignatures } = this.#options;
    if (request.value.tbs.value.maId !== hostnameOf(ma)) return 'raInvalidInputValueFormat';
    if (!this.#isTimely(generationTime)) return 'maRequestTimeout';
    if (identifiersOf(request).length > maxEntries) return 'raNumberOfRequestsExceeded';
    const time = timeOf(clock);
    switch (judgeCountersignatures(request, countersignatures, { ma, trust, time })) {
      case 'missing':
        return 'raNoMaAuthorizationSignature';
      case 'invalid':
        return 'raInvalidMaAuthorizationSignature';
      case 'sufficient':
        return undefined;
    }
  }

  #isTimely(generationTime: Time64 | undefined): boolean {
    const { clock, generationTime: demand, toleranceSec } = this.#options;
    if (generationTime === undefined) return demand === 'optional';
    const off = generationTime - BigInt(timeOf(clock)) * MICROSECONDS;
    const tolerance = BigInt(toleranceSec) * MICROSECONDS;
    return off <= tolerance && off >= -tolerance;
  }

  async #carryOut({ request, signedHash }: Opened, head: ResponseHead): Promise<RaMaResponse> {
    switch (request.type) {
      case 'maRaBlacklistRequest':
        return this.#blacklistAll(request, signedHash, head, await this.#byHpcr(request));
      case 'maRaRseObeIdBlacklistRequest':
        return this.#blacklistAll(request, signedHash, head, await this.#byRif(request));
      case 'maRaLCIRequest':
        return composeRaMaResponse(request, head, await this.#linkageOf(request));
      case 'maRaCDVRequest': {
        const known = await this.#enrollmentsByRif(identifiersOf(request));
        const replies = identifiersOf(request).map((rif) =>
          // The PCA seals certificates to the devices: the RA has not seen one, and knows no digest.
          known.has(hex(rif))
            ? failure({ type: 'maRaCdvError', value: 'noCertificateDigestValuesKnownForRIF' })
            : failure({ type: 'maRaBaseError', value: 'raInvalidRIFValue' }),
        );
        return composeRaMaResponse(request, head, replies);
      }
    }
  }

  /** The answer to the same signed request; when that is too long ago, that it is. */
  async #answeredBefore(
    { request, signedHash }: Opened,
    head: ResponseHead,
  ): Promise<RaMaResponse | undefined> {
    const row = await this.#options.database.query
      .selectFrom('ma_request')
      .select('answer')
      .where('signed_hash', '=', signedHash)
      .executeTakeFirst();
    if (row === undefined) return undefined;
    // Whoever carried it out may not have come to write down what it changed.
    await this.#blacklist.recorded();
    if (row.answer === null) {
      return composeRaMaResponse(request, head, failures(request, 'maRequestTimeout'));
    }
    const { type, value } = decode(MaRaInterfacePdu, row.answer) as RaMaResponse;
    // The same request in another encryption has another hash.
    return { type, value: { ...value, requestHash: head.requestHash } } as RaMaResponse;
  }

  /**
   * Entries of one device say the same, so that one request does not tell which of its HPCRs belong together.
   *
   * @param named the enrollment certificates of each entry; undefined for an entry that is not known
   */
  async #blacklistAll<R extends BlacklistRequest>(
    request: R,
    signedHash: Uint8Array,
    head: ResponseHead,
    named: readonly (readonly Uint8Array[] | undefined)[],
  ): Promise<RaMaResponse> {
    const now = timeOf(this.#options.clock);
    const all = new Map(named.flatMap((hashes = []) => hashes.map((one) => [hex(one), one])));
    let response: RaMaResponse | undefined;
    const reason = `request ${hex(head.requestHash)} of the MA`;
    await this.#blacklist.addAll([...all.values()], reason, now, async (query, added) => {
      const replies = named.map((hashes) => blacklistReply(request.type, hashes, added));
      response = composeRaMaResponse<BlacklistRequest['type']>(request, head, replies);
      await query
        .updateTable('ma_request')
        .set({ answer: null })
        .where('received_at', '<', now - REPEATED_FOR_SEC)
        .where('answer', 'is not', null)
        .execute();
      const answer = encode(MaRaInterfacePdu, response);
      await query
        .insertInto('ma_request')
        .values({ signed_hash: signedHash, received_at: now, answer })
        .execute();
    });
    if (response === undefined) throw new TypeError('expected a response of the transaction');
    return response;
  }

  async #byHpcr(request: BlacklistRequest): Promise<(readonly Uint8Array[] | undefined)[]> {
    const origins = await originsOf(this.#options.database, identifiersOf(request));
    return origins.map((origin) => origin && [origin.enrollmentHash]);
  }

  async #byRif(request: BlacklistRequest): Promise<(readonly Uint8Array[] | undefined)[]> {
    const known = await this.#enrollmentsByRif(identifiersOf(request));
    return identifiersOf(request).map((rif) => known.get(hex(rif)));
  }

  /** Enrollment certificates that have asked for something here, or are blacklisted, by RIF in hex. */
  async #enrollmentsByRif(rifs: readonly Uint8Array[]): Promise<Map<string, Uint8Array[]>> {
    const known = new Map<string, Uint8Array[]>();
    const { query } = this.#options.database;
    const rif = sql.raw(wordsOf(query).lastOctets('enrollment_hash', RIF_OCTETS));
    for (let n = 0; n < rifs.length; n += RIFS_AT_A_TIME) {
      const some = sql.join(rifs.slice(n, n + RIFS_AT_A_TIME));
      const { rows } = await sql<{ enrollment_hash: Uint8Array }>`
        select enrollment_hash from device where ${rif} in (${some})
        union select enrollment_hash from blacklist where ${rif} in (${some})
      `.execute(query);
      for (const { enrollment_hash: hash } of rows) {
        const key = hex(hash.subarray(-RIF_OCTETS));
        known.set(key, [...(known.get(key) ?? []), hash]);
      }
    }
    return known;
  }

  async #linkageOf(request: LciRequest): Promise<MaRaReply<GroupAndLci>[]> {
    const origins = await originsOf(this.#options.database, identifiersOf(request));
    return origins.map((origin) => this.#linkageReply(origin));
  }

  #linkageReply(origin: BriefOrigin | undefined): MaRaReply<GroupAndLci> {
    if (origin === undefined) return failure({ type: 'maRaBaseError', value: 'hpcrIsUnknownToRA' });
    const { linkage } = origin;
    if (linkage === undefined) {
      return failure({ type: 'maRaLciError', value: 'noLinkageChainIdentifiersKnownForHPCR' });
    }
    const iMax = new Uint8Array(I_OCTETS);
    new DataView(iMax.buffer).setUint32(0, linkage.iMax);
    const info = {
      iMax,
      la1Lci: decode(LinkageChainId, linkage.la1Chain),
      la2Lci: decode(LinkageChainId, linkage.la2Chain),
      la1Id: this.#options.la1.hostname,
      la2Id: this.#options.la2.hostname,
    };
    return { type: 'success', value: { groupIdentifier: NO_GROUP, info } };
  }

  async #record(
    request: MaRaRequest,
    response: RaMaResponse,
    refused: BaseError | undefined,
  ): Promise<void> {
    const { audit, log, ma } = this.#options;
    const replies = repliesOf(response);
    const event: MaRequestEvent = {
      event: 'ma-request',
      request: AUDITED[request.type],
      requestHash: hex(response.value.requestHash),
      ma: hex(ma.id),
      entries: replies.length,
      succeeded: replies.filter(({ reply }) => reply.type === 'success').length,
      ...(refused !== undefined && { refused: String(refused) }),
    };
    await audit?.record(event);
    const { event: _, ...fields } = event;
    if (refused === undefined) log.info(fields, 'the MA was answered');
    else log.warn(fields, 'a request of the MA was refused');
  }
}

/** Nothing is told of the enrollment certificates behind a RIF but whether there was one to add. */
function blacklistReply(
  type: BlacklistRequest['type'],
  hashes: readonly Uint8Array[] | undefined,
  added: ReadonlySet<string>,
): MaRaReply<null> {
  if (hashes === undefined) {
    const isRif = type === 'maRaRseObeIdBlacklistRequest';
    const value = isRif ? 'raInvalidRIFValue' : 'hpcrIsUnknownToRA';
    return failure({ type: 'maRaBaseError', value });
  }
  if (hashes.some((hash) => added.has(hex(hash)))) return { type: 'success', value: null };
  return failure({ type: 'maRaBlacklistError', value: 'alreadyBlacklisted' });
}

/** The same for each entry. */
function failures<R extends MaRaRequest>(
  request: R,
  value: BaseError,
): MaRaReply<MaRaSuccess[R['type']]>[] {
  return identifiersOf(request).map(() => failure({ type: 'maRaBaseError', value }));
}

function failure(value: MaRaError): MaRaReply<never> {
  return { type: 'failure', value: { type: 'maRa', value } };
}

function isRequest(pdu: MaRaRequest | RaMaResponse): pdu is MaRaRequest {
  return pdu.type.startsWith('maRa');
}

function isPeersFault(error: unknown): error is Error {
  return (
    error instanceof ScmsDataError ||
    error instanceof Ieee1609Dot2Error ||
    error instanceof CryptoError
  );
}

function hex(octets: Uint8Array): string {
  return Buffer.from(octets).toString('hex');
}
