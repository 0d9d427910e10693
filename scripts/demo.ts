/**
 * `npm run demo`: a vehicle from enrollment to verified certificates, by the same commands that anybody would type, against an
 * RA and test authorities that run in this process on a free port.
 */
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs, styleText } from 'node:util';
import { type CliContext, main, systemContext } from '@chrysalis/cli';

const WEEKS = 4;
const { positionals } = parseArgs({ allowPositionals: true, options: {} });
const root = resolve(positionals[0] ?? 'chrysalis-demo');
const MARKER = join(root, '.chrysalis-demo');
const state = join(root, 'state');
const vehicle = join(root, 'vehicle');
const bundle = join(root, 'bundle');
const context = systemContext();

if (existsSync(root) && !existsSync(MARKER)) {
  console.error(`demo: expected a directory of an earlier demo or none, saw ${root}`);
  process.exit(1);
}
await rm(root, { recursive: true, force: true });
await mkdir(root, { recursive: true, mode: 0o700 });
await writeFile(MARKER, '');

await step('1. A test SCMS: root, ICA, ECA, PCA, two LAs, PG, MA, CRLG, and the RA', [
  ...['--dir', state, 'init', '--port', '0', '--processes', '1', '--weeks-ahead', String(WEEKS)],
]);

heading('2. The RA, with the authorities behind it');
const { url, crlUrl, stop } = await startServer();
console.log(`RA: ${url}`);

await step('3. The vehicle makes its key and asks for enrollment', [
  ...['ee', 'bootstrap', '--new', '--profile', vehicle],
]);
await step('4. The ECA enrolls it and hands out the bootstrap bundle', [
  ...['--dir', state, 'enroll', '--request', join(vehicle, 'SignedEeEnrollmentCertRequest.oer')],
  ...['--out', bundle, '--ra-url', url, '--crl-url', crlUrl],
]);
await step('5. The vehicle checks every certificate in it and reconstructs its key', [
  ...['ee', 'bootstrap', '--profile', vehicle, '--bundle', bundle],
]);
await step('6. One request over TLS; then every week, opened and verified', [
  ...['ee', 'run', '--once', '--profile', vehicle, '--weeks', String(WEEKS)],
]);
await step('7. What the vehicle has now', ['ee', 'status', '--profile', vehicle]);
await stop();

heading('Where everything lies');
console.log(`  ${state}   the SCMS: chrysalis.toml, keys, certificates, database, batches`);
console.log(`  ${bundle}  what the ECA handed out`);
console.log(`  ${vehicle} the vehicle: keys, requests, batches, certificates`);
console.log('\nTry next:');
console.log(`  npx chrysalis inspect ${join(vehicle, 'enrollment.oer')}`);
console.log('  npm start');
process.exit(0);

function heading(text: string): void {
  console.log(`\n${styleText('bold', text)}`);
}

async function step(title: string, argv: readonly string[]): Promise<void> {
  heading(title);
  const status = await main(argv, context);
  if (status === 0) return;
  console.error(`demo: chrysalis ${argv.join(' ')} ended with status ${status}`);
  process.exit(status);
}

/** What `serve` says when it is ready. */
interface Served {
  readonly url: string;
  readonly crlUrl: string;
}

/** Runs `chrysalis serve` in this process until it is told to stop. */
async function startServer(): Promise<Served & { stop(): Promise<void> }> {
  const abort = new AbortController();
  context.signal.addEventListener('abort', () => abort.abort());
  const { promise: ready, resolve: announce } = Promise.withResolvers<Served>();
  const serving: CliContext = {
    ...context,
    stdout: { write: (text: string) => announce(JSON.parse(text) as Served) },
    signal: abort.signal,
  };
  const argv = ['--dir', state, '--json', 'serve', '--log-level', 'warn'];
  const ended = main(argv, serving);
  const failed = ended.then((status) => {
    throw new Error(`the RA ended with status ${status}`);
  });
  const served = await Promise.race([ready, failed]);
  failed.catch(() => {});
  return {
    ...served,
    async stop() {
      abort.abort();
      await ended;
    },
  };
}
