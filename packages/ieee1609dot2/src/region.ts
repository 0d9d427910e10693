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
 * circle, anything but its equal inside a polygon) counts as outside. Equal regions always lie inside one another.
 */
export function isWithinRegion(inner: GeographicRegion, outer: GeographicRegion): boolean {
  if (equalConstantTime(encode(GeographicRegion, inner), encode(GeographicRegion, outer)))
    return true;
  if (outer.type === 'identifiedRegion') {
    return (
      inner.type === 'identifiedRegion' &&
      inner.value.length > 0 &&
      inner.value.every((part) => outer.value.some((whole) => isWithinIdentified(part, whole)))
    );
  }
  const vertices = verticesOf(inner);
  if (outer.type === 'circularRegion') {
    if (inner.type === 'circularRegion') return isCircleInCircle(inner.value, outer.value);
    // A circle is convex: it holds a polygon when it holds its corners.
    return (
      vertices !== undefined &&
      vertices.every((p) => distance(p, outer.value.center) <= outer.value.radius)
    );
  }
  if (outer.type === 'rectangularRegion') {
    if (inner.type === 'rectangularRegion') {
      return (
        inner.value.length > 0 &&
        inner.value.every((part) =>
          outer.value.some((whole) => corners(part).every((p) => isInRectangle(p, whole))),
        )
      );
    }
    return (
      vertices !== undefined &&
      outer.value.some((whole) => vertices.every((p) => isInRectangle(p, whole)))
    );
  }
  return false;
}

/** Corners of a region that is the convex hull of nothing more than them; undefined for the others. */
function verticesOf(region: GeographicRegion): readonly TwoDLocation[] | undefined {
  if (region.type === 'polygonalRegion') return region.value;
  if (region.type === 'rectangularRegion' && region.value.length > 0) {
    return region.value.flatMap(corners);
  }
  return undefined;
}

function corners(r: RectangularRegion): TwoDLocation[] {
  return [
    r.northWest,
    r.southEast,
    { latitude: r.northWest.latitude, longitude: r.southEast.longitude },
    { latitude: r.southEast.latitude, longitude: r.northWest.longitude },
  ];
}

function isInRectangle(p: TwoDLocation, r: RectangularRegion): boolean {
  return (
    p.latitude <= r.northWest.latitude &&
    p.latitude >= r.southEast.latitude &&
    p.longitude >= r.northWest.longitude &&
    p.longitude <= r.southEast.longitude
  );
}

function isCircleInCircle(inner: CircularRegion, outer: CircularRegion): boolean {
  return distance(inner.center, outer.center) + inner.radius <= outer.radius;
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
      return regionsOf(inner)?.every((region) => allowed.has(region)) ?? false;
    }
    case 'countryAndSubregions': {
      if (inner.type !== 'countryAndSubregions') return false;
      const allowed = new Map(
        outer.value.regionAndSubregions.map((r) => [r.region, new Set(r.subregions)]),
      );
      return inner.value.regionAndSubregions.every((r) =>
        r.subregions.every((subregion) => allowed.get(r.region)?.has(subregion)),
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

function regionsOf(region: IdentifiedRegion): readonly number[] | undefined {
  if (region.type === 'countryAndRegions') return region.value.regions;
  if (region.type === 'countryAndSubregions') {
    return region.value.regionAndSubregions.map((r) => r.region);
  }
  return undefined;
}
