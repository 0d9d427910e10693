/**
 * Downloads while a million certificates are in the making: devices that come at a fixed rate, for whom everything is there, beside
 * an RA that has nothing else to do and beside one whose pipeline has others to supply. Certificates are made meanwhile at
 * the pace that the pipeline finds; both are told.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { RA_MIGRATIONS, type RaSchema } from '@chrysalis/ra';
import { type Database, openDatabase } from '@chrysalis/store';
import { type Measurement, print, printHead } from './measurement.ts';
import { flood, Signer } from './open-loop.ts';
import { type KnownDevice, RaState, ServedRa } from './served-ra.ts';

/** What the seed expects of a fleet after three years, and after ten. */
const RATES = [70, 267];
const DEFAULT_SECONDS = 20;
const WARM_UP_SEC = 3;
const KNOWN = 500;
/** 330 devices with three years of 20 each: 1,029,600 certificates. */
const FRESH = 330;
const WEEKS = 156;
const PER_WEEK = 20;
const BEGIN_LOOK_MS = 500;
const BEGIN_LOOKS = 120;

/** @param options.seconds of each rate */
export async function run(options: {
  readonly json: boolean;
  readonly seconds?: number;
}): Promise<void> {
  const parent = await mkdtemp(join(tmpdir(), 'chrysalis-busy-'));
  await using resources = new AsyncDisposableStack();
  resources.defer(() => rm(parent, { recursive: true }));
  const state = await RaState.make(parent, { weeksAhead: WEEKS });
  await state.configure((text) =>
    text
      .replace(/(client-signature-ttl-sec =) \d+/, '$1 5')
      // As `init` has it: what is made takes from it all the time.
      .replace(/(linkage-cache =) 2/, '$1 1000'),
  );
  const known = await state.registerKnown(KNOWN);
  printHead(options.json);
  await measure(state, known, 'nothing to make', options);
  await state.registerFresh(FRESH, WEEKS);
  await measure(state, known, 'a million in the making', options);
}

async function measure(
  state: RaState,
  known: readonly KnownDevice[],
  beside: string,
  { json, seconds = DEFAULT_SECONDS }: { readonly json: boolean; readonly seconds?: number },
): Promise<void> {
  const served = await ServedRa.start(state);
  try {
    const url = `sqlite:${join(state.directory, 'ra/chrysalis.db')}`;
    await using database = await looking(url);
    const isMaking = beside !== 'nothing to make';
    if (isMaking) await untilSomeAreMade(database);
    else await served.settled();
    for (const rate of RATES) {
      await using signer = await Signer.start(state, known, rate);
      await flood(served, state, signer, { rate, seconds: WARM_UP_SEC, isResumed: false });
      const before = await weeksMade(database);
      const line = await flood(served, state, signer, { rate, seconds, isResumed: false });
      const made = (((await weeksMade(database)) - before) * PER_WEEK) / seconds;
      if (isMaking && made === 0) throw new Error('expected certificates to be made meanwhile');
      print(named(line, `${rate} new connections/s, ${beside}`, made), json);
    }
  } finally {
    await served.stop();
  }
}

function named(line: Measurement, variant: string, madePerSec: number): Measurement {
  const made = `${Math.round(madePerSec)} certificates made a second`;
  return { ...line, name: 'busy', variant, note: [made, line.note].join(', ') };
}

async function looking(url: string): Promise<Database<RaSchema> & AsyncDisposable> {
  const database = await openDatabase<RaSchema>(url, RA_MIGRATIONS);
  return Object.assign(database, { [Symbol.asyncDispose]: () => database.close() });
}

async function untilSomeAreMade(database: Database<RaSchema>): Promise<void> {
  const before = await weeksMade(database);
  for (let look = 0; look < BEGIN_LOOKS; look += 1) {
    await setTimeout(BEGIN_LOOK_MS);
    if ((await weeksMade(database)) > before) return;
  }
  throw new Error('expected the pipeline to begin');
}

/** Files that are there, of all devices together. */
async function weeksMade({ query }: Database<RaSchema>): Promise<number> {
  const { made } = await query
    .selectFrom('device')
    .select(({ fn }) => fn.sum<number>('filed_through').as('made'))
    .executeTakeFirstOrThrow();
  return made;
}
