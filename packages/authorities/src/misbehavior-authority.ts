import { encode } from '@chrysalis/coer';
import { equalConstantTime, sha256 } from '@chrysalis/crypto';
import {
  type Decrypter,
  decrypterOf,
  type HashedCertificate,
  Ieee1609Dot2Error,
  recipientIdOf,
  type TrustStore,
} from '@chrysalis/ieee1609dot2';
import {
  AuthorityUnavailableError,
  type Clock,
  decodeSecured,
  type MisbehaviorAuthority,
  MisbehaviorReportContents,
  openMisbehaviorReport,
  ScmsDataError,
  timeOf,
} from '@chrysalis/scms';
import { StoreError } from '@chrysalis/store/files';
import { AuthorityError } from './error.ts';
import {
  type MisbehaviorLog,
  openMisbehaviorLog,
  type StoredMisbehaviorReport,
} from './misbehavior-log.ts';
import type { Recipient } from './renewal.ts';
import type { Authority } from './test-scms.ts';

export interface MisbehaviorAuthorityOptions {
  readonly ma: Authority;
  /** What it was before: devices seal to the certificate that they know. */
  readonly former?: readonly Recipient[];
  /** Verifies the certificates of reporters: it holds the PCAs. */
  readonly trust: TrustStore;
  readonly clock: Clock;
  /** `sqlite:...`, as `openDatabase` of store takes it. */
  readonly databaseUrl: string;
  /** Told why a report was thrown away: whoever handed it in is not. */
  readonly onRefusal?: (error: ScmsDataError | Ieee1609Dot2Error) => void;
}

/** An MA in this process. */
export interface InProcessMisbehaviorAuthority extends MisbehaviorAuthority {
  /** Every report that it could open, in the order of arrival. */
  reports(): AsyncIterable<StoredMisbehaviorReport>;
  /** Waits for what is under way. */
  close(): Promise<void>;
}

/**
 * Opens the MA on its database: see the port for its guarantee. It keeps reports and decides nothing.
 *
 * @throws AuthorityError `unsuitable-certificate` without an encryption key; StoreError
 */
export async function openMisbehaviorAuthority(
  options: MisbehaviorAuthorityOptions,
): Promise<InProcessMisbehaviorAuthority> {
  const { encryptionKey } = options.ma;
  if (encryptionKey === undefined) {
    throw new AuthorityError('unsuitable-certificate', 'expected an MA with an encryption key');
  }
  const log = await openMisbehaviorLog(options.databaseUrl);
  const keysOf = ({ certificate, encryptionKey: key }: Recipient): RecipientKeys => ({
    ma: certificate,
    key: decrypterOf(key),
  });
  const present = keysOf({ certificate: options.ma.certificate, encryptionKey });
  const keys: Opening['keys'] = [present, ...(options.former ?? []).map(keysOf)];
  const opening = { ...options, keys, log };
  let isClosed = false;
  return {
    async submitReport(report) {
      if (isClosed) throw new AuthorityUnavailableError('expected an MA that is open');
      await takeReport(opening, report);
    },
    reports: () => log.all(),
    close() {
      isClosed = true;
      return log.close();
    },
  };
}

interface RecipientKeys {
  readonly ma: HashedCertificate;
  readonly key: Decrypter;
}

interface Opening extends MisbehaviorAuthorityOptions {
  /** The present ones first. */
  readonly keys: readonly [RecipientKeys, ...RecipientKeys[]];
  readonly log: MisbehaviorLog;
}

async function takeReport(opening: Opening, report: Uint8Array): Promise<void> {
  const reportHash = sha256(report);
  try {
    // Before it is opened: one that is handed in again costs no point multiplication.
    if (await opening.log.has(reportHash)) return;
    await opening.log.append(storedReport(opening, report, reportHash));
  } catch (error) {
    if (error instanceof ScmsDataError || error instanceof Ieee1609Dot2Error) {
      opening.onRefusal?.(error);
      return;
    }
    if (!(error instanceof StoreError)) throw error;
    throw new AuthorityUnavailableError('expected the MA to store a report', { cause: error });
  }
}

/** @throws ScmsDataError, Ieee1609Dot2Error */
function storedReport(
  { keys, trust, clock }: Opening,
  report: Uint8Array,
  reportHash: Uint8Array,
): StoredMisbehaviorReport {
  const time = timeOf(clock);
  const opened = openMisbehaviorReport(report, { ...recipientOf(report, keys), trust, time });
  return {
    reportHash,
    receivedAt: time,
    generationTime: opened.generationTime,
    generationLocation: opened.generationLocation,
    reporterId: opened.reporter.id,
    reporterCertificate: opened.reporter.octets,
    contents: encode(MisbehaviorReportContents, opened.contents),
  };
}

/** Whom the report names; the present MA when nobody does, which says what is wrong with it. */
function recipientOf(report: Uint8Array, [present, ...former]: Opening['keys']): RecipientKeys {
  const named = recipientIdOf(decodeSecured(report));
  return former.find(({ ma }) => named && equalConstantTime(ma.id, named)) ?? present;
}
