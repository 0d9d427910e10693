import { encode } from '@chrysalis/coer';
import { equalConstantTime } from '@chrysalis/crypto';
import {
  type CircularRegion,
  GeographicRegion,
  type IdentifiedRegion,
  type RectangularRegion,
  type TwoDLocation,
} from './base-types.ts';

/** Metres in a tenth of a microdegree along a meridian of the mean sphere (6,371,008.8 m). */
const METRES_PER_UNIT = (6_371_008.8 * Math.PI) / 180 / 1e7;

/**
 * Whether `inner` lies inside `outer`, 1609.2 §6.4.16. Fails closed: what cannot be decided exactly (a country inside a
 * circle, anything but its equal inside a polygon, a polygon inside a rectangle) counts as outside. Equal regions always
 * lie inside one another.
 */
export function isWithinRegion(inner: GeographicRegion, outer: GeographicRegion): boolean {
  if (equalConstantTime(encode(GeographicRegion, inner), encode(GeographicRegion, outer)))
    return true;
  switch (outer.type) {
    case 'identifiedRegion':
      return (
        inner.type === 'identifiedRegion' &&
        isEveryPartWithin(inner.value, outer.value, isWithinIdentified)
      );
    case 'rectangularRegion':
      return (
        inner.type === 'rectangularRegion' &&
        isEveryPartWithin(inner.value, outer.value, isRectangleInRectangle)
      );
    case 'circularRegion':
      return isWithinCircle(inner, outer.value);
    default:
      return false;
  }
}

/** A region of no parts says nothing, and is inside nothing. */
function isEveryPartWithin<T>(
  inner: readonly T[],
  outer: readonly T[],
  isWithin: (part: T, whole: T) => boolean,
): boolean {
  return inner.length > 0 && inner.every((part) => outer.some((whole) => isWithin(part, whole)));
}

function isWithinCircle(inner: GeographicRegion, outer: CircularRegion): boolean {
  switch (inner.type) {
    case 'circularRegion':
      return distance(inner.value.center, outer.center) + inner.value.radius <= outer.radius;
    case 'rectangularRegion':
      return (
        inner.value.length > 0 && inner.value.every((part) => isRectangleInCircle(part, outer))
      );
    case 'polygonalRegion':
      // Its edges are geodesics and a circle is convex: it holds a polygon when it holds its corners.
      return inner.value.every((p) => distance(p, outer.center) <= outer.radius);
    default:
      return false;
  }
}

function corners(r: RectangularRegion): TwoDLocation[] {
  return [
    r.northWest,
    r.southEast,
    { latitude: r.northWest.latitude, longitude: r.southEast.longitude },
    { latitude: r.southEast.latitude, longitude: r.northWest.longitude },
  ];
}

/** 1609.2 §6.4.20: the first corner lies to the north and the west of the second; none reaches over the date line. */
function isRectangle(r: RectangularRegion): boolean {
  return (
    r.northWest.latitude > r.southEast.latitude && r.northWest.longitude < r.southEast.longitude
  );
}

function isRectangleInRectangle(inner: RectangularRegion, outer: RectangularRegion): boolean {
  return (
    isRectangle(inner) &&
    isRectangle(outer) &&
    inner.northWest.latitude <= outer.northWest.latitude &&
    inner.southEast.latitude >= outer.southEast.latitude &&
    inner.northWest.longitude >= outer.northWest.longitude &&
    inner.southEast.longitude <= outer.southEast.longitude
  );
}

/**
 * Along its edges a rectangle is farthest from the centre at a corner, unless it has a point on the far side of the
 * globe or the pole from it: then its west comes after its east, seen from the centre.
 */
function isRectangleInCircle(inner: RectangularRegion, outer: CircularRegion): boolean {
  const west = degreesEast(outer.center, inner.northWest);
  const east = degreesEast(outer.center, inner.southEast);
  return (
    isRectangle(inner) &&
    west < east &&
    corners(inner).every((p) => distance(p, outer.center) <= outer.radius)
  );
}

/** How far `to` lies east of `from`: -180 to 180 degrees. */
function degreesEast(from: TwoDLocation, to: TwoDLocation): number {
  const degrees = (to.longitude - from.longitude) / 1e7;
  return degrees - 360 * Math.round(degrees / 360);
}

/** Metres on the sphere (haversine). */
function distance(a: TwoDLocation, b: TwoDLocation): number {
  const rad = (units: number) => (units / 1e7) * (Math.PI / 180);
  const dLat = rad(b.latitude - a.latitude);
  const dLon = rad(b.longitude - a.longitude);
  const h =
    Math.sin(dLat / 2) ** 2 +
    Math.cos(rad(a.latitude)) * Math.cos(rad(b.latitude)) * Math.sin(dLon / 2) ** 2;
  return 2 * Math.asin(Math.min(1, Math.sqrt(h))) * (180 / Math.PI) * 1e7 * METRES_PER_UNIT;
}

function isWithinIdentified(inner: IdentifiedRegion, outer: IdentifiedRegion): boolean {
  if (inner.type === 'unknown' || outer.type === 'unknown') return false;
  if (countryOf(inner) !== countryOf(outer)) return false;
  switch (outer.type) {
    case 'countryOnly':
      return true;
    case 'countryAndRegions': {
      const allowed = new Set(outer.value.regions);
      const regions = regionsOf(inner);
      return regions.length > 0 && regions.every((region) => allowed.has(region));
    }
    case 'countryAndSubregions': {
      if (inner.type !== 'countryAndSubregions') return false;
      const allowed = new Map(
        outer.value.regionAndSubregions.map((r) => [r.region, new Set(r.subregions)]),
      );
      const regions = inner.value.regionAndSubregions;
      return (
        regions.length > 0 &&
        regions.every(
          ({ region, subregions }) =>
            subregions.length > 0 &&
            subregions.every((subregion) => allowed.get(region)?.has(subregion)),
        )
      );
    }
  }
}

function countryOf(region: Exclude<IdentifiedRegion, { type: 'unknown' }>): number {
  switch (region.type) {
    case 'countryOnly':
      return region.value;
    case 'countryAndRegions':
      return region.value.countryOnly;
    case 'countryAndSubregions':
      return region.value.country;
  }
}

/** None for a whole country, and for one that names none. */
function regionsOf(region: IdentifiedRegion): readonly number[] {
  if (region.type === 'countryAndRegions') return region.value.regions;
  if (region.type === 'countryAndSubregions') {
    return region.value.regionAndSubregions.map((r) => r.region);
  }
  return [];
}
