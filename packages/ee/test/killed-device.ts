/** A device that is killed: node killed-device.ts PROFILE CLOCK_OFFSET_MS. A line for each step. */
import { DirectoryStorage, EndEntity, lockProfile, Profile } from '../src/index.ts';

const [path = '', offset = '0'] = process.argv.slice(2);
const clock = { now: () => Date.now() + Number(offset) };

const storage = await DirectoryStorage.open(path);
await using _lock = await lockProfile(storage.path);
await storage.sweep();
process.stdout.write('begun\n');
await using ee = await EndEntity.open(new Profile(storage), {
  clock,
  onProgress: ({ type }) => process.stdout.write(`${type}\n`),
});
await ee.request('pseudonym');
await ee.waitUntilReady('pseudonym');
await ee.download('pseudonym');
await ee.info('pseudonym');
process.stdout.write('done\n');
