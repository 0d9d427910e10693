/** chrysalis.toml: the one schema, and how it is read. `init` writes the file with a comment for each key. */
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { isPkcs11Uri } from '@chrysalis/ra/pkcs11';
import { I_PERIOD_EPOCH, MAX_COUNTERSIGNATURES } from '@chrysalis/scms';
import { parse, TomlError } from 'smol-toml';
import * as z from 'zod';
import { CliError } from './context.ts';
import { CONFIG_FILE } from './state-directory.ts';

/** Labels of letters, digits and hyphens (RFC 1123 §2.1); an IPv4 address has the same form. */
const HOSTNAME =
  /^(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/;
export const hostname = z.string().regex(HOSTNAME, 'expected a host name');
/** A file; resolved against the directory of chrysalis.toml. */
export const path = z
  .string()
  .min(1, 'expected a path')
  .refine((text) => !isPerhapsKey(text), 'expected a path');
/** Where an authority in another process answers: https, host and port, nothing else. */
const origin = z
  .url({ protocol: /^https$/, error: 'expected https://HOST:PORT' })
  .refine(
    (text) => new URL(text).href === `${new URL(text).origin}/`,
    'expected https://HOST:PORT',
  );
/** A private key: a file, or a key in a PKCS #11 token (RFC 7512), which stays as it is. */
const privateKey = path;
const inProcessPeer = z.strictObject({
  mode: z.literal('in-process'),
  certificate: path,
  hostname,
});
const remotePeer = z.strictObject({
  mode: z.literal('remote'),
  url: origin,
  'tls-ca': path,
  'tls-cert': path,
  'tls-key': path,
  // A request costs the PCA milliseconds, an LA up to seconds; more than five minutes is no answer.
  'timeout-sec': z.int().min(1).max(300).default(10),
  certificate: path,
  hostname,
});
/** An authority behind the RA: the test authority of the state directory, or one behind mutual TLS. */
const peer = z.discriminatedUnion('mode', [inProcessPeer, remotePeer]);
/** Certificates that the PCA had before: what it issued under them lies in files, and in answers that were lost. */
const former = { former: z.array(path).default([]) };
const pca = z.discriminatedUnion('mode', [inProcessPeer.extend(former), remotePeer.extend(former)]);

/** No machine that serves a fleet has more cores. */
export const MAX_PROCESSES = 64;

const Schema = z.strictObject({
  ra: z.strictObject({
    host: hostname,
    listen: z.union([z.ipv4(), z.ipv6()], 'expected an IP address').default('127.0.0.1'),
    // As many as the machine has cores when missing: each is a process with its memory.
    processes: z.int().min(1).max(MAX_PROCESSES).optional(),
    // CAMP's port of RA services; 0 takes one that is free.
    port: z.int().min(0).max(65_535).default(8892),
    'public-url': z.url({ protocol: /^https$/, error: 'expected an https URL' }).optional(),
    'tls-cert': path,
    'tls-key': path,
    certificate: path,
    'signing-key': privateKey,
    'encryption-key': privateKey,
    // From the chain file a device knows of another certificate before it seals anything. 0: former keys open nothing.
    'former-key-days': z.int().min(0).max(3650).default(30),
    // SCMS-1203; 5 seconds by the wiki's page on .info files. More than an hour protects from nothing.
    'client-signature-ttl-sec': z.int().min(1).max(3600).default(5),
    // The same for provisioning requests, when it is to differ (Q14).
    'provisioning-ttl-sec': z.int().min(1).max(3600).optional(),
    'error-detail': z.enum(['production', 'qa']).default('production'),
    // 0: refusals leave at once, and their timing tells why. Devices give up after some ten seconds.
    'refusal-tick-ms': z.int().min(0).max(5000).default(100),
    dialect: z.enum(['1.2.2', '1.2.4', 'auto']).default('auto'),
  }),
  trust: z.strictObject({
    roots: z.array(path).min(1),
    intermediates: z.array(path).default([]),
    ecas: z.array(path).min(1),
    'x509-root': path,
  }),
  pca,
  la1: peer,
  la2: peer,
  // Without the next three there are no policy and chain files, no misbehavior reports, no CRL store.
  pg: z.strictObject({ mode: z.literal('in-process') }).optional(),
  ma: z
    .strictObject({
      mode: z.literal('in-process'),
      'reports-per-minute': z.int().min(1).max(100_000).default(1000),
      // CAMP's proof of concept. More than the RA keeps would never be reached.
      'pool-threshold': z.int().min(1).max(100_000).default(10_000),
      'pool-max-age-hours': z
        .int()
        .min(1)
        .max(24 * 365)
        .default(24),
    })
    .optional(),
  crl: z
    .strictObject({
      mode: z.literal('in-process'),
      // CAMP's port of the CRL store.
      port: z.int().min(0).max(65_535).default(8894),
    })
    .optional(),
  // Without it the MA cannot ask for anything.
  'ma-port': z
    .strictObject({
      listen: z.union([z.ipv4(), z.ipv6()], 'expected an IP address').default('127.0.0.1'),
      port: z.int().min(0).max(65_535).default(8896),
      'tls-ca': path,
      clients: z.array(hostname).min(1),
      certificate: path,
      // CAMP leaves the generation time out of these messages; replays are recognised all the same.
      'generation-time': z.enum(['optional', 'required']).default('optional'),
      'ttl-sec': z.int().min(1).max(86_400).default(300),
      // Auditors that have to countersign each request. As many as are verified, at most.
      countersignatures: z.int().min(0).max(MAX_COUNTERSIGNATURES).default(0),
      auditors: z.array(path).default([]),
      // As many as the service takes in one body.
      'max-entries': z.int().min(1).max(10_000).default(10_000),
      'requests-per-hour': z.int().min(1).max(100_000).default(600),
    })
    .refine(({ countersignatures, auditors }) => countersignatures <= auditors.length, {
      path: ['auditors'],
      error: 'expected as many auditors as countersignatures, or more',
    })
    .optional(),
  // Without it no OCSP response is stapled.
  ocsp: z
    .discriminatedUnion('mode', [
      z.strictObject({ mode: z.literal('in-process') }),
      z.strictObject({
        mode: z.literal('http'),
        url: z.url({ protocol: /^https?$/, error: 'expected an http URL' }),
      }),
    ])
    .optional(),
  limits: z
    .strictObject({
      // Failures of an enrollment certificate in an hour at one service, then 5071 (Q15). 0: no limit.
      'provisioning-failures-per-hour': z.int().min(0).max(100_000).default(5),
      'download-failures-per-hour': z.int().min(0).max(100_000).default(600),
      // Of all devices together. Descriptors of the process bound the first.
      connections: z.int().min(1).max(1_000_000).default(5000),
      handshakes: z.int().min(1).max(1_000_000).default(500),
      // Linux takes no more than net.core.somaxconn.
      'waiting-connections': z.int().min(1).max(65_535).default(256),
      // 0: no limit.
      'provisioning-under-way': z.int().min(0).max(100_000).default(256),
      'downloads-under-way': z.int().min(0).max(100_000).default(1024),
      'anonymous-under-way': z.int().min(0).max(100_000).default(256),
      // Ten seconds' worth may come at once. 0: no limit.
      'anonymous-per-second': z.int().min(0).max(1_000_000).default(2000),
      // Delay of the event loop. 0: never.
      'shed-provisioning-ms': z.int().min(0).max(60_000).default(250),
      'shed-anonymous-ms': z.int().min(0).max(60_000).default(500),
      'shed-downloads-ms': z.int().min(0).max(60_000).default(1000),
    })
    .prefault({}),
  // What operators and their machines ask, on the loopback interface: off when missing.
  ops: z
    .strictObject({
      port: z.int().min(0).max(65_535).default(8895),
      // Of chrysalis worker, which may be on the same machine as serve.
      'worker-port': z.int().min(0).max(65_535).default(8897),
    })
    .optional(),
  // What auditors read: docs/reference/audit-log.md.
  audit: z
    .strictObject({
      enabled: z.boolean().default(true),
      directory: path.default('ra/audit'),
      'max-file-mb': z.int().min(1).max(1024).default(64),
      // 0: for ever.
      'keep-days': z.int().min(0).max(36_500).default(365),
    })
    .prefault({}),
  certificates: z.strictObject({
    // The policy's when missing. jMax of la-ra.asn has eight bits.
    'per-period': z.int().min(1).max(255).optional(),
    // The policy's when missing. Ten years are the outmost that any certificate of a PCA lasts.
    'weeks-ahead': z.int().min(1).max(520).optional(),
    // A device that was not heard of for so long gets nothing more until it is; 0: each goes on.
    'pause-after-weeks': z.int().min(0).max(520).default(52),
    // What becomes of a request with other keys under the same enrollment certificate (Q17).
    'second-request': z.enum(['replace', 'refuse']).default('replace'),
  }),
  pipeline: z
    .strictObject({
      // Threads that make certificates beside the one that answers devices; 0: in the same.
      threads: z.int().min(0).max(1).default(1),
      // Chains of linkage values that are kept ready for new devices.
      'linkage-cache': z.int().min(1).max(10_000).default(200),
    })
    .prefault({}),
  shuffle: z.strictObject({
    // The policy's when missing. More than these are never let wait.
    threshold: z.int().min(1).max(20_000).optional(),
    // The policy's when missing.
    'max-age-hours': z
      .int()
      .min(1)
      .max(24 * 365)
      .optional(),
    initial: z.enum(['immediate', 'pooled']).default('pooled'),
  }),
  iperiod: z.strictObject({
    epoch: z.int().min(0).max(0xffff_ffff).default(I_PERIOD_EPOCH),
    // Certificates are valid for whole hours: the period and one of overlap.
    'length-sec': z
      .int()
      .min(3600)
      .max(0xffff * 3600 - 3600)
      .multipleOf(3600, 'expected whole hours')
      // The policy's at the first start when missing; it is recorded then.
      .optional(),
  }),
  store: z.strictObject({
    url: z
      .string()
      .regex(
        /^(sqlite:|postgres:\/\/|postgresql:\/\/)./,
        'expected sqlite:PATH or postgres://HOST/DATABASE',
      ),
    // Of a PostgreSQL; PGPASSWORD and PGPASSFILE without it.
    'password-file': path.optional(),
  }),
  objects: z.strictObject({
    url: z.string().regex(/^(file:|s3:\/\/)./, 'expected file:DIRECTORY or s3://BUCKET/PREFIX'),
  }),
});

/** The configuration with keys in camel case and every path absolute. */
export type ChrysalisConfig = CamelKeys<z.output<typeof Schema>>;

/** An authority behind the RA. */
export type PeerConfig = ChrysalisConfig['la1'];

/** As it stands in the file. */
export type ConfigFile = z.input<typeof Schema>;

/** Reads the configuration of a state directory. @throws CliError naming key, expected and seen */
export async function loadConfig(directory: string): Promise<ChrysalisConfig> {
  const file = join(directory, CONFIG_FILE);
  return parseConfig(await readConfig(file, directory), resolve(directory), file);
}

/** As {@link loadConfig}, on text; relative paths are resolved against `directory`. Pure. */
export function parseConfig(text: string, directory: string, name = CONFIG_FILE): ChrysalisConfig {
  return absolutePaths(camelKeys(parseWith(Schema, text, name)), directory);
}

/** TOML that has to fit a schema. @throws CliError naming key, expected and seen */
export function parseWith<T>(schema: z.ZodType<T>, text: string, name: string): T {
  const result = schema.safeParse(parseToml(text, name), { reportInput: true });
  if (result.success) return result.data;
  const lines = result.error.issues.flatMap(describeIssue);
  throw new CliError(lines.map((line) => `${name}: ${line}`).join('\n'));
}

async function readConfig(file: string, directory: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new CliError(`expected a state directory, saw no ${CONFIG_FILE} in ${directory}`, {
      hint: 'chrysalis init makes one; --dir names another',
      cause,
    });
  }
}

function parseToml(text: string, name: string): unknown {
  try {
    return parse(text);
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    const [what = 'expected TOML'] = cause.message.split('\n');
    throw new CliError(`${name}:${cause.line}:${cause.column}: ${what}`, { cause });
  }
}

type Issue = z.core.$ZodIssue;

/** `ra.port: expected an integer from 0 to 65535, saw 70000`. */
function describeIssue(issue: Issue): string[] {
  const key = issue.path.map(String);
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((unknown) => `${[...key, unknown].join('.')}: expected a known key`);
  }
  const name = key.length === 0 ? 'the file' : key.join('.');
  if (issue.code === 'invalid_union' && issue.discriminator !== undefined) {
    return [describeDiscriminator(name, issue.discriminator, issue)];
  }
  if (issue.input === undefined) return [`${name}: expected ${expectation(issue)}, saw nothing`];
  return [`${name}: expected ${expectation(issue)}, saw ${show(name, issue.input)}`];
}

/** The issue is about one key; its input is the whole section. */
function describeDiscriminator(name: string, key: string, issue: object): string {
  const { options = [], input } = issue as {
    readonly options?: readonly string[];
    readonly input: Readonly<Record<string, unknown>>;
  };
  const seen = input[key] === undefined ? 'nothing' : show(name, input[key]);
  const known = options.map((option) => JSON.stringify(option)).join(' or ');
  return `${name}: expected ${known}, saw ${seen}`;
}

function expectation(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.expected === 'int' ? 'an integer' : `a value of type ${issue.expected}`;
    case 'invalid_value':
      return issue.values.map((value) => JSON.stringify(value)).join(' or ');
    case 'too_small':
      return `${issue.minimum} or more`;
    case 'too_big':
      return `${issue.maximum} or less`;
    default:
      return issue.message.replace(/^expected /, '');
  }
}

/** A store URL may hold a password, and a key may stand where its path belongs. */
function show(name: string, input: unknown): string {
  if (name === 'store.url' || name === 'objects.url') return 'another';
  if (typeof input === 'string' && isPerhapsKey(input)) return 'what may be a key';
  const text = JSON.stringify(input, (_, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value,
  );
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

/** PEM, 16 octets or more in hex, or a PIN in a URI: an error is not to repeat it. */
function isPerhapsKey(text: string): boolean {
  return /[\r\n]|-----BEGIN|pin-value=/.test(text) || /(?:^|[^0-9a-f])[0-9a-f]{32,}$/i.test(text);
}

type Camel<S> = S extends `${infer Head}-${infer Tail}` ? `${Head}${Capitalize<Camel<Tail>>}` : S;
export type CamelKeys<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { readonly [K in keyof T as Camel<K & string>]: CamelKeys<T[K]> }
    : T;

/** Keys of TOML in camel case, at every depth. */
export function camelKeys<T>(value: T): CamelKeys<T> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return value as CamelKeys<T>;
  }
  const entries = Object.entries(value).map(([key, inner]) => [
    key.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase()),
    camelKeys(inner),
  ]);
  return Object.fromEntries(entries) as CamelKeys<T>;
}

function absolutePaths(config: ChrysalisConfig, directory: string): ChrysalisConfig {
  const at = (file: string) => resolve(directory, file);
  const keyAt = (key: string) => (isPkcs11Uri(key) ? key : at(key));
  const { ra, trust, pca, la1, la2, maPort, audit, store, objects } = config;
  return {
    ...config,
    ra: {
      ...ra,
      tlsCert: at(ra.tlsCert),
      tlsKey: at(ra.tlsKey),
      certificate: at(ra.certificate),
      signingKey: keyAt(ra.signingKey),
      encryptionKey: keyAt(ra.encryptionKey),
    },
    trust: {
      roots: trust.roots.map(at),
      intermediates: trust.intermediates.map(at),
      ecas: trust.ecas.map(at),
      x509Root: at(trust.x509Root),
    },
    pca: { ...absolutePeer(pca, at), former: pca.former.map(at) },
    la1: absolutePeer(la1, at),
    la2: absolutePeer(la2, at),
    ...(maPort && {
      maPort: {
        ...maPort,
        tlsCa: at(maPort.tlsCa),
        certificate: at(maPort.certificate),
        auditors: maPort.auditors.map(at),
      },
    }),
    audit: { ...audit, directory: at(audit.directory) },
    store: {
      url: absoluteUrl(store.url, 'sqlite:', at),
      ...(store.passwordFile !== undefined && { passwordFile: at(store.passwordFile) }),
    },
    objects: { url: absoluteUrl(objects.url, 'file:', at) },
  };
}

function absolutePeer(peer: PeerConfig, at: (file: string) => string): PeerConfig {
  const certificate = at(peer.certificate);
  if (peer.mode === 'in-process') return { ...peer, certificate };
  const { tlsCa, tlsCert, tlsKey } = peer;
  return { ...peer, certificate, tlsCa: at(tlsCa), tlsCert: at(tlsCert), tlsKey: at(tlsKey) };
}

function absoluteUrl(url: string, scheme: string, at: (file: string) => string): string {
  if (!url.startsWith(scheme) || url === 'sqlite::memory:') return url;
  return `${scheme}${at(url.slice(scheme.length))}`;
}

/** The base of the URLs that devices are given, without a slash at its end; undefined when the port is not fixed. */
export function publicUrlOf({ ra }: ChrysalisConfig): string | undefined {
  if (ra.publicUrl !== undefined) return ra.publicUrl.replace(/\/+$/, '');
  return ra.port === 0 ? undefined : `https://${ra.host}:${ra.port}`;
}

/** Where devices find the CRL store that `serve` runs; undefined when there is none, or its port is not fixed. */
export function publicCrlUrlOf({ ra, crl }: ChrysalisConfig): string | undefined {
  const isFixed = ra.port !== 0 && crl !== undefined && crl.port !== 0;
  return isFixed ? `https://${ra.host}:${crl.port}/download-crl/` : undefined;
}
