import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { EeError, type RaResponse, type RaTransport } from '@chrysalis/ee';
import { Meter, meteredTransport } from '../src/index.ts';

const request = (path: string) => ({
  method: 'GET' as const,
  url: new URL(path, 'https://localhost'),
  message: () => ({ headers: {} }),
});

/** A transport that answers with a status and these parts, or fails. */
function transportOf(status: number, parts: readonly (Uint8Array | EeError)[]): RaTransport {
  return {
    async exchange({ message }): Promise<RaResponse> {
      await message();
      const body = (async function* () {
        for (const part of parts) {
          if (part instanceof EeError) throw part;
          yield part;
        }
      })();
      return { status, headers: {}, body, discard: () => {} };
    },
    close: async () => {},
  };
}

async function readAll({ body }: RaResponse): Promise<void> {
  for await (const part of body) assert(part.length > 0);
}

describe('Meter', () => {
  it('tells percentiles to three figures, and the maximum', () => {
    const meter = new Meter();
    for (let ms = 1; ms <= 1_000; ms += 1) meter.record('batch', ms);
    const { count, p50, p95, p99, max } = meter.latencyMs.batch!;
    assert.equal(count, 1_000);
    for (const [seen, expected] of [
      [p50, 500],
      [p95, 950],
      [p99, 990],
      [max, 1_000],
    ] as const) {
      assert(Math.abs(seen - expected) <= expected / 500, `expected ${expected}, saw ${seen}`);
    }
    assert.equal(meter.latencyMs.info, undefined);
  });
});

describe('meteredTransport', () => {
  const paths = [
    ['/provision-pseudonym-certificate-batch', 'provision'],
    ['/download/batch', 'batch'],
    ['/download/info', 'info'],
    ['/download/policy/local', 'other'],
  ] as const;
  for (const [path, endpoint] of paths) {
    it(`counts ${path} as ${endpoint}, when its answer has been read`, async () => {
      const meter = new Meter();
      const transport = meteredTransport(transportOf(200, [Uint8Array.of(1)]), meter);
      const response = await transport.exchange(request(path));
      assert.deepEqual(meter.latencyMs, {});
      await readAll(response);
      assert.equal(meter.latencyMs[endpoint]?.count, 1);
      assert.deepEqual(meter.errors, {});
    });
  }

  it('counts refusals, and answers that break off', async () => {
    const meter = new Meter();
    const refusing = meteredTransport(transportOf(500, []), meter);
    await refusing.exchange(request('/download/batch'));
    await refusing.exchange(request('/download/batch'));
    const broken = [Uint8Array.of(1), new EeError('interrupted', 'cut')];
    const breaking = meteredTransport(transportOf(200, broken), meter);
    await assert.rejects(readAll(await breaking.exchange(request('/download/info'))));
    assert.deepEqual(meter.errors, { batch: { 'http-500': 2 }, info: { interrupted: 1 } });
    assert.deepEqual(meter.latencyMs, {});
  });

  it('does not count what was stopped by hand', async () => {
    const meter = new Meter();
    const stopped = [new EeError('aborted', 'stopped')];
    const transport = meteredTransport(transportOf(200, stopped), meter);
    await assert.rejects(readAll(await transport.exchange(request('/download/info'))));
    assert.deepEqual(meter.errors, {});
  });
});
