/**
 * The policy files as they travel, and who signs what. SignedGlobalPolicyFile is made by the PG alone. In
 * SignedLocalPolicyFile the PG vouches for what comes from the global policy and the RA for all the rest:
 *
 * - globalParameters: the custom policy, countersigned by the PG (scms-policy.asn of 1.2.4 says so);
 * - localParameters: countersigned by the RA;
 * - the whole: signedData of the RA. A comment in scms-protocol.asn has the PG here, but scms-policy.asn of 1.2.4 has the
 *   RA, and so have fielded files.
 *
 * The modules leave open, and are decided here: a countersignature covers the SHA-256 of the COER of tbsData, PSID 0x23;
 * activeTime is when the policy begins to hold (a comment calls it a duration, its type is a time); policyID carries the
 * versions, two octets for each, so that they are signed and not only part of a file name. Of several countersignatures
 * one of the right signer suffices: auditors may add theirs, and devices know no auditors.
 */
import { capture, encode } from '@chrysalis/coer';
import {
  Ieee1609Dot2Data,
  Ieee1609Dot2Error,
  signedPayload,
  type Time32,
  type Time64,
  type TrustStore,
  type VerifiedCertificate,
} from '@chrysalis/ieee1609dot2';
import { type ComponentSigner, countersign, verifyCountersignature } from './countersignature.ts';
import { decodeMessage, openSignedMessage, signMessage } from './envelope.ts';
import { ScmsDataError } from './error.ts';
import {
  type BasePolicyFile,
  type CustomPolicyData,
  type GlobalPolicyData,
  type LocalPolicyData,
  type Policy,
  type PolicyFiles,
  ToBeSignedPolicyData,
} from './pdu/policy.ts';
import { ScmsFile } from './pdu/scms-file.ts';
import { expectUsablePolicy, type PolicyData } from './policy.ts';
import { expectRole, hostnameOf } from './scms-ssp.ts';

const MICROSECONDS = 1_000_000n;

/** Countersignatures that are looked at: a PG, an RA and their auditors. Each costs a verification or two. */
const MAX_COUNTERSIGNATURES = 8;

/** When a policy was made, and from when on it holds. */
export interface PolicyTimes {
  readonly generationTime: Time32;
  readonly activeTime: Time32;
}

export interface GlobalPolicyParts extends PolicyTimes {
  readonly gpfVersion: number;
  readonly policy: GlobalPolicyData;
}

/** A SignedGlobalPolicyFile. The module demands a countersignature: in want of auditors it is the PG's own. */
export function composeGlobalPolicyFile(parts: GlobalPolicyParts, pg: ComponentSigner): Uint8Array {
  const policyID = versionOctets(parts.gpfVersion);
  const tbsData = policyData(policyID, parts, { type: 'global', value: parts.policy });
  return signFile(
    { type: 'globalPolicyFile', value: countersigned(tbsData, pg, parts.generationTime) },
    pg,
    parts.generationTime,
  );
}

export interface VerifiedGlobalPolicy {
  /** Undefined when the policyID is not made as ours are. */
  readonly gpfVersion: number | undefined;
  readonly policyID: Uint8Array;
  /** When the PG made it, signed: of two files the later one counts. */
  readonly generationTime: Time64;
  readonly policy: GlobalPolicyData;
  readonly pg: VerifiedCertificate;
}

/**
 * Opens and verifies a SignedGlobalPolicyFile.
 *
 * @throws ScmsDataError `wrong-signer`: not a PG; `policy`: not yet in force, or unusable; `malformed`, `not-signed`,
 *   `unexpected-message`; Ieee1609Dot2Error
 */
export function openGlobalPolicyFile(
  octets: Uint8Array,
  trust: TrustStore,
  time: Time32,
): VerifiedGlobalPolicy {
  const { files, signer: pg } = openFile(octets, trust);
  expectRole(pg, 'pg', time);
  if (files.type !== 'globalPolicyFile') throw unexpectedFile('globalPolicyFile', files);
  const { policyID, generationTime, policy } = activePolicy(files.value, time);
  if (policy.type !== 'global') throw unexpectedPolicy('global', policy);
  expectUsablePolicy({ global: policy.value });
  const [gpfVersion] = versionsOf(policyID, 1);
  return { gpfVersion, policyID, generationTime, policy: policy.value, pg };
}

/** What a PG countersigns for an RA. */
export function customPolicy(
  parts: PolicyTimes & { readonly policyID: Uint8Array; readonly custom: CustomPolicyData },
): ToBeSignedPolicyData {
  return policyData(parts.policyID, parts, { type: 'custom', value: parts.custom });
}

/** Policy data and one countersignature. */
export function countersigned(
  tbsData: ToBeSignedPolicyData,
  signer: ComponentSigner,
  generationTime: Time32,
): BasePolicyFile {
  const captured = capture(ToBeSignedPolicyData, tbsData);
  const signature = countersign(captured.octets, signer, toTime64(generationTime));
  return { version: 1, tbsData: captured, signatures: [signature] };
}

export interface LocalPolicyParts extends PolicyTimes {
  readonly gpfVersion: number;
  readonly lpfVersion: number;
  /** The custom policy as the PG signed it. */
  readonly custom: BasePolicyFile;
  readonly local: LocalPolicyData;
}

/** A SignedLocalPolicyFile. */
export function composeLocalPolicyFile(parts: LocalPolicyParts, ra: ComponentSigner): Uint8Array {
  const policyID = versionOctets(parts.gpfVersion, parts.lpfVersion);
  const tbsData = policyData(policyID, parts, { type: 'local', value: parts.local });
  const localParameters = countersigned(tbsData, ra, parts.generationTime);
  return signFile(
    { type: 'localPolicyFile', value: { globalParameters: parts.custom, localParameters } },
    ra,
    parts.generationTime,
  );
}

export interface VerifiedLocalPolicy {
  /** Undefined when the policyID is not made as ours are. */
  readonly versions: { readonly gpfVersion: number; readonly lpfVersion: number } | undefined;
  /** When the RA made it, signed: of two files the later one counts. */
  readonly generationTime: Time64;
  /** For `policyAt`. */
  readonly policy: Required<PolicyData>;
  readonly ra: VerifiedCertificate;
  readonly pg: VerifiedCertificate;
}

export interface OpenPolicyOptions {
  readonly time: Time32;
  /** The RA that has to have made the file; any RA that is trusted when missing. */
  readonly raHostname?: string;
}

/**
 * Opens and verifies a SignedLocalPolicyFile: the RA's signature outside, the PG's over the custom part, the same RA's
 * over the local part, whom the custom part is for, that both parts hold already, and that one can live by them.
 *
 * @throws ScmsDataError `wrong-signer`, `policy`, `malformed`, `not-signed`, `unexpected-message`; Ieee1609Dot2Error
 */
export function openLocalPolicyFile(
  octets: Uint8Array,
  trust: TrustStore,
  { time, raHostname }: OpenPolicyOptions,
): VerifiedLocalPolicy {
  const { files, signer: ra } = openFile(octets, trust);
  expectRole(ra, 'ra', time);
  expectName(ra, raHostname);
  if (files.type !== 'localPolicyFile') throw unexpectedFile('localPolicyFile', files);
  const { globalParameters, localParameters } = files.value;
  const pg = openCustomPolicy(globalParameters, trust, { time, ra });
  const { policy: custom } = globalParameters.tbsData.value;
  expectCountersignature(localParameters, trust, (signer) => {
    if (Buffer.compare(signer.hash, ra.hash) === 0) return;
    throw new ScmsDataError('wrong-signer', 'expected the local part signed by the same RA');
  });
  const { policyID, generationTime, policy: local } = activePolicy(localParameters, time);
  if (custom.type !== 'custom') throw unexpectedPolicy('custom', custom);
  if (local.type !== 'local') throw unexpectedPolicy('local', local);
  const policy = { global: custom.value.globalPolicy, local: local.value };
  expectUsablePolicy(policy);
  const [gpfVersion, lpfVersion] = versionsOf(policyID, 2);
  const versions =
    gpfVersion === undefined || lpfVersion === undefined ? undefined : { gpfVersion, lpfVersion };
  return { versions, generationTime, policy, ra, pg };
}

/**
 * When a SignedLocalPolicyFile says that it was made, without verifying anything: for the owner of a file that was
 * verified once and may not be any more.
 *
 * @throws ScmsDataError `malformed`, `not-signed`, `unexpected-message`
 */
export function localPolicyGenerationTime(octets: Uint8Array): Time64 {
  const { content } = decodeMessage(Ieee1609Dot2Data, octets, 'Ieee1609Dot2Data');
  const payload = content.type === 'signedData' ? signedPayload(content.value) : undefined;
  if (payload === undefined) throw new ScmsDataError('not-signed', 'expected a signed policy file');
  const files = policyFilesIn(payload);
  if (files.type !== 'localPolicyFile') throw unexpectedFile('localPolicyFile', files);
  return files.value.localParameters.tbsData.value.generationTime;
}

/**
 * Verifies that a PG signed a custom policy, for this RA when it names one, and that it is in force. Returns the PG.
 *
 * @throws as {@link openLocalPolicyFile}
 */
export function openCustomPolicy(
  file: BasePolicyFile,
  trust: TrustStore,
  { time, ra }: { readonly time: Time32; readonly ra: VerifiedCertificate },
): VerifiedCertificate {
  const pg = expectCountersignature(file, trust, (signer) => expectRole(signer, 'pg', time));
  const { policy } = activePolicy(file, time);
  if (policy.type !== 'custom') throw unexpectedPolicy('custom', policy);
  expectName(ra, policy.value.requestingRaHostname);
  return pg;
}

/** One of the first countersignatures has to be right and by somebody who is accepted; else the first one's fault is told. */
function expectCountersignature(
  { tbsData, signatures }: BasePolicyFile,
  trust: TrustStore,
  accept: (signer: VerifiedCertificate) => void,
): VerifiedCertificate {
  let fault: unknown;
  for (const signature of signatures.slice(0, MAX_COUNTERSIGNATURES)) {
    try {
      const signer = verifyCountersignature(signature, tbsData.octets, trust);
      accept(signer);
      return signer;
    } catch (error) {
      if (!(error instanceof ScmsDataError || error instanceof Ieee1609Dot2Error)) throw error;
      fault ??= error;
    }
  }
  throw fault;
}

function policyData(
  policyID: Uint8Array,
  { generationTime, activeTime }: PolicyTimes,
  policy: Policy,
): ToBeSignedPolicyData {
  const [generation, active] = [toTime64(generationTime), toTime64(activeTime)];
  return { policyID, generationTime: generation, activeTime: active, policy };
}

function signFile(files: PolicyFiles, signer: ComponentSigner, generationTime: Time32): Uint8Array {
  const file = encode(ScmsFile, { version: 1, content: { type: 'policy', value: files } });
  return signMessage(file, signer.certificate, signer.key, {
    generationTime: toTime64(generationTime),
    signerIdentifier: 'certificate',
  });
}

function openFile(octets: Uint8Array, trust: TrustStore) {
  // A policy is kept for long, and what is decoded are views of the input.
  const { payload, signer } = openSignedMessage(Uint8Array.from(octets), trust);
  return { files: policyFilesIn(payload), signer };
}

function policyFilesIn(payload: Uint8Array): PolicyFiles {
  const { content } = decodeMessage(ScmsFile, payload, 'ScmsFile');
  if (content.type === 'policy') return content.value;
  throw new ScmsDataError('unexpected-message', `expected a policy file, saw ${content.type}`);
}

function activePolicy({ tbsData }: BasePolicyFile, time: Time32): ToBeSignedPolicyData {
  if (tbsData.value.activeTime <= toTime64(time)) return tbsData.value;
  throw new ScmsDataError('policy', 'expected a policy that holds already, saw one for later');
}

function expectName(ra: VerifiedCertificate, expected: string | undefined): void {
  if (expected === undefined || hostnameOf(ra)?.toLowerCase() === expected.toLowerCase()) return;
  const seen = `saw ${hostnameOf(ra) ?? 'no name'}`;
  throw new ScmsDataError('wrong-signer', `expected the policy of ${expected}, ${seen}`);
}

/** Two octets for each version. */
export function versionOctets(...versions: readonly number[]): Uint8Array {
  return Uint8Array.from(versions.flatMap((version) => [version >> 8, version & 0xff]));
}

function versionsOf(policyID: Uint8Array, count: number): (number | undefined)[] {
  if (policyID.length !== 2 * count) return [];
  const view = new DataView(policyID.buffer, policyID.byteOffset, policyID.length);
  return Array.from({ length: count }, (_, index) => view.getUint16(2 * index));
}

function toTime64(time: Time32): bigint {
  return BigInt(time) * MICROSECONDS;
}

function unexpectedFile(expected: string, { type }: PolicyFiles): ScmsDataError {
  return new ScmsDataError('unexpected-message', `expected ${expected}, saw ${type}`);
}

function unexpectedPolicy(expected: string, { type }: Policy): ScmsDataError {
  return new ScmsDataError('unexpected-message', `expected a policy ${expected}, saw ${type}`);
}
