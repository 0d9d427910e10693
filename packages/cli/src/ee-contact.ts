/** The commands of `chrysalis ee` that talk to the RA. */
import {
  type CertificateKind,
  DEFAULT_MAX_FAILURES,
  type EndEntity,
  type Info,
  type OpenedBatch,
  StayingContact,
  type Supply,
  stay,
  systemSleep,
  type TopUpOptions,
  type TopUpResult,
} from '@chrysalis/ee';
import { formatTime32, hashCertificate, time32FromUnix } from '@chrysalis/ieee1609dot2';
import { formatHex, timeOf } from '@chrysalis/scms';
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

/** A contact of `ee run` waits so long for what is promised, with the profile locked; for anything later it comes again. */
const RUN_WAIT_SEC = 10;

interface KindOptions extends CommonOptions {
  readonly certificates?: CertificateKind;
}

interface StepOptions extends KindOptions {
  /** False with --no-files. */
  readonly files: boolean;
}

interface RequestOptions extends StepOptions {
  readonly anew?: boolean;
  readonly certEncryption?: boolean;
  readonly start?: number;
}

interface DownloadOptions extends StepOptions {
  readonly weeks?: number;
  readonly i?: number;
}

interface TopUpCommandOptions extends KindOptions {
  readonly weeks?: number;
  readonly wait?: boolean;
}

interface RunOptions extends Omit<TopUpCommandOptions, 'wait'> {
  readonly once?: boolean;
  readonly giveUp: number;
}

export function addContactCommands(ee: Command, context: CliContext): void {
  stepCommand(ee, 'request')
    .description('ask the RA for certificates; what was asked for before is not asked for again')
    .option('--anew', 'with new keys, though it was: for an RA that has lost its data')
    .option('--cert-encryption', 'ask for an encryption key in the certificates')
    .option('--start <time>', 'when an application certificate is to begin', timeArgument)
    .action(action(context, request));
  stepCommand(ee, 'download')
    .description('fetch and open the files that are missing')
    .option('--weeks <number>', 'at most so many periods', positiveInteger)
    .option('--i <hex>', 'this period, or this identification file, alone', hexIndex)
    .action(action(context, download));
  stepCommand(ee, 'info')
    .description('ask when the next file is expected')
    .action(action(context, info));
  withCommonOptions(ee.command('topup'))
    .description('one whole contact: policy and chain files, requests if needed, new files, .info')
    .addOption(certificatesOption())
    .option('--weeks <number>', 'at most so many periods', positiveInteger)
    .option('--wait', 'wait for what the RA has promised for later, with the profile locked')
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
    .addHelpText('after', RUN_HELP)
    .action(action(context, run));
}

/** A step of a contact, on its own. */
function stepCommand(ee: Command, name: string): Command {
  return withCommonOptions(ee.command(name))
    .addOption(certificatesOption())
    .option('--no-files', 'leave out the policy and chain files, which a contact begins with');
}

const TOP_UP_HELP = `
Safe to run from cron: one process at a time works on a profile, nothing is fetched twice, and whatever breaks off
is taken up by the next run. All kinds are asked for before any is waited for, and one that is refused holds up no other.
Exit status: 0 everything that the RA has is there, 1 something in the contact failed, or another process is at it.`;

const RUN_HELP = `
A device that the RA tells it makes no more, \`.info\` 0, stays: it asks again about once in an i-period, earlier or later
by a quarter at random, for a PCA may be renewed late. It ends when its enrollment certificate is over, exit status 0.
Exit status 1: too many contacts in a row failed, or the RA refuses every kind for ever.`;

/** Work of a step, after the files that a contact begins with. */
async function step(
  context: CliContext,
  options: StepOptions,
  work: (ee: EndEntity) => Promise<void>,
): Promise<void> {
  await withDevice(context, options, (ee) =>
    options.files ? ee.afterFiles(() => work(ee)) : work(ee),
  );
}

async function request(context: CliContext, options: RequestOptions): Promise<void> {
  await step(context, options, async (ee) => {
    const { certificates: kind = firstKind(ee), start, certEncryption = false, anew } = options;
    const wishes = {
      certEncryption,
      ...(start !== undefined && { start }),
      ...(anew !== undefined && { anew }),
    };
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
  await step(context, options, async (ee) => {
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

async function info(context: CliContext, options: StepOptions): Promise<void> {
  await step(context, options, async (ee) => {
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
  const waitSec = options.wait === true ? Infinity : 0;
  await withDevice(context, options, (ee) => topUpAndPrint(context, options, waitSec, ee));
}

async function run(context: CliContext, options: RunOptions): Promise<void> {
  const { once = false, giveUp } = options;
  const waitSec = once ? Infinity : RUN_WAIT_SEC;
  // The lock is held during a contact only: between two, other commands may work on the profile.
  if (once) {
    await withDevice(context, options, (ee) => topUpAndPrint(context, options, waitSec, ee));
    return;
  }
  const staying = new StayingContact({
    now: () => timeOf(context.clock),
    random: context.random,
    onStopped: (kinds, again) =>
      note(
        context,
        `${kinds.join(', ')}: the RA makes no more for now; asked again at ${formatTime32(again)}`,
      ),
  });
  const contact = async () => {
    // A profile whose enrollment certificate is over does not open.
    if (staying.isOver) return undefined;
    return withDevice(context, options, async (ee) => {
      const came: OpenedBatch[] = [];
      const due = await staying.make(ee, topUpOptions(context, options, waitSec, came));
      const failure = openingFailure(came);
      if (failure !== undefined) note(context, failure);
      return due;
    });
  };
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
  note(context, 'the enrollment certificate is over: no more certificates for this device');
}

async function topUpAndPrint(
  context: CliContext,
  options: TopUpCommandOptions,
  waitSec: number,
  ee: EndEntity,
): Promise<TopUpResult> {
  const result = await ee.topUp(topUpOptions(context, options, waitSec));
  failIfAnyFailed(result.supplies.flatMap(({ batches }) => batches));
  return result;
}

function topUpOptions(
  context: CliContext,
  options: TopUpCommandOptions,
  waitSec: number,
  came: OpenedBatch[] = [],
): TopUpOptions {
  const { certificates: kind, weeks } = options;
  return {
    ...(kind && { kinds: [kind] }),
    ...(weeks !== undefined && { weeks }),
    waitSec,
    // What came is shown also when something else did not.
    onResult(result) {
      came.push(...result.supplies.flatMap(({ batches }) => batches));
      printTopUp(context, options, result);
    },
  };
}

function printTopUp(context: CliContext, options: CommonOptions, result: TopUpResult): void {
  const { files, reports, supplies, due } = result;
  const fileLines = Object.entries(files).map(([which, outcome]) => `${which}: ${outcome}`);
  print(context, options, {
    text: [...fileLines, ...reportLines(reports), ...supplies.map(supplyText)].join('\n'),
    json: {
      files,
      reports: reportsJson(reports),
      supplies: supplies.map(supplyJson),
      due: timeJson(due),
    },
  });
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
  const failure = openingFailure(batches);
  if (failure === undefined) return;
  throw new CliError(failure, {
    hint: 'the others are in the profile; the next download asks for these again',
  });
}

/** What to say of certificates that came and did not open; undefined when all did. */
function openingFailure(batches: readonly OpenedBatch[]): string | undefined {
  const failures = batches.flatMap((batch) => batch.failures);
  const [first] = failures;
  if (first === undefined) return undefined;
  return `${failures.length} certificates did not open; ${first.entry}: ${first.error.message}`;
}

function nextText(next: Info): string {
  return next.type === 'stopped'
    ? 'next batch: none, the RA has stopped'
    : `next batch: ${formatTime32(next.time)}`;
}

function nextJson(next: Info) {
  return next.type === 'stopped' ? null : timeJson(next.time);
}
