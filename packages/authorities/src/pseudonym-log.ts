/** What the PCA must not forget: each request that it answered with a certificate, and the answer. */
import type { Time32 } from '@chrysalis/ieee1609dot2';
import { GroupCommit, type Migration, openDatabase } from '@chrysalis/store';

interface PcaAnswerRow {
  /** SHA-256 of the request as received: 32 octets. */
  readonly request_hash: Uint8Array;
  /** B, uncompressed: 65 octets. */
  readonly cocoon_key: Uint8Array;
  readonly certificate_id: Uint8Array;
  readonly issued_at: number;
  readonly answer: Uint8Array;
}

type Answer = Pick<PcaAnswerRow, 'answer'>;

interface PcaSchema {
  pca_answer: PcaAnswerRow;
}

const MIGRATIONS: readonly Migration[] = [
  {
    name: 'pca-0001-answers',
    statements: [
      `create table pca_answer (
        request_hash blob not null primary key,
        cocoon_key blob not null unique,
        certificate_id blob not null,
        issued_at integer not null,
        answer blob not null
      ) strict`,
    ],
  },
];

/** Rows read at a time when the log is walked. */
const PAGE = 1000;

/** One certificate that the PCA issued. */
export interface IssuedPseudonym {
  /** SHA-256 of the SecuredRaPcaCertificateRequest: 32 octets. */
  readonly requestHash: Uint8Array;
  /** The cocoon key B that was certified, uncompressed: 65 octets. */
  readonly cocoonKey: Uint8Array;
  /** HashedId8 of the certificate. */
  readonly certificateId: Uint8Array;
  readonly issuedAt: Time32;
}

export interface PseudonymAnswer extends IssuedPseudonym {
  readonly answer: Uint8Array;
}

/** The durable memory of a PCA. */
export interface PseudonymLog {
  /** The answer that the request with this hash was given, if it was. */
  find(requestHash: Uint8Array): Promise<Uint8Array | undefined>;
  /**
   * Records answers; when it resolves, the records are on stable storage. Returns for each the answer that stands: the
   * given one, or the one that was recorded for the same request first; `cocoon-key-taken` when the cocoon key is
   * certified already by the answer to another request. All are recorded, or none.
   */
  record(given: readonly PseudonymAnswer[]): Promise<readonly (Uint8Array | 'cocoon-key-taken')[]>;
  /**
   * SHA-256 of the request that a certificate was issued for, 32 octets: the HPCR by which the RA knows the device.
   * Undefined when none was. There is no index, for this is asked once in a revocation: it reads the whole log.
   *
   * @param certificateId HashedId8
   */
  requestHashOf(certificateId: Uint8Array): Promise<Uint8Array | undefined>;
  /** Everything issued, ordered by request hash, which says nothing about who asked or when. */
  all(): AsyncIterable<IssuedPseudonym>;
  close(): Promise<void>;
}

/** @throws StoreError as `openDatabase` */
export async function openPseudonymLog(databaseUrl: string): Promise<PseudonymLog> {
  const database = await openDatabase<PcaSchema>(databaseUrl, MIGRATIONS);
  const writes = new GroupCommit(database);
  const { query } = database;
  const nothing = new Uint8Array(0);
  // Built once: every certificate asks for them.
  const answerTo = query
    .selectFrom('pca_answer')
    .select('answer')
    .where('request_hash', '=', nothing)
    .compile();
  const insert = query
    .insertInto('pca_answer')
    .values({
      request_hash: nothing,
      cocoon_key: nothing,
      certificate_id: nothing,
      issued_at: 0,
      answer: nothing,
    })
    .onConflict((conflict) => conflict.doNothing())
    .compile();
  const findIn = async (connection: typeof query, requestHash: Uint8Array) => {
    const parameters = [requestHash];
    return (await connection.executeQuery<Answer>({ ...answerTo, parameters })).rows[0];
  };
  return {
    find: async (requestHash) => (await findIn(query, requestHash))?.answer,

    async record(given) {
      if (given.length === 0) return [];
      return writes.run(async (transaction) => {
        const recorded = new Set<PseudonymAnswer>();
        for (const answer of given) {
          const { requestHash, cocoonKey, certificateId, issuedAt } = answer;
          const parameters = [requestHash, cocoonKey, certificateId, issuedAt, answer.answer];
          const { numAffectedRows } = await transaction.executeQuery({ ...insert, parameters });
          if (numAffectedRows === 1n) recorded.add(answer);
        }
        const standing: (Uint8Array | 'cocoon-key-taken')[] = [];
        for (const answer of given) {
          const earlier = recorded.has(answer)
            ? answer
            : await findIn(transaction, answer.requestHash);
          standing.push(earlier?.answer ?? 'cocoon-key-taken');
        }
        return standing;
      });
    },

    async requestHashOf(certificateId) {
      const row = await database.query
        .selectFrom('pca_answer')
        .select('request_hash')
        .where('certificate_id', '=', certificateId)
        .executeTakeFirst();
      return row?.request_hash;
    },

    async *all() {
      let after = new Uint8Array(0);
      for (;;) {
        const rows = await database.query
          .selectFrom('pca_answer')
          .select(['request_hash', 'cocoon_key', 'certificate_id', 'issued_at'])
          .where('request_hash', '>', after)
          .orderBy('request_hash')
          .limit(PAGE)
          .execute();
        for (const row of rows) {
          yield {
            requestHash: row.request_hash,
            cocoonKey: row.cocoon_key,
            certificateId: row.certificate_id,
            issuedAt: row.issued_at,
          };
        }
        const last = rows.at(-1);
        if (last === undefined) return;
        after = new Uint8Array(last.request_hash);
      }
    },

    close: () => database.close(),
  };
}
