import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, describe, type TestContext, test } from 'node:test';
import { decode } from '@chrysalis/coer';
import { PrivateKey, sha256, systemRandom } from '@chrysalis/crypto';
import { hashCertificate, type Ieee1609Dot2Error, issueExplicit } from '@chrysalis/ieee1609dot2';
import {
  AuthorityUnavailableError,
  IPeriodClock,
  MisbehaviorReportContents,
  type ScmsDataError,
  secureMisbehaviorReport,
} from '@chrysalis/scms';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { openMisbehaviorAuthority, type StoredMisbehaviorReport } from '../src/index.ts';
import { CURRENT_I, type Form, NOW, scms, TestClock, trustOf } from './ra-side.ts';

/** A pseudonym certificate of now. Explicit, so that its key need not be reconstructed. */
function makeReporter(psids = [0x20, 0x26]) {
  const key = PrivateKey.generate(systemRandom);
  const certificate = issueExplicit(
    {
      id: {
        type: 'linkageData',
        value: { iCert: CURRENT_I, linkageValue: systemRandom(9) },
      },
      cracaId: scms.pca.certificate.certificate.toBeSigned.cracaId,
      crlSeries: 1,
      validityPeriod: {
        start: new IPeriodClock().start(CURRENT_I),
        duration: { type: 'hours', value: 169 },
      },
      appPermissions: psids.map((psid) => ({ psid })),
    },
    key.publicPoint,
    { certificate: scms.pca.certificate, key: scms.pca.signingKey },
  );
  return { certificate: hashCertificate(certificate), key };
}

const place = { latitude: 423_000_000, longitude: -830_000_000, elevation: 4096 };

/** What an EE sends, and the RA passes on. */
function report(text: string, reporter = makeReporter()): Uint8Array {
  const contents = { version: 1, misbehavingDeviceInfo: new TextEncoder().encode(text) };
  return secureMisbehaviorReport(
    { contents, generationTime: NOW, generationLocation: place },
    reporter,
    scms.ma.certificate,
    systemRandom,
  );
}

/** What the test MA promises, in whatever form it is reached. */
export function misbehaviorAuthorityConformance(form: Form): void {
  describe(`the MA, ${form.name}`, () => {
    after(() => form.close());

    async function openMa(t: TestContext, databaseUrl = 'sqlite::memory:') {
      const refusals: (ScmsDataError | Ieee1609Dot2Error)[] = [];
      const clock = new TestClock();
      const made = await openMisbehaviorAuthority({
        ma: scms.ma,
        trust: trustOf(),
        clock,
        databaseUrl,
        onRefusal: (error) => refusals.push(error),
      });
      const ma = await form.ma(made);
      t.after(() => ma.close());
      const all = async () => {
        const found: StoredMisbehaviorReport[] = [];
        for await (const stored of ma.reports()) found.push(stored);
        return found;
      };
      return { ma, clock, refusals, all };
    }

    const textOf = ({ contents }: StoredMisbehaviorReport) =>
      new TextDecoder().decode(decode(MisbehaviorReportContents, contents).misbehavingDeviceInfo);

    describe('an MA', () => {
      test('keeps what a device reports: contents, time, place and who', async (t) => {
        const { ma, clock, all, refusals } = await openMa(t);
        const reporter = makeReporter();
        const sent = report('a ghost vehicle', reporter);
        clock.time += 86_400;
        await ma.submitReport(sent);
        const [stored, ...others] = await all();
        assert.ok(stored);
        assert.deepEqual(others, []);
        assert.equal(textOf(stored), 'a ghost vehicle');
        assert.deepEqual(stored.reportHash, sha256(sent));
        assert.deepEqual([stored.generationTime, stored.receivedAt], [NOW, NOW + 86_400]);
        assert.deepEqual(stored.generationLocation, place);
        assert.deepEqual(stored.reporterId, reporter.certificate.id);
        assert.deepEqual(stored.reporterCertificate, reporter.certificate.octets);
        assert.deepEqual(refusals, []);
      });

      test('keeps a report once, however often it is handed in, also at the same time', async (t) => {
        const { ma, all } = await openMa(t);
        const sent = report('once');
        await Promise.all([ma.submitReport(sent), ma.submitReport(sent)]);
        await ma.submitReport(sent);
        assert.equal((await all()).length, 1);
      });

      test('keeps them in the order of arrival, and through a restart', async (t) => {
        const url = `sqlite:${join(temporaryDirectory(), 'ma.db')}`;
        const texts = ['first', 'second', 'third'];
        const before = await openMa(t, url);
        for (const text of texts) await before.ma.submitReport(report(text));
        await before.ma.close();
        const after = await openMa(t, url);
        assert.deepEqual((await after.all()).map(textOf), texts);
      });

      test('keeps them also from whoever opens the file: nothing is changed or removed', async (t) => {
        const path = join(temporaryDirectory(), 'ma.db');
        const { ma, all } = await openMa(t, `sqlite:${path}`);
        await ma.submitReport(report('evidence'));
        const database = new DatabaseSync(path);
        t.after(() => database.close());
        for (const statement of ['delete from ma_report', 'update ma_report set received_at = 0']) {
          assert.throws(() => database.exec(statement), /append-only/);
        }
        assert.equal((await all()).length, 1);
      });

      const refused: readonly [string, () => Uint8Array, string][] = [
        [
          'one of a device that may not report',
          () => report('x', makeReporter([0x20])),
          'wrong-signer',
        ],
        ['what is no report', () => new Uint8Array(20), 'malformed'],
        [
          'one that is sealed to somebody else',
          () =>
            secureMisbehaviorReport(
              {
                contents: { version: 1, misbehavingDeviceInfo: new Uint8Array(0) },
                generationTime: NOW,
                generationLocation: place,
              },
              makeReporter(),
              scms.ra.certificate,
              systemRandom,
            ),
          'wrong-recipient',
        ],
      ];
      for (const [name, make, code] of refused) {
        test(`throws away ${name}, and does not tell who brought it: ${code}`, async (t) => {
          const { ma, all, refusals } = await openMa(t);
          await ma.submitReport(make());
          assert.deepEqual(await all(), []);
          assert.deepEqual(
            refusals.map((refusal) => refusal.code),
            [code],
          );
        });
      }

      test('that is closed takes nothing: the RA keeps the report', async (t) => {
        const { ma } = await openMa(t);
        await ma.close();
        await assert.rejects(ma.submitReport(report('later')), AuthorityUnavailableError);
      });

      test('needs an encryption key', async () => {
        const { encryptionKey: _, ...ma } = scms.ma;
        await assert.rejects(
          openMisbehaviorAuthority({
            ma,
            trust: trustOf(),
            clock: new TestClock(),
            databaseUrl: 'sqlite::memory:',
          }),
          { code: 'unsuitable-certificate' },
        );
      });
    });
  });
}
