/** `chrysalis status`: an RA at one look, while it serves or not. */
import { raStatus } from '@chrysalis/ra';
import { timeOf } from '@chrysalis/scms';
import type { Command } from 'commander';
import type { CliContext } from './context.ts';
import { openOperatorParts } from './operator-parts.ts';
import { statusJson, statusText } from './status-text.ts';

interface StatusOptions {
  readonly dir: string;
  readonly json?: boolean;
}

export function addStatusCommand(program: Command, context: CliContext): void {
  program
    .command('status')
    .description('print how an RA does: devices, supply, queues, what went wrong, what runs out')
    .addHelpText(
      'after',
      `
Reads the database and the certificates of the state directory, changes nothing, and disturbs no RA that serves.
It does not tell whether one does: the last activity is the hour in which something was registered or filed last.
Exit status 0 whatever the warnings say. docs/reference/status.md explains each line and each key of --json.

Examples:
  chrysalis status
  chrysalis --json status | jq -r '.warnings[].code'`,
    )
    .action(async (_options: unknown, command: Command) => {
      await status(context, command.optsWithGlobals<StatusOptions>());
    });
}

async function status(context: CliContext, { dir, json }: StatusOptions): Promise<void> {
  await using resources = new AsyncDisposableStack();
  const parts = await openOperatorParts(dir, context, resources);
  const seen = await raStatus(parts.database, parts, timeOf(context.clock));
  const { hostname } = parts.identity;
  context.stdout.write(
    json === true
      ? `${JSON.stringify(statusJson(seen, hostname), undefined, 2)}\n`
      : `${statusText(seen, hostname)}\n`,
  );
}
