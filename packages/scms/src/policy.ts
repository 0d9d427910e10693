/** What a policy says at a time: temporal series evaluated, defaults filled in, units plain. */
import { encode } from '@chrysalis/coer';
import { equalConstantTime } from '@chrysalis/crypto';
import { type Duration, durationSeconds, type Time32 } from '@chrysalis/ieee1609dot2';
import { ScmsDataError } from './error.ts';
import {
  type CertValidityModel,
  GlobalPolicyData,
  type LocalPolicyData,
  type TemporalSeries,
} from './pdu/policy.ts';

/** The two parts of a policy: the global one, as far as it applies to an RA, and the RA's own. */
export interface PolicyData {
  readonly global: GlobalPolicyData;
  readonly local?: LocalPolicyData;
}

/** A policy at one time. */
export interface PolicyValues {
  readonly scmsVersion: number;
  /** The version of the GCCF that is in force. */
  readonly globalCertChainFileId: number | undefined;
  /** How long after nextCrl an EE may go on without a new CRL. */
  readonly overdueCrlToleranceSec: number;
  readonly iPeriodSec: number;
  /** The RA's number, or the global minimum when it has none. */
  readonly certsPerIPeriod: number;
  readonly minCertsPerIPeriod: number;
  readonly certValidityModel: CertValidityModel;
  readonly maxAvailableCertSupplySec: number;
  /** The same in whole i-periods: 156 in three years of weeks. */
  readonly maxAvailableCertSupplyPeriods: number;
  readonly maxCertRequestAgeSec: number;
  /** The RA's number, or the global one when it has none. */
  readonly shuffleThreshold: number;
  readonly minShuffleThreshold: number;
  readonly hashOfRequestSize: number;
  readonly maxGpfGccfRetrievalIntervalSec: number;
  /** From the start of one RSE certificate to the start of the next. */
  readonly rseApplicationCertValiditySec: number;
  /** By which an RSE certificate outlives the start of the next: it lasts for the sum of both. */
  readonly rseApplicationCertOverlapSec: number;
  readonly laOneHost: string | undefined;
  readonly laTwoHost: string | undefined;
  readonly pcaHost: string | undefined;
  readonly raX509TlsCert: Uint8Array | undefined;
  readonly laX509TlsCert: Uint8Array | undefined;
  readonly pcaX509TlsCert: Uint8Array | undefined;
  readonly sharedKeyUpdateIntervalSec: number | undefined;
}

const MICROSECONDS = 1_000_000n;

/** A series that never changes. */
export function constantSeries<T>(initial: T): TemporalSeries<T> {
  return { initial, intervals: [] };
}

/** The same series with another value from a time on; what was planned for that time and later is dropped. */
export function changeFrom<T>(
  series: TemporalSeries<T>,
  time: Time32,
  value: T,
): TemporalSeries<T> {
  const startTime = BigInt(time) * MICROSECONDS;
  const earlier = series.intervals.filter((interval) => interval.startTime < startTime);
  return { initial: series.initial, intervals: [...earlier, { startTime, value }] };
}

/**
 * The defaults of scms-policy.asn. Of the validity of RSE certificates its comment says "1 week + 1 hour = 168 hours",
 * which is wrong either way; fielded policies have 168 hours of validity and one of overlap, 169 in all, and that is
 * what the certificate profile says as well.
 */
export const DEFAULT_GLOBAL_POLICY = {
  scmsVersion: constantSeries(1),
  overdueCrlTolerance: constantSeries<Duration>({ type: 'hours', value: 336 }),
  iPeriod: constantSeries<Duration>({ type: 'hours', value: 168 }),
  minCertsPerIPeriod: constantSeries(20),
  certValidityModel: constantSeries<CertValidityModel>('concurrent'),
  maxAvailableCertSupply: constantSeries<Duration>({ type: 'years', value: 3 }),
  maxCertRequestAge: constantSeries<Duration>({ type: 'hours', value: 48 }),
  shuffleThreshold: constantSeries(1000),
  hashOfRequestSize: constantSeries(32),
  maxGpfGccfRetrievalInterval: constantSeries<Duration>({ type: 'hours', value: 1 }),
  rseApplicationCertValidity: constantSeries<Duration>({ type: 'hours', value: 168 }),
  rseApplicationCertOverlap: constantSeries<Duration>({ type: 'hours', value: 1 }),
} as const satisfies GlobalPolicyData;

/** What a policy says at a time. A parameter that it does not name has its default. */
export function policyAt({ global, local = {} }: PolicyData, time: Time32): PolicyValues {
  const all = { ...DEFAULT_GLOBAL_POLICY, ...global };
  const at = <T>(series: TemporalSeries<T>): T => valueAt(series, time);
  const ifAny = <T>(series: TemporalSeries<T> | undefined): T | undefined => series && at(series);
  const secondsOf = (series: TemporalSeries<Duration>) => durationSeconds(at(series));
  const iPeriodSec = secondsOf(all.iPeriod);
  const supplySec = secondsOf(all.maxAvailableCertSupply);
  const minCertsPerIPeriod = at(all.minCertsPerIPeriod);
  const minShuffleThreshold = at(all.shuffleThreshold);
  const sharedKey = ifAny(local.sharedKeyUpdateInterval);
  return {
    scmsVersion: at(all.scmsVersion),
    globalCertChainFileId: ifAny(global.certChainFileId),
    overdueCrlToleranceSec: secondsOf(all.overdueCrlTolerance),
    iPeriodSec,
    certsPerIPeriod: ifAny(local.certsPerIPeriod) ?? minCertsPerIPeriod,
    minCertsPerIPeriod,
    certValidityModel: at(all.certValidityModel),
    maxAvailableCertSupplySec: supplySec,
    maxAvailableCertSupplyPeriods: Math.floor(supplySec / iPeriodSec),
    maxCertRequestAgeSec: secondsOf(all.maxCertRequestAge),
    shuffleThreshold: ifAny(local.shuffleThreshold) ?? minShuffleThreshold,
    minShuffleThreshold,
    hashOfRequestSize: at(all.hashOfRequestSize),
    maxGpfGccfRetrievalIntervalSec: secondsOf(all.maxGpfGccfRetrievalInterval),
    rseApplicationCertValiditySec: secondsOf(all.rseApplicationCertValidity),
    rseApplicationCertOverlapSec: secondsOf(all.rseApplicationCertOverlap),
    laOneHost: ifAny(local.laOneHost),
    laTwoHost: ifAny(local.laTwoHost),
    pcaHost: ifAny(local.pcaHost),
    raX509TlsCert: ifAny(local.raX509TlsCert),
    laX509TlsCert: ifAny(local.laX509TlsCert),
    pcaX509TlsCert: ifAny(local.pcaX509TlsCert),
    sharedKeyUpdateIntervalSec: sharedKey && durationSeconds(sharedKey),
  };
}

/**
 * The value of a series at a time: that of the latest start which is not after it. CAMP does not say that intervals come
 * in order, so order does not matter; of two with the same start the later in the list counts.
 */
export function valueAt<T>(series: TemporalSeries<T>, time: Time32): T {
  const now = BigInt(Math.floor(time)) * MICROSECONDS;
  let latest: { startTime: bigint; value: T } = { startTime: -1n, value: series.initial };
  for (const interval of series.intervals) {
    if (interval.startTime <= now && interval.startTime >= latest.startTime) latest = interval;
  }
  return latest.value;
}

/** Hours first, as in CAMP's profiles. */
const DURATION_UNITS = ['hours', 'minutes', 'seconds', 'sixtyHours', 'years'] as const;
/** Duration counts its unit in a Uint16. */
const MAX_DURATION = 0xffff;

/** A number of seconds as a certificate states it; undefined when no unit has it whole. */
export function exactDuration(seconds: number): Duration | undefined {
  for (const type of DURATION_UNITS) {
    const value = seconds / durationSeconds({ type, value: 1 });
    if (Number.isInteger(value) && value > 0 && value <= MAX_DURATION) return { type, value };
  }
  return undefined;
}

/** The first second after `time` at which some value changes; undefined when none does. */
export function nextPolicyChange(data: PolicyData, time: Time32): Time32 | undefined {
  return changesOf(data).find((change) => change > time);
}

/** Changes of one policy, of all its parameters together: nobody plans so many, and each costs an evaluation. */
const MAX_CHANGES = 1000;

/**
 * Makes sure that an RA and its devices could live by a policy, now and after each change that it announces: nothing is
 * zero that divides or is waited for, and no value of the RA's own undercuts the global one that it refines.
 *
 * @throws ScmsDataError `policy`
 */
export function expectUsablePolicy(data: PolicyData): void {
  const changes = changesOf(data);
  if (changes.length > MAX_CHANGES) {
    throw policyError('changes', `at most ${MAX_CHANGES}`, changes.length);
  }
  for (const time of [0, ...changes]) expectUsable(policyAt(data, time));
}

function expectUsable(values: PolicyValues): void {
  // Periods are whole hours: an authority counts the lifetime of a pseudonym certificate in them.
  if (values.iPeriodSec === 0 || values.iPeriodSec % 3600 !== 0) {
    throw policyError('iPeriod', 'whole hours, one or more', `${values.iPeriodSec} s`);
  }
  if (typeof values.certValidityModel === 'number') {
    throw policyError('certValidityModel', 'one that is known', values.certValidityModel);
  }
  const { rseApplicationCertValiditySec: validity, rseApplicationCertOverlapSec: overlap } = values;
  if (overlap >= validity) {
    throw policyError('rseApplicationCertOverlap', `below ${validity} s`, `${overlap} s`);
  }
  const isWhole = Number.isInteger(validity) && Number.isInteger(overlap);
  if (!isWhole || exactDuration(validity + overlap) === undefined) {
    const expected = 'whole seconds that one Duration can state together with the overlap';
    throw policyError('rseApplicationCertValidity', expected, `${validity} s and ${overlap} s`);
  }
  const minima: readonly [keyof PolicyValues, number][] = [
    ['minCertsPerIPeriod', 1],
    ['certsPerIPeriod', values.minCertsPerIPeriod],
    ['maxAvailableCertSupplyPeriods', 1],
    ['shuffleThreshold', values.minShuffleThreshold],
    ['maxGpfGccfRetrievalIntervalSec', 1],
  ];
  for (const [name, least] of minima) {
    const value = values[name];
    if (typeof value === 'number' && value < least) {
      throw policyError(name, `${least} or more`, value);
    }
  }
}

/**
 * Makes sure that a policy has i-periods of one length, from a time on for ever: an i-value names a period, and would
 * name another one under another length.
 *
 * @throws ScmsDataError `policy` with both lengths
 */
export function expectIPeriod(data: PolicyData, lengthSec: number, time: Time32): void {
  for (const at of [time, ...changesOf(data).filter((change) => change > time)]) {
    const { iPeriodSec } = policyAt(data, at);
    if (iPeriodSec === lengthSec) continue;
    throw policyError(
      'iPeriod',
      `${lengthSec} s, by which i-values are counted`,
      `${iPeriodSec} s`,
    );
  }
}

/**
 * Makes sure that what an RA wants signed is the global policy, less what does not concern its devices: every parameter
 * that is there is the same, with all its changes. An RA that could alter one would have the PG's word for it.
 *
 * @throws ScmsDataError `policy`
 */
export function expectCustomPolicy(custom: GlobalPolicyData, global: GlobalPolicyData): void {
  for (const name of Object.keys(custom) as (keyof GlobalPolicyData)[]) {
    const [theirs, ours] = [custom, global].map((policy) =>
      encode(GlobalPolicyData, { [name]: policy[name] } as GlobalPolicyData),
    );
    if (theirs === undefined || ours === undefined || !equalConstantTime(theirs, ours)) {
      throw new ScmsDataError('policy', `expected ${name} as in the global policy, saw another`);
    }
  }
}

/** The seconds, in order, at which something changes. */
function changesOf({ global, local = {} }: PolicyData): Time32[] {
  const { unknownAdditions: _, ...globalSeries } = global;
  const { unknownAdditions: __, ...localSeries } = local;
  const starts = new Set<Time32>();
  for (const series of [...Object.values(globalSeries), ...Object.values(localSeries)]) {
    for (const { startTime } of series.intervals) starts.add(secondFrom(startTime));
  }
  return [...starts].sort((a, b) => a - b);
}

/** The first whole second at or after a time. */
function secondFrom(time: bigint): Time32 {
  return Number((time + MICROSECONDS - 1n) / MICROSECONDS);
}

function policyError(name: string, expected: string, seen: string | number): ScmsDataError {
  return new ScmsDataError('policy', `expected ${name} of ${expected}, saw ${seen}`);
}
