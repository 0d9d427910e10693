import type { Time32 } from '@chrysalis/ieee1609dot2';
import type { RequestHash } from '@chrysalis/scms';
import type { Acknowledgement } from './acknowledgement.ts';
import type { EeError } from './error.ts';

/** What an End Entity tells while it works. */
export type Progress =
  /** Keys and body are on disk; `resumed` when they were there from an earlier contact. */
  | { readonly type: 'prepared'; readonly requestHash: RequestHash; readonly resumed: boolean }
  /** The RA refused the body, which is too old now: the same keys go out in a new one. */
  | { readonly type: 'renewed'; readonly requestHash: RequestHash }
  | ({ readonly type: 'acknowledged' } & Acknowledgement)
  | { readonly type: 'waiting'; readonly until: Time32; readonly remainingMs: number }
  | { readonly type: 'retry'; readonly pauseMs: number; readonly reason: EeError }
  | { readonly type: 'downloaded'; readonly i: number; readonly octets: number }
  | {
      readonly type: 'opened';
      readonly i: number;
      readonly certificates: number;
      readonly failures: number;
    }
  /** The RA has no batch for this period. */
  | { readonly type: 'end'; readonly i: number };
