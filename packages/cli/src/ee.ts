/** `chrysalis ee`: act as a device, through the End Entity SDK. */
import { DirectoryStorage, EndEntity, Profile } from '@chrysalis/ee';
import type { Command } from 'commander';
import type { CliContext } from './context.ts';
import { addBootstrapCommands } from './ee-bootstrap.ts';
import { addContactCommands } from './ee-contact.ts';
import { action, type CommonOptions, print, withCommonOptions } from './ee-device.ts';
import { addReportCommands } from './ee-report.ts';
import { profileStatus, statusText } from './ee-status.ts';

/** Adds `ee` and its commands. They throw CliError, and print results to the context's stdout. */
export function addEeCommands(program: Command, context: CliContext): void {
  const ee = program.command('ee').description('act as a device (end entity)');
  addBootstrapCommands(ee, context);
  addContactCommands(ee, context);
  addReportCommands(ee, context);
  withCommonOptions(ee.command('status'))
    .description('show what the profile holds; asks nobody')
    .action(action(context, status));
  withCommonOptions(ee.command('header'))
    .argument('<file>', 'as HASH_I.zip, HASH.zip or HASH.info')
    .option('--value', 'print the value alone, without the name of the header')
    .description('print a fresh Download-Req header: curl -H "$(chrysalis ee header FILE)"')
    .action(action(context, header));
}

async function status(context: CliContext, options: CommonOptions): Promise<void> {
  const profile = new Profile(await DirectoryStorage.open(options.profile));
  const found = await profileStatus(profile, context.clock);
  print(context, options, { text: statusText(found), json: found });
}

async function header(
  context: CliContext,
  options: CommonOptions & { readonly value?: boolean },
  file: string,
): Promise<void> {
  // No lock: it changes nothing, and is of most use beside a device that is running.
  const profile = new Profile(await DirectoryStorage.open(options.profile));
  await using ee = await EndEntity.open(profile, context);
  const value = ee.downloadHeader(file);
  print(context, options, {
    text: options.value === true ? value : `Download-Req: ${value}`,
    json: { 'Download-Req': value },
  });
}
