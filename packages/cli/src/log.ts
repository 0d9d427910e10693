import type { Log } from '@chrysalis/ra';
import { pino } from 'pino';
import type { TextOutput } from './context.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** A log on stderr: JSON, one object per line, for machines; short lines for a person at a terminal. */
export function createLog(output: TextOutput, level: LogLevel): Log {
  const write = output.isTTY
    ? (line: string) => output.write(forPerson(line))
    : (line: string) => output.write(line);
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, { write });
}

function forPerson(line: string): string {
  const { time, level, msg, err, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const problem = err as { message?: string } | undefined;
  const details = Object.entries({ ...fields, ...(problem && { error: problem.message }) });
  const name = pino.levels.labels[level as number] ?? '';
  const shown = details.map(
    ([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  return `${String(time).slice(11, 19)} ${name.padEnd(5)} ${String(msg)}${shown.join('')}\n`;
}
