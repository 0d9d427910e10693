import { Secret } from '@chrysalis/crypto';
import type { Acknowledgement } from './acknowledgement.ts';
import { JsonRecord, jsonOctets, toHex } from './json-record.ts';
import type { CaterpillarKey, CaterpillarKeys } from './provisioning-request.ts';

/**
 * A provisioning request and what has become of it. The keys are in it from the first moment on, and
 * never change.
 */
export interface ProvisioningState {
  readonly keys: CaterpillarKeys;
  /**
   * The bodies that the RA may have received, all with these keys, oldest first. One, unless a body
   * that was sent into the dark was later refused, when it had become too old for the RA.
   */
  readonly bodies: readonly Uint8Array[];
  /** Absent until the RA has acknowledged one of the bodies. */
  readonly acknowledged?: Acknowledgement & {
    /** The acknowledgement as it came. */
    readonly octets: Uint8Array;
  };
}

/** The file of a state: JSON, octets in hex. It holds private keys. */
export function encodeProvisioningState(state: ProvisioningState): Uint8Array {
  const { keys, bodies, acknowledged } = state;
  return jsonOctets({
    status: acknowledged === undefined ? 'prepared' : 'acknowledged',
    keys: { verify: fromKey(keys.verify), respEnc: fromKey(keys.respEnc) },
    bodies: bodies.map(toHex),
    ...(acknowledged && {
      acknowledged: {
        requestHash: toHex(acknowledged.requestHash),
        certDLTime: acknowledged.certDLTime,
        certDLURL: acknowledged.certDLURL,
        octets: toHex(acknowledged.octets),
      },
    }),
  });
}

/** @throws EeError `profile-damaged` */
export function decodeProvisioningState(name: string, octets: Uint8Array): ProvisioningState {
  const record = JsonRecord.parse(name, octets);
  const keys = record.record('keys');
  const state = {
    keys: { verify: toKey(keys.record('verify')), respEnc: toKey(keys.record('respEnc')) },
    bodies: record.octetsList('bodies'),
  };
  if (!record.has('acknowledged')) return state;
  const acknowledged = record.record('acknowledged');
  return {
    ...state,
    acknowledged: {
      requestHash: acknowledged.octets('requestHash', 8),
      certDLTime: acknowledged.integer('certDLTime'),
      certDLURL: acknowledged.text('certDLURL'),
      octets: acknowledged.octets('octets'),
    },
  };
}

function fromKey({ seed, expansion }: CaterpillarKey) {
  return { seed: toHex(seed.scalar().reveal()), expansion: toHex(expansion.reveal()) };
}

function toKey(record: JsonRecord): CaterpillarKey {
  return {
    seed: record.privateKey('seed'),
    expansion: new Secret(record.octets('expansion', 16)),
  };
}
