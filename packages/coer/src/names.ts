/**
 * Refuses names that JavaScript would treat otherwise than ASN.1 does: those that every object inherits, those
 * that `Object.keys` lists out of order, and the one that the values of this kind of type reserve.
 */
export function expectUsableNames(type: string, names: readonly string[], reserved: string): void {
  for (const name of names) {
    if (name in Object.prototype || /^\d/.test(name) || name === reserved) {
      throw new TypeError(`${type} cannot name a part of itself ${name}`);
    }
  }
}
