import { ScmsDataError } from './error.ts';

/** A file whose name carries its version: of the PG alone, or of the PG and the RA. Versions are Uint16. */
export type VersionedFile =
  /** `global_policy_<gpf>.oer` */
  | { readonly type: 'globalPolicy'; readonly gpfVersion: number }
  /** `local_policy_<gpf>_<lpf>.oer` */
  | { readonly type: 'localPolicy'; readonly gpfVersion: number; readonly lpfVersion: number }
  /** `global_certificate_chains_<gccf>.oer` */
  | { readonly type: 'globalCertificateChains'; readonly gccfVersion: number }
  /** `local_certificate_chains_<gccf>_<lccf>.oer` */
  | {
      readonly type: 'localCertificateChains';
      readonly gccfVersion: number;
      readonly lccfVersion: number;
    };

const LOCAL = /^local_(policy|certificate_chains)_([0-9a-f]{1,4})_([0-9a-f]{1,4})\.oer$/i;
const GLOBAL = /^global_(policy|certificate_chains)_([0-9a-f]{1,4})\.oer$/i;

/**
 * The file that a name means. Case does not count, nor do leading zeros, and quotes around the name are taken off:
 * the wiki writes the name in If-None-Match with quotes, a fielded device without.
 *
 * @throws ScmsDataError `invalid-file-name`
 */
export function parseVersionedFileName(text: string): VersionedFile {
  const name = /^"(.*)"$/.exec(text)?.[1] ?? text;
  const [, localKind, global, local] = LOCAL.exec(name) ?? [];
  if (localKind !== undefined && global !== undefined && local !== undefined) {
    return isPolicy(localKind)
      ? { type: 'localPolicy', gpfVersion: version(global), lpfVersion: version(local) }
      : {
          type: 'localCertificateChains',
          gccfVersion: version(global),
          lccfVersion: version(local),
        };
  }
  const [, globalKind, only] = GLOBAL.exec(name) ?? [];
  if (globalKind !== undefined && only !== undefined) {
    return isPolicy(globalKind)
      ? { type: 'globalPolicy', gpfVersion: version(only) }
      : { type: 'globalCertificateChains', gccfVersion: version(only) };
  }
  // Names come from strangers: shown without control characters, and not at any length.
  const seen = JSON.stringify(text.slice(0, 80));
  throw new ScmsDataError('invalid-file-name', `expected the name of a file, saw ${seen}`);
}

/**
 * The name that the RA gives a file: policies with four digits as the fielded `local_policy_0001_0001.oer`, chain files
 * with two or more as the wiki's `local_certificate_chains_01_03.oer`. No source shows a version above 9, so hex is our
 * choice: four digits then hold every Uint16.
 */
export function formatVersionedFileName(file: VersionedFile): string {
  switch (file.type) {
    case 'globalPolicy':
      return `global_policy_${digits(file.gpfVersion, 4)}.oer`;
    case 'localPolicy':
      return `local_policy_${digits(file.gpfVersion, 4)}_${digits(file.lpfVersion, 4)}.oer`;
    case 'globalCertificateChains':
      return `global_certificate_chains_${digits(file.gccfVersion, 2)}.oer`;
    case 'localCertificateChains': {
      const { gccfVersion, lccfVersion } = file;
      return `local_certificate_chains_${digits(gccfVersion, 2)}_${digits(lccfVersion, 2)}.oer`;
    }
  }
}

function isPolicy(kind: string): boolean {
  return kind.toLowerCase() === 'policy';
}

function version(hex: string): number {
  return Number.parseInt(hex, 16);
}

function digits(value: number, least: number): string {
  return value.toString(16).toUpperCase().padStart(least, '0');
}
