/** Proved by the compiler: `tsc` refuses this file if a type is inferred otherwise. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Alternatives,
  bigInteger,
  boolean,
  type Captured,
  type Codec,
  type Components,
  captured,
  choice,
  constrained,
  containing,
  decode,
  enumerated,
  integer,
  nullValue,
  octetString,
  optional,
  sequence,
  sequenceOf,
  type UnknownAlternative,
  utf8String,
  type Value,
  withDefault,
} from '@chrysalis/coer';

type Same<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const proved = <_Claim extends true>() => assert.ok(true);

test('each codec has the type of its values', () => {
  const number = integer({ min: 0 });
  const colour = enumerated('Colour', ['red', 'green']);
  const growing = enumerated('Growing', ['red', 'green'], { extensible: true });
  const list = sequenceOf(utf8String());
  const kept = captured(boolean);
  const positive = constrained(number, 'positive', (value) => value > 0);
  const inner = containing(bigInteger());
  proved<Same<Value<typeof number>, number>>();
  proved<Same<Value<typeof positive>, number>>();
  proved<Same<Value<typeof colour>, 'red' | 'green'>>();
  proved<Same<Value<typeof growing>, 'red' | 'green' | number>>();
  proved<Same<Value<typeof list>, readonly string[]>>();
  proved<Same<Value<typeof kept>, Captured<boolean>>>();
  proved<Same<Value<typeof inner>, bigint>>();
  proved<Same<Value<typeof nullValue>, null>>();
  proved<Same<ReturnType<typeof decode<Uint8Array>>, Uint8Array>>();
});

interface Row {
  readonly id: number;
  readonly label?: string;
  readonly level: number;
}

test('a SEQUENCE has a codec for each component, optional just where the interface is', () => {
  const Row = sequence<Row>('Row', {
    id: integer(),
    label: optional(utf8String()),
    level: withDefault(integer(), 1),
  });
  proved<Same<Value<typeof Row>, Row>>();
  const rows: Components<Row>[] = [
    // @ts-expect-error a component is missing
    { id: integer(), label: optional(utf8String()) },
    // @ts-expect-error label is optional in the interface
    { id: integer(), label: utf8String(), level: integer() },
    // @ts-expect-error id is not
    { id: optional(integer()), label: optional(utf8String()), level: integer() },
    // @ts-expect-error id is a number
    { id: boolean, label: optional(utf8String()), level: integer() },
    // @ts-expect-error the default is a number
    { id: integer(), label: optional(utf8String()), level: withDefault(integer(), 'one') },
  ];
  assert.equal(rows.length, 5);
});

type Shape =
  | { readonly type: 'point'; readonly value: null }
  | { readonly type: 'width' | 'height'; readonly value: number }
  | UnknownAlternative;

test('a CHOICE has a codec for each alternative that it knows', () => {
  const Shape: Codec<Shape> = choice<Shape>(
    'Shape',
    { point: nullValue, width: integer(), height: integer() },
    { extensible: true },
  );
  const decoded = decode(Shape, Uint8Array.of(0x81, 1, 5));
  if (decoded.type === 'width') proved<Same<typeof decoded.value, number>>();
  if (decoded.type === 'unknown') proved<Same<typeof decoded.value, Uint8Array>>();
  const shapes: Alternatives<Shape>[] = [
    // @ts-expect-error height is missing
    { point: nullValue, width: integer() },
    // @ts-expect-error width is a number
    { point: nullValue, width: octetString(), height: integer() },
  ];
  assert.equal(shapes.length, 2);
});
