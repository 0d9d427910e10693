/** A global policy as people write it: keys in kebab case, durations with their unit, changes with their time. */
import { type Duration, formatTime32, type Time32, time32FromUnix } from '@chrysalis/ieee1609dot2';
import type { CertValidityModel, GlobalPolicyData, TemporalSeries } from '@chrysalis/scms';
import { CliError } from './context.ts';

/** The parameters that an operator sets; the PG itself sets the version of the chain file. */
type Parameter = Exclude<keyof GlobalPolicyData, 'unknownAdditions' | 'certChainFileId'>;
type Kind = 'octet' | 'count' | 'duration' | 'model';

const KINDS: Readonly<Record<Parameter, Kind>> = {
  scmsVersion: 'octet',
  overdueCrlTolerance: 'duration',
  iPeriod: 'duration',
  minCertsPerIPeriod: 'octet',
  certValidityModel: 'model',
  maxAvailableCertSupply: 'duration',
  maxCertRequestAge: 'duration',
  shuffleThreshold: 'count',
  hashOfRequestSize: 'octet',
  maxGpfGccfRetrievalInterval: 'duration',
  rseApplicationCertValidity: 'duration',
  rseApplicationCertOverlap: 'duration',
};

const PARAMETERS = new Map(
  (Object.keys(KINDS) as Parameter[]).map((name) => [
    name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`),
    name,
  ]),
);
const UNITS = ['seconds', 'minutes', 'hours', 'years'] as const;
const MODELS = ['concurrent', 'nonConcurrent'] as const;
/** A duration has a Uint16. */
const MAX_DURATION = 0xffff;
const MAX_OF = { octet: 0xff, count: 0xffff_ffff } as const;
const MICROSECONDS = 1_000_000;

type Value = number | Duration | CertValidityModel;
type Series = TemporalSeries<Value>;

/** One parameter, written out. */
export interface ParameterText {
  readonly initial: string;
  readonly changes: readonly { readonly at: string; readonly value: string }[];
}
export type PolicyText = Readonly<Record<string, ParameterText>>;

/** The keys, in the order of the module. */
export function policyKeys(): string[] {
  return [...PARAMETERS.keys()];
}

export function formatPolicy(policy: GlobalPolicyData): PolicyText {
  const entries = [...PARAMETERS].flatMap(([key, name]) => {
    const series = policy[name] as Series | undefined;
    return series ? [[key, formatSeries(series)] as const] : [];
  });
  return Object.fromEntries(entries);
}

/** @throws CliError naming the key, what was expected and what was seen */
export function parsePolicy(text: PolicyText): GlobalPolicyData {
  const entries = Object.entries(text).map(([key, { initial, changes }]) => {
    const series: Series = {
      initial: parseValue(key, initial),
      intervals: changes.map(({ at, value }) => ({
        startTime: BigInt(parseTime(at)) * BigInt(MICROSECONDS),
        value: parseValue(key, value),
      })),
    };
    return [parameterOf(key), series];
  });
  return Object.fromEntries(entries) as GlobalPolicyData;
}

/** The parameter that a key names. @throws CliError */
export function parameterOf(key: string): Parameter {
  const name = PARAMETERS.get(key);
  if (name !== undefined) return name;
  throw new CliError(`expected a parameter of the policy, saw ${JSON.stringify(key)}`, {
    hint: `one of ${policyKeys().join(', ')}`,
  });
}

/** @throws CliError */
export function parseValue(key: string, text: string): Value {
  const kind = KINDS[parameterOf(key)];
  switch (kind) {
    case 'duration':
      return parseDuration(key, text);
    case 'model': {
      const model = MODELS.find((known) => known === text);
      if (model !== undefined) return model;
      throw unexpected(key, MODELS.join(' or '), text);
    }
    default: {
      const value = Number(text);
      if (/^\d{1,10}$/.test(text) && value <= MAX_OF[kind]) return value;
      throw unexpected(key, `an integer from 0 to ${MAX_OF[kind]}`, text);
    }
  }
}

export function formatValue(value: Value): string {
  if (typeof value !== 'object') return String(value);
  const unit = value.value === 1 ? value.type.replace(/s$/, '') : value.type;
  return `${value.value} ${unit}`;
}

/** @throws CliError */
export function parseTime(text: string): Time32 {
  const unixMs = /^\d{4}-\d\d-\d\d(T|$)/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(unixMs)) {
    throw new CliError(`expected a time as 2027-01-01T00:00:00Z, saw ${JSON.stringify(text)}`);
  }
  return time32FromUnix(unixMs);
}

function parseDuration(key: string, text: string): Duration {
  const [, digits = '', unit] = /^(\d{1,5}) ([a-z]+)$/.exec(text.trim()) ?? [];
  const type = UNITS.find((name) => name === unit || name === `${unit}s`);
  const value = Number(digits);
  if (type !== undefined && value <= MAX_DURATION) return { type, value };
  throw unexpected(key, `up to ${MAX_DURATION} of ${UNITS.join(', ')}`, text);
}

function formatSeries({ initial, intervals }: Series): ParameterText {
  return {
    initial: formatValue(initial),
    changes: intervals.map(({ startTime, value }) => ({
      at: formatTime32(Math.floor(Number(startTime) / MICROSECONDS)),
      value: formatValue(value),
    })),
  };
}

function unexpected(key: string, expected: string, seen: string): CliError {
  return new CliError(`${key}: expected ${expected}, saw ${JSON.stringify(seen)}`);
}
