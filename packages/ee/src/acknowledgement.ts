import { decode } from '@chrysalis/coer';
import { checkValidAt, type Time32 } from '@chrysalis/ieee1609dot2';
import {
  type EndEntityRaInterfacePdu122,
  openSignedMessage,
  type RequestHash,
  requestHash,
  ScmsPdu122,
} from '@chrysalis/scms';
import type { CertificateKind } from './download-url.ts';
import { type Enrollment, isDataError } from './enrollment.ts';
import { EeError } from './error.ts';
import { toHex } from './json-record.ts';

/** Identification and application acknowledgements have the same content under their own tags (sheet 4.6). */
const MESSAGES = {
  pseudonym: 'raEePseudonymCertProvisioningAck',
  identification: 'raEeIdCertProvisioningAck',
  application: 'raEeAppCertProvisioningAck',
} as const satisfies Record<CertificateKind, string>;

/** What the RA promises in a SignedXxxCertProvisioningAck. */
export interface Acknowledgement {
  /** The name of the device's files from now on. */
  readonly requestHash: RequestHash;
  /** When the first file is expected to be ready. */
  readonly certDLTime: Time32;
  /** Where; as it came, see `resolveDownloadUrl`. */
  readonly certDLURL: string;
}

/**
 * Opens the answer to a provisioning request: signed by the RA of the bundle and no other, with PSID
 * 0x23, and for the body that was sent (sheet 4.5, 4.6). Pure.
 *
 * @param kind what was asked for
 * @param octets the body of the answer
 * @param body the body of the POST
 * @throws EeError `invalid-ack`
 */
export function openAcknowledgement(
  kind: CertificateKind,
  octets: Uint8Array,
  body: Uint8Array,
  enrollment: Enrollment,
  time: Time32,
): Acknowledgement {
  try {
    const { payload, signer } = openSignedMessage(octets, enrollment.pinned);
    if (toHex(signer.hash) !== toHex(enrollment.ra.hash)) {
      throw new EeError('invalid-ack', "expected the RA's signature, saw that of another");
    }
    checkValidAt(signer, time);
    const { content } = decode(ScmsPdu122, payload);
    const pdu = content.type === 'eeRa' ? content.value : undefined;
    if (pdu === undefined || !isAck(pdu) || pdu.type !== MESSAGES[kind]) {
      const seen = pdu?.type ?? content.type;
      throw new EeError('invalid-ack', `expected ${MESSAGES[kind]}, saw ${seen}`);
    }
    const { requestHash: seen, reply } = pdu.value;
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

type Pdu = EndEntityRaInterfacePdu122;
type AckPdu = Extract<Pdu, { readonly type: (typeof MESSAGES)[CertificateKind] }>;

function isAck(pdu: Pdu): pdu is AckPdu {
  return Object.values<string>(MESSAGES).includes(pdu.type);
}

function pickAck(ack: { readonly certDLTime: Time32; readonly certDLURL: string }) {
  const { certDLTime, certDLURL } = ack;
  return { certDLTime, certDLURL };
}
