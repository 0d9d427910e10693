/** `npm start`: the RA and its test authorities until Ctrl-C, on a state directory that is made when it is missing. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { main, systemContext } from '@chrysalis/cli';

const dir = process.env.CHRYSALIS_DIR ?? './chrysalis-state';
const context = systemContext();
if (!existsSync(join(dir, 'chrysalis.toml'))) {
  const status = await main(
    ['--dir', dir, 'init', '--processes', '1', '--weeks-ahead', '8'],
    context,
  );
  if (status !== 0) process.exit(status);
}
process.exitCode = await main(['--dir', dir, 'serve', ...process.argv.slice(2)], context);
