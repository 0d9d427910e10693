/** Whether what an attacker was told is what it may be told. */
import type { Kind } from './kind.ts';

const HEAD_END = '\r\n\r\n';
/** All that a refusal says in production (`packages/ra/src/door.ts`). */
const SAID_IN_500 = /^(connection: close|content-length: 0|date: [^\r]+)$/i;

/** The statuses of the answers on one connection, one after the other. @throws Error when one is no answer */
export function statusesOf(answer: string): number[] {
  const statuses: number[] = [];
  for (let rest = answer; rest !== ''; ) {
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(rest)?.[1]);
    if (Number.isNaN(status)) throw new Error(`expected an answer, saw ${shown(rest)}`);
    statuses.push(status);
    const end = rest.indexOf(HEAD_END);
    // Cut off in its head.
    if (end < 0) return statuses;
    const head = rest.slice(0, end);
    if (status === 500) expectBare(head);
    const length = status === 304 ? 0 : Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
    rest = rest.slice(end + HEAD_END.length + length);
    if (status === 500 && rest !== '') throw new Error(`expected an end, saw ${shown(rest)}`);
  }
  return statuses;
}

/** In one word, for the count: `nothing`, `500`, `200`. @throws Error when it may not be */
export function outcomeOf(kind: Kind, answer: string): string {
  const statuses = [...new Set(statusesOf(answer))];
  const { mayGet = [500] } = kind;
  const wrong = statuses.find((status) => !mayGet.includes(status));
  if (wrong !== undefined) throw new Error(`expected ${mayGet.join(' or ')}, saw ${shown(answer)}`);
  return statuses.length === 0 ? 'nothing' : statuses.join(' and ');
}

function expectBare(head: string): void {
  for (const line of head.split('\r\n').slice(1)) {
    if (!SAID_IN_500.test(line)) throw new Error(`expected a bare 500, saw ${shown(head)}`);
  }
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 300));
}
