/** Writes docs/reference/errors.md from the table in `scms`; with --check only says whether it is up to date. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  RA_EE_ERROR_EXPLANATIONS,
  RA_EE_ERRORS,
  type RaEeErrorName,
  type RaEeErrorRetry,
} from '@chrysalis/scms';

const FILE = join(import.meta.dirname, '../docs/reference/errors.md');

/** Of every error, in production and with `error-detail = "qa"`: the statuses of a QA RA stand in no public table. */
const STATUS = 500;

const names = Object.keys(RA_EE_ERRORS) as RaEeErrorName[];
const rows = names
  .sort((a, b) => RA_EE_ERRORS[a] - RA_EE_ERRORS[b])
  .map((name) => {
    const { when, next, retry } = RA_EE_ERROR_EXPLANATIONS[name];
    return rowOf(String(RA_EE_ERRORS[name]), `\`${name}\``, when, String(STATUS), next, retry);
  });
const meanings: Readonly<Record<RaEeErrorRetry, string>> = {
  again: 'in the same contact, up to five times with pauses that double, and in later contacts',
  later: 'not in this contact; the next one does',
  never:
    'not by itself: something has to be changed first. `ee run` leaves this kind of certificate out, and ends when none is left',
};
const retries = Object.entries(meanings).map(([retry, meaning]) => rowOf(retry, meaning));
const text = `# Errors of the RA

The RA answers every error with status ${STATUS}, an empty body and a closed connection. With \`ra.error-detail = "qa"\` the headers
\`SCMS-POC-Error\` (the number) and \`SCMS-POC-Error-Message\` (what was expected and what was seen) come with it. Numbers below
5900 are CAMP's; those from 5900 on are ours, for refusals whose official number stands in no public table.

${rowOf('code', 'name', 'when', 'status', 'what the EE, or whoever builds it, does next', 'tried again')}
${rowOf('---', '---', '---', '---', '---', '---')}
${rows.join('\n')}

Tried again, by our EE and without being told:

${rowOf('', 'meaning')}
${rowOf('---', '---')}
${retries.join('\n')}

Without a code, as in production, every refusal is tried again; so is one whose code does not stand here. A policy or chain file is, once
the device holds one.

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

function rowOf(...cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}
