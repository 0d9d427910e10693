/** `chrysalis authority`: PCA and LAs of a test SCMS in processes of their own. */
import { isIP } from 'node:net';
import { Argument, type Command, InvalidArgumentError, Option } from 'commander';
import { SERVABLE_AUTHORITIES, type ServableAuthority } from './authority-config.ts';
import { type AuthorityExportOptions, exportAuthority } from './authority-export.ts';
import { addAuthorityRenewCommand } from './authority-renew.ts';
import { type AuthorityServeOptions, serveAuthority } from './authority-serve.ts';
import type { CliContext } from './context.ts';
import { LOG_LEVELS } from './log.ts';

export function addAuthorityCommands(program: Command, context: CliContext): void {
  const authority = program
    .command('authority')
    .description('run PCA and LAs of a test SCMS in processes of their own, behind mutual TLS');
  const name = () => new Argument('<name>', 'the authority').choices(SERVABLE_AUTHORITIES);
  authority
    .command('export')
    .description('take an authority out of a test SCMS, into a state directory of its own')
    .addArgument(name())
    .requiredOption('--to <dir>', 'a new or empty directory for it')
    .option('--listen <address>', 'the address it will listen on', address, '127.0.0.1')
    .option('--port <number>', 'its port; 8901 for pca, 8902 for la1, 8903 for la2', port(1))
    .option('--url <url>', 'where the RA finds it, when not at that address and port', origin)
    .addHelpText(
      'after',
      `
Its keys, and what the PCA has issued, move; the RA's configuration says "remote" from then on. Stop the RA before,
start it again afterwards. An export that was cut off goes on when it is run again.

Examples:
  chrysalis authority export pca --to pca-state
  chrysalis authority export la1 --to /mnt/la1 --listen 0.0.0.0 --url https://la1.example.com:8902`,
    )
    .action(async (which: ServableAuthority, _options: unknown, command: Command) => {
      await exportAuthority(context, which, command.optsWithGlobals<AuthorityExportOptions>());
    });
  authority
    .command('serve')
    .description('run the authority of a state directory that export made, until Ctrl-C')
    .addArgument(name())
    .option('--listen <address>', 'the address to listen on, when not as configured', address)
    .option('--port <number>', 'its port, when not as configured; 0 takes a free one', port(0))
    .addOption(
      new Option('--log-level <level>', 'what is logged on standard error')
        .choices(LOG_LEVELS)
        .default('info'),
    )
    .addHelpText(
      'after',
      `
Prints its URL when it answers. Only a client with a certificate of the configured root and name gets in.

Example:
  chrysalis --dir pca-state authority serve pca`,
    )
    .action(async (which: ServableAuthority, _options: unknown, command: Command) => {
      await serveAuthority(context, which, command.optsWithGlobals<AuthorityServeOptions>());
    });
  addAuthorityRenewCommand(authority, context);
}

function address(text: string): string {
  if (isIP(text) !== 0 && !text.includes('%')) return text;
  throw new InvalidArgumentError('expected an IP address');
}

function port(min: number): (text: string) => number {
  return (text) => {
    if (/^\d{1,5}$/.test(text) && Number(text) >= min && Number(text) <= 65_535)
      return Number(text);
    throw new InvalidArgumentError(`expected an integer from ${min} to 65535`);
  };
}

/** The same rule as in chrysalis.toml. */
function origin(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'https:' && url.href === `${url.origin}/`) return url.origin;
  throw new InvalidArgumentError('expected https://HOST:PORT');
}
