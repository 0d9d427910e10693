/** The page of results: a benchmark that was run replaces its own section, and no other. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { withSection } from '../bench/report.ts';

const ORDER = ['codec', 'info', 'growth'];
const page = (...results: string[]) =>
  `# Performance\n\n<!-- results: npm run bench -- --report -->\n\n${results.join('\n\n')}\n\n<!-- end of results -->\n\nThe end.\n`;

it('a benchmark that was run again replaces its own section, in the order of all', () => {
  const first = withSection(page('Nothing yet.'), 'growth', 'grown', ORDER);
  assert.equal(first, page('### growth\n\ngrown'));
  const second = withSection(first, 'codec', 'a\n\n| table |', ORDER);
  assert.equal(second, page('### codec\n\na\n\n| table |', '### growth\n\ngrown'));
  const third = withSection(second, 'codec', 'b', ORDER);
  assert.equal(third, page('### codec\n\nb', '### growth\n\ngrown'));
});

it('a page without a place for results is refused', () => {
  assert.throws(() => withSection('# Performance\n', 'codec', 'a', ORDER), /expected <!-- results/);
});

it('the page has a place for them', async () => {
  const file = join(import.meta.dirname, '../docs/reference/performance.md');
  assert.match(withSection(await readFile(file, 'utf8'), 'codec', 'a', ORDER), /### codec\n\na/);
});
