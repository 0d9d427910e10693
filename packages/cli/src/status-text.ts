/** What `chrysalis status` prints. Pure. */
import { formatTime32, type Time32 } from '@chrysalis/ieee1609dot2';
import type { Ending, RaStatus, RateStatus } from '@chrysalis/ra';
import { counted, formatCount, formatSeconds, section, table } from './text-layout.ts';

const KINDS = ['pseudonym', 'identification', 'application'] as const;
const STATUSES = ['active', 'paused', 'failed', 'replaced'] as const;

/** Keys are stable: docs/reference/status.md. Times as in ISO 8601, null where there is none. */
export function statusJson(status: RaStatus, ra: string): object {
  const { failing, horizon, shuffle, pca, backlog, givenUp, generation } = status;
  const { furthestBehind } = horizon;
  return {
    ra,
    at: formatTime32(status.at),
    lastActivity: timeOrNull(status.lastActivity),
    warnings: status.warnings.map(({ at, ...warning }) => ({ ...warning, at: timeOrNull(at) })),
    registrations: status.devices,
    failing: {
      count: failing.count,
      isMore: failing.isMore === true,
      nextTryAt: timeOrNull(failing.nextTryAt),
    },
    blacklisted: status.blacklisted,
    horizon: {
      ...horizon,
      furthestBehind: furthestBehind
        ? { ...furthestBehind, start: formatTime32(furthestBehind.start) }
        : null,
    },
    linkageCache: status.linkageCache,
    workers: status.workers ?? null,
    shuffle: {
      size: shuffle.size,
      threshold: shuffle.threshold,
      oldestAt: timeOrNull(shuffle.oldestAt),
      opensAt: timeOrNull(shuffle.opensAt),
    },
    pca: {
      waiting: pca.waiting,
      repeated: pca.repeated,
      mostAttempts: pca.mostAttempts,
      oldestAt: timeOrNull(pca.oldestAt),
      nextAttemptAt: timeOrNull(pca.nextAttemptAt),
    },
    batches: status.batches,
    backlog: {
      certificates: backlog.certificates,
      perHour: backlog.perHour ?? null,
      doneAt: timeOrNull(backlog.doneAt),
    },
    givenUp: {
      count: givenUp.count,
      isMore: givenUp.isMore === true,
      firstAt: timeOrNull(givenUp.firstAt),
      lastAt: timeOrNull(givenUp.lastAt),
      lastI: givenUp.lastI ?? null,
    },
    rates: status.rates,
    incidents: status.incidents.map(({ source, message, firstAt, lastAt, count }) => ({
      source,
      message,
      firstAt: formatTime32(firstAt),
      lastAt: formatTime32(lastAt),
      count,
      isOpen: count > 0,
    })),
    endings: status.endings.map(endingJson),
    generation: {
      firstI: generation.firstI,
      stopsAt: formatTime32(generation.stopsAt),
      because: generation.because.role,
    },
    enrollmentsEnding: status.enrollmentsEnding.map(({ month, count, isMore }) => ({
      month,
      count,
      isMore: isMore === true,
    })),
  };
}

export function statusText(status: RaStatus, ra: string): string {
  const { at, lastActivity, warnings } = status;
  const head = section(`RA ${ra}`, [
    ['at', formatTime32(at)],
    [
      'last activity',
      lastActivity === undefined ? 'none' : `hour of ${formatTime32(lastActivity)}`,
    ],
    ['warnings', warnings.length === 0 ? 'none' : formatCount(warnings.length)],
  ]);
  const listed = warnings.map(({ message }) => `  ! ${message}`);
  return [
    [head, ...listed].join('\n'),
    devicesText(status),
    horizonText(status),
    pipelineText(status),
    ratesText(status),
    incidentsText(status),
    endingsText(status),
    enrollmentsText(status),
  ].join('\n\n');
}

function devicesText({ devices, failing, blacklisted, at }: RaStatus): string {
  const sum = (kind: string, is: (row: RaStatus['devices'][number]) => boolean) =>
    devices.filter((row) => row.kind === kind && is(row)).reduce((n, { count }) => n + count, 0);
  const rows = KINDS.map((kind) => [
    kind,
    ...STATUSES.map((status) => sum(kind, (row) => row.status === status && !row.blocked)),
    sum(kind, ({ blocked }) => blocked),
  ]);
  const tries = failing.nextTryAt === undefined ? undefined : inWords(failing.nextTryAt, at);
  const lines = section('', [
    [
      'failing',
      failing.count === 0
        ? 'none'
        : `${atLeast(failing)}${counted(failing.count, 'registration')}, next try ${tries}`,
    ],
    ['blacklisted', blacklisted === 0 ? 'none' : counted(blacklisted, 'enrollment certificate')],
  ]);
  return `registrations\n${table([['', ...STATUSES, 'blacklisted'], ...rows])}${lines}`;
}

function horizonText({ horizon, at }: RaStatus): string {
  const { currentI, weeksAhead, lastI, furthestBehind: behind, waitingForFirst } = horizon;
  const waiting = (['identification', 'application'] as const).filter(
    (kind) => waitingForFirst[kind] > 0,
  );
  return section('supply of pseudonym certificates', [
    ['current period', `i = ${currentI}`],
    [
      'wanted through',
      `i = ${lastI}, ${counted(lastI - currentI + 1, 'period')} of ${weeksAhead} in the policy`,
    ],
    ['complete', counted(horizon.complete, 'device')],
    ['lagging', counted(horizon.lagging, 'device')],
    ['without current', counted(horizon.withoutCurrent, 'device')],
    [
      'furthest behind',
      behind &&
        `i = ${behind.i} of ${formatTime32(behind.start)} (${relative(behind.start, at)}), ${counted(behind.count, 'device')}`,
    ],
    ['enrollment over', horizon.ended === 0 ? undefined : counted(horizon.ended, 'device')],
    ...waiting.map(
      (kind) => [`first ${kind}`, `${counted(waitingForFirst[kind], 'device')} waiting`] as const,
    ),
  ]);
}

function pipelineText(status: RaStatus): string {
  const { workers, linkageCache, shuffle, pca, batches, backlog, givenUp, at } = status;
  const age = (time: Time32 | undefined) =>
    time === undefined ? '' : `, oldest ${formatSeconds(Math.max(0, at - time))}`;
  const opens =
    shuffle.opensAt === undefined ? '' : `, opens ${inWords(shuffle.opensAt, at)} at the latest`;
  const next =
    pca.nextAttemptAt === undefined ? '' : `, next attempt ${inWords(pca.nextAttemptAt, at)}`;
  return section('pipeline', [
    ['workers', workers === undefined ? undefined : formatCount(workers)],
    [
      'PLV cache',
      `${formatCount(linkageCache.chains)} of ${counted(linkageCache.wanted, 'chain')}`,
    ],
    [
      'shuffle',
      `${formatCount(shuffle.size)} of ${counted(shuffle.threshold, 'request')}${age(shuffle.oldestAt)}${opens}`,
    ],
    ['PCA, due', `${counted(pca.waiting, 'request')}${age(pca.oldestAt)}`],
    [
      'PCA, repeated',
      `${counted(pca.repeated, 'request')}${pca.repeated === 0 ? '' : `, up to ${counted(pca.mostAttempts, 'attempt')}${next}`}`,
    ],
    [
      'batches',
      `${formatCount(batches.inTheMaking)} in the making, ${formatCount(batches.complete)} to be filed`,
    ],
    ['lacking', backlogText(backlog, at)],
    ['given up', givenUpText(givenUp, at)],
  ]);
}

function backlogText({ certificates, perHour, doneAt }: RaStatus['backlog'], at: Time32): string {
  const pace = perHour === undefined ? '' : `, ${formatCount(perHour)} an hour when busy`;
  const done = doneAt === undefined ? '' : `, all there ${inWords(doneAt, at)}`;
  return `${counted(certificates, 'certificate')}${pace}${done}`;
}

function givenUpText(givenUp: RaStatus['givenUp'], at: Time32): string {
  const { count, firstAt, lastAt, lastI } = givenUp;
  if (firstAt === undefined || lastAt === undefined) return 'none';
  return `${atLeast(givenUp)}${counted(count, 'file')} since ${inWords(firstAt, at)}, last i = ${lastI} ${inWords(lastAt, at)}`;
}

function ratesText({ rates }: RaStatus): string {
  const row = (name: string, { thisHour, lastHour, last24Hours }: RateStatus) => [
    name,
    thisHour,
    lastHour,
    last24Hours,
  ];
  const rows = Object.entries(rates).map(([name, rate]) => row(name, rate));
  return `done\n${table([['', 'this hour', 'last hour', 'last 24 hours'], ...rows])}`;
}

function incidentsText({ incidents }: RaStatus): string {
  if (incidents.length === 0) return 'what went wrong last\n  nothing';
  const lines = incidents.map(({ source, message, firstAt, lastAt, count }) => {
    const state =
      count === 0
        ? `over, last ${formatTime32(lastAt)}`
        : `open since ${formatTime32(firstAt)}, ${counted(count, 'time')}, last ${formatTime32(lastAt)}`;
    return `  ${source}: ${state}\n    ${message}`;
  });
  return ['what went wrong last', ...lines].join('\n');
}

function endingsText({ endings, generation, at }: RaStatus): string {
  const lines = endings.map(
    ({ role, name, endsAt }) =>
      [role, `${formatTime32(endsAt)}  ${relative(endsAt, at)}  ${name}`] as const,
  );
  const { firstI, stopsAt, because } = generation;
  const stops = `${formatTime32(stopsAt)}: i = ${firstI} cannot be made (${because.role})`;
  return section('what runs out', [...lines, ['generation', stops]]);
}

function enrollmentsText({ enrollmentsEnding: months }: RaStatus): string {
  const title = 'enrollment certificates ending within 90 days';
  if (months.length === 0) return `${title}\n  none`;
  return section(
    title,
    months.map((month) => [month.month, `${atLeast(month)}${formatCount(month.count)}`] as const),
  );
}

/** Before what was counted up to a bound. */
function atLeast({ isMore }: { readonly isMore?: true }): string {
  return isMore === true ? 'at least ' : '';
}

function endingJson({ role, name, id, endsAt }: Ending): object {
  return { role, name, id: id ?? null, endsAt: formatTime32(endsAt) };
}

function inWords(time: Time32, now: Time32): string {
  return `${formatTime32(time)} (${relative(time, now)})`;
}

function relative(time: Time32, now: Time32): string {
  return time >= now ? `in ${formatSeconds(time - now)}` : `${formatSeconds(now - time)} ago`;
}

function timeOrNull(time: Time32 | undefined): string | null {
  return time === undefined ? null : formatTime32(time);
}
