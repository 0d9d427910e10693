/** Octets that were changed a little, the same in every run. */

/** A whole number from 0 to below another. */
export type Draw = (below: number) => number;

/** Numbers that follow from a name (xorshift32). */
export function generator(name: string): Draw {
  let state = 0x9e3779b9;
  for (const character of name) state = Math.imul(state ^ character.codePointAt(0)!, 0x01000193);
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** Octets that mean something to a decoder: tags, lengths, the ends of ranges. */
const TELLING = [
  0x00, 0x01, 0x02, 0x03, 0x20, 0x40, 0x7f, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0xbf, 0xfe, 0xff,
];

/** One change: a bit, an octet that means something, some too few or too many, or some of another message. */
export function mutate(octets: Uint8Array, other: Uint8Array, draw: Draw): Uint8Array {
  const at = draw(octets.length + 1);
  const size = 1 + draw(8);
  const splice = (upTo: number, middle: Uint8Array) =>
    Uint8Array.from([...octets.subarray(0, at), ...middle, ...octets.subarray(upTo)]);
  switch (draw(9)) {
    case 0: // A bit.
    case 1:
      return replaced(octets, at, (octet) => octet ^ (1 << draw(8)));
    case 2: // An octet that means something.
    case 3:
      return replaced(octets, at, () => TELLING[draw(TELLING.length)]!);
    case 4: // One more or one less: lengths and counts.
      return replaced(octets, at, (octet) => octet + (draw(2) === 0 ? 1 : -1));
    case 5: // Octets too few.
      return splice(at + size, new Uint8Array(0));
    case 6: // Octets too many.
      return splice(
        at,
        Uint8Array.from({ length: size }, () => draw(256)),
      );
    case 7: // Octets from elsewhere.
      return splice(at + size, other.subarray(draw(other.length)).subarray(0, size));
    default: // An end that comes too soon, or octets after it.
      return draw(2) === 0 ? octets.slice(0, at) : splice(at, other.subarray(0, size));
  }
}

function replaced(octets: Uint8Array, at: number, change: (octet: number) => number): Uint8Array {
  const mutant = Uint8Array.from(octets);
  if (at < mutant.length) mutant[at] = change(mutant[at]!);
  return mutant;
}
