/**
 * What a download costs, by what no noise changes: statements, operations of libcrypto, promises; and its CPU time against libcrypto's of the
 * same moment, far enough off that only another way of doing it explains it (docs/decisions/0047-benchmarks.md).
 */
import assert from 'node:assert/strict';
import { createHook } from 'node:async_hooks';
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { StatementSync } from 'node:sqlite';
import { describe, it, type TestContext } from 'node:test';
import { HandlerScene, measureHandler } from '../bench/handler.ts';

const REQUESTS = 50;
/** Of one request of a device whose key is kept. More than these is another algorithm, and wants a reason. */
const OPERATIONS = {
  diffieHellman: 1,
  createPublicKey: 1,
  verify: 1,
  createDecipheriv: 1,
  sign: 0,
  createPrivateKey: 0,
  createECDH: 0,
};
/** Two for KDF2, two for HMAC, the certificate, and what is signed. */
const MOST_HASHES = 6;
/** Half as many again as there are. */
const MOST_PROMISES = 30;
/** Half of what is recorded in docs/reference/performance.md for one device. */
const LEAST_RATIO = 0.22;
const ROUNDS = 30;

describe('an authenticated .info', () => {
  it('takes one statement, one ECDH and one verification', async (t) => {
    await using scene = await HandlerScene.open(1);
    // The key of the device and that of the RA are imported with the second use.
    for (let n = 0; n < 3; n += 1) await scene.ask();
    const names = [...Object.keys(OPERATIONS), 'hash'] as (keyof typeof OPERATIONS | 'hash')[];
    const calls = countCalls(t, names);
    const statements = countStatements(t);
    for (let n = 0; n < REQUESTS; n += 1) await scene.ask();
    assert.equal(statements(), REQUESTS, 'statements');
    for (const [name, times] of Object.entries(OPERATIONS)) {
      assert.equal(calls.get(name), times * REQUESTS, name);
    }
    const hashes = (calls.get('hash') ?? 0) / REQUESTS;
    assert(hashes <= MOST_HASHES, `expected ${MOST_HASHES} hashes at most, saw ${hashes}`);
  });

  it('makes few promises', async () => {
    await using scene = await HandlerScene.open(1);
    for (let n = 0; n < 3; n += 1) await scene.ask();
    let promises = 0;
    const hook = createHook({
      init(_id, type) {
        if (type === 'PROMISE') promises += 1;
      },
    }).enable();
    for (let n = 0; n < REQUESTS; n += 1) await scene.ask();
    hook.disable();
    const each = promises / REQUESTS;
    assert(each <= MOST_PROMISES, `expected ${MOST_PROMISES} promises at most, saw ${each}`);
  });

  it('costs no more than a few times what libcrypto does', async () => {
    const { ratioToNative, cpuUsPerOp, note } = await measureHandler(1, ROUNDS);
    assert(
      (ratioToNative ?? 0) >= LEAST_RATIO,
      `expected at least ${LEAST_RATIO} of native, saw ${ratioToNative}: ${cpuUsPerOp} us, ${note}`,
    );
  });
});

/** How often node:crypto is called, by whichever module. */
function countCalls(
  t: TestContext,
  names: readonly (keyof typeof OPERATIONS | 'hash')[],
): ReadonlyMap<string, number> {
  const calls = new Map<string, number>(names.map((name) => [name, 0]));
  for (const name of names) {
    const original = crypto[name] as (...args: unknown[]) => unknown;
    t.mock.method(crypto, name, (...args: unknown[]) => {
      calls.set(name, (calls.get(name) ?? 0) + 1);
      return original(...args);
    });
  }
  syncBuiltinESMExports();
  t.after(() => {
    t.mock.reset();
    syncBuiltinESMExports();
  });
  return calls;
}

function countStatements(t: TestContext): () => number {
  let statements = 0;
  for (const method of ['all', 'get', 'run', 'iterate'] as const) {
    const original = StatementSync.prototype[method] as (...values: unknown[]) => unknown;
    t.mock.method(
      StatementSync.prototype,
      method,
      function (this: StatementSync, ...values: unknown[]) {
        statements += 1;
        return original.apply(this, values);
      },
    );
  }
  return () => statements;
}
