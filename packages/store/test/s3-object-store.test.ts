import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type S3Fault, type S3Stub, startS3Stub } from '../../../test/support/s3-stub.ts';
import { openObjectStore } from '../src/open-object-store.ts';
import { isStoreError, type StoreErrorCode } from '../src/store-error.ts';
import { keysOf, objectStoreConformance, repeating } from './object-store-conformance.ts';

describe('S3', () => {
  let stub: S3Stub;
  let prefixes = 0;
  const saved = { ...process.env };
  before(async () => {
    stub = await startS3Stub();
    Object.assign(process.env, stub.env);
  });
  beforeEach(() => {
    stub.fault = () => 'works';
  });
  after(async () => {
    await stub.close();
    for (const name of Object.keys(stub.env)) delete process.env[name];
    Object.assign(process.env, saved);
  });
  const open = (path = `p${prefixes++}`) =>
    openObjectStore(`s3://${stub.bucket}/${path}?endpoint=${stub.endpoint}`);
  const failure = (code: StoreErrorCode) => (error: unknown) => isStoreError(error, code);

  objectStoreConformance('S3', () => open(), 10);

  // Some are lost, some done and not acknowledged: whoever asked asks again, the SDK first and then the caller.
  objectStoreConformance(
    'S3 on a bad network',
    async () => {
      const faults: readonly S3Fault[] = ['delays', 'cut-after', 'applied-and-fails', 'cut-before'];
      stub.fault = (_method, _key, count) =>
        count % 5 === 0 ? (faults[(count / 5) % faults.length] as S3Fault) : 'works';
      return repeating(await open());
    },
    5,
  );

  it('keeps its objects below its prefix, and nothing else of the bucket', async () => {
    stub.objects.set('near/other', Uint8Array.of(1));
    stub.objects.set('near-by/a', Uint8Array.of(1));
    stub.objects.set('near/we/not ours!', Uint8Array.of(1));
    const store = await open('near/we');
    await store.put('a/b', Uint8Array.of(2));
    assert.deepEqual(stub.objects.get('near/we/a/b'), Uint8Array.of(2));
    assert.deepEqual(await keysOf(store, ''), ['a/b']);
    await store.deleteAll('a');
    assert.equal(stub.objects.has('near/other') && stub.objects.has('near-by/a'), true);
    assert.equal(stub.objects.has('near/we/a/b'), false);
  });

  it('drops more than a page', async () => {
    const store = await open();
    for (let n = 0; n < 20; n++) await store.put(`p/${n}`, Uint8Array.of(n));
    await store.deleteAll('p');
    assert.deepEqual(await keysOf(store, ''), []);
  });

  it('says so when one of many cannot be deleted, though the request succeeds', async () => {
    const store = await open();
    for (const name of ['a', 'stuck', 'z']) await store.put(`p/${name}`, Uint8Array.of(1));
    await assert.rejects(store.deleteAll('p'), failure('io'));
    assert.deepEqual(await keysOf(store, ''), ['p/stuck']);
  });

  it('says what is the matter: refused, away, or no bucket', async () => {
    const store = await open();
    stub.fault = () => 'denies';
    await assert.rejects(store.put('a', Uint8Array.of(1)), failure('io'));
    await assert.rejects(store.get('a'), failure('io'));
    await assert.rejects(keysOf(store, ''), failure('io'));
    await assert.rejects(open(), failure('io'), 'found out when it is opened');
    stub.fault = () => 'works';
    const other = `s3://another-bucket?endpoint=${stub.endpoint}`;
    await assert.rejects(openObjectStore(other), failure('missing'));
    const nobody = 's3://bucket?endpoint=http://127.0.0.1:1';
    await assert.rejects(openObjectStore(nobody), failure('away'));
  });

  it('tells an outage from an absent object, and a wrong secret from both', async () => {
    const store = await open();
    stub.fault = () => 'cut-before';
    await assert.rejects(store.get('absent'), failure('away'));
    stub.fault = () => 'works';
    assert.equal(await store.get('absent'), undefined);
    process.env.AWS_SECRET_ACCESS_KEY = 'wrong';
    await assert.rejects(open(), (error) => {
      return (
        isStoreError(error, 'io') &&
        /SignatureDoesNotMatch/.test(error.message) &&
        !/wrong/.test(error.message)
      );
    });
    Object.assign(process.env, stub.env);
  });

  it('refuses an object over the limit without reading it', async () => {
    const store = await open('large');
    stub.objects.set('large/a', new Uint8Array(64 * 1024 * 1024 + 1));
    await assert.rejects(store.get('a'), failure('too-large'));
    stub.objects.delete('large/a');
  });
});

describe('URLs of object stores', () => {
  it('are refused when they say too much or too little, and not repeated', async () => {
    for (const url of [
      's3://',
      's3://key:secret@bucket',
      's3://Bucket.with.dots',
      's3://bucket/.secret',
      's3://bucket?endpoint=http://s3.example.com',
      's3://bucket?endpoint=https://user:secret@s3.example.com',
      's3://bucket?secret=1',
      'ftp://secret',
      'file:',
      'secret',
    ]) {
      await assert.rejects(openObjectStore(url), (error) => {
        return isStoreError(error, 'unsupported-url') && !error.message.includes('secret');
      });
    }
  });
});
