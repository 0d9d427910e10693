import { type RequestHash, requestHash } from '@chrysalis/scms';
import type { Acknowledgement } from './acknowledgement.ts';
import { type BackOff, withBackOff } from './back-off.ts';
import { type EeError, hasCode } from './error.ts';
import type { ProvisioningState } from './provisioning-state.ts';

/** Of more bodies than this that nobody answered, those after the oldest are forgotten. */
const MAX_BODIES = 4;

/** What a contact needs of the device. */
export interface ContactParts<Keys> {
  /**
   * Connects to the RA, asks for the body only when that is done, sends it and verifies the answer.
   */
  readonly send: (body: () => Promise<Uint8Array>) => Promise<Answer>;
  /** When it resolves, the state survives a power cut. */
  readonly save: (state: ProvisioningState<Keys>) => Promise<void>;
  /** A body with the state's keys and the time of now. */
  readonly newBody: () => Uint8Array;
  readonly backOff: BackOff;
  /** A body was made and is on disk. */
  readonly onBody: (requestHash: RequestHash) => void;
  /** A body was sent, and the RA may hold it: no answer came. */
  readonly onDoubt?: () => void;
}

export interface Answer {
  readonly acknowledgement: Acknowledgement;
  readonly octets: Uint8Array;
  /** The body that it acknowledges. */
  readonly body: Uint8Array;
}

/**
 * Gets an acknowledgement for the keys of a state.
 *
 * A body that the RA may hold without our knowing it (the connection broke, or this process died) is
 * sent again first, octet for octet: an RA that holds it repeats its acknowledgement. One that refuses
 * it does not, as a rule, and finds it too old by now (it allows seconds, Q14): then the same keys go
 * out in a new body. A body that is refused is not sent again in this contact. When the refusal says
 * what is wrong with it, nobody holds it, and it is dropped. When it does not, as in production, it may
 * be of an RA that recorded the body and failed before it could answer: up to four are kept for later
 * contacts, where it repeats its acknowledgement.
 *
 * A new body is made when the connection is there, and is on disk, keys and all, before it is sent.
 *
 * @param state as on disk, or without bodies and not on disk yet
 */
export async function contact<Keys>(
  state: ProvisioningState<Keys>,
  parts: ContactParts<Keys>,
): Promise<Acknowledgement> {
  let doubtful = [...state.bodies];
  /** Refused in this contact: not to be asked about a second time, the RA counts (code 5071). */
  const refused = new Set<Uint8Array>();

  async function acknowledge(makeBody: () => Promise<Uint8Array>): Promise<Acknowledgement> {
    const { acknowledgement, octets, body } = await parts.send(makeBody);
    await parts.save({ ...state, bodies: [body], acknowledged: { ...acknowledgement, octets } });
    return acknowledgement;
  }

  /** A body that nobody holds is of no use to a later contact. */
  async function drop(body: Uint8Array): Promise<void> {
    doubtful = doubtful.filter((other) => other !== body);
    await parts.save({ ...state, bodies: doubtful });
  }

  /** What to make of a body of this contact that was not acknowledged. */
  async function judge(made: Uint8Array, error: unknown): Promise<void> {
    if (isOfTheBody(error)) return drop(made);
    doubtful = limit([...doubtful, made], MAX_BODIES);
    if (hasCode(error, 'refused')) refused.add(made);
    else parts.onDoubt?.();
  }

  async function makeNew(): Promise<Uint8Array> {
    const body = parts.newBody();
    doubtful = limit(doubtful, MAX_BODIES - 1);
    await parts.save({ ...state, bodies: [...doubtful, body] });
    parts.onBody(requestHash(body));
    return body;
  }

  return withBackOff(async () => {
    for (const body of [...doubtful]) {
      if (refused.has(body)) continue;
      try {
        return await acknowledge(async () => body);
      } catch (error) {
        if (!hasCode(error, 'refused') || isWhateverBody(error)) throw error;
        refused.add(body);
        if (isOfTheBody(error)) await drop(body);
      }
    }
    let made: Uint8Array | undefined;
    try {
      return await acknowledge(async () => {
        made = await makeNew();
        return made;
      });
    } catch (error) {
      if (made !== undefined) await judge(made, error);
      throw error;
    }
  }, parts.backOff);
}

/** Whether it is the device that is refused, so that another body would fare no better. */
function isWhateverBody({ refusal }: EeError): boolean {
  return refusal?.name === 'raBlacklisted' || refusal?.name === 'raMoreThanAllowedTries';
}

/** Whether the RA looked at the body and says why it does not take it. */
function isOfTheBody(error: unknown): boolean {
  if (!hasCode(error, 'refused') || error.refusal?.name === undefined) return false;
  const { name } = error.refusal;
  const isOfTheRa = name === 'chrysalisInternalError' || name === 'chrysalisOverloaded';
  return !isOfTheRa && !isWhateverBody(error);
}

/** The oldest is the likeliest to have been accepted, the newest the likeliest to be accepted yet. */
function limit(bodies: readonly Uint8Array[], maximum: number): Uint8Array[] {
  if (bodies.length <= maximum) return [...bodies];
  return [...bodies.slice(0, 1), ...bodies.slice(1 - maximum)];
}
