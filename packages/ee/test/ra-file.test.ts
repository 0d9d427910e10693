import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fetchRaFile, type RaMessage, type RaTransport } from '../src/index.ts';
import type { MockAnswer } from './mock-ra.ts';

const HELD = { name: 'LPF_v1.oer', octets: Uint8Array.of(1) };

async function fetchWith(answer: MockAnswer, held?: typeof HELD) {
  const messages: RaMessage[] = [];
  const transport: RaTransport = {
    async exchange(request) {
      messages.push(await request.message());
      const { status, headers = {}, body = new Uint8Array(0) } = answer;
      return { status, headers, body: one(body), discard() {} };
    },
    async close() {},
  };
  const url = new URL('https://ra.test:8892/download/policy/local');
  return { answer: await fetchRaFile({ transport, url, held, maxOctets: 65_536 }), messages };
}

async function* one(body: Uint8Array) {
  yield body;
}

const named = (disposition: string): MockAnswer => ({
  status: 200,
  headers: { 'content-disposition': disposition },
  body: Uint8Array.of(7),
});

describe('fetchRaFile', () => {
  it('asks for any file first, and then for another than the one it holds', async () => {
    const first = await fetchWith(named('attachment; filename="LPF_v2.oer"'));
    assert.deepEqual(first.answer, {
      type: 'new',
      file: { name: 'LPF_v2.oer', octets: Uint8Array.of(7) },
    });
    assert.equal(first.messages[0]!.headers['If-None-Match'], undefined);
    const second = await fetchWith({ status: 304 }, HELD);
    assert.deepEqual(second.answer, { type: 'unchanged' });
    assert.equal(second.messages[0]!.headers['If-None-Match'], '"LPF_v1.oer"');
  });

  it('takes a 500 for a refusal, and names its code', async () => {
    await assert.rejects(fetchWith({ status: 500 }, HELD), { code: 'refused' });
    const headers = { 'scms-poc-error': '5068' };
    await assert.rejects(fetchWith({ status: 500, headers }), ({ refusal }) => {
      return refusal.name === 'raNoPcaCertificateChainFileAvailable' && refusal.retry === 'later';
    });
  });

  it('takes a name without quotes, and none that could do harm', async () => {
    const bare = await fetchWith(named('attachment; filename=LPF_v2.oer'));
    assert(bare.answer.type === 'new' && bare.answer.file.name === 'LPF_v2.oer');
    for (const disposition of [
      '',
      'attachment',
      'attachment; filename=""',
      'attachment; filename="../../etc/passwd"',
      'attachment; filename="a\r\nb"',
      `attachment; filename="${'x'.repeat(200)}"`,
    ]) {
      await assert.rejects(fetchWith(named(disposition)), { code: 'unexpected-response' });
    }
  });

  it('refuses a 304 for nothing, and a file that is too large', async () => {
    await assert.rejects(fetchWith({ status: 304 }), { code: 'unexpected-response' });
    const large = { ...named('attachment; filename=x'), body: new Uint8Array(70_000) };
    await assert.rejects(fetchWith(large), { code: 'too-large' });
  });
});
