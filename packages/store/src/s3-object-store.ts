import type * as S3 from '@aws-sdk/client-s3';
import { checkObjectSize, keySegments } from './object-key.ts';
import { MAX_OBJECT_OCTETS, type ObjectStore } from './object-store.ts';
import { parseS3Url, type S3Place } from './s3-url.ts';
import { StoreError, type StoreErrorCode, systemCodeOf } from './store-error.ts';

type Module = typeof S3;

/** Of one request, and how often the SDK repeats it, with pauses: a device waits for some of them. */
const CONNECT_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 30_000;
const ATTEMPTS = 3;

/** Keys of one DeleteObjects; the protocol allows no more. */
const KEYS_IN_DELETE = 1000;

/**
 * Objects in a bucket, each under its own key. Put, delete and list are durable and seen by everybody when they are answered,
 * as S3 is since 2020; what claims to speak like S3 has to be too.
 *
 * @throws StoreError `unsupported-url`, `no-module`, `missing` when there is no such bucket, `away`, `io`
 */
export async function openS3ObjectStore(url: string): Promise<ObjectStore> {
  const place = parseS3Url(url);
  const module = await loadS3();
  const store = new S3ObjectStore(module, place);
  await store.look();
  return store;
}

/** The package need not be installed. */
async function loadS3(): Promise<Module> {
  try {
    return await import('@aws-sdk/client-s3');
  } catch (cause) {
    throw new StoreError(
      'no-module',
      'expected the package @aws-sdk/client-s3 beside chrysalis, could not load it: npm install @aws-sdk/client-s3@3 brings it',
      { cause },
    );
  }
}

class S3ObjectStore implements ObjectStore {
  readonly #module: Module;
  readonly #client: S3.S3Client;
  readonly #bucket: string;
  readonly #prefix: string;

  constructor(module: Module, { bucket, prefix, endpoint, region }: S3Place) {
    this.#module = module;
    this.#bucket = bucket;
    this.#prefix = prefix;
    this.#client = new module.S3Client({
      ...(region !== undefined && { region }),
      ...(endpoint !== undefined && { endpoint, forcePathStyle: true }),
      maxAttempts: ATTEMPTS,
      requestHandler: {
        connectionTimeout: CONNECT_TIMEOUT_MS,
        requestTimeout: REQUEST_TIMEOUT_MS,
        throwOnRequestTimeout: true,
      },
    });
  }

  /** Whether the bucket is there, and may be read. */
  async look(): Promise<void> {
    await this.#do(`look at the bucket ${this.#bucket}`, () =>
      this.#page(this.#prefix, undefined, 1),
    );
  }

  async put(key: string, octets: Uint8Array): Promise<void> {
    const Key = this.#keyOf(key);
    checkObjectSize(key, octets);
    const Body = new Uint8Array(octets);
    await this.#do(`put object ${key}`, () =>
      this.#client.send(new this.#module.PutObjectCommand({ Bucket: this.#bucket, Key, Body })),
    );
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const Key = this.#keyOf(key);
    return this.#do(`get object ${key}`, async () => {
      try {
        const command = new this.#module.GetObjectCommand({ Bucket: this.#bucket, Key });
        return await octetsOf(key, await this.#client.send(command));
      } catch (error) {
        if (error instanceof this.#module.NoSuchKey) return undefined;
        throw error;
      }
    });
  }

  async delete(key: string): Promise<void> {
    const Key = this.#keyOf(key);
    await this.#do(`delete object ${key}`, () =>
      this.#client.send(new this.#module.DeleteObjectCommand({ Bucket: this.#bucket, Key })),
    );
  }

  async deleteAll(prefix: string): Promise<void> {
    const below = `${this.#keyOf(prefix)}/`;
    await this.#do(`delete objects of ${prefix}`, async () => {
      for await (const keys of this.#pages(below)) await this.#deleteKeys(keys);
    });
  }

  async *list(prefix: string): AsyncIterable<string> {
    const below = prefix === '' ? this.#prefix : `${this.#keyOf(prefix)}/`;
    try {
      for await (const keys of this.#pages(below)) {
        for (const key of keys) {
          const ours = key.slice(this.#prefix.length);
          if (isOurs(ours)) yield ours;
        }
      }
    } catch (error) {
      throw s3Error(error, `list objects of ${prefix}`);
    }
  }

  /** Nothing is left: an object is put in one request. */
  async *removeAbandoned(): AsyncIterable<void> {}

  async *#pages(below: string): AsyncIterable<readonly string[]> {
    let token: string | undefined;
    do {
      const { Contents = [], NextContinuationToken, IsTruncated } = await this.#page(below, token);
      yield Contents.flatMap(({ Key }) => Key ?? []);
      token = IsTruncated === true ? NextContinuationToken : undefined;
    } while (token !== undefined);
  }

  #page(Prefix: string, ContinuationToken: string | undefined, MaxKeys = KEYS_IN_DELETE) {
    return this.#client.send(
      new this.#module.ListObjectsV2Command({
        Bucket: this.#bucket,
        Prefix,
        MaxKeys,
        ...(ContinuationToken !== undefined && { ContinuationToken }),
      }),
    );
  }

  async #deleteKeys(keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return;
    const { Errors = [] } = await this.#client.send(
      new this.#module.DeleteObjectsCommand({
        Bucket: this.#bucket,
        Delete: { Quiet: true, Objects: keys.map((Key) => ({ Key })) },
      }),
    );
    // The request as a whole succeeds, whatever became of each.
    const [first] = Errors;
    if (first !== undefined) {
      throw new StoreError('io', `${Errors.length} objects stay, the first for ${first.Code}`);
    }
  }

  #keyOf(key: string): string {
    keySegments(key);
    return `${this.#prefix}${key}`;
  }

  async #do<T>(doing: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw s3Error(error, doing);
    }
  }
}

/** @throws StoreError `too-large`, `io` */
async function octetsOf(key: string, { Body, ContentLength }: S3.GetObjectCommandOutput) {
  if (Body === undefined || ContentLength === undefined) {
    throw new StoreError('io', 'expected octets and their number, saw none');
  }
  if (ContentLength > MAX_OBJECT_OCTETS) {
    // Nobody reads it: its connection is given up.
    if ('destroy' in Body && typeof Body.destroy === 'function') Body.destroy();
    throw new StoreError(
      'too-large',
      `expected at most ${MAX_OBJECT_OCTETS} octets for ${key}, saw ${ContentLength}`,
    );
  }
  const octets = await Body.transformToByteArray();
  if (octets.length !== ContentLength) {
    throw new StoreError('io', `expected ${ContentLength} octets, saw ${octets.length}`);
  }
  return new Uint8Array(octets);
}

/** Others may have put something beside our objects. */
function isOurs(key: string): boolean {
  try {
    keySegments(key);
    return true;
  } catch {
    return false;
  }
}

const CODES: Readonly<Record<string, StoreErrorCode>> = {
  NoSuchBucket: 'missing',
  SlowDown: 'busy',
  EntityTooLarge: 'too-large',
};

/** Refused by the service, with a status; or there was no answer. */
function s3Error(error: unknown, doing: string): StoreError {
  if (error instanceof StoreError) return error;
  const { name = '', message = '', $metadata: answer } = error as Partial<S3.S3ServiceException>;
  const status = answer?.httpStatusCode;
  const isSilent = name === 'TimeoutError' || systemCodeOf(error) !== undefined;
  const isAway = status === undefined ? isSilent : status >= 500;
  const code = CODES[name] ?? (isAway ? 'away' : 'io');
  const seen = message && message !== name ? `${name}: ${message}` : name || String(error);
  return new StoreError(code, `could not ${doing}: ${seen}`, { cause: error });
}
