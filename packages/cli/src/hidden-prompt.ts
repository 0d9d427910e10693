/** Asks for a secret at a terminal, which shows nothing of it. */

/** What of a terminal is used. */
export interface HiddenInput extends NodeJS.EventEmitter {
  setRawMode(isRaw: boolean): unknown;
  resume(): unknown;
  pause(): unknown;
}

const ENTER = /[\r\n]/;
const INTERRUPT = '\u0003';
const END_OF_INPUT = '\u0004';
/** Backspace and Delete: terminals send either. */
const ERASE: readonly string[] = ['\u0008', '\u007f'];
const ERASE_LINE = '\u0015';
const MAX_CHARACTERS = 1024;

/**
 * The line that is typed, without its end. Backspace and Ctrl-U erase.
 *
 * @throws DOMException AbortError on Ctrl-C, Ctrl-D and at the end of input
 */
export function askHidden(
  prompt: string,
  input: HiddenInput,
  output: { write(text: string): unknown },
): Promise<string> {
  return new Promise((resolve, reject) => {
    let typed: string[] = [];
    const end = (settle: () => void) => {
      input.off('data', onData);
      input.off('end', onEnd);
      input.setRawMode(false);
      input.pause();
      output.write('\n');
      settle();
    };
    const onEnd = () => end(() => reject(new DOMException('interrupted', 'AbortError')));
    const onData = (chunk: Uint8Array | string) => {
      for (const character of Buffer.from(chunk).toString('utf8')) {
        if (ENTER.test(character)) return end(() => resolve(typed.join('')));
        if (character === INTERRUPT || character === END_OF_INPUT) return onEnd();
        if (ERASE.includes(character)) typed.pop();
        else if (character === ERASE_LINE) typed = [];
        else if (typed.length < MAX_CHARACTERS) typed.push(character);
      }
    };
    // First: whoever answers at once, as a script at a pseudo-terminal does, is not shown either.
    input.setRawMode(true);
    output.write(prompt);
    input.on('data', onData);
    input.on('end', onEnd);
    input.resume();
  });
}
