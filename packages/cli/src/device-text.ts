/** What `chrysalis device show` prints. Pure. */
import { formatTime32, type Time32 } from '@chrysalis/ieee1609dot2';
import type { DeviceReport, RegistrationReport, ReportedPoint } from '@chrysalis/ra';
import { formatHex } from '@chrysalis/scms';
import { counted, formatCount, section } from './text-layout.ts';

/** Numbers of files, those that are missing or were given up, shown to people; JSON has all. */
const MOST_NUMBERS = 10;

/** Keys are stable: docs/reference/status.md. Times as in ISO 8601, null where there is none. */
export function deviceJson(report: DeviceReport): object {
  const { enrollmentHash, enrollmentEnd, blacklist, registrations } = report;
  return {
    enrollment: {
      id: idOf(enrollmentHash),
      sha256: formatHex(enrollmentHash),
      until: timeOrNull(enrollmentEnd),
    },
    blacklisted: blacklist
      ? { reason: blacklist.reason, addedAt: formatTime32(blacklist.addedAt) }
      : null,
    registrations: registrations.map(registrationJson),
  };
}

function registrationJson(registration: RegistrationReport): object {
  const { onItsWay, info } = registration;
  return {
    kind: registration.kind,
    status: registration.status,
    requestHash: formatHex(registration.requestHash),
    registeredAt: formatTime32(registration.registeredAt),
    availableAt: formatTime32(registration.availableAt),
    lastSeenAt: timeOrNull(registration.lastSeenAt || undefined),
    first: pointJson(registration.first),
    last: pointJson(registration.last),
    linkedThrough: pointJson(registration.linkedThrough),
    expandedThrough: pointJson(registration.expandedThrough),
    filedThrough: pointJson(registration.filedThrough),
    fetchedThrough: pointJson(registration.fetchedThrough),
    onItsWay: { ...onItsWay, nextAttemptAt: timeOrNull(onItsWay.nextAttemptAt) },
    files: registration.files,
    givenUp: registration.givenUp.map(({ i, at }) => ({ i, at: formatTime32(at) })),
    failures: registration.failures,
    nextTryAt: timeOrNull(registration.nextTryAt),
    info: { answer: info.answer, time: timeOrNull(info.time), why: info.why },
    nextStep: registration.nextStep,
  };
}

export function deviceText(report: DeviceReport): string {
  const { enrollmentHash, enrollmentEnd, blacklist, registrations } = report;
  const head = section(`enrollment certificate ${idOf(enrollmentHash)}`, [
    ['sha-256', formatHex(enrollmentHash)],
    ['until', enrollmentEnd === undefined ? 'not noted' : formatTime32(enrollmentEnd)],
    ['blacklisted', blacklist ? `${formatTime32(blacklist.addedAt)}, ${blacklist.reason}` : 'no'],
  ]);
  const none = registrations.length === 0 ? ['it has asked for nothing'] : [];
  return [head, ...none, ...registrations.map(registrationText)].join('\n\n');
}

function registrationText(registration: RegistrationReport): string {
  const { kind, status, requestHash, failures, nextTryAt, info } = registration;
  return section(`${kind} certificates, request ${formatHex(requestHash)}`, [
    ['status', status],
    ['registered', formatTime32(registration.registeredAt)],
    ['last contact', timeOrNull(registration.lastSeenAt || undefined) ?? 'not noted'],
    ['first', pointText(registration.first)],
    ['linked through', kind === 'pseudonym' ? pointText(registration.linkedThrough) : undefined],
    ['expanded through', pointText(registration.expandedThrough)],
    ['filed through', pointText(registration.filedThrough)],
    ['fetched through', pointText(registration.fetchedThrough)],
    ['last possible', pointText(registration.last)],
    ['on its way', onItsWayText(registration.onItsWay)],
    ['files there', filesText(registration.files)],
    ['given up', givenUpText(registration.givenUp)],
    ['failures', failures === 0 ? 'none' : failuresText(failures, nextTryAt)],
    ['.info', `${infoText(info)} (${info.why})`],
    ['next step', registration.nextStep],
  ]);
}

function failuresText(failures: number, nextTryAt: Time32 | undefined): string {
  const tried = nextTryAt === undefined ? '' : `, tried again ${formatTime32(nextTryAt)}`;
  return `${formatCount(failures)} in a row${tried}`;
}

function infoText({ answer, time }: RegistrationReport['info']): string {
  if (time !== undefined) return formatTime32(time);
  return answer === 'none' ? '0, none will come' : answer;
}

function onItsWayText(way: RegistrationReport['onItsWay']): string {
  const { inShuffle, waiting, repeated, mostAttempts, nextAttemptAt, batches } = way;
  if (batches === 0) return 'nothing';
  const parts = [
    `${counted(batches, 'file')}`,
    inShuffle > 0 && `${counted(inShuffle, 'request')} in the shuffle`,
    waiting > 0 && `${counted(waiting, 'request')} due at the PCA`,
    repeated > 0 &&
      `${counted(repeated, 'request')} repeated, up to ${counted(mostAttempts, 'attempt')}`,
    nextAttemptAt !== undefined && `next attempt ${formatTime32(nextAttemptAt)}`,
  ];
  return parts.filter((part) => part !== false).join(', ');
}

function filesText({ expected, missing }: RegistrationReport['files']): string {
  if (missing.length === 0) return formatCount(expected);
  return `${formatCount(expected - missing.length)} of ${formatCount(expected)}: lost ${numbersText(missing)}`;
}

/** The PCA has certified their keys before: they are never made, and the device passes over them. */
function givenUpText(givenUp: RegistrationReport['givenUp']): string {
  const [first] = givenUp;
  if (first === undefined) return 'none';
  const since = givenUp.reduce((time, { at }) => Math.min(time, at), first.at);
  return `${numbersText(givenUp.map(({ i }) => i))}, since ${formatTime32(since)}`;
}

function numbersText(numbers: readonly number[]): string {
  const more = numbers.length > MOST_NUMBERS ? ', ...' : '';
  return `i = ${numbers.slice(0, MOST_NUMBERS).join(', ')}${more}`;
}

function pointText(point: ReportedPoint | undefined): string {
  if (point === undefined) return 'none';
  return `i = ${point.i}, ${formatTime32(point.start)} to ${formatTime32(point.end)}`;
}

function pointJson(point: ReportedPoint | undefined): object | null {
  if (point === undefined) return null;
  return { i: point.i, start: formatTime32(point.start), end: formatTime32(point.end) };
}

/** HashedId8. */
function idOf(hash: Uint8Array): string {
  return formatHex(hash.subarray(-8));
}

function timeOrNull(time: Time32 | undefined): string | null {
  return time === undefined ? null : formatTime32(time);
}
