/** What operators have to be told before it is too late. */
import { formatTime32, type Time32 } from '@chrysalis/ieee1609dot2';
import type { IncidentSource } from './operators-view.ts';
import type { RaStatus, StatusSurroundings } from './status.ts';
import type { Ending, EndingRole } from './what-ends.ts';

const DAY_SEC = 86_400;
/** How long before something ends it is warned of. */
export const NOTICE_SEC = 90 * DAY_SEC;
/** How long a request that the shuffle has let go may wait for its certificate. */
const OVERDUE_SEC = DAY_SEC;

/** Stable: monitoring goes by them. */
export type WarningCode =
  | 'ended'
  | 'ends-soon'
  | 'supply-cut'
  | 'supply-cut-soon'
  | 'linkage-cache-empty'
  | 'no-worker'
  | 'incident-open'
  | 'requests-overdue'
  | 'devices-failing'
  | 'devices-failed'
  | 'devices-blocked'
  | 'devices-without-current'
  | 'files-given-up'
  | 'enrollments-ending';

export interface Warning {
  readonly code: WarningCode;
  /** One line for people: it may change. */
  readonly message: string;
  /** When it comes about, or came about, where that is known. */
  readonly at?: Time32;
}

/** Of the warnings, those that say that something runs out: the incident source `horizon`. */
export const OF_HORIZON: ReadonlySet<WarningCode> = new Set([
  'ended',
  'ends-soon',
  'supply-cut',
  'supply-cut-soon',
]);

const TITLES: Readonly<Record<EndingRole, string>> = {
  root: 'the root certificate',
  ica: 'the certificate of the ICA',
  pca: 'the certificate of the PCA',
  eca: 'the certificate of the ECA',
  la1: 'the certificate of LA1',
  la2: 'the certificate of LA2',
  ra: 'the certificate of the RA',
  tls: 'the X.509 certificate of the RA',
  policy: 'the policy',
};

/** What stops when it ends. */
const CONSEQUENCES: Readonly<Record<EndingRole, string>> = {
  root: 'nothing below it is valid from then on',
  ica: 'nothing below it is valid from then on',
  pca: 'no certificate outlives it',
  eca: 'its devices can neither request nor download from then on',
  la1: 'no pre-linkage values come from then on',
  la2: 'no pre-linkage values come from then on',
  ra: 'no device can request or download, and nothing is made, from then on',
  tls: 'devices do not connect from then on',
  policy: 'an RA that starts from then on goes by its defaults',
};

/**
 * Whose end cuts the supply of years before it comes: they are warned of that much earlier. The end of the others counts
 * when it comes.
 */
const CUTS_SUPPLY: ReadonlySet<EndingRole> = new Set(['root', 'ica', 'pca', 'eca']);

/** The most urgent first. Pure. */
export function warningsOf(
  status: Omit<RaStatus, 'warnings'>,
  surroundings: Pick<StatusSurroundings, 'iPeriod' | 'policy'>,
): readonly Warning[] {
  const { at: now, devices, failing, linkageCache, incidents, pca, horizon, givenUp } = status;
  const supplySec = surroundings.policy.weeksAhead * surroundings.iPeriod.lengthSec;
  const failed = devices
    .filter((row) => row.status === 'failed')
    .reduce((sum, { count }) => sum + count, 0);
  const enrollments = status.enrollmentsEnding.reduce((sum, { count }) => sum + count, 0);
  const isMore = status.enrollmentsEnding.some((month) => month.isMore === true);
  const isOverdue = pca.oldestAt !== undefined && now - pca.oldestAt > overdueSec(surroundings);
  const warnings: (Warning | false)[] = [
    ...status.endings.map((ending) => endingWarning(ending, now, supplySec)),
    supplyWarning(status, now),
    status.workers === 0 && {
      code: 'no-worker',
      message: 'nobody makes certificates: expected a worker, or a node that does it too',
    },
    linkageCache.chains === 0 && {
      code: 'linkage-cache-empty',
      message: 'the PLV cache is empty: new devices are told to come again',
    },
    ...incidents.map(incidentWarning),
    isOverdue && {
      code: 'requests-overdue',
      message: `requests to the PCA wait since ${formatTime32(pca.oldestAt ?? now)}`,
      ...(pca.oldestAt !== undefined && { at: pca.oldestAt }),
    },
    horizon.withoutCurrent > horizon.newRegistrations && {
      code: 'devices-without-current',
      message: `${devicesOf(horizon.withoutCurrent)} without certificates of the current period, ${horizon.newRegistrations} of them new at most`,
    },
    givenUp.count > 0 && {
      code: 'files-given-up',
      message: `${atLeast(givenUp)}${givenUp.count} ${plural('file', givenUp.count)} given up: the PCA has certified their keys before`,
      ...(givenUp.firstAt !== undefined && { at: givenUp.firstAt }),
    },
    failing.count > 0 && {
      code: 'devices-failing',
      message: `certificates of ${atLeast(failing)}${devicesOf(failing.count)} cannot be made for now`,
    },
    failed > 0 && {
      code: 'devices-failed',
      message: `${devicesOf(failed)} given up: such keys cannot be expanded`,
    },
    status.blacklisted > 0 && {
      code: 'devices-blocked',
      message: `${status.blacklisted} enrollment ${plural('certificate', status.blacklisted)} blacklisted`,
    },
    enrollments > 0 && {
      code: 'enrollments-ending',
      message: `${atLeast({ isMore })}${enrollments} enrollment ${plural('certificate', enrollments)} ending within 90 days`,
    },
  ];
  return warnings.filter((warning) => warning !== false);
}

/** Requests may have waited in the shuffle before. */
function overdueSec({ policy }: Pick<StatusSurroundings, 'policy'>): number {
  return policy.shuffleMaxAgeSec + OVERDUE_SEC;
}

function endingWarning(ending: Ending, now: Time32, supplySec: number): Warning | false {
  const { role, name, endsAt: at } = ending;
  if (at - now > NOTICE_SEC + (CUTS_SUPPLY.has(role) ? supplySec : 0)) return false;
  const what = `${TITLES[role]} (${name})`;
  if (at <= now) return { code: 'ended', message: `${what} ended ${formatTime32(at)}`, at };
  const message = `${what} ends ${formatTime32(at)}: ${CONSEQUENCES[role]}`;
  return { code: 'ends-soon', message, at };
}

function supplyWarning({ generation }: Pick<RaStatus, 'generation'>, now: Time32): Warning | false {
  const { firstI, stopsAt: at, because } = generation;
  const reason = `${TITLES[because.role]} ends ${formatTime32(because.endsAt)}`;
  if (at <= now) {
    return { code: 'supply-cut', message: `i = ${firstI} cannot be made: ${reason}`, at };
  }
  if (at - now > NOTICE_SEC) return false;
  const message = `generation stops ${formatTime32(at)} before i = ${firstI}: ${reason}`;
  return { code: 'supply-cut-soon', message, at };
}

const HORIZON: IncidentSource = 'horizon';

/** Without the source that is these warnings themselves. */
function incidentWarning({
  source,
  message,
  firstAt,
  count,
}: RaStatus['incidents'][number]): Warning | false {
  if (count === 0 || source === HORIZON) return false;
  const since = `since ${formatTime32(firstAt)}, ${count} ${plural('time', count)}`;
  return { code: 'incident-open', message: `${source}: ${message} (${since})`, at: firstAt };
}

/** What was counted up to a bound. */
function atLeast({ isMore }: { readonly isMore?: boolean }): string {
  return isMore === true ? 'at least ' : '';
}

function devicesOf(count: number): string {
  return `${count} ${plural('device', count)}`;
}

function plural(noun: string, count: number): string {
  return count === 1 ? noun : `${noun}s`;
}
