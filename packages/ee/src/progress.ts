import type { HashedId8, Time32 } from '@chrysalis/ieee1609dot2';
import type { RequestHash } from '@chrysalis/scms';
import type { Acknowledgement } from './acknowledgement.ts';
import type { CertificateKind } from './download-url.ts';
import type { EeError } from './error.ts';
import type { FileAnswer } from './followed-files.ts';
import type { RaFileKind } from './governance.ts';

interface OfKind {
  readonly kind: CertificateKind;
}

/** What an End Entity tells while it works. */
export type Progress =
  /** A request of an earlier contact is taken up: the RA may hold its body. */
  | ({ readonly type: 'resumed' } & OfKind)
  /** A request with new keys was refused: the one before it goes on. */
  | ({ readonly type: 'not-replaced'; readonly reason: EeError } & OfKind)
  /** The supply of a kind is left for a later contact; the others go on. */
  | ({ readonly type: 'failed'; readonly reason: Error } & OfKind)
  /** Keys and a new body are on disk, the connection is there, and the body is sent next. */
  | ({ readonly type: 'prepared'; readonly requestHash: RequestHash } & OfKind)
  | ({ readonly type: 'acknowledged' } & OfKind & Acknowledgement)
  | ({ readonly type: 'waiting'; readonly until: Time32; readonly remainingMs: number } & OfKind)
  | { readonly type: 'retry'; readonly pauseMs: number; readonly reason: EeError }
  | ({ readonly type: 'downloaded'; readonly i: number; readonly octets: number } & OfKind)
  | ({
      readonly type: 'opened';
      readonly i: number;
      readonly certificates: number;
      readonly failures: number;
      /** How many certificates the policy promises. */
      readonly expected?: number;
    } & OfKind)
  /** The RA has no file of this number. */
  | ({ readonly type: 'end'; readonly i: number } & OfKind)
  /** A policy, chain or revocation file: what the RA said. */
  | {
      readonly type: 'file';
      readonly which: RaFileKind;
      readonly answer: FileAnswer;
      /** The one that came, or is held. */
      readonly name?: string;
      /** Why it was withheld. */
      readonly reason?: EeError;
    }
  /** Another RA certificate holds from now on: it came with a chain file, or was asked for. */
  | {
      readonly type: 'ra-certificate';
      readonly from: 'chains' | 'service';
      readonly id: HashedId8;
      readonly until: Time32;
    }
  /** The RA was asked for its certificate, and none came that could succeed the one that is held. */
  | { readonly type: 'ra-certificate-kept'; readonly reason?: EeError }
  | { readonly type: 'report-sent'; readonly name: string }
  /** A misbehavior report over a week old, that the RA does not take or that there is no room for. */
  | { readonly type: 'report-dropped'; readonly name: string; readonly made: Time32 }
  /** A file that is not followed, new or held. */
  | { readonly type: 'file-refused'; readonly which: RaFileKind; readonly reason: EeError };
