/**
 * Whether an If-None-Match header says that the device holds the file of this name already (RFC 9110 §13.1.2, Q19). The
 * wiki writes the name in quotes, a fielded device without; lists, weak tags and `*` are the RFC's. Case does not count:
 * the versions in names are hex digits.
 */
export function isHeld(ifNoneMatch: string | undefined, name: string): boolean {
  if (ifNoneMatch === undefined) return false;
  return ifNoneMatch.split(',').some((tag) => names(tag.trim(), name.toLowerCase()));
}

function names(tag: string, name: string): boolean {
  if (tag === '*') return true;
  const text = /^(?:W\/)?"(.*)"$/i.exec(tag)?.[1] ?? tag;
  return text.toLowerCase() === name;
}
