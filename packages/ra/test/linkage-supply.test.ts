/** The PLV cache, and the chains of devices. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createTestScms, hostnameOf, type TestScms } from '@chrysalis/authorities';
import { decode, encode } from '@chrysalis/coer';
import { systemRandom } from '@chrysalis/crypto';
import { Ieee1609Dot2Data, signedPayload } from '@chrysalis/ieee1609dot2';
import {
  AuthorityUnavailableError,
  decodeMessage,
  IPeriodClock,
  type LaRaReply,
  type LinkageAuthority,
  type LinkageChainId,
  type RaLaIndividualPreLinkageValueRequestMsg,
  requestHash,
  ScmsPdu122,
  signMessage,
} from '@chrysalis/scms';
import { PlvsByPeriod } from '../src/linkage-conversation.ts';
import { createStage, hexOf, infoOf, type Stage } from './stage.ts';

const NOW = 722_000_000;
type Question = RaLaIndividualPreLinkageValueRequestMsg;

describe('the PLV cache', () => {
  it('is filled at the start, and again when half of it is used', async (t) => {
    const questions: Question[] = [];
    const stage = await createStage(t, { linkageCache: 8, wrapLa: listening(questions) });
    assert.equal(await cached(stage), 8);
    const fresh = () => questions.filter(({ numberOfFreshInd }) => numberOfFreshInd !== undefined);
    assert.equal(fresh().length, 2, 'one question to each LA');
    for (const left of [7, 6, 5, 4]) {
      await stage.register(stage.ra);
      await stage.settle();
      assert.equal(await cached(stage), left);
    }
    assert.equal(fresh().length, 2);
    await stage.register(stage.ra);
    await stage.settle();
    assert.equal(await cached(stage), 8);
    const i = stage.currentI();
    assert.deepEqual(
      fresh().map(({ header, jMax, numberOfFreshInd }) => [
        header.iMin,
        header.iMax,
        jMax,
        numberOfFreshInd,
      ]),
      [
        [i, i, 3, 8],
        [i, i, 3, 8],
        [i, i, 3, 5],
        [i, i, 3, 5],
      ],
    );
  });

  it('keeps values as they came: the PCA is sent the very octets', async (t) => {
    const answers: LaRaReply[] = [];
    const stage = await createStage(t, { linkageCache: 2, wrapLa: hearing(answers) });
    const given = answers.flatMap((reply) => {
      assert(reply.type === 'success');
      return reply.value.individual.map(({ values }) => encode(PlvsByPeriod, values));
    });
    const rows = await stage.database.query.selectFrom('linkage_cache').selectAll().execute();
    const kept = rows.flatMap(({ la1_values, la2_values }) => [la1_values, la2_values]);
    assert.deepEqual(kept.map(hexOf).sort(), given.map(hexOf).sort());
    await stage.register(stage.ra);
    await stage.settle();
    const first = rows[0]!;
    const expected = [first.la1_values, first.la2_values].map(
      (values) => decode(PlvsByPeriod, values)[0],
    );
    const sent = stage.atPca.map(infoOf).map((info) => {
      assert(info.type === 'pseudonymCertReq');
      return [info.value.encPlv1, info.value.encPlv2];
    });
    assert.equal(sent.length, 3);
    for (const j of [0, 1, 2]) {
      const pair = [expected[0]?.[j], expected[1]?.[j]];
      assert(sent.some((other) => JSON.stringify(texts(other)) === JSON.stringify(texts(pair))));
    }
    assert.equal(
      await stage.database.query
        .selectFrom('linkage_cache')
        .where('id', '=', first.id)
        .select('id')
        .executeTakeFirst(),
      undefined,
      'a chain is given away once',
    );
  });

  it('holds eight periods, and devices go on where theirs end', async (t) => {
    const questions: Question[] = [];
    const stage = await createStage(t, {
      policy: { weeksAhead: 11, certificatesPerPeriod: 1 },
      wrapLa: listening(questions),
    });
    const device = await stage.register(stage.ra);
    await stage.settle();
    const i = stage.currentI();
    for (const week of [i, i + 7, i + 8, i + 10]) {
      assert(await stage.download(stage.ra, device, week), `week ${week - i}`);
    }
    const row = await rowOf(stage);
    const continued = questions.filter(({ continuationsInd }) => continuationsInd !== undefined);
    assert.deepEqual(
      continued.map(({ header }) => [header.iMin, header.iMax]),
      [
        [i + 8, i + 10],
        [i + 8, i + 10],
      ],
    );
    assert.deepEqual(
      [row.linked_through, row.expanded_through, row.filed_through],
      [i + 10, i + 10, i + 10],
    );
    assert.equal((await stage.issued()).length, 11);
  });

  it('ends with i = 65535', async (t) => {
    const questions: Question[] = [];
    const iPeriod = new IPeriodClock(NOW - 65_532 * 604_800, 604_800);
    const stage = await createStage(t, {
      now: NOW,
      iPeriod,
      policy: { weeksAhead: 20, certificatesPerPeriod: 1 },
      wrapLa: listening(questions),
    });
    const device = await stage.register(stage.ra);
    await stage.settle();
    for (const i of [65_532, 65_535]) assert(await stage.download(stage.ra, device, i));
    assert(questions.every(({ header }) => header.iMax === 65_535));
    assert.equal(await stage.info(device), 0);
  });

  it('of weeks, or a number of certificates, that do not fit gives its chains all the same', async (t) => {
    const questions: Question[] = [];
    const policy = { weeksAhead: 12, certificatesPerPeriod: 1 };
    const stage = await createStage(t, { policy, wrapLa: listening(questions) });
    const i = stage.currentI();
    const ids = await chainIds(stage);
    // It begins after the eight weeks that are cached.
    const late = await stage.register(stage.ra, undefined, stage.options.iPeriod.start(i + 9));
    await stage.settle();
    assert(await stage.download(stage.ra, late, i + 9));
    assert.equal(await stage.download(stage.ra, late, i + 8), undefined);
    assert.equal(hexOf((await rowOf(stage)).la1_chain!), ids[0]);
    // The policy changes its mind: the second device gets two in each week, of the second chain.
    Object.assign(stage.options.policy, { certificatesPerPeriod: 2 });
    questions.length = 0;
    const other = await stage.register(stage.ra);
    await stage.settle();
    assert(await stage.download(stage.ra, other, i));
    assert.equal(hexOf((await rowOf(stage, 2)).la1_chain!), ids[1]);
    const continued = questions.filter(({ continuationsInd }) => continuationsInd !== undefined);
    assert.deepEqual(
      continued.slice(0, 2).map(({ header, jMax }) => [header.iMin, jMax]),
      [
        [i, 2],
        [i, 2],
      ],
    );
    assert.equal((await stage.issued()).length, 3 + 2 * 12);
  });

  it('of weeks that are over is emptied, and filled with those that come', async (t) => {
    const stage = await createStage(t, { linkageCache: 3 });
    const before = await chainIds(stage);
    stage.toPeriod(1);
    stage.clock.advance(3600);
    await stage.settle();
    const after = await chainIds(stage);
    assert.equal(after.length, 3);
    assert(after.every((id) => !before.includes(id)));
    const device = await stage.register(stage.ra);
    await stage.settle();
    assert(await stage.download(stage.ra, device));
  });

  it('takes no pair of which one LA gave the wrong half', async (t) => {
    const scms = createTestScms({ now: NOW, random: systemRandom, raHostname: 'localhost' });
    let isWrong = true;
    const wrapLa = altering(scms, 'la2', (reply) => {
      if (!isWrong || reply.type === 'failure') return reply;
      return { ...reply, value: { ...reply.value, individual: reply.value.individual.slice(1) } };
    });
    const stage = await createStage(t, { now: NOW, scms, wrapLa });
    assert.equal(await cached(stage), 0);
    await assert.rejects(stage.register(stage.ra), /pre-linkage value chain|internal error/);
    isWrong = false;
    stage.clock.advance(2);
    await stage.settle();
    assert.equal(await cached(stage), 4);
  });
});

describe('chains that are continued', () => {
  it('are refused when they are those of another device: nothing is filed for either', async (t) => {
    const scms = createTestScms({ now: NOW, random: systemRandom, raHostname: 'localhost' });
    const asked: number[] = [];
    const foreign: LinkageChainId[] = [];
    let isWrong = false;
    // Two chains come in the wrong order, and each alone under the name of the other.
    const wrapLa = altering(scms, 'la1', (reply, { continuationsInd }) => {
      if (!isWrong || reply.type === 'failure' || continuationsInd === undefined) return reply;
      const { individual } = reply.value;
      asked.push(individual.length);
      if (individual.length === 2) foreign.push(...continuationsInd.toReversed());
      const wrong =
        individual.length === 2
          ? individual.toReversed()
          : individual.map((chain) => ({ ...chain, linkageChainId: foreign.shift()! }));
      return { ...reply, value: { ...reply.value, individual: wrong } };
    });
    const policy = { shuffleMaxAgeSec: 0 };
    const stage = await createStage(t, { now: NOW, scms, wrapLa, policy });
    const devices = [await stage.register(stage.ra), await stage.register(stage.ra)];
    await stage.settle();
    isWrong = true;
    stage.toPeriod(1);
    await stage.settle();
    assert.deepEqual(asked, [2, 1, 1]);
    assert.deepEqual(await stage.database.query.selectFrom('linkage').selectAll().execute(), []);
    for (const { linked_through, failures } of await devicesOf(stage)) {
      assert.deepEqual([linked_through, failures], [stage.currentI() - 1, 1]);
    }
    isWrong = false;
    for (let n = 0; n < 2; n++) {
      stage.clock.advance(2);
      await stage.settle();
    }
    for (const device of devices) assert(await stage.download(stage.ra, device));
  });

  it('of which one is unknown to its LA postpone its device, and no other of twenty', async (t) => {
    const questions: Question[] = [];
    const stage = await createStage(t, {
      linkageCache: 20,
      policy: { certificatesPerPeriod: 1, shuffleMaxAgeSec: 0 },
      wrapLa: listening(questions),
    });
    for (let n = 0; n < 20; n++) await stage.register(stage.ra);
    await stage.settle();
    const { la2_chain } = await rowOf(stage, 13);
    await stage.database.query
      .updateTable('device')
      .set({ la2_chain: la2_chain!.with(-1, la2_chain!.at(-1)! ^ 1) })
      .where('id', '=', 13)
      .execute();
    questions.length = 0;
    stage.toPeriod(1);
    await stage.settle();
    const rows = await stage.database.query.selectFrom('device').selectAll().execute();
    for (const { id, filed_through, failures } of rows) {
      const isPoor = id === 13;
      assert.equal(filed_through, stage.currentI() - (isPoor ? 1 : 0), `device ${id}`);
      assert.equal(failures, isPoor ? 1 : 0);
    }
    // 20, 10 + 10, 5 + 5, 3 + 2 ...: the halves of the question, each to both.
    assert(questions.length <= 2 * (1 + 2 * 5), `${questions.length} questions`);
  });

  it('that are kept where nobody can read them are asked for again', async (t) => {
    const stage = await createStage(t, {
      policy: { weeksAhead: 2, shuffleMaxAgeSec: 0 },
      linkageCache: 4,
    });
    const one = await stage.register(
      stage.ra,
      undefined,
      stage.options.iPeriod.start(stage.currentI() + 1),
    );
    await stage.settle();
    await stage.database.query
      .insertInto('linkage')
      .values({
        device_id: 1,
        i_min: stage.currentI() + 2,
        i_max: stage.currentI() + 9,
        la1_values: Uint8Array.of(9, 9),
        la2_values: Uint8Array.of(9, 9),
      })
      .execute();
    await stage.database.query
      .updateTable('device')
      .set({ linked_through: stage.currentI() + 9 })
      .execute();
    const two = await stage.register(stage.ra);
    await stage.settle();
    stage.toPeriod(1);
    await stage.settle();
    const i = stage.currentI();
    for (const device of [one, two]) {
      assert(await stage.download(stage.ra, device, i));
      assert(await stage.download(stage.ra, device, i + 1));
    }
    assert(stage.logged.some(({ message }) => message === 'pre-linkage values cannot be read'));
  });

  it('and cannot be, while the LAs are away, keep nobody from what is cached', async (t) => {
    let isDown = false;
    const stage = await createStage(t, {
      linkageCache: 80,
      policy: { certificatesPerPeriod: 1, shuffleMaxAgeSec: 0 },
      wrapLa: (la) => ({
        async requestPreLinkageValues(request) {
          if (isDown) throw new AuthorityUnavailableError('down');
          return la.requestPreLinkageValues(request);
        },
      }),
    });
    // More than are looked at in a step. They are blocked until the cache is one of the second week.
    for (let n = 0; n < 70; n++) await stage.register(stage.ra);
    await stage.settle();
    await stage.database.query.updateTable('device').set({ blocked: 1 }).execute();
    stage.toPeriod(1);
    stage.clock.advance(3600);
    await stage.settle();
    await stage.database.query.updateTable('device').set({ blocked: 0 }).execute();
    isDown = true;
    const late = await stage.register(stage.ra);
    await stage.settle();
    assert(await stage.download(stage.ra, late), 'it has a chain of the cache');
    isDown = false;
    stage.clock.advance(60);
    await stage.settle();
    const { count } = await stage.database.query
      .selectFrom('device')
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .where('filed_through', '=', stage.currentI())
      .executeTakeFirstOrThrow();
    assert.equal(count, 71);
  });
});

async function cached({ database }: Stage): Promise<number> {
  return (await database.query.selectFrom('linkage_cache').select('id').execute()).length;
}

async function chainIds({ database }: Stage): Promise<string[]> {
  const rows = await database.query
    .selectFrom('linkage_cache')
    .select('la1_chain')
    .orderBy('id')
    .execute();
  return rows.map(({ la1_chain }) => hexOf(la1_chain));
}

function devicesOf({ database }: Stage) {
  return database.query.selectFrom('device').selectAll().execute();
}

function rowOf({ database }: Stage, id = 1) {
  return database.query
    .selectFrom('device')
    .selectAll()
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
}

function payloadOf(octets: Uint8Array): Uint8Array {
  const { content } = decode(Ieee1609Dot2Data, octets);
  assert(content.type === 'signedData');
  return signedPayload(content.value);
}

function questionOf(request: Uint8Array): Question {
  const payload = payloadOf(request);
  const { content } = decodeMessage(ScmsPdu122, payload, 'ScmsPDU');
  assert(content.type === 'laRa');
  assert(content.value.type === 'raLaIndividualPreLinkageValueRequest');
  return content.value.value;
}

function replyOf(answer: Uint8Array): LaRaReply {
  const payload = payloadOf(answer);
  const { content } = decodeMessage(ScmsPdu122, payload, 'ScmsPDU');
  assert(content.type === 'laRa' && content.value.type === 'laRaPreLinkageValueResponse');
  return content.value.value.reply;
}

/** Both LAs, and what they are asked. */
function listening(questions: Question[]) {
  return (la: LinkageAuthority): LinkageAuthority => ({
    requestPreLinkageValues(request) {
      questions.push(questionOf(request));
      return la.requestPreLinkageValues(request);
    },
  });
}

/** Both LAs, and what they answer. */
function hearing(answers: LaRaReply[]) {
  return (la: LinkageAuthority): LinkageAuthority => ({
    async requestPreLinkageValues(request) {
      const answer = await la.requestPreLinkageValues(request);
      answers.push(replyOf(answer));
      return answer;
    },
  });
}

/** An LA with its own key that answers something else than it should, and signs it. */
function altering(
  scms: TestScms,
  name: 'la1' | 'la2',
  change: (reply: LaRaReply, question: Question) => LaRaReply,
) {
  const { certificate, signingKey } = scms[name];
  return (la: LinkageAuthority): LinkageAuthority => ({
    async requestPreLinkageValues(request) {
      const answer = await la.requestPreLinkageValues(request);
      const payload = payloadOf(answer);
      const { content } = decodeMessage(ScmsPdu122, payload, 'ScmsPDU');
      assert(content.type === 'laRa' && content.value.type === 'laRaPreLinkageValueResponse');
      const { laId, reply } = content.value.value;
      if (laId !== hostnameOf(certificate)) return answer;
      const pdu = encode(ScmsPdu122, {
        version: 1,
        content: {
          type: 'laRa',
          value: {
            type: 'laRaPreLinkageValueResponse',
            value: {
              version: 1,
              requestHash: requestHash(request),
              laId,
              reply: change(reply, questionOf(request)),
            },
          },
        },
      });
      return signMessage(pdu, certificate, signingKey, {
        generationTime: BigInt(NOW) * 1_000_000n,
      });
    },
  });
}

function texts(values: readonly unknown[]): string[] {
  return values.map((value) =>
    JSON.stringify(value, (_, field) => (field instanceof Uint8Array ? hexOf(field) : field)),
  );
}
