/** `chrysalis copy`: moves the state of an RA to a PostgreSQL and an S3, or to another directory, while it serves. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { type CliContext, CliError } from './context.ts';
import { takeBack } from './copy-take-back.ts';
import { copyToDirectory } from './copy-to-directory.ts';
import { copyToServers } from './copy-to-servers.ts';

export interface CopyOptions {
  readonly dir: string;
  readonly from?: string;
  readonly to?: string;
  readonly objects?: string;
  readonly passwordFile?: string;
  readonly takeBack?: boolean;
  readonly json?: boolean;
}

/** What a copy has done. */
export interface Copied {
  readonly from: string;
  readonly to: string;
  readonly objects: number;
  readonly tables: readonly { readonly name: string; readonly rows: number }[];
  /** From the moment on in which the old state changes no more to that in which the new one may be served from. */
  readonly heldMs: number;
  /** What is to be known and done, a line each. */
  readonly notes: readonly string[];
}

export function addCopyCommand(program: Command, context: CliContext): void {
  program
    .command('copy')
    .description('move the state of an RA to a PostgreSQL and an S3, or to another directory')
    .option('--from <dir>', 'the state directory; --dir when missing')
    .option('--to <url|dir>', 'postgres://USER@HOST/DATABASE, or a directory that is empty')
    .option('--objects <url>', 's3://BUCKET/PREFIX, with a URL in --to; objects stay otherwise')
    .option('--password-file <file>', 'of the PostgreSQL, as chrysalis.toml is to name it')
    .option('--take-back', 'end a copy that is not complete, and serve from the old state again')
    .addHelpText(
      'after',
      `
The RA serves meanwhile. Objects and rows are copied and compared, and what changes is copied again; then nothing is
written to the old state any more, by whatever program, the rest is copied, and the new state takes its place. Devices
are refused for these seconds, and come again.

With a URL in --to, rows and objects move and everything else stays: keys, certificates, audit log, test authorities.
At the end chrysalis.toml names the new places, and an RA that serves from the directory goes on from there by itself.
With a directory, all of it moves: the RA of the old one ends, and serve is started on the new one.

From the last step on, the old state is never served from again, for two RAs on two copies would issue twice. Interrupted at
any point, the same command goes on. Until the copy is complete, --take-back has the old state served from again.

Examples:
  chrysalis copy --from /srv/ra --to postgres://ra@db.example/ra --objects "s3://ra-objects/production?region=eu-central-1"
  chrysalis copy --from /srv/ra --to /mnt/large/ra
  chrysalis copy --from /srv/ra --take-back`,
    )
    .action(async (_options: unknown, command: Command) => {
      await copy(context, command.optsWithGlobals<CopyOptions>());
    });
}

async function copy(context: CliContext, options: CopyOptions): Promise<void> {
  const from = resolve(options.from ?? options.dir);
  if (options.takeBack === true) {
    if (options.to !== undefined) throw new CliError('expected --to or --take-back, saw both');
    const lines = await takeBack(from);
    context.stdout.write(
      options.json === true
        ? `${JSON.stringify({ from, takenBack: true })}\n`
        : `${lines.join('\n')}\n`,
    );
    return;
  }
  const { to } = options;
  if (to === undefined) throw new CliError('expected --to with a URL or a directory, saw none');
  const copied = to.includes('://')
    ? await copyToServers(from, { ...options, to }, context)
    : await copyToDirectory(from, resolve(to), options, context);
  report(context, options, copied);
}

function report({ stdout }: CliContext, { json }: CopyOptions, copied: Copied): void {
  if (json === true) {
    stdout.write(`${JSON.stringify(copied)}\n`);
    return;
  }
  const { from, to, objects, tables, heldMs, notes } = copied;
  const rows = tables.reduce((sum, table) => sum + table.rows, 0);
  const lines = [
    `${from} moved to ${to}`,
    `${objects} objects, ${rows} rows in ${tables.length} tables, the same on both sides`,
    `nothing was written for ${(heldMs / 1000).toFixed(1)} s`,
    ...notes,
  ];
  stdout.write(`${lines.join('\n')}\n`);
}
