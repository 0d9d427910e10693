/** Preloaded by a command that is to be killed: SIGKILL instead of the first octets that it appends to a file. */
import { open } from 'node:fs/promises';

const file = await open(import.meta.filename);
Object.getPrototypeOf(file).appendFile = () => {
  process.kill(process.pid, 'SIGKILL');
  return new Promise(() => {});
};
await file.close();
