/**
 * What was found once, and must not be found again: the octets, for whom they were, and what was wrong. One text file each in
 * `fuzz/regressions`, which test/fuzz.test.ts replays; the fuzzer writes its findings in the same form.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const DIRECTORY = join(import.meta.dirname, 'regressions');
/** Of hex in a line: 32 octets. */
const LINE_DIGITS = 64;

export interface Regression {
  /** Of its file, which says what it is. */
  readonly name: string;
  /** A name of `targets()`, or of `LIVE_TARGETS`. */
  readonly target: string;
  /** What was wrong, and when that was found. */
  readonly was: string;
  readonly octets: Uint8Array;
}

export function regressions(directory = DIRECTORY): readonly Regression[] {
  return readdirSync(directory)
    .filter((file) => file.endsWith('.txt'))
    .toSorted()
    .map((file) =>
      parseRegression(file.slice(0, -'.txt'.length), readFileSync(join(directory, file), 'utf8')),
    );
}

export function regressionText({ target, was, octets }: Omit<Regression, 'name'>): string {
  const hex = Buffer.from(octets).toString('hex');
  const lines = hex.match(new RegExp(`.{1,${LINE_DIGITS}}`, 'g')) ?? [];
  return [`target: ${target}`, `was: ${was.replaceAll(/\s+/g, ' ')}`, ...lines, ''].join('\n');
}

/** @throws Error when the text is of another form */
export function parseRegression(name: string, text: string): Regression {
  const [first = '', second = '', ...lines] = text.split('\n');
  const target = /^target: (.+)$/.exec(first)?.[1];
  const was = /^was: (.+)$/.exec(second)?.[1];
  const hex = lines.join('');
  if (target === undefined || was === undefined || !/^([0-9a-f]{2})*$/.test(hex)) {
    throw new Error(`${name}: expected lines of target, was and hex`);
  }
  return { name, target, was, octets: new Uint8Array(Buffer.from(hex, 'hex')) };
}
