/** `chrysalis ma`: the test MA of a state directory, as it asks an RA (ma-ra.asn). */
import { encode } from '@chrysalis/coer';
import type { GroupAndLci, IdentifiedReply, MaRaRequest, ScmsError } from '@chrysalis/scms';
import { CRL_SERIES, formatHex, formatScmsError, LinkageChainId, repliesOf } from '@chrysalis/scms';
import { type Command, InvalidArgumentError } from 'commander';
import { loadConfig } from './config.ts';
import { type CliContext, CliError } from './context.ts';
import { readCertificate } from './crl.ts';
import { requestHashOf } from './crl-revoke.ts';
import { parseHash } from './hash-argument.ts';
import { askRa, type MaOptions } from './ma-client.ts';
import { openRaCustody } from './open-custody.ts';

interface Options extends MaOptions {
  readonly json?: boolean;
  readonly certificate: readonly string[];
}

const HPCR_OCTETS = 32;
const RIF_OCTETS = 8;
const HPCRS = 'hashes of requests to the PCA, 64 hex digits each';
const RIFS = 'HashedId8 of enrollment certificates, 16 hex digits each';

export function addMaCommands(program: Command, context: CliContext): void {
  const ma = program
    .command('ma')
    .description('ask an RA, as the MA of a test SCMS, on its port for the MA')
    .addHelpText(
      'after',
      `
Each command is one request of ma-ra.asn, signed by authorities/ma and encrypted to the RA, over mutual TLS. It prints
what the RA said of each; exit status 0 says that it answered. A test SCMS knows the HPCR of a certificate from the log of
its PCA, so --certificate takes the certificate itself.`,
    );
  const add = (name: string, description: string, argument: string, examples: string) =>
    ma
      .command(name)
      .description(description)
      .argument('[id...]', argument)
      .option('--certificate <file>', 'instead of an id; may be repeated', collect, [])
      .option('--url <url>', 'where the RA answers, when not as in [ma-port]', origin)
      .option('--ra-certificate <file>', "the RA's, when not as configured")
      .option('--auditor <dir>', 'countersign with its signing.key; may be repeated', collect, [])
      .option('--generation-time', 'say when it was signed: CAMP leaves that out')
      .addHelpText('after', examples);
  add(
    'blacklist',
    'have devices blacklisted',
    `${HPCRS}; or ${RIFS}`,
    `
Examples:
  chrysalis ma blacklist --certificate certificate.oer
  chrysalis ma blacklist f1a8bd780e11d1d0`,
  ).action(async (ids: readonly string[], _options: unknown, command: Command) => {
    const options = command.optsWithGlobals<Options>();
    const all = await identifiersOf(ids, options, [HPCR_OCTETS, RIF_OCTETS]);
    const isRif = all.every(({ length }) => length === RIF_OCTETS);
    if (!isRif && all.some(({ length }) => length === RIF_OCTETS)) {
      throw new CliError('expected either HPCRs or RIFs, saw both', {
        hint: 'each kind is a request of its own',
      });
    }
    const type = isRif ? 'maRaRseObeIdBlacklistRequest' : 'maRaBlacklistRequest';
    await ask(context, type, all, options);
  });
  add(
    'linkage',
    'learn the linkage chain identifiers of devices',
    HPCRS,
    `
Example:
  chrysalis ma linkage --certificate certificate.oer`,
  ).action(async (ids: readonly string[], _options: unknown, command: Command) => {
    const options = command.optsWithGlobals<Options>();
    const all = await identifiersOf(ids, options, [HPCR_OCTETS]);
    await ask(context, 'maRaLCIRequest', all, options);
  });
  add(
    'digests',
    'ask for the digests of the certificates of devices, which no RA of ours knows',
    RIFS,
    `
Example:
  chrysalis ma digests f1a8bd780e11d1d0`,
  ).action(async (ids: readonly string[], _options: unknown, command: Command) => {
    const options = command.optsWithGlobals<Options>();
    const all = await identifiersOf(ids, options, [RIF_OCTETS]);
    await ask(context, 'maRaCDVRequest', all, options);
  });
}

async function ask(
  context: CliContext,
  type: MaRaRequest['type'],
  identifiers: readonly Uint8Array[],
  options: Options,
): Promise<void> {
  const config = await loadConfig(options.dir);
  const keys = await openRaCustody(config, options.dir, context);
  const { requestHash, response } = await askRa(type, identifiers, options, {
    config,
    context,
    keys,
  });
  const replies = repliesOf(response);
  const text =
    options.json === true
      ? JSON.stringify({ request: type, requestHash, replies: replies.map(jsonOf) })
      : replies.map(lineOf).join('\n');
  context.stdout.write(`${text}\n`);
}

/** What is asked about, in the order of the command line: ids, then certificates. */
async function identifiersOf(
  ids: readonly string[],
  { certificate: files, dir: directory }: Options,
  lengths: readonly number[],
): Promise<readonly Uint8Array[]> {
  const given = ids.map((text) => parseHash(text, lengths));
  for (const file of files) {
    const found = await identifierOf(file, directory);
    if (!lengths.includes(found.length)) {
      throw new CliError(
        `${file}: expected a certificate that is asked for by ${lengths.includes(RIF_OCTETS) ? 'RIF' : 'HPCR'}`,
      );
    }
    given.push(found);
  }
  if (given.length > 0) return given;
  throw new CliError('expected an id, or --certificate FILE');
}

/** The RIF of an enrollment certificate; of any other the HPCR, which the PCA of the directory knows. */
async function identifierOf(file: string, directory: string): Promise<Uint8Array> {
  const certificate = await readCertificate(file);
  if (certificate.certificate.toBeSigned.crlSeries === CRL_SERIES.eeEnrollment) {
    return certificate.id;
  }
  const hpcr = await requestHashOf(certificate, { directory });
  if (hpcr !== undefined) return hpcr;
  throw new CliError(`${file}: expected a certificate that the PCA of ${directory} issued`, {
    hint: 'the MA gets the HPCR from a PCA that is elsewhere (ma-pca.asn), which is not spoken here',
  });
}

function lineOf({ identifier, reply }: IdentifiedReply): string {
  const id = formatHex(identifier);
  if (reply.type === 'failure') return `${id}  ${formatScmsError(reply.value)}`;
  if (reply.value === null) return `${id}  blacklisted`;
  if (Array.isArray(reply.value)) return `${id}  ${reply.value.map(formatHex).join(' ')}`;
  const { iMax, la1, la2 } = linkageOf(reply.value as GroupAndLci);
  return `${id}  i up to ${iMax}\n  ${la1.name}  ${la1.chain}\n  ${la2.name}  ${la2.chain}`;
}

function jsonOf({ identifier, reply }: IdentifiedReply): object {
  const id = formatHex(identifier);
  if (reply.type === 'failure') return { id, failure: errorOf(reply.value) };
  if (reply.value === null) return { id, success: true };
  if (Array.isArray(reply.value)) return { id, digests: reply.value.map(formatHex) };
  return { id, ...linkageOf(reply.value as GroupAndLci) };
}

/** The innermost name. */
function errorOf(error: ScmsError): string {
  return formatScmsError(error).split(' ').at(-1) ?? '';
}

function linkageOf({ groupIdentifier, info }: GroupAndLci) {
  const { iMax, la1Lci, la2Lci, la1Id, la2Id } = info;
  return {
    groupIdentifier: formatHex(groupIdentifier),
    iMax: new DataView(iMax.buffer, iMax.byteOffset).getUint32(0),
    la1: { name: la1Id, chain: formatHex(encode(LinkageChainId, la1Lci)) },
    la2: { name: la2Id, chain: formatHex(encode(LinkageChainId, la2Lci)) },
  };
}

function collect(text: string, before: readonly string[]): readonly string[] {
  return [...before, text];
}

/** The same rule as in chrysalis.toml. */
function origin(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'https:' && url.href === `${url.origin}/`) return url.origin;
  throw new InvalidArgumentError('expected https://HOST:PORT');
}
