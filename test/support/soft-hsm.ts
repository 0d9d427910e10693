/** A PKCS #11 token of SoftHSM 2 for one test file: whatever is not installed is said, and the tests are skipped. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PrivateKey } from '@chrysalis/crypto';
import { loadPkcs11, type Pkcs11Module } from '@chrysalis/ra/pkcs11';

/** Where Debian, Fedora and Homebrew put it. */
const LIBRARIES = [
  '/usr/lib/softhsm/libsofthsm2.so',
  '/usr/lib64/softhsm/libsofthsm2.so',
  '/usr/lib64/pkcs11/libsofthsm2.so',
  '/opt/homebrew/lib/softhsm/libsofthsm2.so',
];
/** CI says so, and then a test that would be skipped fails. */
const IS_REQUIRED = Boolean(process.env.CHRYSALIS_REQUIRE_SOFTHSM);

export const TOKEN = 'chrysalis test';
export const PIN = '918273';
const SO_PIN = '645546';
/** DER of the OID 1.2.840.10045.3.1.7, P-256 (RFC 5480 §2.1.1.1). */
const P256 = Buffer.from('06082a8648ce3d030107', 'hex');

/** CKA_… of PKCS #11 v2.40. */
const CKA = {
  CLASS: 0,
  TOKEN: 1,
  PRIVATE: 2,
  LABEL: 3,
  VALUE: 0x11,
  KEY_TYPE: 0x100,
  ID: 0x102,
  SENSITIVE: 0x103,
  SIGN: 0x108,
  DERIVE: 0x10c,
  EXTRACTABLE: 0x162,
  EC_PARAMS: 0x180,
} as const;
/** CKO_PRIVATE_KEY and CKK_EC; CKU_USER; CKF_SERIAL_SESSION and CKF_RW_SESSION. */
const [PRIVATE_KEY, EC, USER, READ_WRITE] = [3, 3, 1, 6];

/** The functions of pkcs11js that only tests call. */
interface Administration extends Pkcs11Module {
  C_CreateObject(session: Buffer, template: { type: number; value: unknown }[]): Buffer;
  C_CloseAllSessions(slot: Buffer): void;
  C_Logout(session: Buffer): void;
}

export interface SoftHsm {
  readonly library: string;
  /** Of softhsm2.conf: SOFTHSM2_CONF of processes that are to find the token. */
  readonly configuration: string;
  readonly tokenDirectory: string;
  readonly module: Administration;
  /** Puts a private key into the token, which never gives it out again. */
  importKey(label: string, id: number, key: PrivateKey, use: 'sign' | 'derive'): void;
  /** What a token that was pulled out and put back does to those who use it. */
  closeAllSessions(): void;
}

/** Why there is none; undefined when there is one. */
export function softHsmMissing(): string | undefined {
  const missing = [
    ...(library() === undefined ? ['SoftHSM 2 (apt-get install softhsm2)'] : []),
    ...(hasPackage() ? [] : ['the package pkcs11js (npm install --no-save pkcs11js@2)']),
  ];
  if (missing.length === 0) return undefined;
  const text = `needs ${missing.join(' and ')}`;
  if (IS_REQUIRED) throw new Error(`CHRYSALIS_REQUIRE_SOFTHSM is set: ${text}`);
  return text;
}

/** A new token, in a directory of its own. SoftHSM reads its configuration once in a process: one token for each test file. */
export async function startSoftHsm(): Promise<SoftHsm & { remove(): void }> {
  const path = library()!;
  const directory = mkdtempSync(join(tmpdir(), 'chrysalis-softhsm-'));
  const tokenDirectory = join(directory, 'tokens');
  mkdirSync(tokenDirectory);
  const configuration = join(directory, 'softhsm2.conf');
  writeFileSync(configuration, `directories.tokendir = ${tokenDirectory}\nlog.level = ERROR\n`);
  process.env.SOFTHSM2_CONF = configuration;
  const pins = ['--pin', PIN, '--so-pin', SO_PIN];
  execFileSync('softhsm2-util', ['--init-token', '--free', '--label', TOKEN, ...pins], {
    stdio: 'ignore',
  });
  const module = (await loadPkcs11(path)) as Administration;
  const slot = module
    .C_GetSlotList(true)
    .find((one) => module.C_GetTokenInfo(one).label.trimEnd() === TOKEN)!;
  return {
    library: path,
    configuration,
    tokenDirectory,
    module,
    importKey(label, id, key, use) {
      const session = module.C_OpenSession(slot, READ_WRITE);
      module.C_Login(session, USER, PIN);
      module.C_CreateObject(session, [
        { type: CKA.CLASS, value: PRIVATE_KEY },
        { type: CKA.KEY_TYPE, value: EC },
        { type: CKA.TOKEN, value: true },
        { type: CKA.PRIVATE, value: true },
        { type: CKA.SENSITIVE, value: true },
        { type: CKA.EXTRACTABLE, value: false },
        { type: CKA.LABEL, value: label },
        { type: CKA.ID, value: Buffer.of(id) },
        { type: CKA.SIGN, value: use === 'sign' },
        { type: CKA.DERIVE, value: use === 'derive' },
        { type: CKA.EC_PARAMS, value: P256 },
        { type: CKA.VALUE, value: Buffer.from(key.scalar().reveal()) },
      ]);
      module.C_Logout(session);
      module.C_CloseSession(session);
    },
    closeAllSessions: () => module.C_CloseAllSessions(slot),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

function library(): string | undefined {
  return LIBRARIES.find((path) => existsSync(path));
}

function hasPackage(): boolean {
  try {
    createRequire(import.meta.url).resolve('pkcs11js');
    return true;
  } catch {
    return false;
  }
}
