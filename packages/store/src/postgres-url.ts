import { readFile } from 'node:fs/promises';
import type { ConnectionOptions } from 'node:tls';
import { fileError, StoreError } from './store-error.ts';

/** Where a PostgreSQL is and how it is talked to: what a URL says, and nothing that is secret. */
export interface PostgresPlace {
  /** A name, an address, or the directory of its socket. Undefined: PGHOST, or this machine. */
  readonly host: string | undefined;
  readonly port: number | undefined;
  readonly user: string | undefined;
  readonly database: string | undefined;
  /** The schema in which the tables lie; undefined for the first of the role's search path. */
  readonly schema: string | undefined;
  readonly tls: boolean;
  /** PEM files. */
  readonly tlsRoot: string | undefined;
  readonly tlsCertificate: string | undefined;
  readonly tlsKey: string | undefined;
}

const PARAMETERS = ['host', 'schema', 'sslmode', 'sslrootcert', 'sslcert', 'sslkey'] as const;
/** It becomes SQL, and a setting of the connection. */
const SCHEMA_NAME = /^[a-z_][a-z0-9_]{0,62}$/;

export function isPostgresUrl(url: string): boolean {
  return /^postgres(ql)?:\/\//.test(url);
}

/**
 * `postgres://user@host:5432/database`, with `?sslmode=verify-full|disable`, `sslrootcert`, `sslcert`, `sslkey` (PEM files),
 * `schema`, and `host` for the directory of a socket. TLS with a verified name is what a host gets that is not this machine.
 * A password is refused here: configuration is read by more people than may know it.
 *
 * @throws StoreError `unsupported-url`; no message repeats the URL
 */
export function parsePostgresUrl(text: string): PostgresPlace {
  const url = URL.parse(text);
  if (url === null) throw refused('expected postgres://user@host:port/database');
  if (url.password !== '') {
    throw refused(
      'expected no password in the URL: it comes from a file, PGPASSWORD or PGPASSFILE',
    );
  }
  const { searchParams } = url;
  for (const name of searchParams.keys()) {
    if (!(PARAMETERS as readonly string[]).includes(name)) {
      throw refused(`expected ${PARAMETERS.join(', ')} as parameters, saw another`);
    }
  }
  const parameter = (name: (typeof PARAMETERS)[number]) => searchParams.get(name) ?? undefined;
  const host = decode(url.hostname) || parameter('host');
  const schema = parameter('schema');
  if (schema !== undefined && !SCHEMA_NAME.test(schema)) {
    throw refused('expected a schema of a-z, 0-9 and _');
  }
  return {
    host,
    port: url.port === '' ? undefined : Number(url.port),
    user: decode(url.username) || undefined,
    database: decode(url.pathname.slice(1)) || undefined,
    schema,
    tls: wantsTls(parameter('sslmode'), host),
    tlsRoot: parameter('sslrootcert'),
    tlsCertificate: parameter('sslcert'),
    tlsKey: parameter('sslkey'),
  };
}

/** Reads the files that a place names. @throws StoreError `io` */
export async function tlsOptionsOf(place: PostgresPlace): Promise<ConnectionOptions | false> {
  if (!place.tls) return false;
  const [ca, cert, key] = await Promise.all(
    [place.tlsRoot, place.tlsCertificate, place.tlsKey].map(readPem),
  );
  return {
    minVersion: 'TLSv1.2',
    rejectUnauthorized: true,
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
  };
}

async function readPem(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined;
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw fileError(error, `read ${file}`);
  }
}

function wantsTls(mode: string | undefined, host: string | undefined): boolean {
  switch (mode) {
    case undefined:
      return !isThisMachine(host);
    case 'disable':
      return false;
    case 'verify-full':
      return true;
    default:
      // Weaker modes of libpq encrypt to whoever answers.
      throw refused('expected sslmode verify-full or disable');
  }
}

function isThisMachine(host = process.env.PGHOST ?? 'localhost'): boolean {
  return host.startsWith('/') || ['localhost', '127.0.0.1', '[::1]', '::1'].includes(host);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw refused('expected a URL whose parts are percent-encoded UTF-8');
  }
}

function refused(message: string): StoreError {
  return new StoreError('unsupported-url', message);
}
