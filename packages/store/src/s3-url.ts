import { isKeySegment } from './object-key.ts';
import { StoreError } from './store-error.ts';

/** Where in S3, or in what speaks like it, the objects lie. No secret: keys come from the environment, as the SDK finds them. */
export interface S3Place {
  readonly bucket: string;
  /** Before every key: empty, or segments that end with a slash. */
  readonly prefix: string;
  readonly endpoint: string | undefined;
  readonly region: string | undefined;
}

const PARAMETERS: readonly string[] = ['endpoint', 'region'];
/** A bucket's own rules, and what has dots is no name in a certificate. */
const BUCKET = /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/;
const THIS_MACHINE: readonly string[] = ['localhost', '127.0.0.1', '[::1]'];

/**
 * `s3://bucket/prefix`, with `?region=` and, for an S3 that is not Amazon's, `endpoint=https://...`, whose buckets are
 * addressed by path. Without TLS only on this machine.
 *
 * @throws StoreError `unsupported-url`
 */
export function parseS3Url(text: string): S3Place {
  const url = URL.parse(text);
  if (url === null || url.protocol !== 's3:') throw refused('expected s3://bucket/prefix');
  if (url.username !== '' || url.password !== '') {
    throw refused('expected no keys in the URL: they come from the environment');
  }
  for (const name of url.searchParams.keys()) {
    if (!PARAMETERS.includes(name)) {
      throw refused(`expected ${PARAMETERS.join(' or ')} as parameters, saw another`);
    }
  }
  if (!BUCKET.test(url.hostname)) throw refused('expected a bucket of a-z, 0-9 and -');
  const segments = url.pathname.split('/').filter((segment) => segment !== '');
  if (!segments.every(isKeySegment)) {
    throw refused('expected a prefix of segments [A-Za-z0-9][A-Za-z0-9._-]{0,99}');
  }
  return {
    bucket: url.hostname,
    prefix: segments.map((segment) => `${segment}/`).join(''),
    endpoint: endpointOf(url.searchParams.get('endpoint') ?? undefined),
    region: url.searchParams.get('region') ?? undefined,
  };
}

function endpointOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const url = URL.parse(text);
  if (url === null || url.pathname !== '/' || url.username !== '' || url.password !== '') {
    throw refused('expected an endpoint like https://host:port');
  }
  if (url.protocol === 'https:') return url.origin;
  if (url.protocol === 'http:' && THIS_MACHINE.includes(url.hostname)) return url.origin;
  throw refused('expected an endpoint with https, or on this machine');
}

function refused(message: string): StoreError {
  return new StoreError('unsupported-url', message);
}
