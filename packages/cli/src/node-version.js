/**
 * Which Node runs this. Plain JavaScript that any Node takes: an older one fails at the first thing that it does not know, and says
 * nothing that helps.
 */

/** As `engines` of package.json: node:sqlite is usable from here on (docs/decisions/0001-stack-and-pinned-node.md). */
const LEAST = [24, 15];

/**
 * What is wrong with a version of Node; undefined when nothing is.
 *
 * @param {string} version as process.versions.node has it
 * @returns {string | undefined}
 */
export function problemOf(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [leastMajor = 0, leastMinor = 0] = LEAST;
  if (major > leastMajor || (major === leastMajor && minor >= leastMinor)) return undefined;
  return `expected Node ${LEAST.join('.')} or later, saw ${version}`;
}
