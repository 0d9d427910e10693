import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  choice,
  containing,
  decode,
  encode,
  type InspectedField,
  inspect,
  integer,
  octetString,
  optional,
  sequence,
  sequenceOf,
  type UnknownAlternative,
} from '@chrysalis/coer';
import fc from 'fast-check';
import { expectRefusal, octets } from './expectation.ts';
import { anyMessage, Message } from './message.ts';

const Uint8 = integer({ min: 0, max: 255 });
const Uint16 = integer({ min: 0, max: 65535 });
type Body =
  | { readonly type: 'list'; readonly value: readonly number[] }
  | { readonly type: 'sealed'; readonly value: number }
  | UnknownAlternative;
interface Packet {
  readonly version: number;
  readonly label?: Uint8Array;
  readonly body: Body;
  readonly extra?: number;
}
const Packet = sequence<Packet>(
  'Packet',
  {
    version: Uint8,
    label: optional(octetString()),
    body: choice<Body>(
      'Body',
      { list: sequenceOf(Uint16), sealed: containing(Uint16) },
      { extensible: true },
    ),
    extra: optional(Uint8),
  },
  { extensionAdditions: 1 },
);

/** Name, type, offset and length, indented by depth. */
function outline(field: InspectedField, indent = ''): string[] {
  const { name, type, offset, length, children } = field;
  const line = `${indent}${name}: ${type} ${offset}+${length}`;
  return [line, ...children.flatMap((child) => outline(child, `${indent}  `))];
}

test('inspect says which octets belong to which field', () => {
  const encoding = octets('c0 03 02 aa bb 80 01 02 00 01 00 02 02 06 c0 01 09 02 0b 0c');
  assert.deepEqual(outline(inspect(Packet, encoding)), [
    'Packet: Packet 0+20',
    '  version: INTEGER (0..255) 1+1',
    '  label: OCTET STRING 2+3',
    '  body: Body 5+7',
    '    list: SEQUENCE OF INTEGER (0..65535) 6+6',
    '      0: INTEGER (0..65535) 8+2',
    '      1: INTEGER (0..65535) 10+2',
    '  extra: INTEGER (0..255) 15+2',
    '  unknownAdditions[1]: unknown open type 17+3',
  ]);
});

test('inspect shows the content of a container, and an unknown alternative', () => {
  assert.deepEqual(outline(inspect(Packet, octets('00 03 81 02 00 01'))), [
    'Packet: Packet 0+6',
    '  version: INTEGER (0..255) 1+1',
    '  body: Body 2+4',
    '    sealed: OCTET STRING (CONTAINING INTEGER (0..65535)) 3+3',
    '      content: INTEGER (0..65535) 4+2',
  ]);
  assert.deepEqual(outline(inspect(Packet, octets('00 03 82 01 ff'))).slice(2), [
    '  body: Body 2+3',
    '    unknown: unknown open type 3+2',
  ]);
});

test('the octets of each field are the encoding of its value', () => {
  const encoding = octets('40 03 02 aa bb 80 01 01 00 01');
  const [version, label, body] = inspect(Packet, encoding).children as [
    InspectedField,
    InspectedField,
    InspectedField,
  ];
  const of = (field: InspectedField) =>
    encoding.subarray(field.offset, field.offset + field.length);
  assert.deepEqual(decode(Uint8, of(version)), version.value);
  assert.deepEqual(decode(octetString(), of(label)), label.value);
  assert.deepEqual(body.value, { type: 'list', value: [1] });
});

/** Children follow each other without a gap, but for the bitmap before additions, up to the end of the parent. */
function expectTiling(field: InspectedField): void {
  const end = field.offset + field.length;
  let next = field.offset;
  let gaps = 0;
  for (const child of field.children) {
    assert.ok(child.offset >= next && child.offset + child.length <= end);
    if (child.offset > next && next > field.offset) gaps++;
    next = child.offset + child.length;
    expectTiling(child);
  }
  const hasAdditions = field.children.some(({ name }) =>
    /^(later|remark|unknownAdditions\[\d+\])$/.test(String(name)),
  );
  assert.ok(gaps <= (hasAdditions ? 1 : 0), 'the only gap is the bitmap of the additions');
  if (field.children.length > 0)
    assert.equal(next, end, 'the last child ends where its parent does');
}

test('children tile their parents after its own preamble, tag or length', () => {
  fc.assert(
    fc.property(anyMessage, (message) => {
      const encoding = encode(Message, message);
      const root = inspect(Message, encoding);
      assert.equal(root.offset, 0);
      assert.equal(root.length, encoding.length);
      expectTiling(root);
    }),
    { seed: 9, numRuns: 200 },
  );
});

test('inspect gives the value that decode gives, and refuses what it refuses, with the same words', () => {
  const encoding = octets('00 03 81 02 00 01');
  assert.deepEqual(inspect(Packet, encoding).value, decode(Packet, encoding));
  const refused = octets('00 03 81 03 00 01 02');
  expectRefusal(Packet, refused, 'trailing-octets', 6, ['body', 'sealed']);
  const messageOf = (run: () => unknown) => {
    try {
      return String(run());
    } catch (error) {
      return String(error);
    }
  };
  assert.equal(
    messageOf(() => inspect(Packet, refused)),
    messageOf(() => decode(Packet, refused)),
  );
});

test('inspect keeps to the limits of decode', () => {
  const encoding = octets('00 03 81 02 00 01');
  assert.throws(() => inspect(Packet, encoding, { octets: 5 }), { code: 'too-long' });
  assert.throws(() => inspect(Packet, encoding, { depth: 2 }), { code: 'too-deep' });
  assert.throws(() => inspect(Packet, encoding, { fields: 3 }), { code: 'too-many' });
});
