/** What is sent over a connection that is there. */
export interface RaMessage {
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

/** One HTTP exchange with an RA. */
export interface RaRequest {
  readonly method: 'GET' | 'POST';
  readonly url: URL;
  /**
   * Makes headers and body, when the RA has been connected to and authenticated and not before: what
   * is signed with the time of now must not age in a slow handshake (seed page "EE-RA messaging",
   * step 1, then step 2). Called once at most; an error of its own ends the exchange.
   */
  readonly message: () => RaMessage | Promise<RaMessage>;
}

export interface RaResponse {
  readonly status: number;
  /** Names in lower case; a header that came several times is joined with a comma. */
  readonly headers: Readonly<Record<string, string>>;
  /** Ends early by throwing EeError `interrupted`, `timeout` or `aborted`. Read it or `discard`. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Drops the rest of the body and the connection with it. */
  discard(): void;
}

/**
 * Port: the way to the RA. Tests play faults on it.
 *
 * Guarantee of an implementation: no octet of a request leaves, and none is asked to be made, before
 * the peer's X.509 certificate has been found to be issued under the bootstrapped root, valid now, and
 * for the URL's host (seed page "EE-RA messaging", RA Revocation); redirects are not followed.
 */
export interface RaTransport {
  /** @throws EeError `tls`, `unreachable`, `interrupted`, `timeout`, `aborted`, and what `message` throws */
  exchange(request: RaRequest, signal?: AbortSignal): Promise<RaResponse>;
  close(): Promise<void>;
}
