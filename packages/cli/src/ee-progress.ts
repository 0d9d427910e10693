import type { CertificateKind, EeError, EeErrorCode, Progress } from '@chrysalis/ee';
import { formatTime32 } from '@chrysalis/ieee1609dot2';
import { formatHex } from '@chrysalis/scms';
import type { TextOutput } from './context.ts';

/** A wait writes a line when it begins, and one for each so many milliseconds after it. */
const WAIT_LINE_MS = 60_000;

/** What a device tells, as lines. */
export class ProgressLines {
  readonly #output: TextOutput;
  #nextWaitLineMs = Infinity;

  constructor(output: TextOutput) {
    this.#output = output;
  }

  write(progress: Progress): void {
    if (progress.type === 'waiting') {
      if (progress.remainingMs > this.#nextWaitLineMs) return;
      this.#nextWaitLineMs = progress.remainingMs - WAIT_LINE_MS;
    } else {
      this.#nextWaitLineMs = Infinity;
    }
    this.#output.write(`chrysalis: ${lineOf(progress)}\n`);
  }
}

function lineOf(progress: Progress): string {
  switch (progress.type) {
    case 'resumed':
      return `${progress.kind}: taking up the request of an earlier contact`;
    case 'prepared':
      return `${progress.kind} request ${formatHex(progress.requestHash)}: keys and body are on disk`;
    case 'acknowledged':
      return `${progress.kind}: acknowledged, first file at ${formatTime32(progress.certDLTime)}`;
    case 'waiting':
      return `${progress.kind}: waiting until ${formatTime32(progress.until)}, ${seconds(progress.remainingMs)} s, with the profile locked`;
    case 'retry':
      return `${progress.reason.message}; again in ${seconds(progress.pauseMs)} s`;
    case 'downloaded':
      return `${nameOf(progress)}: ${progress.octets} octets`;
    case 'opened':
      if (progress.expected !== undefined && progress.certificates < progress.expected) {
        const { certificates, failures, expected } = progress;
        const reason = failures === 0 ? 'all verified' : `${failures} did not open`;
        return `${nameOf(progress)}: ${certificates} certificates, ${reason}; the policy promises ${expected}`;
      }
      return progress.failures === 0
        ? `${nameOf(progress)}: ${progress.certificates} certificates, all verified`
        : `${nameOf(progress)}: ${progress.certificates} certificates, ${progress.failures} did not open`;
    case 'end':
      return `${nameOf(progress)}: the RA has none yet`;
    case 'not-replaced':
      return `${progress.kind}: no new request, the one before goes on: ${progress.reason.message}`;
    case 'failed':
      return `${progress.kind}: left for a later contact: ${progress.reason.message}`;
    case 'file': {
      const { which, answer, name, reason } = progress;
      return `${FILES[which]}: ${[answer, name].filter(Boolean).join(' ')}${reason ? `; ${reason.message}` : ''}`;
    }
    case 'ra-certificate': {
      const from = progress.from === 'chains' ? 'from the chain file' : 'from the RA';
      const until = formatTime32(progress.until);
      return `RA certificate ${formatHex(progress.id)}, ${from}, until ${until}: holds from now on`;
    }
    case 'ra-certificate-kept':
      return progress.reason === undefined
        ? 'RA certificate: the RA has no other than the one that is held'
        : `RA certificate: the one that is held goes on: ${progress.reason.message}`;
    case 'report-sent':
      return `report ${progress.name}: the RA has it`;
    case 'report-dropped':
      return `report ${progress.name} of ${formatTime32(progress.made)}: over a week old, given up`;
    case 'file-refused':
      return `${FILES[progress.which]} not followed: ${progress.reason.message}`;
  }
}

const FILES = { policy: 'policy file', chains: 'chain file', crl: 'CRLs' } as const;

/** Pseudonym batches are called so, as before there were others. */
function nameOf({ kind, i }: { kind: CertificateKind; i: number }): string {
  return `${kind === 'pseudonym' ? 'batch' : kind} ${hex(i)}`;
}

/** What an error of the SDK can mean, where its message does not say so, and what to do about it; lines. */
export function hintOf({ code, hint, refusal }: EeError): string | undefined {
  if (hint !== undefined) return hint;
  if (refusal === undefined) return HINTS[code];
  const { code: number, meaning, next } = refusal;
  return number === undefined ? `without a code this means: ${meaning}\n${next}` : next;
}

const HINTS: Partial<Record<EeErrorCode, string>> = {
  'profile-missing': 'name one with --profile, or make one: chrysalis ee bootstrap --new',
  'profile-locked': 'wait for it, or stop it; the lock of a process that is gone frees itself',
  'profile-exists': 'use another --profile for another device',
  'not-bootstrapped': 'chrysalis ee bootstrap --new, then chrysalis enroll, then --bundle',
  'not-acknowledged': 'chrysalis ee request',
  'key-mismatch': 'the bundle answers the request of another profile',
  tls: 'nothing was sent; check --ra, the X.509 root of the bundle and the clock of this machine',
  unreachable: 'nothing was sent; is the RA running, and is --ra right?',
  interrupted: 'the profile has kept what was done; run the same command again',
  timeout: 'the profile has kept what was done; run the same command again',
  refused: 'the profile has kept what was done; try later, and check the clock of this machine',
  'crl-overdue':
    'the device stops until it has a fresh CRL: `ee topup` asks for one; bootstrap --crl URL names another CRL store',
  'invalid-ra-certificate':
    'the RA certificate that is held goes on while it is valid; `ee ra-cert` asks again, as each topup near its end',
  'cannot-report': 'a vehicle reports with a pseudonym certificate of now: `ee topup` first',
  'outbox-full': '`ee topup` sends what waits',
  revoked:
    'what is named there is trusted no more: where it is the enrollment or an authority above it, the device has to be bootstrapped anew, by whoever enrolled it; where it is a PCA or the RA, the operator of the RA has to bring others',
  'invalid-ack': 'the keys are kept; this may not be the RA of the bundle',
};

function seconds(ms: number): number {
  return Math.ceil(ms / 1000);
}

function hex(i: number): string {
  return i.toString(16).toUpperCase();
}
