import { randomUUID } from 'node:crypto';
import { AuthorityUnavailableError, RA_EE_ERRORS } from '@chrysalis/scms';
import type { AuditedRefusals } from './audited-refusals.ts';
import type { Log } from './options.ts';
import { Refusal } from './refusal.ts';

/** What a stranger is told about a refusal: the status is 500 and the body empty, always. */
export interface WireRefusal {
  readonly status: 500;
  readonly headers: Readonly<Record<string, string>>;
}

/** Longest SCMS-POC-Error-Message. */
const MAX_MESSAGE = 300;

/**
 * The one place where an error becomes an answer (CAMP wiki "Used Error Codes", Q7). In production a peer learns
 * nothing: every refusal, and every fault of ours, is the same 500 without a body on a connection that is closed. In qa it
 * learns code and text besides.
 */
export class Door {
  readonly #detail: 'production' | 'qa';
  readonly #log: Log;
  readonly #audited: AuditedRefusals | undefined;

  constructor(detail: 'production' | 'qa', log: Log, audited?: AuditedRefusals) {
    this.#detail = detail;
    this.#log = log;
    this.#audited = audited;
  }

  refuse(error: unknown, where: { readonly method: string; readonly path: string }): WireRefusal {
    if (error instanceof Refusal) {
      const { code, reason, message } = error;
      this.#log.info({ ...where, code, reason, detail: message }, 'refused');
      this.#audited?.refused(error, where.path);
      return this.#answer(code, `${reason}: ${message}`);
    }
    const id = randomUUID();
    // An authority that is away is no fault of ours, and mends itself.
    const level = error instanceof AuthorityUnavailableError ? 'warn' : 'error';
    this.#log[level]({ ...where, id, err: error }, 'failed');
    this.#audited?.failed(id, where.path);
    return this.#answer(RA_EE_ERRORS.chrysalisInternalError, `internal error ${id}`);
  }

  #answer(code: number, message: string): WireRefusal {
    const headers: Record<string, string> = { connection: 'close' };
    if (this.#detail === 'qa') {
      headers['scms-poc-error'] = String(code);
      headers['scms-poc-error-message'] = headerText(message);
    }
    return { status: 500, headers };
  }
}

/** Text that is safe in a header: messages may quote what a stranger sent. */
function headerText(text: string): string {
  return text.replaceAll(/[^\x21-\x7e]+/g, ' ').slice(0, MAX_MESSAGE);
}
