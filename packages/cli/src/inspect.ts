/** `chrysalis inspect`: any certificate, PDU, zip or .info as readable text or JSON. */
import { readFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { type CliContext, CliError } from './context.ts';
import { type Inspected, inspectOctets } from './inspect-input.ts';
import { type KeyFiles, readKeys } from './inspect-open.ts';
import { toJson, toText } from './inspect-render.ts';
import { findKind, KIND_NAMES } from './inspect-type.ts';

interface InspectOptions extends KeyFiles {
  readonly json?: boolean;
  readonly type?: string;
}

/** As large as the largest input of the codec: a chain file or a month's CRL stays well below. */
const MAX_OCTETS = 64 * 1024 * 1024;

export function addInspectCommand(program: Command, context: CliContext): void {
  program
    .command('inspect')
    .description('show what a certificate, PDU, zip or .info file says, field by field')
    .argument('<file>', 'a file of octets, base64 or hex; - for standard input')
    .addOption(new Option('--type <name>', 'what it is, when that is not to be found out'))
    .option(
      '--key <file>',
      'open what is encrypted: a private key of 32 octets or a shared one of 16, raw or in hex',
    )
    .option(
      '--certificate <file>',
      'the certificate that the key belongs to, for data encrypted to it',
    )
    .addHelpText(
      'after',
      `
Types: ${wrap(KIND_NAMES)}

Each line has the offset, the number of octets, the field and its value; an octet that no line of its own has is a
tag, a length or a preamble. Signatures are shown, not verified.

Examples:
  chrysalis inspect enrollment.oer
  chrysalis inspect request.bin --key ra/encryption.key --certificate ra/certificate.oer
  chrysalis inspect 5A2232D10616FDF7_1A9.zip --json
  echo A4IBAYJx... | chrysalis inspect -                the value of a Download-Req header`,
    )
    .action(async (file: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<InspectOptions>();
      const inspected = await inspectFile(context, file, options);
      context.stdout.write(
        options.json ? `${JSON.stringify(toJson(inspected), undefined, 2)}\n` : toText(inspected),
      );
    });
}

async function inspectFile(
  context: CliContext,
  file: string,
  options: InspectOptions,
): Promise<Inspected> {
  const kind = options.type === undefined ? undefined : findKind(options.type);
  if (options.type !== undefined && kind === undefined) {
    throw new CliError(`expected a type that is known, saw ${options.type}`, {
      hint: `--type takes ${wrap(KIND_NAMES)}`,
    });
  }
  const keys = await readKeys(options);
  const octets = file === '-' ? await readStream(context.stdin) : await readOctets(file);
  return inspectOctets(octets, { kind, keys, now: context.clock.now() });
}

async function readOctets(file: string): Promise<Uint8Array> {
  try {
    return limited(await readFile(file), file);
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause)) throw cause;
    throw new CliError(`expected a file that can be read, saw ${cause.message}`, { cause });
  }
}

async function readStream(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.length;
    chunks.push(chunk);
    if (size > MAX_OCTETS) break;
  }
  return limited(Buffer.concat(chunks), 'standard input');
}

function limited(octets: Uint8Array, where: string): Uint8Array {
  if (octets.length <= MAX_OCTETS) return Uint8Array.from(octets);
  throw new CliError(`expected at most ${MAX_OCTETS} octets in ${where}, saw more`);
}

/** Names in lines that fit a terminal. */
function wrap(names: readonly string[]): string {
  const lines = [''];
  for (const name of names) {
    const last = lines.at(-1) as string;
    const longer = last === '' ? name : `${last}, ${name}`;
    if (longer.length <= 90) lines[lines.length - 1] = longer;
    else lines.push(name);
  }
  return lines.join(',\n  ');
}
