/**
 * A small server that answers as S3 does, on loopback: PUT, GET (with Range), HEAD and DELETE of an object, DeleteObjects,
 * ListObjectsV2 by pages; buckets by path; signatures (AWS4-HMAC-SHA256) and checksums are looked at, and refused when wrong.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { setTimeout } from 'node:timers/promises';
import { crc32 } from 'node:zlib';

/** What becomes of a request: `applied-and-fails` and `cut-after` are done, and the client is not told. */
export type S3Fault =
  | 'works'
  | 'fails'
  | 'applied-and-fails'
  | 'cut-before'
  | 'cut-after'
  | 'delays'
  | 'denies';

export interface S3Stub {
  /** `http://127.0.0.1:port`. */
  readonly endpoint: string;
  readonly bucket: string;
  /** What the SDK takes its keys and region from. */
  readonly env: Readonly<Record<string, string>>;
  readonly objects: Map<string, Uint8Array>;
  /** Requests so far: `PUT key`. */
  readonly requests: string[];
  fault: (method: string, key: string, count: number) => S3Fault;
  close(): Promise<void>;
}

const BUCKET = 'chrysalis-test';
const REGION = 'eu-test-1';
const ACCESS_KEY = 'AKIATEST';
const SECRET_KEY = 'secret/of+a+test';
/** Fewer than S3's thousand, so that tests have several pages. */
const PAGE = 7;
const DELAY_MS = 15;

class S3Error extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string) {
    super(code);
    this.status = status;
    this.code = code;
  }
}

interface Request {
  readonly method: string;
  readonly url: URL;
  readonly key: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
}

export async function startS3Stub(): Promise<S3Stub> {
  const objects = new Map<string, Uint8Array>();
  const requests: string[] = [];
  const server = createServer((request, response) => {
    void serve(request, response).catch(() => request.socket.destroy());
  });
  const serve = async (incoming: IncomingMessage, response: ServerResponse) => {
    const request = await read(incoming);
    requests.push(`${request.method} ${request.key}`);
    const fault = stub.fault(request.method, request.key, requests.length - 1);
    if (fault === 'delays') await setTimeout(DELAY_MS);
    if (fault === 'cut-before') return incoming.socket.destroy();
    let answer: Answer;
    try {
      if (fault === 'fails') throw new S3Error(503, 'ServiceUnavailable');
      if (fault === 'denies') throw new S3Error(403, 'AccessDenied');
      authenticate(request, incoming.url ?? '');
      answer = act(request, objects);
      if (fault === 'applied-and-fails') throw new S3Error(500, 'InternalError');
    } catch (error) {
      if (!(error instanceof S3Error)) throw error;
      const text = `<Error><Code>${error.code}</Code><Message>${error.code}</Message></Error>`;
      const body = request.method === 'HEAD' ? '' : text;
      answer = { status: error.status, headers: { 'content-type': 'application/xml' }, body };
    }
    if (fault === 'cut-after') return incoming.socket.destroy();
    const body = Buffer.from(answer.body ?? '');
    response.writeHead(answer.status, { 'content-length': body.length, ...answer.headers });
    response.end(request.method === 'HEAD' ? undefined : body);
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const stub: S3Stub = {
    endpoint: `http://127.0.0.1:${port}`,
    bucket: BUCKET,
    env: {
      AWS_ACCESS_KEY_ID: ACCESS_KEY,
      AWS_SECRET_ACCESS_KEY: SECRET_KEY,
      AWS_REGION: REGION,
    },
    objects,
    requests,
    fault: () => 'works',
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
  return stub;
}

async function read(incoming: IncomingMessage): Promise<Request> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const url = new URL(incoming.url ?? '', 'http://s3');
  const [, bucket, ...rest] = url.pathname.split('/');
  return {
    method: incoming.method ?? '',
    url,
    key: bucket === BUCKET ? decodeURIComponent(rest.join('/')) : `:${bucket}`,
    headers: incoming.headers,
    body: Buffer.concat(chunks),
  };
}

function act(
  { method, url, key, headers, body }: Request,
  objects: Map<string, Uint8Array>,
): Answer {
  if (key.startsWith(':')) throw new S3Error(404, 'NoSuchBucket');
  if (key === '' && method === 'GET') return list(url, objects);
  if (key === '' && method === 'POST' && url.searchParams.has('delete')) {
    return deleteSome(body.toString(), objects);
  }
  if (key === '') throw new S3Error(405, 'MethodNotAllowed');
  switch (method) {
    case 'PUT':
      objects.set(key, Uint8Array.from(body));
      return { status: 200, headers: { etag: etagOf(body) } };
    case 'DELETE':
      objects.delete(key);
      return { status: 204 };
    case 'GET':
    case 'HEAD': {
      const octets = objects.get(key);
      if (octets === undefined) throw new S3Error(404, 'NoSuchKey');
      return rangeOf(octets, headers.range);
    }
    default:
      throw new S3Error(405, 'MethodNotAllowed');
  }
}

function rangeOf(octets: Uint8Array, range: string | undefined): Answer {
  const headers = { etag: etagOf(octets), 'accept-ranges': 'bytes' };
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(range ?? '') ?? [];
  if (first === '' && last === '') return { status: 200, headers, body: octets };
  const from = first === '' ? Math.max(0, octets.length - Number(last)) : Number(first);
  const to =
    first === '' || last === '' ? octets.length - 1 : Math.min(Number(last), octets.length - 1);
  if (from > to) throw new S3Error(416, 'InvalidRange');
  return {
    status: 206,
    headers: { ...headers, 'content-range': `bytes ${from}-${to}/${octets.length}` },
    body: octets.subarray(from, to + 1),
  };
}

function list(url: URL, objects: Map<string, Uint8Array>): Answer {
  const prefix = url.searchParams.get('prefix') ?? '';
  const after = url.searchParams.get('continuation-token') ?? '';
  const most = Math.min(PAGE, Number(url.searchParams.get('max-keys') ?? PAGE));
  const left = [...objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort();
  const page = left.slice(0, most);
  const isTruncated = left.length > page.length;
  const contents = page.map(
    (key) => `<Contents><Key>${key}</Key><Size>${objects.get(key)?.length}</Size></Contents>`,
  );
  const next = isTruncated ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : '';
  const body = `<ListBucketResult><Name>${BUCKET}</Name><KeyCount>${page.length}</KeyCount><IsTruncated>${isTruncated}</IsTruncated>${contents.join('')}${next}</ListBucketResult>`;
  return { status: 200, headers: { 'content-type': 'application/xml' }, body };
}

/** A key that has `stuck` in it cannot be deleted: the request succeeds, and says so of this one. */
function deleteSome(xml: string, objects: Map<string, Uint8Array>): Answer {
  const keys = [...xml.matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key = '']) => key);
  const errors = keys.map((key) => {
    if (!key.includes('stuck')) objects.delete(key);
    return objects.has(key) ? `<Error><Key>${key}</Key><Code>AccessDenied</Code></Error>` : '';
  });
  const body = `<DeleteResult>${errors.join('')}</DeleteResult>`;
  return { status: 200, headers: { 'content-type': 'application/xml' }, body };
}

/** The signature of the request, and what it says of the body. @throws S3Error */
function authenticate({ method, headers, body, url }: Request, raw: string): void {
  const [, credential = '', names = '', signature = ''] =
    /^AWS4-HMAC-SHA256 Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
      headers.authorization ?? '',
    ) ?? [];
  const [accessKey, ...scope] = credential.split('/');
  if (accessKey !== ACCESS_KEY) throw new S3Error(403, 'InvalidAccessKeyId');
  const declared = String(headers['x-amz-content-sha256']);
  if (declared !== sha256(body)) throw new S3Error(400, 'XAmzContentSHA256Mismatch');
  const query = [...url.searchParams]
    .map(([name, value]) => `${escaped(name)}=${escaped(value)}`)
    .sort()
    .join('&');
  const signed = names.split(';').map((name) => `${name}:${String(headers[name]).trim()}\n`);
  const path = raw.split('?')[0];
  const canonical = [method, path, query, signed.join(''), names, declared].join('\n');
  const date = String(headers['x-amz-date']);
  const text = ['AWS4-HMAC-SHA256', date, scope.join('/'), sha256(canonical)].join('\n');
  const key = scope.reduce<string | Buffer>((of, part) => hmac(of, part), `AWS4${SECRET_KEY}`);
  const expected = hmac(key, text);
  const seen = Buffer.from(signature, 'hex');
  if (seen.length !== expected.length || !timingSafeEqual(seen, expected)) {
    throw new S3Error(403, 'SignatureDoesNotMatch');
  }
  const checksum = headers['x-amz-checksum-crc32'];
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(body));
  if (checksum !== undefined && checksum !== sum.toString('base64')) {
    throw new S3Error(400, 'BadDigest');
  }
}

function escaped(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function sha256(octets: Uint8Array | string): string {
  return createHash('sha256').update(octets).digest('hex');
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

/** S3 has another for what came in parts: here for what is large. */
function etagOf(octets: Uint8Array): string {
  if (octets.length > 1_000_000) return `"${crc32(octets).toString(16)}-1"`;
  return `"${createHash('md5').update(octets).digest('hex')}"`;
}
