import type { Clock } from '@chrysalis/scms';
import type { AuditEvent, AuditedService, FailuresEvent, RefusalsEvent } from './audit-event.ts';
import type { AuditLog } from './audit-log.ts';
import { RateLimit } from './rate-limit.ts';
import type { Refusal } from './refusal.ts';

/** Lines in a minute for what strangers make the RA refuse: 30 MB a day at most. The others are counted. */
const LINES_PER_MINUTE = 100;
/** How long counts may wait. */
const COUNT_MS = 60_000;
/** Longest `check`: our own messages are shorter. */
const MAX_CHECK = 200;

const SERVICES: Readonly<Record<string, AuditedService>> = {
  '/provision-pseudonym-certificate-batch': 'provision-pseudonym',
  '/provision-identity-certificate': 'provision-identification',
  '/provision-application-certificate': 'provision-application',
  '/download/batch': 'batch',
  '/download/identity-certificate': 'identity-certificate',
  '/download/application-certificate': 'application-certificate',
  '/download/info': 'info',
  '/download/policy/local': 'local-policy',
  '/download/local-certificate-chain': 'local-certificate-chain',
  '/process-misbehavior-report': 'misbehavior-report',
  '/retrieve-ra-certificate': 'ra-certificate',
  '': 'connection',
};

/**
 * Refusals and faults of ours for the audit log. None waits for the disk: how long an answer takes would tell which check failed. One of an
 * authenticated device is on its way to the disk before the answer leaves; those of strangers are written behind, and counted
 * when they come too fast, so that nobody fills the disk; so are faults of ours, which a stranger may have found a way to.
 */
export class AuditedRefusals {
  readonly #audit: AuditLog;
  readonly #clock: Clock;
  readonly #limit: RateLimit;
  readonly #counts = new Map<string, RefusalsEvent | FailuresEvent>();
  #timer: NodeJS.Timeout | undefined;

  /** @param share of the lines, where several processes have an audit log each */
  constructor(audit: AuditLog, clock: Clock, share = 1) {
    this.#audit = audit;
    this.#clock = clock;
    this.#limit = new RateLimit(Math.ceil(LINES_PER_MINUTE * share));
  }

  /** @param path as the peer sent it */
  refused({ code, reason, message, enrollmentHash }: Refusal, path: string): void {
    const service = serviceOf(path);
    const event: AuditEvent = {
      event: 'refusal',
      service,
      code,
      reason,
      check: checkOf(message),
      ...(enrollmentHash && { enrollment: Buffer.from(enrollmentHash).toString('hex') }),
    };
    // Each that fails costs one of the tries of an hour, until there are none.
    if (enrollmentHash && reason !== 'raMoreThanAllowedTries') this.#audit.note(event, 'now');
    else if (this.#limit.take(this.#clock.now())) this.#audit.note(event);
    else this.#count({ event: 'refusals', service, code, reason });
  }

  /** A fault of ours, which the log has under this id. */
  failed(id: string, path: string): void {
    const service = serviceOf(path);
    if (this.#limit.take(this.#clock.now())) this.#audit.note({ event: 'failure', service, id });
    else this.#count({ event: 'failures', service });
  }

  /** Hands on what was counted. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const event of this.#counts.values()) this.#audit.note(event);
    this.#counts.clear();
  }

  #count(event: Omit<RefusalsEvent, 'count'> | Omit<FailuresEvent, 'count'>): void {
    const key = `${event.event} ${event.service} ${event.event === 'refusals' ? event.reason : ''}`;
    const count = (this.#counts.get(key)?.count ?? 0) + 1;
    this.#counts.set(key, { ...event, count });
    this.#timer ??= setTimeout(() => this.flush(), COUNT_MS).unref();
  }
}

function serviceOf(path: string): AuditedService {
  const [name = ''] = path.split('?', 1);
  return Object.hasOwn(SERVICES, name) ? (SERVICES[name] ?? 'other') : 'other';
}

/** Our messages say what was expected, and then what was seen: that, and what is quoted, is the peer's and stays out. */
function checkOf(message: string): string {
  return message.replace(/(,? saw | ["']|(?<=our limits):).*$/s, '').slice(0, MAX_CHECK);
}
