/** What the pipeline and the services ask of the database, they find by an index: a fleet costs no more than a device. */
import assert from 'node:assert/strict';
import { DatabaseSync, StatementSync } from 'node:sqlite';
import { describe, it, type TestContext } from 'node:test';
import { liveThrough } from './whole-life.ts';

/** Tables that grow with the fleet. */
const LARGE = ['device', 'pca_request', 'response', 'batch', 'linkage'];
/**
 * Scans that are meant. What waits is counted now and then, and at most 20,000 rows, which are gone through when a period
 * is dropped as well; a device that asks anew is allowed to a few times an hour; what operators are shown has a test of its
 * own.
 */
const MEANT = [
  /^select count\(\*\) as "count" from "pca_request"/,
  /^select \(select json_group_array/,
  /^select "(epoch", "key|device_id", "i)" from "(pca_request|batch)" where "period" <=/,
  /^delete from pca_request where device_id =/,
];

interface Plan {
  readonly sql: string;
  readonly detail: string;
}

/** The plan of every statement that runs, with the values that it runs with. */
function watchPlans(t: TestContext): Plan[] {
  const plans: Plan[] = [];
  const seen = new Set<string>();
  const origin = new WeakMap<StatementSync, { readonly database: DatabaseSync; sql: string }>();
  const prepare = DatabaseSync.prototype.prepare;
  t.mock.method(DatabaseSync.prototype, 'prepare', function (this: DatabaseSync, sql: string) {
    const statement = prepare.call(this, sql);
    origin.set(statement, { database: this, sql });
    return statement;
  });
  const explain = (statement: StatementSync, values: unknown[]) => {
    const { database, sql } = origin.get(statement) ?? {};
    if (
      !database ||
      !sql ||
      seen.has(sql) ||
      !/^\s*(select|update|delete|insert|with)/i.test(sql)
    ) {
      return;
    }
    seen.add(sql);
    const rows = prepare.call(database, `explain query plan ${sql}`).all(...(values as number[]));
    for (const { detail } of rows) plans.push({ sql, detail: String(detail) });
  };
  for (const method of ['all', 'run'] as const) {
    const original = StatementSync.prototype[method] as (...values: unknown[]) => unknown;
    t.mock.method(
      StatementSync.prototype,
      method,
      function (this: StatementSync, ...values: unknown[]) {
        explain(this, values);
        return original.apply(this, values);
      },
    );
  }
  return plans;
}

describe('every statement', () => {
  it('of pipeline and services finds its rows by an index', async (t) => {
    const plans = watchPlans(t);
    await liveThrough(t);
    const scans = plans.filter(
      ({ sql, detail }) =>
        LARGE.some((table) => new RegExp(`^SCAN ${table}\\b(?! USING)`).test(detail)) &&
        !MEANT.some((meant) => meant.test(sql)),
    );
    assert.deepEqual(scans, []);
    const statements = new Set(plans.map(({ sql }) => sql));
    assert(statements.size > 40, `${statements.size} statements`);
    for (const [of, index] of [
      [/from "device".*failures = 0.*order by "expanded_through", "id"/s, 'device_to_expand'],
      [/with recursive place/, 'device_to_expand'],
      [/from "device".*failures > 0/s, 'device_to_try_again'],
      [/from "device".*kind = 'identification'/s, 'device_identification'],
      [/from "device".*kind = 'application'/s, 'device_application'],
      [/left join "device" on "device"."enrollment_hash" = \?/, 'device_by_enrollment'],
      [/from "pca_request".*"attempts" > .*order by "next_attempt_at"/s, 'pca_request_to_repeat'],
      [/min\("next_attempt_at"\)/, 'pca_request_to_repeat'],
      [/from "pca_request".*order by "epoch", "key"/s, 'PRIMARY KEY'],
      [/from "batch".*missing = 0/s, 'batch_complete'],
      [/from "response"/, 'PRIMARY KEY'],
      [/from "linkage" where/, 'linkage_of_device'],
      [/set status = 'paused'/, 'device_by_contact'],
    ] as const) {
      const details = plans.filter(({ sql }) => of.test(sql)).map(({ detail }) => detail);
      assert(details.length > 0, `no statement like ${of}`);
      assert(
        details.some((detail) => detail.includes(index)),
        `${of}: expected ${index}, saw ${details.join('; ')}`,
      );
      // What an index gives in order is not sorted once more.
      assert(!details.some((detail) => /TEMP B-TREE/.test(detail)), `${of}: ${details.join('; ')}`);
    }
  });
});
