/**
 * How an RA gets its custom policy signed (ra-pg.asn). scms-protocol.asn defines the Scoped messages and no envelope for
 * them: they travel here as the messages between RA and LA do, as signedData with PSID 0x23 and a generation time.
 */
import { capture, encode } from '@chrysalis/coer';
import type { Time32, TrustStore, VerifiedCertificate } from '@chrysalis/ieee1609dot2';
import type { ComponentSigner } from './countersignature.ts';
import { decodeMessage, openSignedMessage, signMessage } from './envelope.ts';
import { ScmsDataError } from './error.ts';
import { type BasePolicyFile, ToBeSignedPolicyData } from './pdu/policy.ts';
import type { RaPgInterfacePdu } from './pdu/ra-pg.ts';
import { ScmsPdu122 } from './pdu/scms-pdu.ts';
import { openCustomPolicy } from './policy-file.ts';
import { expectRole } from './scms-ssp.ts';

const MICROSECONDS = 1_000_000n;

/** A signed RaPgPolicySignatureRequest. */
export function requestPolicySignature(
  custom: ToBeSignedPolicyData,
  ra: ComponentSigner,
  time: Time32,
): Uint8Array {
  const tbs = capture(ToBeSignedPolicyData, custom);
  return signRaPg(
    { type: 'raPgPolicySignatureRequest', value: { version: 1, tbs } },
    ra,
    time,
    'certificate',
  );
}

/** Signs a message of ra-pg as RA or PG. */
export function signRaPg(
  value: RaPgInterfacePdu,
  { certificate, key }: ComponentSigner,
  time: Time32,
  signerIdentifier: 'digest' | 'certificate',
): Uint8Array {
  const payload = encode(ScmsPdu122, { version: 1, content: { type: 'raPg', value } });
  const generationTime = BigInt(time) * MICROSECONDS;
  return signMessage(payload, certificate, key, { generationTime, signerIdentifier });
}

/**
 * The custom policy that a PG signed, for `composeLocalPolicyFile`.
 *
 * @param custom what was asked to be signed: anything else is refused
 * @throws ScmsDataError `reported-failure`, `wrong-answer`, `wrong-signer`, `malformed`, `unexpected-message`;
 *   Ieee1609Dot2Error
 */
export function openPolicySignature(
  reply: Uint8Array,
  custom: ToBeSignedPolicyData,
  trust: TrustStore,
  { time, ra }: { readonly time: Time32; readonly ra: VerifiedCertificate },
): BasePolicyFile {
  const { payload, signer } = openSignedMessage(Uint8Array.from(reply), trust);
  expectRole(signer, 'pg', time);
  const { content } = decodeMessage(ScmsPdu122, payload, 'ScmsPDU');
  const pdu = content.type === 'raPg' ? content.value : undefined;
  if (pdu?.type !== 'raPgPolicySignatureRequestReply') {
    const seen = pdu?.type ?? content.type;
    throw new ScmsDataError(
      'unexpected-message',
      `expected raPgPolicySignatureRequestReply, saw ${seen}`,
    );
  }
  const { signedFile } = pdu.value;
  if (signedFile.type === 'failure') {
    throw new ScmsDataError('reported-failure', `expected a signature, saw ${signedFile.value}`);
  }
  const asked = encode(ToBeSignedPolicyData, custom);
  if (Buffer.compare(signedFile.value.tbsData.octets, asked) !== 0) {
    throw new ScmsDataError('wrong-answer', 'expected the custom policy that was asked for');
  }
  openCustomPolicy(signedFile.value, trust, { time, ra });
  return signedFile.value;
}
