/** The one way in which rows and objects move, wherever they go: to and fro until little is left, then the fence. */
import { RA_MIGRATIONS, RA_TABLES } from '@chrysalis/ra';
import {
  type CopiedTable,
  CopyDestination,
  type CopyNote,
  CopySource,
  type DatabaseOptions,
  type ObjectStore,
  ObjectsCopy,
  openObjectStore,
  RowsCopy,
} from '@chrysalis/store';
import { CliError } from './context.ts';
import type { CopyProgressLines } from './copy-progress.ts';

/** So few changes are taken over in the blink of an eye, with everything held. */
const FEW_CHANGES = 500;
/** An RA that changes more between two passes than a pass takes over is held all the same. */
const MOST_PASSES = 8;

/** Where rows and objects lie, and where they go. */
export interface StateCopyPlaces {
  /** The file of the database. */
  readonly database: string;
  /** The directory of the objects; undefined when they stay where they are. */
  readonly objects: string | undefined;
  /** As it is noted in the source: the same for as long as it takes. */
  readonly destination: string;
  readonly databaseUrl: string;
  readonly databaseOptions: Pick<DatabaseOptions, 'password'>;
  readonly objectsUrl: string | undefined;
}

export interface StateCopied {
  readonly tables: readonly CopiedTable[];
  readonly objects: number;
  readonly heldMs: number;
}

export interface StateCopySurroundings {
  readonly signal: AbortSignal;
  readonly progress: CopyProgressLines;
  /** Moves what neither rows nor objects are, once nothing changes any more and before anybody serves from the copy. */
  readonly whileHeld: () => Promise<void>;
}

/**
 * Returns when the new state may be served from, and the old one never again.
 *
 * @throws CliError, StoreError: the old state is served from as before, or neither is, and the same call goes on
 */
export async function copyState(
  places: StateCopyPlaces,
  surroundings: StateCopySurroundings,
): Promise<StateCopied> {
  const source = await CopySource.open(places.database, RA_MIGRATIONS);
  try {
    const isNew = source.note === undefined;
    const objects = await openObjects(places, isNew);
    const note = await source.begin(places.destination);
    const destination = await openDestination(places, source, note, isNew);
    if (destination === 'complete') return { tables: [], objects: 0, heldMs: 0 };
    try {
      return await move(source, destination, objects, surroundings);
    } finally {
      await destination.close();
    }
  } finally {
    source.close();
  }
}

interface Objects {
  readonly directory: string;
  readonly from: ObjectStore;
  readonly to: ObjectStore;
}

/** What another has put there is not ours to delete, and would be. */
async function openObjects(
  { objects: directory, objectsUrl }: StateCopyPlaces,
  isNew: boolean,
): Promise<Objects | undefined> {
  if (directory === undefined || objectsUrl === undefined) return undefined;
  const to = await openObjectStore(objectsUrl);
  const [seen] = isNew ? await Array.fromAsync(firstOf(to.list(''))) : [];
  if (seen !== undefined) {
    throw new CliError(`expected no objects at ${objectsUrl}, saw ${seen}`, {
      hint: 'choose a prefix under which nothing lies',
    });
  }
  return { directory, from: await openObjectStore(`file:${directory}`), to };
}

async function* firstOf(keys: AsyncIterable<string>): AsyncGenerator<string> {
  for await (const key of keys) {
    yield key;
    return;
  }
}

async function openDestination(
  { databaseUrl, databaseOptions, objectsUrl = '' }: StateCopyPlaces,
  source: CopySource,
  note: CopyNote,
  isNew: boolean,
): Promise<CopyDestination | 'complete'> {
  try {
    return await CopyDestination.open(databaseUrl, RA_TABLES, note, objectsUrl, databaseOptions);
  } catch (error) {
    // It would keep the next one from going elsewhere.
    if (isNew) await source.takeBack();
    throw error;
  }
}

async function move(
  source: CopySource,
  destination: CopyDestination,
  objects: Objects | undefined,
  { signal, progress, whileHeld }: StateCopySurroundings,
): Promise<StateCopied> {
  const rows = new RowsCopy(source, destination, {
    signal,
    onProgress: ({ table, rows: count }) => progress.far(`rows: ${table}, ${count}`),
  });
  const copy =
    objects &&
    new ObjectsCopy(objects.directory, objects.from, objects.to, {
      signal,
      onProgress: (count) => progress.far(`objects: ${count}`),
    });
  let count = 0;
  if (!source.isMoved) {
    try {
      count += await follow(source, rows, copy, progress);
      signal.throwIfAborted();
      await source.fence();
    } catch (error) {
      if (!source.isMoved) await source.endCapture();
      throw error;
    }
  }
  const startedMs = performance.now();
  progress.step('the old state is held: the rest is copied and compared');
  try {
    if (copy) count += await objectsOf(copy);
    const tables = await rows.finish();
    // It is to be seen that nobody else has it open.
    source.close();
    await whileHeld();
    await destination.complete();
    return { tables, objects: count, heldMs: performance.now() - startedMs };
  } catch (error) {
    progress.step('the old state is held: run the same command again, or copy --take-back');
    throw error;
  }
}

/** Everything once, and what changes meanwhile again, until little is left. @returns how many objects */
async function follow(
  source: CopySource,
  rows: RowsCopy,
  objects: ObjectsCopy | undefined,
  progress: CopyProgressLines,
): Promise<number> {
  progress.step('objects and rows are copied and compared');
  let count = objects ? await objectsOf(objects) : 0;
  for (let n = 1; n <= MOST_PASSES; n++) {
    await source.capture();
    const { whole, changes } = await rows.pass();
    progress.far(`rows: ${changes} changes followed`);
    if (whole.length === 0 && changes <= FEW_CHANGES) break;
  }
  if (objects === undefined) return count;
  // Rows took their time: the last two passes are short.
  count += await objectsOf(objects);
  await source.capture();
  await rows.pass();
  return count;
}

/** Those that it has put, or found to be there. */
async function objectsOf(copy: ObjectsCopy): Promise<number> {
  const { put, same } = await copy.pass();
  return put + same;
}
