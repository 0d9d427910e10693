import { type Codec, choice, nullValue, octetString, sequenceOf } from '@chrysalis/coer';

/**
 * The ports of the authorities on a wire. CAMP names the PDUs between RA, PCA, LAs, PG and MA and leaves their transport
 * open; here each is a POST of application/octet-stream over mutual TLS, on one path per operation of `port.ts`. The
 * answer is 200 with the octets of the port's answer; 503 without a body when the port is unavailable, 500 without a
 * body for all else. What an authority refuses by a PDU of its own is a 200 like any other.
 *
 * Certificates alone are asked for many at a time: {@link CertificateRequests}.
 */
export interface AuthorityService {
  readonly path: string;
  /** Largest body of a request, in octets. */
  readonly maxRequest: number;
  /** Largest body of an answer, in octets. */
  readonly maxAnswer: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;

/** Requests for certificates in one exchange: as many as the RA has at the PCA at a time (`pca-dispatch.ts`). */
export const MAX_CERTIFICATE_REQUESTS = 128;
/** One SecuredRaPcaCertificateRequest, or its answer: 757 and 449 octets for a pseudonym certificate. */
export const MAX_CERTIFICATE_OCTETS = 16 * KIB;
/** All requests of one exchange; 97 kB are 128 for pseudonym certificates. */
export const MAX_CERTIFICATE_REQUEST_OCTETS = 256 * KIB;

/** In COER: the tag of the CHOICE and a length of up to three octets around each, their count around all. */
const OCTETS_AROUND_EACH = 4;
const OCTETS_AROUND_ALL = 2;
const OCTETS_AROUND = OCTETS_AROUND_ALL + MAX_CERTIFICATE_REQUESTS * OCTETS_AROUND_EACH;

const CertificateOctets = octetString({ max: MAX_CERTIFICATE_OCTETS });

/**
 * What is POSTed to `requestCertificate`, in COER: SecuredRaPcaCertificateRequests, in the order in which the RA asked.
 *
 *     CertificateRequests ::= SEQUENCE (SIZE(1..128)) OF OCTET STRING (SIZE(0..16384))
 */
export const CertificateRequests: Codec<readonly Uint8Array[]> = sequenceOf(CertificateOctets, {
  min: 1,
  max: MAX_CERTIFICATE_REQUESTS,
});

/** What became of one of them: the port's answer, or that it has none now. */
export type CertificateAnswer =
  | { readonly type: 'answer'; readonly value: Uint8Array }
  | { readonly type: 'unavailable'; readonly value: null };
const CertificateAnswer = choice<CertificateAnswer>('CertificateAnswer', {
  answer: CertificateOctets,
  unavailable: nullValue,
});

/**
 * What is answered, in the order of the requests and as many.
 *
 *     CertificateAnswers ::= SEQUENCE (SIZE(1..128)) OF
 *       CHOICE { answer OCTET STRING (SIZE(0..16384)), unavailable NULL }
 */
export const CertificateAnswers: Codec<readonly CertificateAnswer[]> = sequenceOf(
  CertificateAnswer,
  { min: 1, max: MAX_CERTIFICATE_REQUESTS },
);

export const AUTHORITY_SERVICES = {
  /** {@link CertificateRequests}, answered with {@link CertificateAnswers}, into which any answers go that are allowed. */
  requestCertificate: {
    path: '/request-certificates',
    maxRequest: OCTETS_AROUND + MAX_CERTIFICATE_REQUEST_OCTETS,
    maxAnswer: OCTETS_AROUND + MAX_CERTIFICATE_REQUESTS * MAX_CERTIFICATE_OCTETS,
  },
  /** 101 octets for each value: 5 MB for 50,000, the most that the test LA gives out at a time. */
  requestPreLinkageValues: {
    path: '/request-pre-linkage-values',
    maxRequest: 64 * KIB,
    maxAnswer: 16 * MIB,
  },
  /** No body: which file is meant stands in the path. */
  globalPolicyFile: { path: '/global-policy-file', maxRequest: 0, maxAnswer: MIB },
  /** 2,000 certificates, the most that a chain file may hold (`chain-file.ts`), of 500 octets each, and their index. */
  globalCertificateChainFile: {
    path: '/global-certificate-chain-file',
    maxRequest: 0,
    maxAnswer: 4 * MIB,
  },
  /** The request carries a whole custom policy, and the answer again. */
  signPolicy: { path: '/sign-policy', maxRequest: MIB, maxAnswer: MIB },
  /** As large as the RA takes it from a device; the answer has no body. */
  submitReport: { path: '/submit-report', maxRequest: 64 * KIB, maxAnswer: 0 },
  /**
   * Offered by the RA to its MA. 10,000 HPCRs have 320 kB, and each countersignature up to some 400 octets; 10,000 pairs of
   * linkage chains have 3 MB when the LAs' names are short, and 8 MB when they are as long as may be.
   */
  answerMisbehaviorAuthority: { path: '/ma-ra', maxRequest: 512 * KIB, maxAnswer: 16 * MIB },
} as const satisfies Record<string, AuthorityService>;

export type AuthorityServiceName = keyof typeof AUTHORITY_SERVICES;
