/**
 * The native costs that the benchmarks measure themselves by: `openssl speed` where the openssl command measures that
 * operation (ECDSA, ECDH), otherwise the bare calls of node:crypto, as lean as they can be made.
 */
import { execFileSync } from 'node:child_process';
import {
  createCipheriv,
  createECDH,
  createPublicKey,
  createSecretKey,
  ECDH,
  generateKeyPairSync,
  randomBytes,
  sign,
  verify,
} from 'node:crypto';

export type NativeName =
  | 'k·G'
  | 'decompress'
  | 'ECDH'
  | 'sign'
  | 'verify'
  | 'import'
  | 'CCM'
  | 'AES key';

/** Something to time. `run` is called with a running number and does `lanes` operations. */
export interface Timed {
  readonly lanes?: number;
  readonly run: (index: number) => unknown;
}

export interface Cost {
  readonly cpuUs: number;
  readonly wallUs: number;
}

/** Different inputs to go through, so that nothing is measured on one value. */
const INPUTS = 64;
const CURVE = 'prime256v1';

/** The calls of node:crypto that our operations stand on. */
export function bareOperations(): Map<NativeName, Timed> {
  const generator = createECDH(CURVE);
  const points = Array.from({ length: INPUTS }, () => generator.generateKeys());
  const scalars = Array.from({ length: INPUTS }, () => {
    generator.generateKeys();
    return generator.getPrivateKey();
  });
  const agreement = createECDH(CURVE);
  agreement.generateKeys();
  const compressed = points.map((point) => convert(point, 'compressed'));
  const jwks = points.map((point) => ({
    kty: 'EC',
    crv: 'P-256',
    x: point.subarray(1, 33).toString('base64url'),
    y: point.subarray(33).toString('base64url'),
  }));
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: CURVE });
  // 64 octets, as 1609.2 signs: two hashes.
  const message = randomBytes(64);
  const signature = sign('sha256', message, privateKey);
  const key = createSecretKey(randomBytes(16));
  const nonce = randomBytes(12);
  // About a certificate response.
  const text = randomBytes(300);

  return new Map<NativeName, Timed>([
    [
      'k·G',
      {
        run: (i) => {
          generator.setPrivateKey(scalars[i % INPUTS]!);
          return generator.getPublicKey();
        },
      },
    ],
    ['decompress', { run: (i) => convert(compressed[i % INPUTS]!, 'uncompressed') }],
    ['ECDH', { run: (i) => agreement.computeSecret(points[i % INPUTS]!) }],
    ['sign', { run: () => sign('sha256', message, privateKey) }],
    ['verify', { run: () => verify('sha256', message, publicKey, signature) }],
    ['import', { run: (i) => createPublicKey({ key: jwks[i % INPUTS]!, format: 'jwk' }) }],
    [
      'CCM',
      {
        run: () => {
          const cipher = createCipheriv('aes-128-ccm', key, nonce, { authTagLength: 16 });
          cipher.update(text);
          cipher.final();
          return cipher.getAuthTag();
        },
      },
    ],
    ['AES key', { run: () => createCipheriv('aes-128-ecb', key, null).update(text) }],
  ]);
}

function convert(point: Uint8Array, form: 'compressed' | 'uncompressed'): Buffer {
  return ECDH.convertKey(point, CURVE, undefined, undefined, form) as Buffer;
}

/** The cost of one call, from `count` calls. */
export function time(timed: Timed, count: number): Cost {
  const wallStart = process.hrtime.bigint();
  const cpuStart = process.cpuUsage();
  for (let i = 0; i < count; i += 1) {
    timed.run(i);
  }
  const { user, system } = process.cpuUsage(cpuStart);
  const wallUs = Number(process.hrtime.bigint() - wallStart) / 1000;
  return { cpuUs: (user + system) / count, wallUs: wallUs / count };
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

/** CPU microseconds from `openssl speed`, in about three seconds; empty where there is no openssl command. */
export function opensslCosts(): Map<NativeName, number> {
  let report: string;
  try {
    report = execFileSync('openssl', ['speed', '-seconds', '1', 'ecdsap256', 'ecdhp256'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  } catch {
    return new Map();
  }
  const ecdsa = /ecdsa \(nistp256\)\s+\S+s\s+\S+s\s+([\d.]+)\s+([\d.]+)/.exec(report);
  const ecdh = /ecdh \(nistp256\)\s+\S+s\s+([\d.]+)/.exec(report);
  if (ecdsa === null || ecdh === null) {
    return new Map();
  }
  return new Map<NativeName, number>([
    ['sign', 1e6 / Number(ecdsa[1])],
    ['verify', 1e6 / Number(ecdsa[2])],
    ['ECDH', 1e6 / Number(ecdh[1])],
  ]);
}
