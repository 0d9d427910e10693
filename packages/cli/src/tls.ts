/** `chrysalis tls`: the X.509 certificate of the RA, its renewal and its revocation by the test X.509 root. */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import {
  formatSerialNumber,
  OCSP_VALIDITY_MS,
  X509_REVOCATION_REASONS,
  type X509Revocation,
  type X509RevocationReason,
} from '@chrysalis/authorities/x509';
import { isIssuedBy } from '@chrysalis/ra/server';
import { type Command, Option } from 'commander';
import { loadConfig } from './config.ts';
import { type CliContext, CliError } from './context.ts';
import { STATE_FILES } from './state-directory.ts';
import { renewTlsCertificate } from './tls-renew.ts';
import { addRevocation, readRevocations } from './tls-revocations.ts';

interface TlsOptions {
  readonly dir: string;
  readonly json?: boolean;
  readonly certificate?: string;
}

const MS_PER_MINUTE = 60_000;

export function addTlsCommands(program: Command, context: CliContext): void {
  const tls = program
    .command('tls')
    .description('see, renew or revoke the X.509 certificate of the RA, in a test PKI');
  tls
    .command('status')
    .description('print what the certificate says, and whether the test X.509 root has revoked it')
    .option('--certificate <file>', 'another one than ra.tls-cert, PEM')
    .action(async (_options: unknown, command: Command) => {
      await status(context, command.optsWithGlobals<TlsOptions>());
    });
  tls
    .command('renew')
    .description('give the RA a new key and certificate for its name, from the test X.509 root')
    .addHelpText(
      'after',
      `
They lie in new files, which ra.tls-cert and ra.tls-key then name. An RA that runs takes them within ten seconds, and at once on
SIGHUP; connections stay open. The certificate before stays, for tls revoke, which the key before does not. Devices notice nothing.

Examples:
  chrysalis tls renew
  chrysalis tls revoke --certificate chrysalis-state/ra/tls-certificate.pem --reason superseded`,
    )
    .action(async (_options: unknown, command: Command) => {
      await renew(context, command.optsWithGlobals<TlsOptions>());
    });
  tls
    .command('revoke')
    .description('revoke the certificate for good: devices with --ocsp do not go on under it')
    .option('--certificate <file>', 'another one than ra.tls-cert, PEM')
    .addOption(
      new Option('--reason <reason>', 'why')
        .choices(X509_REVOCATION_REASONS)
        .default('unspecified'),
    )
    .addHelpText(
      'after',
      `
An RA that runs with [ocsp] in process gets to know it within ${OCSP_VALIDITY_MS / 2 / MS_PER_MINUTE} minutes, or when it is started again. Whoever has the
key can go on stapling what was said before for up to ${OCSP_VALIDITY_MS / MS_PER_MINUTE} minutes.

Example:
  chrysalis tls revoke --certificate old-tls-certificate.pem --reason keyCompromise`,
    )
    .action(async (_options: unknown, command: Command) => {
      await revoke(
        context,
        command.optsWithGlobals<TlsOptions & { reason: X509RevocationReason }>(),
      );
    });
}

async function status(context: CliContext, options: TlsOptions): Promise<void> {
  const { certificate, serialNumber } = await readCertificate(options);
  report(context, options, certificate, (await readRevocations(options.dir)).get(serialNumber));
}

async function renew(context: CliContext, options: TlsOptions): Promise<void> {
  const { certificate, former } = await renewTlsCertificate(context, options.dir, () =>
    readCertificate(options),
  );
  report(context, options, certificate, undefined);
  context.stderr.write(
    `chrysalis: next: nothing; chrysalis serve takes it within ten seconds, and says so in its log\n` +
      `chrysalis: the certificate before, in ${former}, is good until it ends or is revoked: tls revoke --certificate\n`,
  );
}

async function revoke(
  context: CliContext,
  options: TlsOptions & { readonly reason: X509RevocationReason },
): Promise<void> {
  const { certificate, serialNumber } = await readCertificate(options);
  const revocation = await addRevocation(options.dir, serialNumber, {
    revokedAt: new Date(context.clock.now()),
    reason: options.reason,
  });
  report(context, options, certificate, revocation);
}

/** The certificate, which has to be one of the test X.509 root. @throws CliError */
async function readCertificate({ dir, certificate: file }: TlsOptions) {
  const config = await loadConfig(dir);
  const path = file === undefined ? config.ra.tlsCert : resolve(file);
  const certificate = parseCertificate(await readFile(path), path);
  const rootPath = join(dir, STATE_FILES.x509Root);
  const root = parseCertificate(await readFile(rootPath), rootPath);
  if (!isIssuedBy(certificate, root)) {
    throw new CliError(`${path}: expected a certificate of ${rootPath}, saw one of another`, {
      hint: 'only its issuer can renew or revoke it',
    });
  }
  return { certificate, serialNumber: formatSerialNumber(certificate.serialNumber) };
}

function parseCertificate(pem: Uint8Array, path: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw new CliError(`${path}: expected an X.509 certificate, PEM`, { cause });
  }
}

function report(
  { stdout }: CliContext,
  { json }: TlsOptions,
  certificate: X509Certificate,
  revocation: X509Revocation | undefined,
): void {
  const facts = {
    subject: certificate.subject,
    names: certificate.subjectAltName ?? '',
    serialNumber: formatSerialNumber(certificate.serialNumber),
    validFrom: certificate.validFromDate.toISOString(),
    validUntil: certificate.validToDate.toISOString(),
    status: revocation === undefined ? 'good' : 'revoked',
    ...(revocation && {
      revokedAt: revocation.revokedAt.toISOString(),
      reason: revocation.reason,
    }),
  };
  if (json === true) {
    stdout.write(`${JSON.stringify(facts)}\n`);
    return;
  }
  const { revokedAt, reason } = revocation ?? {};
  const state =
    revokedAt === undefined ? 'good' : `revoked at ${revokedAt.toISOString()}, ${reason}`;
  stdout.write(
    `${facts.subject}\n  names   ${facts.names}\n  serial  ${facts.serialNumber}\n` +
      `  valid   ${facts.validFrom} to ${facts.validUntil}\n  status  ${state}\n`,
  );
}
