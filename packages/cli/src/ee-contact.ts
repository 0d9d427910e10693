/** The commands of `chrysalis ee` that talk to the RA. */
import {
  type CertificateKind,
  DEFAULT_MAX_FAILURES,
  type EndEntity,
  type Info,
  type OpenedBatch,
  type Supply,
  stay,
  systemSleep,
  type TopUpResult,
} from '@chrysalis/ee';
import { formatTime32, hashCertificate, time32FromUnix } from '@chrysalis/ieee1609dot2';
import { formatHex } from '@chrysalis/scms';
import type { Command } from 'commander';
import { type CliContext, CliError } from './context.ts';
import {
  action,
  type CommonOptions,
  certificatesOption,
  hexIndex,
  note,
  positiveInteger,
  print,
  timeArgument,
  withCommonOptions,
  withDevice,
} from './ee-device.ts';
import { reportLines, reportsJson } from './ee-report.ts';

interface KindOptions extends CommonOptions {
  readonly certificates?: CertificateKind;
}

interface RequestOptions extends KindOptions {
  readonly certEncryption?: boolean;
  readonly start?: number;
}

interface DownloadOptions extends KindOptions {
  readonly weeks?: number;
  readonly i?: number;
}

interface TopUpCommandOptions extends KindOptions {
  readonly weeks?: number;
  readonly wait?: boolean;
}

interface RunOptions extends TopUpCommandOptions {
  readonly once?: boolean;
  readonly giveUp: number;
}

export function addContactCommands(ee: Command, context: CliContext): void {
  withCommonOptions(ee.command('request'))
    .description('ask the RA for certificates; what was asked for before is not asked for again')
    .addOption(certificatesOption())
    .option('--cert-encryption', 'ask for an encryption key in the certificates')
    .option('--start <time>', 'when an application certificate is to begin', timeArgument)
    .action(action(context, request));
  withCommonOptions(ee.command('download'))
    .description('fetch and open the files that are missing')
    .addOption(certificatesOption())
    .option('--weeks <number>', 'at most so many periods', positiveInteger)
    .option('--i <hex>', 'this period, or this identification file, alone', hexIndex)
    .action(action(context, download));
  withCommonOptions(ee.command('info'))
    .description('ask when the next file is expected')
    .addOption(certificatesOption())
    .action(action(context, info));
  withCommonOptions(ee.command('topup'))
    .description('one whole contact: policy and chain files, requests if needed, new files, .info')
    .addOption(certificatesOption())
    .option('--weeks <number>', 'at most so many periods', positiveInteger)
    .option('--wait', 'wait for what the RA has promised for later')
    .addHelpText('after', TOP_UP_HELP)
    .action(action(context, topUp));
  withCommonOptions(ee.command('run'))
    .description('stay, and top up whenever the RA has said that there will be something')
    .addOption(certificatesOption())
    .option('--weeks <number>', 'at most so many periods', positiveInteger)
    .option('--once', 'end after the first contact, as topup --wait')
    .option(
      '--give-up <number>',
      'end after so many failed contacts in a row',
      positiveInteger,
      DEFAULT_MAX_FAILURES,
    )
    .action(action(context, run));
}

const TOP_UP_HELP = `
Safe to run from cron: one process at a time works on a profile, nothing is fetched twice, and whatever breaks off
is taken up by the next run. Exit status: 0 everything that the RA has is there, 1 the contact failed, or another
process is at it.`;

async function request(context: CliContext, options: RequestOptions): Promise<void> {
  await withDevice(context, options, async (ee) => {
    const { certificates: kind = firstKind(ee), start, certEncryption = false } = options;
    const wishes = { certEncryption, ...(start !== undefined && { start }) };
    const { requestHash, certDLTime, certDLURL } = await ee.request(kind, wishes);
    print(context, options, {
      text:
        `request hash: ${formatHex(requestHash)}\nready: ${formatTime32(certDLTime)}\n` +
        `at: ${certDLURL}`,
      json: {
        certificates: kind,
        requestHash: formatHex(requestHash),
        certDLTime,
        ready: formatTime32(certDLTime),
        certDLURL,
      },
    });
  });
}

async function download(context: CliContext, options: DownloadOptions): Promise<void> {
  await withDevice(context, options, async (ee) => {
    const { certificates: kind = firstKind(ee), weeks, i } = options;
    const { batches } = await ee.download(kind, {
      ...(weeks !== undefined && { count: weeks }),
      ...(i !== undefined && { i }),
    });
    const { batches: count, certificates } = countsOf(batches);
    print(context, options, {
      text: `batches: ${count}\ncertificates: ${certificates}`,
      json: { certificates: kind, batches: batches.map(batchJson) },
    });
    failIfAnyFailed(batches);
  });
}

async function info(context: CliContext, options: KindOptions): Promise<void> {
  await withDevice(context, options, async (ee) => {
    const { certificates: kind = firstKind(ee) } = options;
    if (kind === 'application') {
      throw new CliError('expected pseudonym or identification, saw application', {
        hint: 'there is no .info for application certificates; `ee status` says when one is due',
      });
    }
    const next = await ee.info(kind);
    print(context, options, {
      text: nextText(next),
      json: { certificates: kind, next: nextJson(next) },
    });
  });
}

async function topUp(context: CliContext, options: TopUpCommandOptions): Promise<void> {
  await withDevice(context, options, (ee) => topUpAndPrint(context, options, ee));
}

async function run(context: CliContext, options: RunOptions): Promise<void> {
  const { once = false, giveUp } = options;
  // The lock is held during a contact only: between two, other commands may work on the profile.
  const contact = () =>
    withDevice(context, options, async (ee) => {
      const { due } = await topUpAndPrint(context, { ...options, wait: true }, ee);
      return due;
    });
  if (once) return void (await contact());
  // What is wrong with the profile, or who has it, is said at once; later on that may pass.
  await withDevice(context, options, async () => {});
  await stay({
    contact,
    clock: context.clock,
    random: context.random,
    sleep: systemSleep,
    signal: context.signal,
    maxFailures: giveUp,
    onPause(untilMs, reason) {
      if (reason !== undefined) note(context, reason.message);
      note(context, `next contact at ${formatTime32(time32FromUnix(untilMs))}`);
    },
  });
  note(context, 'the RA makes no more certificates for this device');
}

async function topUpAndPrint(
  context: CliContext,
  options: TopUpCommandOptions,
  ee: EndEntity,
): Promise<TopUpResult> {
  const { certificates: kind, weeks, wait = false } = options;
  const result = await ee.topUp({
    ...(kind && { kinds: [kind] }),
    ...(weeks !== undefined && { weeks }),
    wait,
  });
  const { files, reports, supplies } = result;
  const fileLines = Object.entries(files).map(([which, outcome]) => `${which}: ${outcome}`);
  print(context, options, {
    text: [...fileLines, ...reportLines(reports), ...supplies.map(supplyText)].join('\n'),
    json: {
      files,
      reports: reportsJson(reports),
      supplies: supplies.map(supplyJson),
      due: timeJson(result.due),
    },
  });
  failIfAnyFailed(supplies.flatMap(({ batches }) => batches));
  return result;
}

function firstKind({ kinds: [kind] }: EndEntity): CertificateKind {
  return kind ?? 'pseudonym';
}

function supplyText({ kind, batches, ready, due }: Supply): string {
  if (ready !== undefined) return `${kind}: not ready before ${formatTime32(ready)}`;
  const counts = countsOf(batches);
  const next = due === undefined ? 'no more, the RA has stopped' : `next ${formatTime32(due)}`;
  return `${kind}: ${counts.batches} new batches, ${counts.certificates} certificates, ${next}`;
}

function supplyJson({ kind, batches, ready, due }: Supply) {
  return {
    certificates: kind,
    batches: batches.map(batchJson),
    ...(ready !== undefined && { ready: formatTime32(ready) }),
    due: timeJson(due),
  };
}

function timeJson(time: number | undefined) {
  return time === undefined ? null : { time, at: formatTime32(time) };
}

function batchJson({ i, certificates, failures }: OpenedBatch) {
  return {
    i: i.toString(16).toUpperCase(),
    certificates: certificates.map(({ j, certificate }) => ({
      j,
      id: formatHex(hashCertificate(certificate).id),
    })),
    failures: failures.map(({ entry, error }) => ({ entry, reason: error.message })),
  };
}

function countsOf(batches: readonly OpenedBatch[]) {
  const certificates = batches.reduce((sum, batch) => sum + batch.certificates.length, 0);
  return { batches: batches.length, certificates };
}

function failIfAnyFailed(batches: readonly OpenedBatch[]): void {
  const failures = batches.flatMap((batch) => batch.failures);
  const [first] = failures;
  if (first === undefined) return;
  throw new CliError(
    `${failures.length} certificates did not open; ${first.entry}: ${first.error.message}`,
    { hint: 'the others are in the profile; the next download asks for these again' },
  );
}

function nextText(next: Info): string {
  return next.type === 'stopped'
    ? 'next batch: none, the RA has stopped'
    : `next batch: ${formatTime32(next.time)}`;
}

function nextJson(next: Info) {
  return next.type === 'stopped' ? null : timeJson(next.time);
}
