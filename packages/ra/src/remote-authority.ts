import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { isIP } from 'node:net';
import { checkServerIdentity, createSecureContext } from 'node:tls';
import {
  AUTHORITY_SERVICES,
  type AuthorityServiceName,
  AuthorityUnavailableError,
  type CertificateAuthority,
  type LinkageAuthority,
  type MisbehaviorAuthority,
  type PolicyGenerator,
  type RegistrationAuthorityPort,
} from '@chrysalis/scms';
import { CertificateRequestBundler } from './certificate-requests.ts';

/** More than the exchanges that the pipeline has under way with one authority: none waits for a connection. */
const MAX_SOCKETS = 8;
/** From the first octet sent, the handshake included, to the last one received. */
const DEFAULT_TIMEOUT_MS = 10_000;

const NOTHING = new Uint8Array(0);

export interface RemoteAuthorityOptions {
  /** `https://<host>:<port>`: where to connect. */
  readonly url: string;
  /** The authority's name, which its TLS certificate has to bear, whatever the URL says. */
  readonly hostname: string;
  readonly tls: {
    /** The X.509 root in which the authority's certificate has to end, PEM; no other is trusted. */
    readonly caPem: string;
    /** The RA's client certificate and its key, PEM. */
    readonly certificatePem: string;
    readonly privateKeyPem: string;
  };
  /** For one exchange as a whole; 10 s when missing. */
  readonly timeoutMs?: number;
}

/**
 * An authority behind mutual TLS (`authority-service.ts` of scms), as its port. Connections stay open and TLS sessions are
 * resumed. Nothing is repeated here: whoever asks has the octets, and knows when to ask again. Certificates that are asked for
 * in one turn of the event loop share an exchange.
 *
 * Every method throws AuthorityUnavailableError when there is no whole answer in time that has status 200 and a size
 * that the service allows: then nobody knows what the authority did. A method that it does not offer fails the same way.
 */
export class RemoteAuthority
  implements
    CertificateAuthority,
    LinkageAuthority,
    PolicyGenerator,
    MisbehaviorAuthority,
    RegistrationAuthorityPort
{
  readonly #options: RemoteAuthorityOptions;
  readonly #agent: Agent;
  readonly #certificateRequests: CertificateRequestBundler;

  /** Connects to nothing yet. @throws Error of OpenSSL when certificate and key are none, or not a pair */
  constructor(options: RemoteAuthorityOptions) {
    const { tls, hostname } = options;
    this.#options = options;
    this.#agent = new Agent({
      // Read once, here: files that do not fit together show at the start, not at the first request.
      secureContext: createSecureContext({
        ca: tls.caPem,
        cert: tls.certificatePem,
        key: tls.privateKeyPem,
        minVersion: 'TLSv1.2',
      }),
      // An address is no server name (RFC 6066 §3).
      ...(isIP(hostname) === 0 && { servername: hostname }),
      checkServerIdentity: (_host, certificate) => checkServerIdentity(hostname, certificate),
      keepAlive: true,
      maxSockets: MAX_SOCKETS,
      maxFreeSockets: MAX_SOCKETS,
    });
    this.#certificateRequests = new CertificateRequestBundler(hostname, (body) =>
      this.#exchange('requestCertificate', body),
    );
  }

  requestCertificate(octets: Uint8Array): Promise<Uint8Array> {
    return this.#certificateRequests.ask(octets);
  }

  requestPreLinkageValues(octets: Uint8Array): Promise<Uint8Array> {
    return this.#exchange('requestPreLinkageValues', octets);
  }

  globalPolicyFile(): Promise<Uint8Array> {
    return this.#exchange('globalPolicyFile', NOTHING);
  }

  globalCertificateChainFile(): Promise<Uint8Array> {
    return this.#exchange('globalCertificateChainFile', NOTHING);
  }

  signPolicy(octets: Uint8Array): Promise<Uint8Array> {
    return this.#exchange('signPolicy', octets);
  }

  answerMisbehaviorAuthority(octets: Uint8Array): Promise<Uint8Array> {
    return this.#exchange('answerMisbehaviorAuthority', octets);
  }

  async submitReport(report: Uint8Array): Promise<void> {
    await this.#exchange('submitReport', report);
  }

  /** Closes every connection; what is under way fails. */
  close(): void {
    this.#certificateRequests.close();
    this.#agent.destroy();
  }

  #exchange(name: AuthorityServiceName, octets: Uint8Array): Promise<Uint8Array> {
    const { url, hostname, timeoutMs = DEFAULT_TIMEOUT_MS } = this.#options;
    const { path, maxAnswer } = AUTHORITY_SERVICES[name];
    return new Promise((resolve, reject) => {
      const fail = (cause: Error) => {
        outgoing.destroy();
        reject(new AuthorityUnavailableError(`${hostname}: ${cause.message}`, { cause }));
      };
      const outgoing = request(new URL(path, url), {
        agent: this.#agent,
        method: 'POST',
        headers: {
          host: hostname,
          'content-type': 'application/octet-stream',
          'content-length': octets.length,
        },
      });
      const deadline = setTimeout(() => {
        fail(new Error(`expected an answer within ${timeoutMs} ms, saw none`));
      }, timeoutMs);
      outgoing.once('close', () => clearTimeout(deadline));
      outgoing.on('error', fail);
      outgoing.on('response', (answer) => readAnswer(answer, maxAnswer).then(resolve, fail));
      outgoing.end(octets);
    });
  }
}

/** The length is announced, so that an answer that was cut off is never taken for a whole one. */
async function readAnswer(answer: IncomingMessage, maxOctets: number): Promise<Uint8Array> {
  const { statusCode, headers } = answer;
  if (statusCode !== 200) throw new Error(`expected status 200, saw ${statusCode}`);
  const length = headers['content-length'];
  if (length === undefined || Number(length) > maxOctets) {
    throw new Error(`expected up to ${maxOctets} octets, saw ${length ?? 'no length'}`);
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of answer) chunks.push(chunk as Uint8Array);
  return new Uint8Array(Buffer.concat(chunks));
}
