/** `chrysalis migrate`: brings the database of an RA up to date, before this version is started. */
import { RA_MIGRATIONS } from '@chrysalis/ra';
import type { Command } from 'commander';
import { loadConfig } from './config.ts';
import type { CliContext } from './context.ts';
import { openRaStore } from './stores.ts';

interface MigrateOptions {
  readonly dir: string;
  readonly json?: boolean;
}

export function addMigrateCommand(program: Command, context: CliContext): void {
  program
    .command('migrate')
    .description('bring the database of the RA up to what this version knows')
    .addHelpText(
      'after',
      `
A PostgreSQL is changed by nothing else: serve refuses to start on an older one. Each step is one transaction, during which
nobody writes, and programs of the version before go on after it, so that nodes are exchanged one after the other. A database
in a file is brought up to date by serve too.

Examples:
  chrysalis migrate
  chrysalis --dir /srv/ra --json migrate`,
    )
    .action(async (_options: unknown, command: Command) => {
      await migrate(context, command.optsWithGlobals<MigrateOptions>());
    });
}

async function migrate(context: CliContext, { dir, json }: MigrateOptions): Promise<void> {
  const database = await openRaStore(await loadConfig(dir), { migrates: true });
  await database.close();
  const last = RA_MIGRATIONS.at(-1)?.name ?? '';
  context.stdout.write(json === true ? `${JSON.stringify({ last })}\n` : `up to date: ${last}\n`);
}
