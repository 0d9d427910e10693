import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  type GeographicRegion,
  type IdentifiedRegion,
  isWithinRegion,
  type TwoDLocation,
} from '@chrysalis/ieee1609dot2';
import fc from 'fast-check';
import { anyGeographicRegion } from './arbitrary.ts';
import { SEED } from './round-trip.ts';

/** Degrees north and east. */
function at(latitude: number, longitude: number): TwoDLocation {
  return { latitude: Math.round(latitude * 1e7), longitude: Math.round(longitude * 1e7) };
}
function circle(center: TwoDLocation, radius: number): GeographicRegion {
  return { type: 'circularRegion', value: { center, radius } };
}
function rectangle(...corners: [TwoDLocation, TwoDLocation][]): GeographicRegion {
  return {
    type: 'rectangularRegion',
    value: corners.map(([northWest, southEast]) => ({ northWest, southEast })),
  };
}
function polygon(...value: TwoDLocation[]): GeographicRegion {
  return { type: 'polygonalRegion', value };
}
function identified(...value: IdentifiedRegion[]): GeographicRegion {
  return { type: 'identifiedRegion', value };
}
const country = (value: number): IdentifiedRegion => ({ type: 'countryOnly', value });
const states = (countryOnly: number, ...regions: number[]): IdentifiedRegion => ({
  type: 'countryAndRegions',
  value: { countryOnly, regions },
});
const counties = (country: number, ...rest: [number, number[]][]): IdentifiedRegion => ({
  type: 'countryAndSubregions',
  value: {
    country,
    regionAndSubregions: rest.map(([region, subregions]) => ({ region, subregions })),
  },
});

type Row = readonly [string, GeographicRegion, GeographicRegion, boolean];

function testRows(rows: readonly Row[]): void {
  for (const [name, inner, outer, expected] of rows) {
    test(`${name}: ${expected ? 'inside' : 'outside'}`, () => {
      assert.equal(isWithinRegion(inner, outer), expected);
    });
  }
}

describe('identified regions, 1609.2 §6.4.22', () => {
  const usa = identified(country(840));
  testRows([
    ['a country in itself and others', usa, identified(country(124), country(840)), true],
    ['two countries in one of them', identified(country(124), country(840)), usa, false],
    ['a state in its country', identified(states(840, 26)), usa, true],
    ['a state in another country', identified(states(124, 26)), usa, false],
    ['a country in its states', usa, identified(states(840, 26)), false],
    ['a state among states', identified(states(840, 6)), identified(states(840, 6, 26)), true],
    ['states that are more', identified(states(840, 6, 26)), identified(states(840, 6)), false],
    ['a county in its country', identified(counties(840, [26, [163]])), usa, true],
    [
      'a county in its state',
      identified(counties(840, [26, [163]])),
      identified(states(840, 26)),
      true,
    ],
    [
      'a county in another state',
      identified(counties(840, [6, [1]])),
      identified(states(840, 26)),
      false,
    ],
    [
      'a state in its county',
      identified(states(840, 26)),
      identified(counties(840, [26, [163]])),
      false,
    ],
    [
      'a county among counties',
      identified(counties(840, [26, [163]])),
      identified(counties(840, [6, [1]], [26, [99, 163]])),
      true,
    ],
    [
      'the county of the same number in another state',
      identified(counties(840, [6, [163]])),
      identified(counties(840, [6, [1]], [26, [163]])),
      false,
    ],
    ['no region in a country', identified(), usa, false],
    ['no state in states', identified(states(840)), identified(states(840, 6)), false],
    [
      'no county in counties',
      identified(counties(840)),
      identified(counties(840, [6, [1]])),
      false,
    ],
    [
      'no county of a state in counties',
      identified(counties(840, [6, []])),
      identified(counties(840, [6, [1]])),
      false,
    ],
    [
      'a country in a region of no kind known',
      usa,
      identified({ type: 'unknown', tag: 9, value: new Uint8Array(1) }),
      false,
    ],
    [
      'the other way round',
      identified({ type: 'unknown', tag: 9, value: new Uint8Array(1) }),
      usa,
      false,
    ],
    ['a country in a circle', usa, circle(at(40, -100), 65_535), false],
    ['a circle in a country', circle(at(40, -100), 5), usa, false],
  ]);
});

describe('circles, 1609.2 §6.4.17', () => {
  const detroit = at(42.33, -83.05);
  const outer = circle(detroit, 10_000);
  testRows([
    ['a smaller one about the same centre', circle(detroit, 9_999), outer, true],
    ['a larger one', circle(detroit, 10_001), outer, false],
    // A degree of latitude is 111.2 km.
    ['one at a distance that touches from inside', circle(at(42.375, -83.05), 4_990), outer, true],
    ['one at a distance that reaches out', circle(at(42.375, -83.05), 5_010), outer, false],
    [
      'a rectangle about the centre',
      rectangle([at(42.35, -83.08), at(42.31, -83.02)]),
      outer,
      true,
    ],
    [
      'a rectangle with a corner outside',
      rectangle([at(42.45, -83.08), at(42.31, -83.02)]),
      outer,
      false,
    ],
    ['no rectangle', rectangle(), outer, false],
    [
      'a polygon of inner corners',
      polygon(at(42.35, -83.05), at(42.31, -83.02), at(42.31, -83.08)),
      outer,
      true,
    ],
    [
      'a polygon with an outer corner',
      polygon(at(43, -83.05), at(42.31, -83.02), at(42.31, -83.08)),
      outer,
      false,
    ],
    [
      'a rectangle with corners beside the centre that goes round the globe',
      rectangle([at(42.35, -179.95), at(42.31, 179.95)]),
      circle(at(42.33, 180), 10_000),
      false,
    ],
    [
      'a rectangle on one side of the date line, about a centre on the other',
      rectangle([at(42.35, 179.95), at(42.31, 179.99)]),
      circle(at(42.33, -179.99), 10_000),
      true,
    ],
    [
      'a rectangle at the far side of the pole',
      rectangle([at(89.99, 95), at(89.98, 175)]),
      circle(at(89.99, 0), 3_000),
      false,
    ],
    [
      'a rectangle near the pole that passes behind it',
      rectangle([at(89.95, -179), at(89.9, 179)]),
      circle(at(89.95, 0), 20_000),
      true,
    ],
  ]);
});

describe('rectangles, 1609.2 §6.4.20', () => {
  const outer = rectangle([at(50, -125), at(25, -67)]);
  testRows([
    ['a smaller one', rectangle([at(45, -100), at(40, -90)]), outer, true],
    ['one that shares two edges', rectangle([at(50, -125), at(40, -90)]), outer, true],
    ['one that reaches out', rectangle([at(51, -100), at(40, -90)]), outer, false],
    [
      'two, each in one of two',
      rectangle([at(10, 0), at(5, 5)], [at(45, -100), at(40, -90)]),
      rectangle([at(50, -125), at(25, -67)], [at(20, 0), at(0, 20)]),
      true,
    ],
    [
      'one that spans two',
      rectangle([at(10, 0), at(0, 20)]),
      rectangle([at(10, 0), at(0, 10)], [at(10, 10), at(0, 20)]),
      false,
    ],
    ['none', rectangle(), outer, false],
    [
      'one over the date line',
      rectangle([at(10, 170), at(0, -170)]),
      rectangle([at(20, -175), at(-20, 175)]),
      false,
    ],
    ['one upside down', rectangle([at(30, -100), at(45, -90)]), outer, false],
    [
      'a polygon, whose edges bow towards the pole',
      polygon(at(50, -125), at(50, -67), at(30, -90)),
      outer,
      false,
    ],
    ['a circle', circle(at(40, -100), 10), outer, false],
    [
      'a rectangle in a polygon',
      rectangle([at(1, 0), at(0, 1)]),
      polygon(at(10, -10), at(10, 10), at(-10, 0)),
      false,
    ],
  ]);
});

describe('whatever the region', () => {
  test('it lies inside itself', () => {
    fc.assert(
      fc.property(anyGeographicRegion, (region) => {
        assert.ok(isWithinRegion(region, structuredClone(region)));
      }),
      { seed: SEED, numRuns: 500 },
    );
  });

  test('two of them can be compared', () => {
    fc.assert(
      fc.property(anyGeographicRegion, anyGeographicRegion, (a, b) => {
        assert.equal(typeof isWithinRegion(a, b), 'boolean');
      }),
      { seed: SEED, numRuns: 2000 },
    );
  });
});

/** An independent check: points of a rectangle, drawn at random, lie in each circle that is said to hold it. */
test('no point of a rectangle inside a circle lies outside it', () => {
  const between = (min: number, max: number) =>
    fc.integer({ min: 0, max: 1e6 }).map((n) => min + ((max - min) * n) / 1e6);
  const unit = between(0, 1);
  const anyCase = fc.record({
    latitude: fc.oneof(between(-89, 89), between(89.5, 89.99)),
    longitude: between(-179.9, 179.9),
    radius: fc.integer({ min: 1000, max: 65_535 }),
    shape: fc.tuple(unit, unit, unit, unit),
    point: fc.tuple(unit, unit),
  });
  let inside = 0;
  fc.assert(
    fc.property(anyCase, ({ latitude, longitude, radius, shape, point }) => {
      // About as large as the circle, and now and then as wide as the globe.
      const height = (1.2 * radius) / 111_200;
      const width = shape[2] > 0.9 ? 360 * shape[2] : height / Math.cos((latitude * Math.PI) / 180);
      const north = Math.min(90, latitude + height * shape[0]);
      const south = Math.max(-90, latitude - height * shape[1]);
      const west = Math.max(-179.9, longitude - width * shape[3]);
      const east = Math.min(180, west + width * shape[2]);
      const box = rectangle([at(north, west), at(south, east)]);
      if (!isWithinRegion(box, circle(at(latitude, longitude), radius))) return;
      inside++;
      const p = [south + (north - south) * point[0], west + (east - west) * point[1]] as const;
      const metres = 6_371_008.8 * angle(p, [latitude, longitude]);
      assert.ok(metres <= radius + 1, `${metres} m from the centre`);
    }),
    { seed: SEED, numRuns: 20_000 },
  );
  assert.ok(inside > 1000, `${inside} rectangles inside circles`);
});

/** The angle between two points by their vectors, in radians. */
function angle(a: readonly [number, number], b: readonly [number, number]): number {
  const vector = ([lat, lon]: readonly [number, number]) => {
    const [phi, lambda] = [(lat * Math.PI) / 180, (lon * Math.PI) / 180];
    return [Math.cos(phi) * Math.cos(lambda), Math.cos(phi) * Math.sin(lambda), Math.sin(phi)];
  };
  const [u, v] = [vector(a), vector(b)];
  return 2 * Math.asin(Math.min(1, Math.hypot(...u.map((x, i) => x - v[i]!)) / 2));
}
