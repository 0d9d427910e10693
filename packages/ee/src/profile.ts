import { PrivateKey } from '@chrysalis/crypto';
import { type BundleFiles, readBundleFiles } from './bundle.ts';
import { CertificateFolder, formatNumber, numbers } from './certificate-folder.ts';
import {
  DEFAULT_SETTINGS,
  type DeviceSettings,
  decodeSettings,
  encodeSettings,
} from './device-settings.ts';
import type { CertificateKind } from './download-url.ts';
import { EeError } from './error.ts';
import { type HeldFiles, RA_FILE_KINDS, type RaFileKind } from './governance.ts';
import { decodeInfo, type Info } from './info.ts';
import type { ProfileStorage } from './profile-storage.ts';
import type { PlainKeys } from './provisioning-request.ts';
import {
  CATERPILLAR_KEYS,
  decodeProvisioningState,
  encodeProvisioningState,
  PLAIN_KEYS,
  type ProvisioningState,
} from './provisioning-state.ts';
import { decodeRaFile, encodeRaFile, type RaFile } from './ra-file.ts';

/** The files of a profile. */
const NAMES = {
  requestKey: 'enrollment-request.key',
  request: 'SignedEeEnrollmentCertRequest.oer',
  settings: 'settings.json',
  policy: 'policy.json',
  chains: 'chains.json',
  crl: 'crl.json',
  raCertificate: 'ra-certificate.json',
} as const;

/** What stands before the names of each kind. Pseudonym certificates were there first. */
const PREFIXES: Record<CertificateKind, string> = {
  pseudonym: '',
  identification: 'identification/',
  application: 'application/',
};

const ANEW = 'anew/provisioning.json';

/** Reports that wait: Time32 and the begin of a hash, in hex. */
const REPORTS = 'reports';
const REPORT = /^[0-9a-f]{8}-[0-9a-f]{16}\.oer$/;

/** The kinds that are asked for once, with butterfly keys. */
export type ButterflyKind = Exclude<CertificateKind, 'application'>;

/** A device's profile: what is kept under which name, and in which form. */
export class Profile {
  readonly #storage: ProfileStorage;

  constructor(storage: ProfileStorage) {
    this.#storage = storage;
  }

  /** The key of the enrollment request, 32 octets raw. */
  async requestKey(): Promise<PrivateKey | undefined> {
    const octets = await this.#storage.read(NAMES.requestKey);
    if (octets === undefined) return undefined;
    try {
      return PrivateKey.fromScalar(octets);
    } catch (cause) {
      throw new EeError('profile-damaged', `${NAMES.requestKey}: expected a private key`, {
        cause,
      });
    }
  }

  async saveRequestKey(key: PrivateKey): Promise<void> {
    await this.#storage.write(NAMES.requestKey, key.scalar().reveal());
  }

  async enrollmentRequest(): Promise<Uint8Array | undefined> {
    return this.#storage.read(NAMES.request);
  }

  async saveEnrollmentRequest(octets: Uint8Array): Promise<void> {
    await this.#storage.write(NAMES.request, octets);
  }

  /** The bundle's files; without `bootstrap.json` until the bundle is there whole. */
  async bundleFiles(): Promise<Map<string, Uint8Array>> {
    return readBundleFiles((name) => this.#storage.read(`bundle/${name}`));
  }

  /** Writes the files in the order of the map, of which the last one completes the bundle. */
  async saveBundle(files: BundleFiles): Promise<void> {
    for (const [name, octets] of files) await this.#storage.write(`bundle/${name}`, octets);
  }

  /** The enrollment certificate and its key for other programs; this one makes them from the bundle. */
  async saveEnrollment(certificate: Uint8Array, key: PrivateKey): Promise<void> {
    await this.#storage.write('enrollment.key', key.scalar().reveal());
    await this.#storage.write('enrollment.oer', certificate);
  }

  /** What the device is, and what its user has decided. */
  async settings(): Promise<DeviceSettings> {
    const octets = await this.#storage.read(NAMES.settings);
    return octets === undefined ? DEFAULT_SETTINGS : decodeSettings(NAMES.settings, octets);
  }

  async saveSettings(settings: DeviceSettings): Promise<void> {
    await this.#storage.write(NAMES.settings, encodeSettings(settings));
  }

  /** The policy, chain and revocation files that were taken in last. */
  async raFiles(): Promise<HeldFiles> {
    const files: Partial<Record<RaFileKind, RaFile>> = {};
    for (const which of RA_FILE_KINDS) {
      const octets = await this.#storage.read(NAMES[which]);
      if (octets !== undefined) files[which] = decodeRaFile(NAMES[which], octets);
    }
    return files;
  }

  async saveRaFile(which: RaFileKind, file: RaFile): Promise<void> {
    await this.#storage.write(NAMES[which], encodeRaFile(file));
  }

  /** The RA certificate that was taken after the bundle's, as `encodeRaCertificate` made it. */
  async raCertificate(): Promise<{ name: string; octets: Uint8Array } | undefined> {
    const octets = await this.#storage.read(NAMES.raCertificate);
    return octets && { name: NAMES.raCertificate, octets };
  }

  /** When it resolves, the certificate survives a power cut: only then may anything be sealed to it. */
  async saveRaCertificate(octets: Uint8Array): Promise<void> {
    await this.#storage.write(NAMES.raCertificate, octets);
  }

  /** The names of the misbehavior reports that wait, oldest first. */
  async reports(): Promise<string[]> {
    return (await this.#storage.list(REPORTS)).filter((name) => REPORT.test(name)).sort();
  }

  /** COER of SecuredMisbehaviorReport. */
  async report(name: string): Promise<Uint8Array | undefined> {
    return this.#storage.read(`${REPORTS}/${name}`);
  }

  /** When it resolves, the report survives a power cut. */
  async saveReport(name: string, octets: Uint8Array): Promise<void> {
    await this.#storage.write(`${REPORTS}/${name}`, octets);
  }

  async removeReport(name: string): Promise<void> {
    await this.#storage.remove(`${REPORTS}/${name}`);
  }

  /** The files and certificates of a kind. */
  certificates(kind: CertificateKind): CertificateFolder {
    return new CertificateFolder(this.#storage, PREFIXES[kind]);
  }

  async provisioning(kind: ButterflyKind): Promise<ProvisioningState | undefined> {
    const name = `${PREFIXES[kind]}provisioning.json`;
    const octets = await this.#storage.read(name);
    return octets && decodeProvisioningState(name, octets, CATERPILLAR_KEYS);
  }

  /** When it resolves, keys and bodies survive a power cut: only then may a body be sent. */
  async saveProvisioning(kind: ButterflyKind, state: ProvisioningState): Promise<void> {
    const octets = encodeProvisioningState(state, CATERPILLAR_KEYS);
    await this.#storage.write(`${PREFIXES[kind]}provisioning.json`, octets);
  }

  /** A request with new keys that is to replace the one that was acknowledged, from its first body to its acknowledgement. */
  async provisioningAnew(kind: ButterflyKind): Promise<ProvisioningState | undefined> {
    const name = `${PREFIXES[kind]}${ANEW}`;
    const octets = await this.#storage.read(name);
    return octets && decodeProvisioningState(name, octets, CATERPILLAR_KEYS);
  }

  /** As {@link saveProvisioning}. */
  async saveProvisioningAnew(kind: ButterflyKind, state: ProvisioningState): Promise<void> {
    const octets = encodeProvisioningState(state, CATERPILLAR_KEYS);
    await this.#storage.write(`${PREFIXES[kind]}${ANEW}`, octets);
  }

  async removeProvisioningAnew(kind: ButterflyKind): Promise<void> {
    await this.#storage.remove(`${PREFIXES[kind]}${ANEW}`);
  }

  /** The numbers of the application requests, ascending; the last one is the present one. */
  async applicationRequests(): Promise<number[]> {
    return numbers(this.#storage, `${PREFIXES.application}requests`, 'json');
  }

  async applicationRequest(number: number): Promise<ProvisioningState<PlainKeys> | undefined> {
    const name = requestName(number);
    const octets = await this.#storage.read(name);
    return octets && decodeProvisioningState(name, octets, PLAIN_KEYS);
  }

  /** As {@link saveProvisioning}. */
  async saveApplicationRequest(number: number, state: ProvisioningState<PlainKeys>): Promise<void> {
    await this.#storage.write(requestName(number), encodeProvisioningState(state, PLAIN_KEYS));
  }

  async removeApplicationRequest(number: number): Promise<void> {
    await this.#storage.remove(requestName(number));
  }

  /** What the RA last said of the next file. */
  async info(kind: ButterflyKind): Promise<Info | undefined> {
    const octets = await this.#storage.read(`${PREFIXES[kind]}next.info`);
    return octets && decodeInfo(octets);
  }

  async saveInfo(kind: ButterflyKind, octets: Uint8Array): Promise<void> {
    await this.#storage.write(`${PREFIXES[kind]}next.info`, octets);
  }
}

function requestName(number: number): string {
  return `${PREFIXES.application}requests/${formatNumber(number)}.json`;
}
