import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CertificateFolder } from '../src/certificate-folder.ts';
import { downloadOnce } from '../src/download.ts';
import { EeError, type RaMessage, type RaRequest, type RaTransport } from '../src/index.ts';
import { MemoryStorage } from './memory-storage.ts';
import type { MockAnswer } from './mock-ra.ts';

const FILE = Uint8Array.from({ length: 100 }, (_, n) => n);
const URL_OF_FILE = new URL('https://ra.test:8892/download/batch');
const MAXIMUM = 150;

/** One answer, perhaps cut after so many octets. */
type Scripted = MockAnswer & { readonly cutAt?: number };

function setUp(answers: Scripted[]) {
  const requests: (Pick<RaRequest, 'method'> & RaMessage)[] = [];
  const storage = new MemoryStorage();
  const transport: RaTransport = {
    async exchange(request) {
      requests.push({ method: request.method, ...(await request.message()) });
      const { status, headers = {}, body = new Uint8Array(0), cutAt } = answers.shift()!;
      return { status, headers, body: inParts(body, cutAt), discard() {} };
    },
    async close() {},
  };
  const attempt = () =>
    downloadOnce({
      transport,
      url: URL_OF_FILE,
      downloadReq: () => `header ${requests.length}`,
      partial: new CertificateFolder(storage, '').partial(1, MAXIMUM),
      maxOctets: MAXIMUM,
    });
  return { requests, storage, attempt };
}

async function* inParts(body: Uint8Array, cutAt: number | undefined): AsyncGenerator<Uint8Array> {
  const end = cutAt ?? body.length;
  for (let n = 0; n < end; n += 30) yield body.subarray(n, Math.min(n + 30, end));
  if (cutAt !== undefined) throw new EeError('interrupted', 'expected a whole answer');
}

const WHOLE: Scripted = {
  status: 200,
  headers: { etag: '"a"', 'content-length': '100' },
  body: FILE,
};
const rest = (start: number, range = `bytes ${start}-99/100`, etag = '"a"'): Scripted => ({
  status: 206,
  headers: { etag, 'content-range': range },
  body: FILE.subarray(start),
});

describe('downloadOnce', () => {
  it('fetches a whole file with a plain GET', async () => {
    const { requests, attempt } = setUp([WHOLE]);
    assert.deepEqual(await attempt(), FILE);
    assert.equal(requests[0]!.method, 'GET');
    assert.deepEqual(requests[0]!.headers, {
      'Download-Req': 'header 0',
      'Accept-Encoding': 'identity',
    });
  });

  it('goes on where it was cut, under the same ETag, with a fresh header', async () => {
    const { requests, attempt } = setUp([
      { ...WHOLE, cutAt: 45 },
      { ...rest(45), cutAt: 10 },
      rest(55),
    ]);
    await assert.rejects(attempt(), { code: 'interrupted' });
    await assert.rejects(attempt(), { code: 'interrupted' });
    assert.deepEqual(await attempt(), FILE);
    assert.deepEqual(
      requests.slice(1).map(({ headers }) => headers),
      [
        { Range: 'bytes=45-', 'If-Range': '"a"', 'Download-Req': 'header 1' },
        { Range: 'bytes=55-', 'If-Range': '"a"', 'Download-Req': 'header 2' },
      ].map((headers) => ({ ...headers, 'Accept-Encoding': 'identity' })),
    );
  });

  it('takes the whole file when it has changed meanwhile', async () => {
    const changed = FILE.map((octet) => octet ^ 1);
    const { attempt } = setUp([
      { ...WHOLE, cutAt: 45 },
      { status: 200, headers: { etag: '"b"' }, body: changed },
    ]);
    await assert.rejects(attempt());
    assert.deepEqual(await attempt(), changed);
  });

  it('starts over after a range that is not the one it asked for', async () => {
    const wrong: Scripted[] = [
      rest(44, 'bytes 44-99/100'),
      rest(45, 'bytes 45-98/100'),
      rest(45, 'bytes 45-99/*'),
      rest(45, 'bytes 45-99/100', '"b"'),
      { status: 206, body: FILE.subarray(45) },
      { status: 206, headers: { 'content-range': 'octets 45-99/100' }, body: FILE.subarray(45) },
      { status: 416 },
    ];
    for (const answer of wrong) {
      const { requests, attempt } = setUp([{ ...WHOLE, cutAt: 45 }, answer, WHOLE]);
      await assert.rejects(attempt());
      await assert.rejects(attempt(), { code: 'interrupted' });
      assert.deepEqual(await attempt(), FILE);
      assert.equal(requests[2]!.headers.Range, undefined);
    }
  });

  it('does not go on without a strong ETag', async () => {
    for (const headers of [{}, { etag: 'W/"a"' }, { etag: 'a' }]) {
      const { requests, attempt } = setUp([{ status: 200, headers, body: FILE, cutAt: 45 }, WHOLE]);
      await assert.rejects(attempt());
      assert.deepEqual(await attempt(), FILE);
      assert.equal(requests[1]!.headers.Range, undefined);
    }
  });

  it('holds the answer to its own length', async () => {
    const short = { ...WHOLE, headers: { etag: '"a"', 'content-length': '120' } };
    const { attempt } = setUp([short, rest(100, 'bytes 100-119/120')]);
    await assert.rejects(attempt(), { message: 'expected 120 octets, saw 100' });
    const long = setUp([{ ...WHOLE, cutAt: 45 }, { ...rest(45), body: FILE.subarray(40) }, WHOLE]);
    await assert.rejects(long.attempt());
    await assert.rejects(long.attempt(), { message: 'expected 100 octets, saw 105' });
    assert.deepEqual(await long.attempt(), FILE);
  });

  it('takes no more than a batch can have, resumed or not, and forgets such a part', async () => {
    const huge = new Uint8Array(200);
    const headers = { etag: '"a"' };
    const { requests, attempt } = setUp([{ status: 200, headers, body: huge }, WHOLE]);
    await assert.rejects(attempt(), { code: 'too-large' });
    assert.deepEqual(await attempt(), FILE);
    assert.equal(requests[1]!.headers.Range, undefined);
    const range = { ...headers, 'content-range': 'bytes 45-199/200' };
    const resumed = setUp([
      { ...WHOLE, cutAt: 45 },
      { status: 206, headers: range, body: huge },
    ]);
    await assert.rejects(resumed.attempt());
    await assert.rejects(resumed.attempt(), { code: 'too-large' });
  });

  it('keeps the part when the RA refuses, and takes 206 only when it asked for it', async () => {
    const { requests, attempt } = setUp([{ ...WHOLE, cutAt: 45 }, { status: 500 }, rest(45)]);
    await assert.rejects(attempt());
    await assert.rejects(attempt(), { code: 'refused' });
    assert.deepEqual(await attempt(), FILE);
    assert.equal(requests[2]!.headers.Range, 'bytes=45-');
    await assert.rejects(setUp([rest(0)]).attempt(), { code: 'unexpected-response' });
    await assert.rejects(setUp([{ status: 404 }]).attempt(), { code: 'unexpected-response' });
  });

  it('is not misled by a part that lost its end in a crash', async () => {
    const { storage, attempt } = setUp([{ ...WHOLE, cutAt: 45 }, rest(20)]);
    await assert.rejects(attempt());
    storage.files.set('batches/1.part', FILE.slice(0, 20));
    assert.deepEqual(await attempt(), FILE);
  });
});
