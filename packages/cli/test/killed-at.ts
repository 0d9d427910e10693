/** Preloaded by a command that is to be killed: SIGKILL instead of its n-th rename or removal of a file, counted from 0. */
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

let left = Number(process.env.TEST_KILLED_AT);

function counted<A extends unknown[], R>(operation: (...args: A) => Promise<R>) {
  return (...args: A): Promise<R> => {
    if (left-- > 0) return operation(...args);
    process.kill(process.pid, 'SIGKILL');
    return new Promise(() => {});
  };
}

fs.rename = counted(fs.rename);
fs.rm = counted(fs.rm);
syncBuiltinESMExports();
