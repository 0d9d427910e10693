/** The blacklist across processes: an operator's command, an RA that serves meanwhile, and one that was killed and started again. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { systemRandom } from '@chrysalis/crypto';
import { systemClock, timeOf } from '@chrysalis/scms';
import { createDevice, downloadReq, pseudonymRequest, securedBy } from './support/device.ts';
import { getOf, LineFactory, postOf } from './support/device-line.ts';
import { startLiveRa } from './support/live-ra.ts';
import { temporaryDirectory } from './support/temporary-directory.ts';

const BIN = join(import.meta.dirname, '../packages/cli/src/bin.js');
const random = systemRandom;

describe('the blacklist', () => {
  it('counts for an RA that serves from the moment the command ends, and outlives both', async (t) => {
    const folder = temporaryDirectory();
    const options = {
      directory: join(folder, 'state'),
      weeksAhead: 1,
      perWeek: 1,
      processes: 1,
      shedMs: 0,
    };
    let ra = await startLiveRa(options);
    t.after(() => ra.kill());
    const now = () => timeOf(systemClock);
    const { certificate } = ra.scms.ra;
    const device = createDevice(ra.scms, random, now());
    const file = join(folder, 'enrollment.oer');
    await writeFile(file, device.certificate.octets);
    const ask = async (octets: () => Buffer) => {
      const line = await new LineFactory(ra.port, ra.ca).open();
      const answer = await line.ask(octets());
      line.close();
      return answer;
    };
    const body = securedBy(device, pseudonymRequest(device, now()), certificate, random);
    const provision = () => ask(() => postOf('/provision-pseudonym-certificate-batch', body));
    const ack = (await provision()).body;
    const name = `${Buffer.from(ack.subarray(12, 20)).toString('hex')}.info`;
    const info = async () => {
      const get = () =>
        getOf('/download/info', downloadReq(device, name, now(), certificate, random));
      return (await ask(get)).status;
    };
    const blacklist = (command: string) => {
      const argv = [BIN, '--dir', options.directory, 'blacklist', command, '--certificate', file];
      const { status, stderr } = spawnSync(process.execPath, argv, { encoding: 'utf8' });
      assert.equal(status, 0, stderr);
    };

    assert.equal(await info(), 200);
    blacklist('add');
    assert.equal(await info(), 500);
    assert.equal((await provision()).status, 500, 'the same octets get no acknowledgement either');
    await ra.kill();
    ra = await startLiveRa(options);
    assert.equal(await info(), 500);
    blacklist('remove');
    assert.equal(await info(), 200);
    assert.equal((await provision()).status, 200);
    assert.deepEqual(ra.faults, []);
  });
});
