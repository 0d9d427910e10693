import type { Time32 } from '@chrysalis/ieee1609dot2';
import { ScmsDataError } from '@chrysalis/scms';
import type { CertificateKind } from './download-url.ts';
import type { EndEntity } from './end-entity.ts';
import { EeError, hasCode } from './error.ts';
import type { FileOutcomes } from './followed-files.ts';
import type { Info } from './info.ts';
import type { OpenedBatch } from './open-batch.ts';
import type { SentReports } from './report-outbox.ts';

/** An RA that has not offered its policy or chains yet is asked again within a day. */
const FILES_PAUSE_SEC = 86_400;

export interface TopUpOptions {
  /** Those of the device's settings when missing. */
  readonly kinds?: readonly CertificateKind[];
  /** At most so many batches of pseudonym certificates, from the current period on. */
  readonly weeks?: number;
  /**
   * What the RA has promised for no later than so many seconds from now is waited for; 0 when missing, Infinity for whatever it has
   * promised. Everything is asked for before anything is waited for.
   */
  readonly waitSec?: number;
  /** Told what came of the contact, also when it then fails because of one kind or one file. */
  readonly onResult?: (result: TopUpResult) => void;
}

export interface TopUpResult {
  readonly files: FileOutcomes;
  /** Why the first of the files was withheld that was: thrown when everything is done and no kind has failed. */
  readonly withheld: EeError | undefined;
  /** What came of the misbehavior reports that waited. */
  readonly reports: SentReports;
  /** Of the kinds that did not fail. */
  readonly supplies: readonly Supply[];
  /** The others, with the first reason of each; the first of all is thrown when everything is done. */
  readonly failed: readonly FailedKind[];
  /** When the next contact is due; undefined when the RA makes nothing more for this device. */
  readonly due: Time32 | undefined;
}

export interface FailedKind extends OfOneKind {
  readonly reason: EeError | ScmsDataError;
}

export interface Supply {
  readonly kind: CertificateKind;
  /** Fetched and opened now. */
  readonly batches: readonly OpenedBatch[];
  /** When the files that were asked for are expected: they are not there yet. */
  readonly ready?: Time32;
  /** What the RA says of the next file; application certificates have no such thing. */
  readonly info?: Info;
  /** When to come back for this kind; undefined for never. */
  readonly due: Time32 | undefined;
}

export interface TopUpParts {
  readonly now: () => Time32;
  /** A kind is left for a later contact. */
  readonly onFailed: (kind: CertificateKind, reason: Error) => void;
}

interface OfOneKind {
  readonly kind: CertificateKind;
}

interface Asked extends OfOneKind {
  readonly certDLTime: Time32;
}

/** See `EndEntity.topUp`. */
export async function topUp(
  ee: EndEntity,
  { now, onFailed }: TopUpParts,
  { kinds = ee.kinds, weeks, waitSec = 0, onResult }: TopUpOptions,
): Promise<TopUpResult> {
  return ee.afterFiles(async (files, withheld) => {
    const reports = await ee.sendReports();
    const failed: FailedKind[] = [];
    const asked = await forEach(
      kinds.map((kind) => ({ kind })),
      failed,
      ask,
    );
    // What is there already is not kept waiting by what is not.
    asked.sort((a, b) => a.certDLTime - b.certDLTime);
    const collected = await forEach(asked, failed, collect);
    const supplies = kinds.flatMap((kind) => collected.filter((supply) => supply.kind === kind));
    const result = { files, withheld, reports, supplies, failed, due: dueOf(files, supplies) };
    onResult?.(result);
    const [first] = failed;
    if (first !== undefined) throw first.reason;
    return result;
  });

  async function ask({ kind }: OfOneKind): Promise<Asked> {
    const { certDLTime } = await ee.request(kind);
    return { kind, certDLTime };
  }

  async function collect({ kind, certDLTime }: Asked): Promise<Supply> {
    if (certDLTime - now() <= waitSec) await ee.waitUntilReady(kind);
    if (now() < certDLTime) return { kind, batches: [], ready: certDLTime, due: certDLTime };
    const count = kind === 'pseudonym' && weeks !== undefined ? { count: weeks } : {};
    const { batches } = await ee.download(kind, count);
    if (kind === 'application') return { kind, batches, due: await ee.renewalTime() };
    const info = await ee.info(kind);
    return { kind, batches, info, due: info.type === 'next' ? info.time : undefined };
  }

  /** One after the other; one that fails holds up none of the others. */
  async function forEach<T extends OfOneKind, R>(
    items: readonly T[],
    failed: FailedKind[],
    work: (item: T) => Promise<R>,
  ): Promise<R[]> {
    const results: R[] = [];
    for (const item of items) {
      try {
        results.push(await work(item));
      } catch (error) {
        if (!isOfOneKind(error)) throw error;
        failed.push({ kind: item.kind, reason: error });
        onFailed(item.kind, error);
      }
    }
    return results;
  }

  function dueOf(files: FileOutcomes, supplies: readonly Supply[]): Time32 | undefined {
    const due = supplies.flatMap((supply) => supply.due ?? []);
    if (due.length === 0) return undefined;
    const isMissing = files.policy === 'not-offered' || files.chains === 'not-offered';
    return Math.min(...due, ...(isMissing ? [now() + FILES_PAUSE_SEC] : []));
  }
}

/** Not what every other kind would meet as well. */
export function isOfOneKind(error: unknown): error is EeError | ScmsDataError {
  if (error instanceof ScmsDataError) return true;
  if (!(error instanceof EeError) || error.refusal?.name === 'raBlacklisted') return false;
  return !hasCode(error, 'aborted', 'storage', 'revoked', 'crl-overdue');
}
