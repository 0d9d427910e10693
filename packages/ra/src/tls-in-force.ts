import { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { OcspSource } from './options.ts';
import { tlsOptions } from './tls-options.ts';

/** What a TLS server shows and proves: certificate chain and key, PEM. */
export interface TlsPair {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** A pair that is to take the place of another, and whom to ask for its status. */
export interface TlsSuccessor extends TlsPair {
  readonly ocsp?: OcspSource;
}

/**
 * Makes ready what a pair needs, and returns what puts it in force, which cannot fail.
 *
 * @throws when the pair will not do: nothing changes then, for nobody
 */
export type TlsFollower = (next: TlsSuccessor) => (() => void) | Promise<() => void>;

/** The pair of a server, which may be replaced while it runs when it can be followed. */
export interface ServerTls extends TlsPair {
  follow?(follower: TlsFollower): void;
}

/** The pair that servers of one name have now. Connections that are open keep the one that they began with. */
export class TlsInForce implements ServerTls {
  readonly #followers: TlsFollower[] = [];
  #now: TlsPair;

  constructor(pair: TlsPair) {
    this.#now = pair;
  }

  get certificatePem(): string {
    return this.#now.certificatePem;
  }

  get privateKeyPem(): string {
    return this.#now.privateKeyPem;
  }

  follow(follower: TlsFollower): void {
    this.#followers.push(follower);
  }

  /**
   * Puts another pair in force at all servers, or at none.
   *
   * @param machineNowMs TLS goes by the clock of the machine
   * @throws RangeError when it is not valid now; what OpenSSL says of files that are none, or do not belong together; what
   *   followers throw
   */
  async replace(next: TlsSuccessor, machineNowMs = Date.now()): Promise<void> {
    createSecureContext(tlsOptions(next));
    expectValid(new X509Certificate(next.certificatePem), machineNowMs);
    const ready: (() => void)[] = [];
    for (const follower of this.#followers) ready.push(await follower(next));
    const { certificatePem, privateKeyPem } = next;
    this.#now = { certificatePem, privateKeyPem };
    for (const putInForce of ready) putInForce();
  }
}

function expectValid({ validFromDate, validToDate }: X509Certificate, nowMs: number): void {
  if (nowMs >= validFromDate.getTime() && nowMs <= validToDate.getTime()) return;
  const [from, to] = [validFromDate.toISOString(), validToDate.toISOString()];
  throw new RangeError(
    `expected a TLS certificate that is valid now, saw one from ${from} to ${to}`,
  );
}
