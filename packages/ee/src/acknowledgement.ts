import { decode } from '@chrysalis/coer';
import { checkValidAt, type Time32 } from '@chrysalis/ieee1609dot2';
import { openSignedMessage, type RequestHash, requestHash, ScmsPdu122 } from '@chrysalis/scms';
import { type Enrollment, isDataError } from './enrollment.ts';
import { EeError } from './error.ts';
import { toHex } from './json-record.ts';

/** What the RA promises in a SignedPseudonymCertProvisioningAck. */
export interface Acknowledgement {
  /** The name of the device's files from now on. */
  readonly requestHash: RequestHash;
  /** When the first batch is expected to be ready. */
  readonly certDLTime: Time32;
  /** Where; as it came, see `resolveDownloadUrl`. */
  readonly certDLURL: string;
}

/**
 * Opens the answer to a provisioning request: signed by the RA of the bundle and no other, with PSID
 * 0x23, and for the body that was sent (sheet 4.5, 4.6). Pure.
 *
 * @param octets the body of the answer
 * @param body the body of the POST
 * @throws EeError `invalid-ack`
 */
export function openAcknowledgement(
  octets: Uint8Array,
  body: Uint8Array,
  enrollment: Enrollment,
  time: Time32,
): Acknowledgement {
  try {
    const { payload, signer } = openSignedMessage(octets, enrollment.trust);
    if (toHex(signer.hash) !== toHex(enrollment.ra.hash)) {
      throw new EeError('invalid-ack', "expected the RA's signature, saw that of another");
    }
    checkValidAt(signer, time);
    const { content } = decode(ScmsPdu122, payload);
    if (content.type !== 'eeRa' || content.value.type !== 'raEePseudonymCertProvisioningAck') {
      throw new EeError('invalid-ack', `expected a RaEePseudonymCertProvisioningAck`);
    }
    const { requestHash: seen, reply } = content.value.value;
    const expected = requestHash(body);
    if (toHex(seen) !== toHex(expected)) {
      throw new EeError(
        'invalid-ack',
        `expected request hash ${toHex(expected)}, saw ${toHex(seen)}`,
      );
    }
    if (reply.type !== 'ack') throw new EeError('invalid-ack', 'expected a reply of type ack');
    return { requestHash: expected, ...pickAck(reply.value) };
  } catch (cause) {
    if (!isDataError(cause)) throw cause;
    throw new EeError('invalid-ack', cause.message, { cause });
  }
}

function pickAck(ack: { readonly certDLTime: Time32; readonly certDLURL: string }) {
  const { certDLTime, certDLURL } = ack;
  return { certDLTime, certDLURL };
}
