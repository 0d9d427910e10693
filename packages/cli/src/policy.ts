/** `chrysalis policy`: the global policy of the test PG in a state directory. */
import { formatTime32 } from '@chrysalis/ieee1609dot2';
import {
  changeFrom,
  DEFAULT_GLOBAL_POLICY,
  expectUsablePolicy,
  ScmsDataError,
  type TemporalSeries,
  timeOf,
  valueAt,
} from '@chrysalis/scms';
import type { Command } from 'commander';
import { loadConfig } from './config.ts';
import { type CliContext, CliError } from './context.ts';
import { readPolicyState, writePolicyState } from './pg-state.ts';
import {
  formatPolicy,
  formatValue,
  parameterOf,
  parseTime,
  parseValue,
  policyKeys,
} from './policy-text.ts';

interface PolicyOptions {
  readonly dir: string;
  readonly json?: boolean;
  readonly at?: string;
}

type Series = TemporalSeries<ReturnType<typeof parseValue>>;

export function addPolicyCommands(program: Command, context: CliContext): void {
  const policy = program.command('policy').description('see or change the policy of the test PG');
  policy
    .command('show')
    .description('print what the policy says now, and what it announces')
    .action(async (_options: unknown, command: Command) => {
      await show(context, command.optsWithGlobals<PolicyOptions>());
    });
  policy
    .command('set')
    .description('change a parameter; an RA that runs gets it at its next retrieval')
    .argument('<key>', `one of ${policyKeys().join(', ')}`)
    .argument('<value>', 'a number; a duration as "168 hours"; concurrent or nonConcurrent')
    .option('--at <time>', 'from then on, as 2027-01-01T00:00:00Z; now when missing')
    .addHelpText(
      'after',
      `
What was announced for that time or later is dropped. Each change is a new version of the global policy file.
An RA counts i-periods as at its first start: it keeps the policy that it has when this one has others.

Examples:
  chrysalis policy set min-certs-per-i-period 30 --at 2027-01-05T09:00:00Z
  chrysalis policy set max-gpf-gccf-retrieval-interval "10 minutes"`,
    )
    .action(async (key: string, value: string, _options: unknown, command: Command) => {
      await set(context, key, value, command.optsWithGlobals<PolicyOptions>());
    });
}

async function show(context: CliContext, { dir, json }: PolicyOptions): Promise<void> {
  await loadConfig(dir);
  const { version, policy } = await readPolicyState(dir);
  const whole = formatPolicy({ ...DEFAULT_GLOBAL_POLICY, ...policy });
  if (json === true) {
    context.stdout.write(`${JSON.stringify({ version, policy: whole }, undefined, 2)}\n`);
    return;
  }
  const now = timeOf(context.clock);
  const all = { ...DEFAULT_GLOBAL_POLICY, ...policy };
  const lines = Object.entries(whole).flatMap(([key, { changes }]) => {
    const series = all[parameterOf(key)] as Series;
    const announced = changes
      .filter(({ at }) => parseTime(at) > now)
      .map(({ at, value }) => `  ${''.padEnd(WIDTH)} ${value} from ${at}`);
    return [`  ${key.padEnd(WIDTH)} ${formatValue(valueAt(series, now))}`, ...announced];
  });
  context.stdout.write(`global policy, version ${version}:\n${lines.join('\n')}\n`);
}

const WIDTH = Math.max(...policyKeys().map((key) => key.length));

async function set(
  context: CliContext,
  key: string,
  text: string,
  { dir, at, json }: PolicyOptions,
): Promise<void> {
  await loadConfig(dir);
  const { version, policy } = await readPolicyState(dir);
  const name = parameterOf(key);
  const value = parseValue(key, text);
  const from = at === undefined ? timeOf(context.clock) : parseTime(at);
  const series = (policy[name] ?? DEFAULT_GLOBAL_POLICY[name]) as Series;
  const next = {
    version: version + 1,
    policy: { ...policy, [name]: changeFrom(series, from, value) },
  };
  expectUsable(next.policy);
  await writePolicyState(dir, next);
  const written = {
    version: next.version,
    key,
    value: formatValue(value),
    from: formatTime32(from),
  };
  context.stdout.write(
    json === true
      ? `${JSON.stringify(written)}\n`
      : `${key}: ${written.value} from ${written.from}, global policy version ${next.version}\n`,
  );
}

function expectUsable(global: Parameters<typeof expectUsablePolicy>[0]['global']): void {
  try {
    expectUsablePolicy({ global });
  } catch (cause) {
    if (!(cause instanceof ScmsDataError)) throw cause;
    throw new CliError(cause.message, { hint: 'the policy stays as it was', cause });
  }
}
