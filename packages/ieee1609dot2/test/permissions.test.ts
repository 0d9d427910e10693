import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  fromPoint,
  isSspInRange,
  mayIssue,
  type PsidGroupPermissions,
  type ServiceSpecificPermissions,
  type SspRange,
  type ToBeSignedCertificate,
} from '@chrysalis/ieee1609dot2';
import { APP, APP_AND_ENROL, allOf, content, ENROL, explicitly, fromHex, keyOf } from './pki.ts';

const verifyKeyIndicator = {
  type: 'reconstructionValue',
  value: fromPoint(keyOf('subject').publicPoint),
} as const;

function subject(more: Partial<ToBeSignedCertificate>): ToBeSignedCertificate {
  return { ...content('subject', more), verifyKeyIndicator };
}

function opaque(hex: string): ServiceSpecificPermissions {
  return { type: 'opaque', value: fromHex(hex) };
}

function range(...hex: string[]): SspRange {
  return { type: 'opaque', value: hex.map(fromHex) };
}

type Groups = readonly PsidGroupPermissions[];
const mayCertify = (issuer: Groups, ...psids: number[]) =>
  mayIssue(issuer, subject({ appPermissions: psids.map((psid) => ({ psid })) }));
const mayHandOn = (issuer: Groups, ...wanted: PsidGroupPermissions[]) =>
  mayIssue(issuer, subject({ certIssuePermissions: wanted }));
const mayLetRequest = (issuer: Groups, ...wanted: PsidGroupPermissions[]) =>
  mayIssue(issuer, subject({ certRequestPermissions: wanted }));

describe('application permissions, 1609.2 §6.4.28', () => {
  test('"all" covers every application', () => {
    assert.ok(mayCertify([allOf()], 0x20, 0x26));
  });

  test('an explicit group covers what it lists', () => {
    const issuer = [explicitly([{ psid: 0x20 }, { psid: 0x26 }])];
    assert.ok(mayCertify(issuer, 0x20, 0x26));
    assert.ok(!mayCertify(issuer, 0x20, 0x27));
  });

  test('what one group lists, "all" of another leaves out', () => {
    const issuer = [allOf(), explicitly([{ psid: 0x20, sspRange: range('01') }])];
    assert.ok(mayCertify(issuer, 0x26));
    assert.ok(!mayCertify(issuer, 0x20));
    assert.ok(mayIssue(issuer, subject({ appPermissions: [{ psid: 0x20, ssp: opaque('01') }] })));
    assert.ok(!mayIssue(issuer, subject({ appPermissions: [{ psid: 0x20, ssp: opaque('02') }] })));
  });

  test('what is listed for enrollment is left out of "all" for applications as well', () => {
    assert.ok(!mayCertify([allOf(), explicitly([{ psid: 0x20 }], 1, 0, ENROL)], 0x20));
  });

  test('the end entity stands one level below its issuer', () => {
    assert.ok(mayCertify([allOf(1, 0)], 0x20));
    assert.ok(mayCertify([allOf(1, -1)], 0x20));
    assert.ok(mayCertify([allOf(0, 1)], 0x20));
    assert.ok(!mayCertify([allOf(0, 0)], 0x20));
    assert.ok(!mayCertify([allOf(2, 0)], 0x20));
    assert.ok(!mayCertify([allOf(2, -1)], 0x20));
  });

  test('a range of depths below -1 has no meaning and permits nothing', () => {
    assert.ok(!mayCertify([allOf(1, -2)], 0x20));
  });

  test('an issuer for enrollment certifies no application', () => {
    assert.ok(!mayCertify([allOf(1, 0, ENROL)], 0x20));
    assert.ok(mayCertify([allOf(1, 0, APP)], 0x20));
    assert.ok(mayCertify([allOf(1, 0, APP_AND_ENROL)], 0x20));
  });

  test('an issuer without groups issues nothing, however little it grants', () => {
    assert.ok(!mayCertify([], 0x20));
    assert.ok(!mayIssue([], subject({ appPermissions: [] })));
  });

  test('subject permissions of a kind that nobody knows grant and get nothing', () => {
    const subjectPermissions = { type: 'unknown', tag: 4, value: new Uint8Array(0) } as const;
    const strange = { ...allOf(1, -1), subjectPermissions };
    assert.ok(!mayCertify([strange], 0x20));
    assert.ok(!mayHandOn([allOf(1, -1)], strange));
  });
});

describe('permissions to issue', () => {
  test('need one level more of the issuer', () => {
    assert.ok(mayHandOn([allOf(2, 0)], allOf(1, 0)));
    assert.ok(mayHandOn([allOf(1, 1)], allOf(1, 0)));
    assert.ok(!mayHandOn([allOf(1, 0)], allOf(1, 0)));
    assert.ok(!mayHandOn([allOf(3, -1)], allOf(1, 0)));
  });

  test("need a range of depths inside the issuer's", () => {
    assert.ok(mayHandOn([allOf(2, 2)], allOf(2, 1)));
    assert.ok(!mayHandOn([allOf(2, 2)], allOf(2, 2)));
    assert.ok(!mayHandOn([allOf(2, 2)], allOf(1, -1)));
    assert.ok(mayHandOn([allOf(2, -1)], allOf(1, -1)));
  });

  test('of depth 0 are none: only a request has that depth', () => {
    assert.ok(!mayHandOn([allOf(1, -1)], allOf(0, 0)));
  });

  test('for applications and enrollment together need an issuer for both', () => {
    assert.ok(mayHandOn([allOf(1, -1)], allOf(1, 0, APP)));
    assert.ok(!mayHandOn([allOf(1, -1, APP)], allOf(1, 0)));
    assert.ok(!mayHandOn([allOf(1, -1, ENROL)], allOf(1, 0, APP)));
  });

  test('"all" is handed on only by "all"', () => {
    assert.ok(!mayHandOn([explicitly([{ psid: 0x20 }], 1, -1)], allOf(1, 0)));
  });

  test('"all" takes no application along that the issuer has in a narrower range', () => {
    const narrow = explicitly([{ psid: 0x20, sspRange: range('01') }], 1, -1);
    const issuer = [allOf(1, -1), narrow];
    assert.ok(!mayHandOn(issuer, allOf(1, 0)), 'any SSP of PSID 0x20 is in it');
    const own = explicitly([{ psid: 0x20, sspRange: range('01') }], 1, 0);
    assert.ok(mayHandOn(issuer, allOf(1, 0), own), 'unless the subject names it as well');
    assert.ok(!mayHandOn(issuer, allOf(1, 0), explicitly([{ psid: 0x20 }], 1, 0)));
  });

  test('"all" takes along what the issuer names with every SSP, at the depth where it names it', () => {
    assert.ok(mayHandOn([allOf(1, -1), explicitly([{ psid: 0x23 }], 1, -1)], allOf(1, 0)));
    assert.ok(!mayHandOn([allOf(1, -1), explicitly([{ psid: 0x23 }], 1, 0)], allOf(1, 0)));
    assert.ok(!mayHandOn([allOf(1, -1), explicitly([{ psid: 0x23 }], 1, -1, APP)], allOf(1, 0)));
  });

  test('explicit ones may come from several groups', () => {
    const issuer = [explicitly([{ psid: 0x20 }], 1, -1), explicitly([{ psid: 0x26 }], 2, 0)];
    assert.ok(mayHandOn(issuer, explicitly([{ psid: 0x20 }, { psid: 0x26 }], 1, 0)));
    assert.ok(!mayHandOn(issuer, explicitly([{ psid: 0x20 }, { psid: 0x26 }], 1, 1)));
  });

  test('explicit ones come from "all" unless another group names them', () => {
    const wanted = explicitly([{ psid: 0x20 }], 1, 0);
    assert.ok(mayHandOn([allOf(1, -1)], wanted));
    assert.ok(!mayHandOn([allOf(1, -1), explicitly([{ psid: 0x20 }], 1, 0)], wanted));
  });

  test("need a range of SSPs inside the issuer's", () => {
    const issuer = (sspRange?: SspRange) => [
      explicitly([{ psid: 0x20, ...(sspRange && { sspRange }) }], 1, -1),
    ];
    const wanted = (sspRange?: SspRange) =>
      explicitly([{ psid: 0x20, ...(sspRange && { sspRange }) }], 1, 0);
    const every = { type: 'all', value: null } as const;
    const unknown = { type: 'unknown', tag: 3, value: new Uint8Array(1) } as const;
    for (const any of [undefined, every]) {
      for (const within of [undefined, every, range('01'), range(), unknown]) {
        assert.ok(mayHandOn(issuer(any), wanted(within)));
      }
      assert.ok(!mayHandOn(issuer(range('01')), wanted(any)));
    }
    assert.ok(mayHandOn(issuer(range('01', '02')), wanted(range('02'))));
    assert.ok(!mayHandOn(issuer(range('01', '02')), wanted(range('02', '03'))));
    assert.ok(!mayHandOn(issuer(range('01')), wanted(range())), 'no SSP listed is the default');
    assert.ok(mayHandOn(issuer(range('')), wanted(range())));
    assert.ok(!mayHandOn(issuer(unknown), wanted(range('01'))));
    assert.ok(!mayHandOn(issuer(range('01')), wanted(unknown)));
  });
});

describe('permissions to request', () => {
  test('are those of an enrollment certificate, at depth 0 and below', () => {
    assert.ok(mayLetRequest([allOf(1, 0, ENROL)], explicitly([{ psid: 0x20 }], 0, 0, APP)));
    assert.ok(!mayLetRequest([allOf(1, 0, APP)], explicitly([{ psid: 0x20 }], 0, 0, APP)));
    assert.ok(!mayLetRequest([allOf(1, 0, ENROL)], explicitly([{ psid: 0x20 }], 1, 0, APP)));
    assert.ok(mayLetRequest([allOf(1, 1, ENROL)], explicitly([{ psid: 0x20 }], 1, 0, APP)));
  });

  test('lie inside what the issuer may certify', () => {
    const issuer = [explicitly([{ psid: 0x20, sspRange: range('') }], 1, 0, ENROL)];
    const wanted = (sspRange: SspRange) => explicitly([{ psid: 0x20, sspRange }], 0, 0, APP);
    assert.ok(mayLetRequest(issuer, wanted(range(''))));
    assert.ok(!mayLetRequest(issuer, wanted(range('01'))));
    assert.ok(!mayLetRequest(issuer, explicitly([{ psid: 0x26 }], 0, 0, APP)));
  });
});

describe('an SSP in a range, 1609.2 §6.4.30', () => {
  const rows: readonly [string, string | undefined, SspRange | undefined, boolean][] = [
    ['any in no range', '01', undefined, true],
    ['none in no range', undefined, undefined, true],
    ['any in "all"', '01', { type: 'all', value: null }, true],
    ['one that is listed', '02', range('01', '02'), true],
    ['one that is not', '03', range('01', '02'), false],
    ['a longer one', '0101', range('01'), false],
    ['none, where the empty one is listed', undefined, range('01', ''), true],
    ['none, where it is not', undefined, range('01'), false],
    ['none, where nothing is listed', undefined, range(), true],
    ['the empty one, where nothing is listed', '', range(), true],
    ['some, where nothing is listed', '01', range(), false],
    [
      'any in a range that nobody knows',
      '01',
      { type: 'unknown', tag: 2, value: fromHex('00') },
      false,
    ],
  ];
  for (const [name, ssp, sspRange, expected] of rows) {
    test(`${name}: ${expected}`, () => {
      assert.equal(isSspInRange(ssp === undefined ? undefined : opaque(ssp), sspRange), expected);
    });
  }

  test('one of a kind that nobody knows is in no list', () => {
    const ssp = { type: 'unknown', tag: 1, value: fromHex('01') } as const;
    assert.ok(!isSspInRange(ssp, range('01')));
    assert.ok(isSspInRange(ssp, undefined));
  });
});
