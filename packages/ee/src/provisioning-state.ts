import { type PrivateKey, Secret } from '@chrysalis/crypto';
import type { Acknowledgement } from './acknowledgement.ts';
import { JsonRecord, jsonOctets, toHex } from './json-record.ts';
import type { CaterpillarKey, CaterpillarKeys, PlainKeys } from './provisioning-request.ts';

/**
 * A provisioning request and what has become of it. The keys are in it from the first moment on, and
 * never change.
 */
export interface ProvisioningState<Keys = CaterpillarKeys> {
  readonly keys: Keys;
  /**
   * The bodies that the RA may have received, all with these keys, oldest first. One, unless a body
   * that was sent into the dark was later refused, when it had become too old for the RA.
   */
  readonly bodies: readonly Uint8Array[];
  /** Of an application request: what the policy said when its keys were made. */
  readonly terms?: Terms;
  /** Of an application request: what a later policy said when the RA refused to take another request instead. */
  readonly refusedTerms?: Terms;
  /** Of an identification request that replaced another: where its file 0 lies in the folder. */
  readonly firstFile?: number;
  /** Absent until the RA has acknowledged one of the bodies. */
  readonly acknowledged?: Acknowledgement & {
    /** The acknowledgement as it came. */
    readonly octets: Uint8Array;
  };
}

/** By which the RA counts an application certificate, whatever policy comes later. */
export interface Terms {
  /** From the beginning of the certificate to the time from which another may be asked for. */
  readonly periodSec: number;
  /** By which it lasts longer than that. */
  readonly overlapSec: number;
}

/** How the keys of a state are written into its file. */
export interface KeyFormat<Keys> {
  write(keys: Keys): Record<string, unknown>;
  /** @throws EeError `profile-damaged` */
  read(record: JsonRecord): Keys;
}

export const CATERPILLAR_KEYS: KeyFormat<CaterpillarKeys> = {
  write: ({ verify, respEnc, certEnc }) => ({
    verify: fromCaterpillar(verify),
    respEnc: fromCaterpillar(respEnc),
    ...(certEnc && { certEnc: fromCaterpillar(certEnc) }),
  }),
  read: (record) => ({
    verify: toCaterpillar(record.record('verify')),
    respEnc: toCaterpillar(record.record('respEnc')),
    ...(record.has('certEnc') && { certEnc: toCaterpillar(record.record('certEnc')) }),
  }),
};

export const PLAIN_KEYS: KeyFormat<PlainKeys> = {
  write: ({ verify, respEnc, certEnc }) => ({
    verify: fromKey(verify),
    respEnc: fromKey(respEnc),
    ...(certEnc && { certEnc: fromKey(certEnc) }),
  }),
  read: (record) => ({
    verify: record.privateKey('verify'),
    respEnc: record.privateKey('respEnc'),
    ...(record.has('certEnc') && { certEnc: record.privateKey('certEnc') }),
  }),
};

/** The file of a state: JSON, octets in hex. It holds private keys. */
export function encodeProvisioningState<Keys>(
  state: ProvisioningState<Keys>,
  format: KeyFormat<Keys>,
): Uint8Array {
  const { keys, bodies, terms, refusedTerms, firstFile, acknowledged } = state;
  return jsonOctets({
    status: acknowledged === undefined ? 'prepared' : 'acknowledged',
    keys: format.write(keys),
    bodies: bodies.map(toHex),
    ...(terms && { terms }),
    ...(refusedTerms && { refusedTerms }),
    ...(firstFile !== undefined && { firstFile }),
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
export function decodeProvisioningState<Keys>(
  name: string,
  octets: Uint8Array,
  format: KeyFormat<Keys>,
): ProvisioningState<Keys> {
  const record = JsonRecord.parse(name, octets);
  const state = {
    keys: format.read(record.record('keys')),
    bodies: record.octetsList('bodies'),
    ...(record.has('terms') && { terms: termsIn(record.record('terms')) }),
    ...(record.has('refusedTerms') && { refusedTerms: termsIn(record.record('refusedTerms')) }),
    ...(record.has('firstFile') && { firstFile: record.integer('firstFile') }),
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

function termsIn(record: JsonRecord): Terms {
  return { periodSec: record.integer('periodSec'), overlapSec: record.integer('overlapSec') };
}

function fromCaterpillar({ seed, expansion }: CaterpillarKey) {
  return { seed: fromKey(seed), expansion: toHex(expansion.reveal()) };
}

function toCaterpillar(record: JsonRecord): CaterpillarKey {
  return {
    seed: record.privateKey('seed'),
    expansion: new Secret(record.octets('expansion', 16)),
  };
}

function fromKey(key: PrivateKey): string {
  return toHex(key.scalar().reveal());
}
