import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { DirectoryStorage, Profile } from '../src/index.ts';
import { clockAtNow, enrolledProfile, SCMS } from './device.ts';
import { listenerOf, serveHttps, tlsIdentity } from './https-server.ts';
import { MockRa } from './mock-ra.ts';
import { CURRENT_I } from './mock-scms.ts';

const DEVICE = join(import.meta.dirname, 'killed-device.ts');
/** When each life ends: so long after the first of these steps; the last one is not cut short. */
const LIVES: readonly { readonly after: RegExp; readonly ms: number }[] = [
  { after: /prepared/, ms: 0 },
  { after: /prepared|downloaded/, ms: 8 },
  { after: /acknowledged|downloaded/, ms: 4 },
  { after: /opened.*opened/s, ms: 5 },
];
const PERIODS = 6;

// Power cuts between any two steps are played in end-entity.test.ts; this is the real thing: a
// process, files, sockets and kill -9.
describe('a device that is killed with -9', () => {
  it('ends with one set of keys, every certificate, and nothing left over', async (t) => {
    const path = temporaryDirectory();
    const { root, server } = await tlsIdentity();
    const offsetMs = clockAtNow().now() - Date.now();
    const ra = new MockRa(SCMS, { now: () => Date.now() + offsetMs }, { periods: PERIODS });
    const { url } = await serveHttps(t, server, listenerOf(ra));
    ra.certDLURL = url.href;
    const storage = await DirectoryStorage.open(path, { create: true });
    await enrolledProfile(storage, { raUrl: url.href, x509Root: root.certificatePem });

    for (const end of LIVES) t.diagnostic((await live(path, offsetMs, end)).join(' '));
    assert.equal((await live(path, offsetMs)).at(-1), 'done');

    assert.equal(ra.keySets, 1);
    assert.equal(ra.accepted.size, 1);
    const profile = new Profile(storage);
    const periods = Array.from({ length: PERIODS }, (_, n) => CURRENT_I + n);
    assert.deepEqual(await profile.certificates('pseudonym').openedNumbers(), periods);
    for (const i of periods) {
      const batch = await profile.certificates('pseudonym').opened(i);
      assert.equal(batch!.certificates.length, 3);
      assert.deepEqual(batch!.failures, []);
    }
    const left = (await readdir(path, { recursive: true })).filter((name) =>
      /tmp$|lock|part$/.test(name),
    );
    assert.deepEqual(left, []);
  });
});

async function live(
  path: string,
  offsetMs: number,
  end?: (typeof LIVES)[number],
): Promise<string[]> {
  const device = spawn(process.execPath, [DEVICE, path, String(offsetMs)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = once(device, 'close');
  let output = '';
  let isDying = false;
  device.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    if (isDying || end?.after.test(output) !== true) return;
    isDying = true;
    void delay(end.ms).then(() => device.kill('SIGKILL'));
  });
  await closed;
  return output.trim().split('\n');
}
