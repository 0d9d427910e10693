import { test } from 'node:test';
import { boolean, nullValue } from '@chrysalis/coer';
import {
  expectEncoding,
  expectRefusal,
  expectRefusalToEncode,
  STRAY_VALUES,
} from './expectation.ts';

test('BOOLEAN is one octet, 00 or FF (X.696 §9, §31.3)', () => {
  expectEncoding(boolean, false, '00');
  expectEncoding(boolean, true, 'ff');
});

test('BOOLEAN refuses the other 254 octets, which Basic OER would take for TRUE', () => {
  for (let octet = 1; octet < 255; octet++) {
    expectRefusal(boolean, Uint8Array.of(octet), 'invalid-boolean', 0);
  }
});

test('BOOLEAN refuses no octet and two octets', () => {
  expectRefusal(boolean, '', 'truncated', 0);
  expectRefusal(boolean, 'ff 00', 'trailing-octets', 1);
});

test('BOOLEAN encodes nothing but true and false', () => {
  for (const value of [...STRAY_VALUES, 0, 1]) expectRefusalToEncode(boolean, value);
});

test('NULL has no octets (X.696 §15)', () => {
  expectEncoding(nullValue, null, '');
  expectRefusal(nullValue, '00', 'trailing-octets', 0);
});

test('NULL encodes nothing but null', () => {
  for (const value of STRAY_VALUES) {
    if (value !== null) expectRefusalToEncode(nullValue, value);
  }
});
