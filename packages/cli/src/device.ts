/** `chrysalis device`: what the RA knows of one device, and what comes next for it. */
import { deviceReport } from '@chrysalis/ra';
import { timeOf } from '@chrysalis/scms';
import type { Command } from 'commander';
import { type CliContext, CliError } from './context.ts';
import { deviceJson, deviceText } from './device-text.ts';
import { parseHash } from './hash-argument.ts';
import { openOperatorParts } from './operator-parts.ts';

interface DeviceOptions {
  readonly dir: string;
  readonly json?: boolean;
}

export function addDeviceCommands(program: Command, context: CliContext): void {
  program
    .command('device')
    .description('see what the RA knows of a device')
    .command('show')
    .description('print what a device was given, what is on its way, and what comes next')
    .argument('<hash>', 'request hash, or HashedId8 or SHA-256 of the enrollment certificate; hex')
    .addHelpText(
      'after',
      `
A request hash is the name of the device's files; \`ee status\` shows it, and the HashedId8 of the enrollment
certificate. All registrations under that certificate are shown, without keys. Changes nothing, whether an RA serves
or not. docs/reference/status.md explains each line and each key of --json.

Examples:
  chrysalis device show f1a8bd780e11d1d0
  chrysalis --json device show F1A8BD780E11D1D0 | jq -r '.[].registrations[].nextStep'`,
    )
    .action(async (hash: string, _options: unknown, command: Command) => {
      await show(context, hash, command.optsWithGlobals<DeviceOptions>());
    });
}

async function show(
  context: CliContext,
  text: string,
  { dir, json }: DeviceOptions,
): Promise<void> {
  const hash = parseHash(text, [8, 32]);
  await using resources = new AsyncDisposableStack();
  const parts = await openOperatorParts(dir, context, resources);
  const reports = await deviceReport(parts, hash, timeOf(context.clock));
  if (reports.length === 0) {
    throw new CliError(`expected a device that this RA knows, saw none with ${text}`, {
      hint: 'a device of an application certificate that is over is forgotten',
    });
  }
  context.stdout.write(
    json === true
      ? `${JSON.stringify(reports.map(deviceJson), undefined, 2)}\n`
      : `${reports.map(deviceText).join('\n\n')}\n`,
  );
}
