/**
 * Loaded into an RA before its own code: collects all garbage now and then, so that what its figures say is kept is kept. By
 * itself V8 does so seldom, and an attack of ten minutes sees little else than garbage.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const EVERY_MS = 10_000;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
setInterval(collect, EVERY_MS).unref();
