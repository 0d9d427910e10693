/** The thread of the pipeline is killed: devices are registered and served, it is started again, and makes what was promised. */
import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { readTestScms } from '@chrysalis/authorities';
import { systemRandom } from '@chrysalis/crypto';
import { time32FromUnix } from '@chrysalis/ieee1609dot2';
import { IPeriodClock, systemClock } from '@chrysalis/scms';
import {
  createDevice,
  downloadReq,
  pseudonymRequest,
  securedBy,
  type TestDevice,
} from '../../../test/support/device.ts';
import { send } from '../../../test/support/https-client.ts';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { run } from './run-main.ts';

const random = systemRandom;

describe('the pipeline of chrysalis serve', { timeout: 120_000 }, () => {
  it('that is killed, again and again, is started again and goes on', async (t) => {
    const workers: Worker[] = [];
    const onWorker = (message: unknown) => {
      workers.push((message as { worker: Worker }).worker);
    };
    subscribe('worker_threads', onWorker);
    t.after(() => unsubscribe('worker_threads', onWorker));
    const directory = join(temporaryDirectory(), 'state');
    const clock = systemClock;
    await run(
      ['--dir', directory, 'init', '--port', '0', '--weeks-ahead', '1', '--processes', '1'],
      { clock },
    );
    const scms = await readTestScms(directory);
    const ca = await readFile(join(directory, 'authorities/x509-root/certificate.pem'), 'utf8');

    const stopping = new AbortController();
    const printed = Promise.withResolvers<{ url: string }>();
    let log = '';
    const running = run(['--dir', directory, '--json', 'serve', '--log-level', 'info'], {
      clock,
      hasThreads: true,
      signal: stopping.signal,
      stdout: { write: (text) => printed.resolve(JSON.parse(text)) },
      stderr: {
        write: (text) => {
          log += text;
        },
      },
    });
    t.after(() => stopping.abort());
    const { url } = await Promise.race([printed.promise, running.then(() => Promise.reject(log))]);

    const register = async (): Promise<{ device: TestDevice; hash: string }> => {
      const now = time32FromUnix(Date.now());
      const device = createDevice(scms, random, now);
      const body = securedBy(device, pseudonymRequest(device, now), scms.ra.certificate, random);
      const path = `${url}/provision-pseudonym-certificate-batch`;
      const answer = await send(path, ca, { method: 'POST', body });
      assert.equal(answer.status, 200);
      return { device, hash: Buffer.from(answer.body.subarray(12, 20)).toString('hex') };
    };
    const fetch = async ({ device, hash }: { device: TestDevice; hash: string }) => {
      const now = time32FromUnix(Date.now());
      const i = new IPeriodClock().at(now).toString(16).toUpperCase();
      const headers = downloadReq(device, `${hash}_${i}.zip`, now, scms.ra.certificate, random);
      return (await send(`${url}/download/batch`, ca, { headers })).status === 200;
    };
    const arrives = async (device: { device: TestDevice; hash: string }) => {
      while (!(await fetch(device))) await setTimeout(50);
    };

    const served = await register();
    await arrives(served);
    for (let kill = 1; kill <= 2; kill++) {
      assert.equal(workers.length, kill);
      await workers.at(-1)?.terminate();
      const device = await register();
      assert.equal(await fetch(served), true, 'what is there is served meanwhile');
      await arrives(device);
      assert.equal(log.split('the pipeline is started again').length - 1, kill);
    }
    // In its start as well.
    await workers.at(-1)?.terminate();
    while (workers.length < 4) await setTimeout(10);
    await workers.at(-1)?.terminate();
    const device = await register();
    await arrives(device);

    stopping.abort();
    assert.equal((await running).status, 0, log);
  });
});
