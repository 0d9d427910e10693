/** `chrysalis ee report` and `chrysalis ee ra-cert`: the two services of an RA that are not about certificates. */
import { readFile } from 'node:fs/promises';
import type {
  EeError,
  EndEntity,
  Place,
  ReportOutcome,
  ReportWish,
  SentReports,
} from '@chrysalis/ee';
import { endOfValidity, formatTime32 } from '@chrysalis/ieee1609dot2';
import { formatHex } from '@chrysalis/scms';
import { type Command, InvalidArgumentError } from 'commander';
import { type CliContext, CliError } from './context.ts';
import {
  action,
  type CommonOptions,
  note,
  print,
  withCommonOptions,
  withDevice,
  withDeviceUnlessLocked,
} from './ee-device.ts';

interface ReportOptions extends CommonOptions {
  readonly file?: string;
  readonly text?: string;
  readonly latitude?: number;
  readonly longitude?: number;
  readonly elevation?: number;
}

export function addReportCommands(ee: Command, context: CliContext): void {
  withCommonOptions(ee.command('report'))
    .description('report misbehavior to the MA; what cannot be sent now is sent by the next topup')
    .option('--file <file>', 'what is reported: the octets of misbehavingDeviceInfo')
    .option('--text <text>', 'the same, as UTF-8')
    .option('--latitude <degrees>', 'where the device is, north positive', degrees(90))
    .option('--longitude <degrees>', 'the same, east positive', degrees(180))
    .option('--elevation <metres>', 'the same, above the WGS 84 ellipsoid', metres)
    .addHelpText(
      'after',
      `
Signed with one of the pseudonym certificates of now (of a roadside unit: its application certificate), and sealed to
the MA: the RA does not see what is said, nor who says it. While another command has the profile, the report is left in it for the
next topup. Exit status: 0 the report is sent, or lies in the profile.`,
    )
    .action(action(context, report));
  withCommonOptions(ee.command('ra-cert'))
    .description(
      'ask the RA for its certificate, and take it when it succeeds the one that is held',
    )
    .action(action(context, raCertificate));
}

async function report(context: CliContext, options: ReportOptions): Promise<void> {
  const misbehavingDeviceInfo = await infoOf(options);
  const place = placeOf(options);
  const wish = { misbehavingDeviceInfo, ...(place && { place }) };
  await withDeviceUnlessLocked(context, options, async (ee, locked) => {
    const outcome = locked ? await keep(ee, wish, locked) : await ee.report(wish);
    const { isSent, waiting, reason } = outcome;
    if (!isSent && reason !== undefined) note(context, reason.message);
    print(context, options, {
      text: isSent
        ? 'report: sent'
        : `report: in the profile, ${waiting} waiting for the next topup`,
      json: { report: isSent ? 'sent' : 'waiting', ...reportsJson(outcome) },
    });
  });
}

/** For whoever has the profile to send, in this contact or the next. */
async function keep(ee: EndEntity, wish: ReportWish, reason: EeError): Promise<ReportOutcome> {
  const { waiting } = await ee.keepReport(wish);
  return { isSent: false, sent: 0, waiting, dropped: 0, reason };
}

async function raCertificate(context: CliContext, options: CommonOptions): Promise<void> {
  await withDevice(context, options, async (ee) => {
    const isNew = await ee.fetchRaCertificate();
    const { id, certificate } = ee.enrollment.ra;
    const until = formatTime32(endOfValidity(certificate.toBeSigned.validityPeriod));
    print(context, options, {
      text: `RA certificate: ${formatHex(id)}, until ${until}, ${isNew ? 'new' : 'as before'}`,
      json: { raCertificate: formatHex(id), until, isNew },
    });
  });
}

/** Nothing when nothing waited. */
export function reportLines({ sent, waiting, dropped }: SentReports): string[] {
  if (sent + waiting + dropped === 0) return [];
  return [
    `reports: ${sent} sent, ${waiting} waiting${dropped === 0 ? '' : `, ${dropped} given up`}`,
  ];
}

export function reportsJson({ sent, waiting, dropped, reason }: SentReports) {
  return { sent, waiting, dropped, ...(reason && { reason: reason.message }) };
}

async function infoOf({ file, text }: ReportOptions): Promise<Uint8Array> {
  if (file !== undefined && text === undefined) return readInfo(file);
  if (text !== undefined && file === undefined) return new TextEncoder().encode(text);
  throw new CliError('expected either --file FILE or --text TEXT', {
    hint: 'ee-ma.asn is a draft and does not say what a report holds: it is up to the MA',
  });
}

async function readInfo(file: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await readFile(file));
  } catch (cause) {
    throw new CliError(`expected what is to be reported in ${file}, could not read it`, { cause });
  }
}

function placeOf({ latitude, longitude, elevation }: ReportOptions): Place | undefined {
  if (latitude !== undefined && longitude !== undefined) {
    return { latitude, longitude, ...(elevation !== undefined && { elevation }) };
  }
  if (latitude === undefined && longitude === undefined && elevation === undefined)
    return undefined;
  throw new CliError('expected --latitude and --longitude together', {
    hint: 'without either the place of the report is unknown',
  });
}

function degrees(limit: number): (text: string) => number {
  return (text) => decimal(text, -limit, limit);
}

function metres(text: string): number {
  return decimal(text, -409.5, 6143.9);
}

function decimal(text: string, min: number, max: number): number {
  const value = Number(text);
  if (/^-?\d{1,4}(?:\.\d{1,9})?$/.test(text) && value >= min && value <= max) return value;
  throw new InvalidArgumentError(`expected a number from ${min} to ${max}`);
}
