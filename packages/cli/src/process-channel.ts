/** How the processes of an RA talk: a pipe that the system gives a parent and its child, which nobody else can reach. */

/** The end of a pipe: `process` of a child, a worker of the parent. */
export interface PipeEnd {
  send?(message: object, done?: (error: Error | null) => void): unknown;
  on(event: 'message', listener: (message: unknown) => void): unknown;
  on(event: 'disconnect', listener: () => void): unknown;
}

/** What is said, and what is answered. Values are cloned: octets stay octets. */
interface Said {
  readonly topic: string;
  readonly value: unknown;
  /** Of a question. */
  readonly id?: number;
}
interface Answered {
  readonly answerTo: number;
  readonly value?: unknown;
  readonly problem?: string;
}

type Listener = (value: never) => unknown;

/** A process that is asked for something and does not answer in this time is taken to hang. */
export const ANSWER_MS = 5000;

/** Topics of one side are functions of the other. */
export class ProcessChannel {
  readonly #end: PipeEnd;
  readonly #listeners = new Map<string, Listener>();
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #lastId = 0;
  #isClosed = false;

  constructor(end: PipeEnd) {
    this.#end = end;
    end.on('message', (message) => void this.#receive(message));
    end.on('disconnect', () => this.close());
  }

  /** What is done when the other side says something; what is returned answers a question. */
  on<T>(topic: string, listener: (value: T) => unknown): void {
    this.#listeners.set(topic, listener as Listener);
  }

  tell(topic: string, value?: unknown): void {
    this.#send({ topic, value });
  }

  /** @throws Error when the other side fails, is gone, or does not answer in time */
  async ask<T>(topic: string, value?: unknown, timeoutMs = ANSWER_MS): Promise<T> {
    if (this.#isClosed) throw gone();
    const id = ++this.#lastId;
    const answer = Promise.withResolvers<unknown>();
    this.#waiting.set(id, answer);
    const timer = setTimeout(() => {
      answer.reject(new Error(`expected an answer to ${topic} within ${timeoutMs} ms, saw none`));
    }, timeoutMs);
    try {
      this.#send({ topic, value, id });
      return (await answer.promise) as T;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  /** Nothing more comes: what waits for an answer is told so. */
  close(): void {
    this.#isClosed = true;
    for (const { reject } of this.#waiting.values()) reject(gone());
  }

  async #receive(message: unknown): Promise<void> {
    if (isAnswer(message)) {
      const waiting = this.#waiting.get(message.answerTo);
      if (message.problem === undefined) waiting?.resolve(message.value);
      else waiting?.reject(new Error(message.problem));
      return;
    }
    if (!isSaid(message)) return;
    const { topic, value, id } = message;
    const listener = this.#listeners.get(topic);
    if (id === undefined) return void listener?.(value as never);
    try {
      if (listener === undefined) throw new Error(`expected somebody who knows ${topic}`);
      this.#send({ answerTo: id, value: await listener(value as never) });
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      this.#send({ answerTo: id, problem });
    }
  }

  /** A peer that is gone is noticed by its end, not here. */
  #send(message: Said | Answered): void {
    if (!this.#isClosed) this.#end.send?.(message, () => {});
  }
}

function gone(): Error {
  return new Error('expected the other process, saw it gone');
}

function isSaid(message: unknown): message is Said {
  return typeof message === 'object' && message !== null && 'topic' in message;
}

function isAnswer(message: unknown): message is Answered {
  return typeof message === 'object' && message !== null && 'answerTo' in message;
}
