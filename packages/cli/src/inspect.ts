import type { Command } from 'commander';
import { type CliContext, CliError } from './context.ts';

/** Placeholder: replaced by the command itself. */
export function addInspectCommand(program: Command, _context: CliContext): void {
  program.command('inspect').action(() => {
    throw new CliError('inspect is not here yet');
  });
}
