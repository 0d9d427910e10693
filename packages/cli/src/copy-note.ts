/** Where a copy goes, as it is noted in the database that it copies. */
import { FenceWatch } from '@chrysalis/store/fence';
import * as z from 'zod';
import { CliError } from './context.ts';

const Note = z.union([
  z.strictObject({
    store: z.string(),
    passwordFile: z.string().optional(),
    objects: z.string().optional(),
  }),
  z.strictObject({ directory: z.string() }),
]);
export type CopyNoteText = z.output<typeof Note>;

export function noteText(note: CopyNoteText): string {
  return JSON.stringify(Note.parse(note));
}

/** @throws CliError */
export function parseNote(text: string): CopyNoteText {
  try {
    return Note.parse(JSON.parse(text));
  } catch (cause) {
    throw new CliError('expected the note of a copy that this program knows, saw another', {
      hint: 'take the version of chrysalis that began the copy',
      cause,
    });
  }
}

/** @throws CliError when a copy to somewhere else was begun */
export async function expectNote(database: string, note: CopyNoteText): Promise<void> {
  const before = await noteIn(database);
  if (before === undefined || before === noteText(note)) return;
  const { directory, store } = parseNote(before) as { directory?: string; store?: string };
  throw new CliError(
    `expected the places of the copy that was begun, ${directory ?? store}, saw others`,
    { hint: 'name the same to go on with it, or end it with chrysalis copy --take-back' },
  );
}

async function noteIn(database: string): Promise<string | undefined> {
  const watch = await FenceWatch.open(database);
  try {
    return watch.destination;
  } finally {
    watch.close();
  }
}
