/** HTTP 500 of an RA: what it can mean, and what the device does next (sheet 2.1, 2.2). */
import {
  RA_EE_ERROR_EXPLANATIONS,
  RA_EE_ERRORS,
  type RaEeErrorName,
  type RaEeErrorRetry,
} from '@chrysalis/scms';
import type { RaResponse } from './ra-transport.ts';

/** The services of an RA, as far as their refusals differ for a device. */
export type RaService = 'file' | 'request' | 'download' | 'info' | 'ra-certificate' | 'report';

/** A refusal, read as far as the RA lets it be read. */
export interface RaRefusal {
  /** SCMS-POC-Error: an RA in its QA stage names it, one in production does not. */
  readonly code?: number;
  /** Undefined for a number that stands in no public table. */
  readonly name?: RaEeErrorName;
  /** What the code means or, without one, what a bare 500 of this service can mean. */
  readonly meaning: string;
  /** What to do about it, and what the device does by itself. */
  readonly next: string;
  /** When the device sends it again by itself; undefined without a code that stands in the table. */
  readonly retry?: RaEeErrorRetry;
}

/** How much of the RA's own words goes into a message. */
const MAX_WORDS = 200;

interface Bare {
  readonly meaning: string;
  /** What the device does by itself, whatever the code. */
  readonly next: string;
}

const BARE: Readonly<Record<RaService, Bare>> = {
  file: {
    meaning: 'the RA is not ready, or does not have this file',
    next: 'the file that is held goes on; the next contact asks again',
  },
  request: {
    meaning:
      'the RA is not ready, finds the time in the request off by more than seconds, has a set of keys of this ' +
      'enrollment already, has another certificate by now, or has the device on its blacklist',
    next: 'keys and bodies are kept: the next contact sends the same octets, then the same keys in a new body',
  },
  download: {
    meaning:
      'the file is not there yet or no more, the clock is off by more than seconds, the RA has another certificate ' +
      'by now, or it has the device on its blacklist',
    next: 'what has arrived is kept: the next contact goes on from there; .info says when the next file is due',
  },
  info: {
    meaning:
      'the RA knows no such request of this enrollment, the clock is off by more than seconds, the RA has another ' +
      'certificate by now, or it has the device on its blacklist',
    next: 'the time that is held stays; the next contact asks again; `ee request --anew` registers with an RA that has lost its data',
  },
  'ra-certificate': {
    meaning: 'the RA is not ready, or does not have this service',
    next: 'the certificate that is held goes on for as long as it is valid; a chain file may bring the next one',
  },
  report: {
    meaning: 'the RA has no MA or another one, or takes no more reports at the moment',
    next: 'the report stays in the profile; the next contact sends it again',
  },
};

/** HTTP 500; in QA an RA may answer with other statuses, and then says so in its own header (sheet 2.1). */
export function isRefusal({ status, headers }: Pick<RaResponse, 'status' | 'headers'>): boolean {
  return status === 500 || (status >= 400 && codeIn(headers) !== undefined);
}

/** The message of an error, and what stands behind it, from an answer that is a refusal. */
export function readRefusal(
  { status, headers }: Pick<RaResponse, 'status' | 'headers'>,
  service?: RaService,
): { readonly message: string; readonly refusal: RaRefusal } {
  const bare = service && BARE[service];
  const code = codeIn(headers);
  if (code === undefined) {
    const words = wordsOf(headers['scms-poc-error'], headers['scms-poc-error-message']);
    return {
      message: `the RA refused or is not ready: HTTP ${status}${words}`,
      refusal: {
        meaning: bare?.meaning ?? 'the RA refused or is not ready',
        next: bare?.next ?? 'the profile has kept what was done; try later',
      },
    };
  }
  const name = nameOf(code);
  const words = wordsOf(headers['scms-poc-error-message']);
  const {
    when = 'no public table has this code',
    next,
    retry,
  } = name === undefined ? {} : RA_EE_ERROR_EXPLANATIONS[name];
  const advice = [next, bare?.next].filter((text) => text !== undefined);
  return {
    message: `the RA refused: HTTP ${status}, ${code} ${name ?? 'without a name'}: ${when}${words}`,
    refusal: {
      code,
      ...(name !== undefined && { name }),
      ...(retry && { retry }),
      meaning: when,
      next: advice.length === 0 ? 'try later' : advice.join('\n'),
    },
  };
}

function codeIn(headers: Readonly<Record<string, string>>): number | undefined {
  const number = headers['scms-poc-error']?.trim() ?? '';
  return /^\d{1,9}$/.test(number) ? Number(number) : undefined;
}

function nameOf(code: number): RaEeErrorName | undefined {
  const names = Object.keys(RA_EE_ERRORS) as RaEeErrorName[];
  return names.find((name) => RA_EE_ERRORS[name] === code);
}

/** The RA's words are shown, not trusted: printable ASCII only. */
function wordsOf(...given: readonly (string | undefined)[]): string {
  const words = given
    .filter((word) => word !== undefined)
    .join(' ')
    .replaceAll(/[^ -~]/g, '?')
    .slice(0, MAX_WORDS);
  return words === '' ? '' : ` (${words})`;
}
