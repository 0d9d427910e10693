/**
 * A Buffer as a plain Uint8Array that owns its memory. A Buffer may be a window on Node's 8 kB pool:
 * cloned to a worker it would take the whole pool with it, neighbours' secrets included.
 */
export function ownOctets(buffer: Buffer): Uint8Array {
  if (buffer.length === buffer.buffer.byteLength) {
    return new Uint8Array(buffer.buffer);
  }
  return Uint8Array.from(buffer);
}

/** The parts one after another, in a fresh array. */
export function concatOctets(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) {
    length += part.length;
  }
  const whole = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/** The bitwise exclusive or of two arrays of the same length. */
export function xorOctets(a: Uint8Array, b: Uint8Array): Uint8Array {
  return a.map((octet, index) => octet ^ b[index]!);
}
