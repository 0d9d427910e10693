/** Writes docs/reference/errors.md from the table in `scms`; with --check only says whether it is up to date. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RA_EE_ERROR_EXPLANATIONS, RA_EE_ERRORS, type RaEeErrorName } from '@chrysalis/scms';

const FILE = join(import.meta.dirname, '../docs/reference/errors.md');

const names = Object.keys(RA_EE_ERRORS) as RaEeErrorName[];
const rows = names.map((name) => {
  const { when, next } = RA_EE_ERROR_EXPLANATIONS[name];
  return `- **${RA_EE_ERRORS[name]} \`${name}\`**: ${when}. Next: ${next}.`;
});
const text = `# Errors of the RA

The RA answers every error with status 500, an empty body and a closed connection. With \`ra.error-detail = "qa"\` the headers
\`SCMS-POC-Error\` (the number) and \`SCMS-POC-Error-Message\` (what was expected and what was seen) come with it. Numbers below
5900 are CAMP's; those from 5900 on are ours, for refusals whose official number stands in no public table.

${rows.join('\n')}

This page is made by \`node scripts/errors-reference.ts\`.
`;

if (process.argv.includes('--check')) {
  const current = await readFile(FILE, 'utf8').catch(() => '');
  if (current !== text) {
    console.error(
      'docs/reference/errors.md is not what the table says: run node scripts/errors-reference.ts',
    );
    process.exit(1);
  }
} else {
  await writeFile(FILE, text);
}
