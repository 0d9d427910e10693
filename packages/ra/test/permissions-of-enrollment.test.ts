import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { PsidGroupPermissions, ToBeSignedCertificate } from '@chrysalis/ieee1609dot2';
import { permissionsOf } from '../src/permissions-of-enrollment.ts';

const APP = Uint8Array.of(0x80);
const group = (changes: Partial<PsidGroupPermissions>): PsidGroupPermissions => ({
  subjectPermissions: { type: 'explicit', value: [{ psid: 0x20 }] },
  minChainDepth: 0,
  chainDepthRange: 0,
  eeType: APP,
  ...changes,
});
const of = (...groups: PsidGroupPermissions[]) =>
  permissionsOf({ certRequestPermissions: groups } as unknown as ToBeSignedCertificate);

describe('the permissions of a device', () => {
  it('are the PSIDs that it may request, with the only SSP of their range', () => {
    const value = new Uint8Array(0);
    const value2 = Uint8Array.of(0x90, 1);
    const explicit = [
      { psid: 0x20, sspRange: { type: 'opaque', value: [value] } },
      { psid: 0x26 },
      { psid: 0x82, sspRange: { type: 'opaque', value: [value2] } },
      { psid: 0x83, sspRange: { type: 'all', value: null } },
    ] as const;
    assert.deepEqual(of(group({ subjectPermissions: { type: 'explicit', value: explicit } })), [
      { psid: 0x20, ssp: { type: 'opaque', value } },
      { psid: 0x26 },
      { psid: 0x82, ssp: { type: 'opaque', value: value2 } },
      { psid: 0x83 },
    ]);
  });

  it('leave out what is not for this device to have', () => {
    assert.deepEqual(of(), []);
    assert.deepEqual(of(group({ eeType: Uint8Array.of(0x40) })), []);
    assert.deepEqual(of(group({ minChainDepth: 1 })), []);
    assert.deepEqual(of(group({ subjectPermissions: { type: 'all', value: null } })), []);
    const several = { type: 'opaque', value: [Uint8Array.of(1), Uint8Array.of(2)] } as const;
    const value = [{ psid: 0x82, sspRange: several }];
    assert.deepEqual(of(group({ subjectPermissions: { type: 'explicit', value } })), []);
  });
});
