import { type RequestHash, requestHash } from '@chrysalis/scms';
import type { Acknowledgement } from './acknowledgement.ts';
import { type BackOff, withBackOff } from './back-off.ts';
import { hasCode } from './error.ts';
import type { ProvisioningState } from './provisioning-state.ts';

/** Of more bodies than this that nobody answered, those after the oldest are forgotten. */
const MAX_BODIES = 4;

/** What a contact needs of the device. */
export interface ContactParts {
  /** Sends a body and verifies the answer. */
  readonly send: (body: Uint8Array) => Promise<Answer>;
  /** When it resolves, the state survives a power cut. */
  readonly save: (state: ProvisioningState) => Promise<void>;
  /** A body with the state's keys and the time of now. */
  readonly newBody: (state: ProvisioningState) => Uint8Array;
  readonly backOff: BackOff;
  readonly onRenewed: (requestHash: RequestHash) => void;
}

export interface Answer {
  readonly acknowledgement: Acknowledgement;
  readonly octets: Uint8Array;
}

/**
 * Gets an acknowledgement for the keys of a state.
 *
 * A body that the RA may hold without our knowing it (the connection broke, or this process died) is
 * sent again first, octet for octet: an RA that holds it repeats its acknowledgement. An RA that
 * refuses it does not hold it, and finds it too old by now (it allows seconds, Q14): then the same
 * keys go out in a new body. A body whose first delivery is refused is held by nobody and dropped.
 *
 * @param state on disk already
 * @param isFresh whether the newest body was made just now, and never sent
 */
export async function contact(
  state: ProvisioningState,
  isFresh: boolean,
  parts: ContactParts,
): Promise<Acknowledgement> {
  let fresh = isFresh ? state.bodies.at(-1) : undefined;
  let doubtful = isFresh ? state.bodies.slice(0, -1) : [...state.bodies];
  /** Refused in this contact: not to be asked about a second time, the RA counts (code 5071). */
  const refused = new Set<Uint8Array>();

  async function acknowledge(body: Uint8Array): Promise<Acknowledgement> {
    const { acknowledgement, octets } = await parts.send(body);
    await parts.save({ ...state, bodies: [body], acknowledged: { ...acknowledgement, octets } });
    return acknowledgement;
  }

  async function renew(): Promise<Uint8Array> {
    const body = parts.newBody(state);
    doubtful = limit(doubtful, MAX_BODIES - 1);
    await parts.save({ ...state, bodies: [...doubtful, body] });
    parts.onRenewed(requestHash(body));
    return body;
  }

  return withBackOff(async () => {
    for (const body of doubtful) {
      if (refused.has(body)) continue;
      try {
        return await acknowledge(body);
      } catch (error) {
        if (!hasCode(error, 'refused')) throw error;
        refused.add(body);
      }
    }
    const body = fresh ?? (await renew());
    fresh = undefined;
    try {
      return await acknowledge(body);
    } catch (error) {
      if (!hasCode(error, 'refused')) doubtful = limit([...doubtful, body], MAX_BODIES);
      throw error;
    }
  }, parts.backOff);
}

/** The oldest is the likeliest to have been accepted, the newest the likeliest to be accepted yet. */
function limit(bodies: readonly Uint8Array[], maximum: number): Uint8Array[] {
  if (bodies.length <= maximum) return [...bodies];
  return [...bodies.slice(0, 1), ...bodies.slice(1 - maximum)];
}
