/**
 * The ports of the authorities on a wire. CAMP names the PDUs between RA, PCA, LAs, PG and MA and leaves their transport
 * open; here each is a POST of application/octet-stream over mutual TLS, on one path per operation of `port.ts`. The
 * answer is 200 with the octets of the port's answer; 503 without a body when the port is unavailable, 500 without a
 * body for all else. What an authority refuses by a PDU of its own is a 200 like any other.
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

export const AUTHORITY_SERVICES = {
  /** SecuredRaPcaCertificateRequest of about 1,200 octets; the answer has about as many. */
  requestCertificate: {
    path: '/request-certificate',
    maxRequest: 16 * KIB,
    maxAnswer: 16 * KIB,
  },
  /** The test LA gives out 50,000 values of some 130 octets at most; the RA asks for 2,040 at most. */
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
} as const satisfies Record<string, AuthorityService>;

export type AuthorityServiceName = keyof typeof AUTHORITY_SERVICES;
