/** What a copy says while it works: a line now and then. */
import type { TextOutput } from './context.ts';

const EVERY_MS = 2000;

export class CopyProgressLines {
  readonly #output: TextOutput;
  #nextMs = 0;

  constructor(output: TextOutput) {
    this.#output = output;
  }

  /** A step that begins. */
  step(text: string): void {
    this.#output.write(`chrysalis: ${text}\n`);
    this.#nextMs = performance.now() + EVERY_MS;
  }

  /** How far it is: not more often than every two seconds. */
  far(text: string): void {
    if (performance.now() >= this.#nextMs) this.step(text);
  }
}
