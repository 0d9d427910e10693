import { TokenError } from './token-error.ts';

/** What is used of pkcs11js, which need not be installed: PKCS #11 v2.40, function by function. Handles are octets. */
export interface Pkcs11Module {
  load(path: string): void;
  C_Initialize(options: { flags: number }): void;
  C_GetSlotList(tokenPresent: boolean): Handle[];
  C_GetTokenInfo(slot: Handle): Readonly<Record<TokenField, string>>;
  C_OpenSession(slot: Handle, flags: number): Handle;
  C_CloseSession(session: Handle): void;
  C_Login(session: Handle, userType: number, pin: string): void;
  C_FindObjectsInit(session: Handle, template: Template): void;
  C_FindObjects(session: Handle, maxObjectCount: number): Handle[];
  C_FindObjectsFinal(session: Handle): void;
  C_SignInit(session: Handle, mechanism: Mechanism, key: Handle): void;
  C_Sign(session: Handle, data: Buffer, signature: Buffer): Buffer;
  C_DeriveKey(session: Handle, mechanism: Mechanism, key: Handle, template: Template): Handle;
  C_GetAttributeValue(
    session: Handle,
    object: Handle,
    template: { readonly type: number }[],
  ): { readonly type: number; readonly value: Buffer }[];
  C_DestroyObject(session: Handle, object: Handle): void;
}

export type Handle = Buffer;
export type Template = readonly {
  readonly type: number;
  readonly value: number | boolean | string | Buffer;
}[];
export interface Mechanism {
  readonly mechanism: number;
  readonly parameter?: { readonly type: number; readonly kdf: number; readonly publicData: Buffer };
}
type TokenField = 'label' | 'manufacturerID' | 'model' | 'serialNumber';

/** Constants of PKCS #11 v2.40 (base specification and current mechanisms), under their names there. */
export const CK = {
  CKF_OS_LOCKING_OK: 0x02,
  CKF_SERIAL_SESSION: 0x04,
  CKU_USER: 1,
  CKO_PRIVATE_KEY: 3,
  CKO_SECRET_KEY: 4,
  CKK_EC: 3,
  CKK_GENERIC_SECRET: 0x10,
  CKA_CLASS: 0,
  CKA_TOKEN: 1,
  CKA_LABEL: 3,
  CKA_VALUE: 0x11,
  CKA_KEY_TYPE: 0x100,
  CKA_ID: 0x102,
  CKA_SENSITIVE: 0x103,
  CKA_SIGN: 0x108,
  CKA_DERIVE: 0x10c,
  CKA_VALUE_LEN: 0x161,
  CKA_EXTRACTABLE: 0x162,
  CKM_ECDSA: 0x1041,
  CKM_ECDH1_DERIVE: 0x1050,
  CKD_NULL: 1,
  CKR_KEY_FUNCTION_NOT_PERMITTED: 0x68,
  CKR_PIN_INCORRECT: 0xa0,
  CKR_PIN_LOCKED: 0xa4,
  CKR_USER_ALREADY_LOGGED_IN: 0x100,
  CKR_CRYPTOKI_ALREADY_INITIALIZED: 0x191,
} as const;

/** How pkcs11js 2 tells the parameters of CKM_ECDH1_DERIVE from others; no number of PKCS #11. */
export const CK_PARAMS_EC_DH = 6;

const PACKAGE: string = 'pkcs11js';
const loaded = new Map<string, Pkcs11Module>();

/**
 * The library of a token, loaded and initialized once in a thread. It is never finalized: that would end the sessions of
 * other threads.
 *
 * @throws TokenError `no-module`
 */
export async function loadPkcs11(path: string): Promise<Pkcs11Module> {
  const known = loaded.get(path);
  if (known !== undefined) return known;
  const PKCS11 = await importPackage();
  try {
    const module = new PKCS11();
    module.load(path);
    initialize(module);
    loaded.set(path, module);
    return module;
  } catch (cause) {
    throw new TokenError(
      'no-module',
      `expected a PKCS #11 library in ${path}, could not load it: ${firstLine(cause)}`,
      { cause },
    );
  }
}

/** No error when it was done before, by us or by another thread of this process. */
export function initialize(module: Pkcs11Module): void {
  try {
    module.C_Initialize({ flags: CK.CKF_OS_LOCKING_OK });
  } catch (error) {
    if (returnValueOf(error) !== CK.CKR_CRYPTOKI_ALREADY_INITIALIZED) throw error;
  }
}

/** CKR_… of an error of pkcs11js. */
export function returnValueOf(error: unknown): number | undefined {
  const { code } = error as { readonly code?: unknown };
  return error instanceof Error && typeof code === 'number' ? code : undefined;
}

export function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
}

async function importPackage(): Promise<new () => Pkcs11Module> {
  try {
    const { default: package_ } = (await import(PACKAGE)) as {
      readonly default: { readonly PKCS11: new () => Pkcs11Module };
    };
    return package_.PKCS11;
  } catch (cause) {
    throw new TokenError('no-module', 'expected the package pkcs11js, could not load it', {
      cause,
      hint: 'npm install --no-save pkcs11js@2 builds it; it takes a C++ compiler',
    });
  }
}
