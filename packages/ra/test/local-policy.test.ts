import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  changeFrom,
  constantSeries,
  DEFAULT_GLOBAL_POLICY,
  type PolicyData,
  policyAt,
} from '@chrysalis/scms';
import { governedPolicy } from '../src/local-policy.ts';

describe('the policy by which an RA lives', () => {
  const announced = changeFrom(DEFAULT_GLOBAL_POLICY.minCertsPerIPeriod, 1000, 30);
  const data: PolicyData = {
    global: {
      ...DEFAULT_GLOBAL_POLICY,
      minCertsPerIPeriod: announced,
      maxAvailableCertSupply: constantSeries({ type: 'hours', value: 500 }),
      maxCertRequestAge: constantSeries({ type: 'hours', value: 2 }),
    },
    local: { shuffleThreshold: constantSeries(1500) },
  };

  it('is that in force, at each moment', () => {
    let now = 0;
    const policy = governedPolicy({ shuffleInitial: 'pooled' }, () => policyAt(data, now));
    const values = () => [policy.certificatesPerPeriod, policy.weeksAhead, policy.shuffleThreshold];
    assert.deepEqual(values(), [20, 2, 1500]);
    assert.equal(policy.shuffleMaxAgeSec, 7200);
    now = 1000;
    assert.deepEqual(values(), [30, 2, 1500]);
  });

  it('is what its operator says, where he says anything', () => {
    const own = {
      certificatesPerPeriod: 25,
      weeksAhead: 1,
      shuffleThreshold: 2000,
      shuffleMaxAgeSec: 60,
      shuffleInitial: 'immediate',
    } as const;
    // Of application certificates he says nothing: devices renew them by the policy.
    const ofPolicy = { applicationPeriodSec: 168 * 3600, applicationOverlapSec: 3600 };
    const governed = governedPolicy(own, () => policyAt(data, 1000));
    assert.deepEqual({ ...governed }, { ...own, ...ofPolicy });
  });
});
