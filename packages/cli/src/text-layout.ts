/** Text for people: titles, and values under each other. Pure. */

/** A line: its label, and its value; undefined leaves it out. */
export type LabelledLine = readonly [label: string, value: string | undefined];

/** A title, and indented lines whose values begin in one column. */
export function section(title: string, lines: readonly LabelledLine[]): string {
  const shown = lines.filter(([, value]) => value !== undefined);
  const width = Math.max(...shown.map(([label]) => label.length));
  const text = shown.map(([label, value]) => `  ${label.padEnd(width)}  ${value}`.trimEnd());
  return [title, ...text].join('\n');
}

/** Rows of cells: the first column to the left, numbers and their heads to the right. */
export function table(rows: readonly (readonly (string | number)[])[]): string {
  const cells = rows.map((row) =>
    row.map((cell) => (typeof cell === 'number' ? formatCount(cell) : cell)),
  );
  const widths = cells.reduce<number[]>(
    (most, row) => row.map((cell, n) => Math.max(cell.length, most[n] ?? 0)),
    [],
  );
  const align = (cell: string, n: number) =>
    n === 0 ? cell.padEnd(widths[n] ?? 0) : cell.padStart(widths[n] ?? 0);
  return cells.map((row) => `  ${row.map(align).join('  ')}`).join('\n');
}

/** `1,000,000`. */
export function formatCount(count: number): string {
  return count.toLocaleString('en-US');
}

/** `1 device`, `2,000 devices`. */
export function counted(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`;
}

/** The largest unit in which it is 2 or more: `90 s`, `36 h`, `12 d`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h`;
  return `${formatCount(Math.floor(seconds / 86_400))} d`;
}
