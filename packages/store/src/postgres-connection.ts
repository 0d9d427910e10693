import { type CompiledQuery, RawNode } from 'kysely';
import { expectParameter } from './parameters.ts';
import { isOfConnection, postgresError } from './postgres-error.ts';
import type { PostgresClient, PostgresResult } from './postgres-module.ts';
import { StoreError } from './store-error.ts';

/** Statements prepared on a connection. The rooms together have about a hundred; group inserts add some. */
const MAX_STATEMENTS = 256;

/** As it is sent: values as `$1`, and a name by which the server has it prepared. */
interface Statement {
  readonly text: string;
  readonly name?: string;
}

/** By the text that was given; of all connections, which each prepare it when they first meet its name. */
const statements = new Map<string, Statement>();

/**
 * One connection, made when it is needed and again after it was lost. Statements are sent as they come, without waiting for
 * the answers to those before them; the server does them in this order.
 */
export class PostgresConnection {
  readonly #create: () => PostgresClient;
  #session: Promise<PostgresSession> | undefined;
  #current: PostgresSession | undefined;
  #isClosed = false;

  /** @param create a client that is not connected */
  constructor(create: () => PostgresClient) {
    this.#create = create;
  }

  /** Statements that are not answered. */
  get underWay(): number {
    return this.#current?.underWay ?? 0;
  }

  /** The connection as it is now: once lost it never comes back, and what is done in several statements is done in one of these. */
  session(): Promise<PostgresSession> {
    if (this.#isClosed)
      return Promise.reject(new StoreError('closed', 'expected an open database'));
    if (this.#current?.isLost) {
      // Once: those who ask while the next is being made wait for that one.
      this.#session = undefined;
      this.#current = undefined;
    }
    this.#session ??= this.#connect();
    return this.#session;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const session = await this.#session?.catch(() => undefined);
    await session?.close();
  }

  async #connect(): Promise<PostgresSession> {
    const client = this.#create();
    const session = new PostgresSession(client);
    try {
      await client.connect();
    } catch (error) {
      this.#session = undefined;
      throw postgresError(error, 'connect');
    }
    this.#current = session;
    return session;
  }
}

export class PostgresSession {
  readonly #client: PostgresClient;
  #underWay = 0;
  #isLost = false;

  constructor(client: PostgresClient) {
    this.#client = client;
    const lose = () => {
      this.#isLost = true;
    };
    client.on('error', lose);
    client.on('end', lose);
  }

  get underWay(): number {
    return this.#underWay;
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  /** @throws StoreError */
  async run(query: CompiledQuery): Promise<PostgresResult> {
    // Sent before the first await: in the order of the calls.
    const values = query.parameters.map(expectParameter);
    const statement = statementOf(query);
    return this.#send(query.sql, () => this.#client.query({ ...statement, values }));
  }

  /** Text of ours without values: several statements, perhaps. */
  exec(sql: string): Promise<PostgresResult> {
    return this.#send(sql, () => this.#client.query(sql));
  }

  async close(): Promise<void> {
    this.#isLost = true;
    await this.#client.end().catch(() => {});
  }

  async #send(sql: string, send: () => Promise<PostgresResult>): Promise<PostgresResult> {
    this.#underWay += 1;
    try {
      return await send();
    } catch (error) {
      const known = postgresError(error, sql);
      // Nothing more is begun on it.
      if (known.code === 'away' || isOfConnection(error)) void this.close();
      throw known;
    } finally {
      this.#underWay -= 1;
    }
  }
}

function statementOf(query: CompiledQuery): Statement {
  const known = statements.get(query.sql);
  if (known !== undefined) return known;
  const text = isText(query) ? numbered(query.sql, query.parameters.length) : query.sql;
  if (statements.size >= MAX_STATEMENTS) return { text };
  const statement = { text, name: `chrysalis_${statements.size}` };
  statements.set(query.sql, statement);
  return statement;
}

/** CompiledQuery.raw makes a node that knows of no values; what Kysely compiled has `$1` already. */
function isText({ query }: CompiledQuery): boolean {
  return RawNode.is(query) && query.parameters.length === 0;
}

/** `?`, as SQLite takes it, becomes `$1` and so on. */
function numbered(sql: string, count: number): string {
  let seen = 0;
  const text = sql.replaceAll('?', () => `$${++seen}`);
  if (seen !== count) {
    throw new StoreError('query', `expected ${seen} values, saw ${count}, in: ${sql}`);
  }
  return text;
}
