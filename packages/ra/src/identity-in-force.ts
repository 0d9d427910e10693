import type { RaIdentity } from './options.ts';

/**
 * The identity that an RA has now: another certificate with its keys may take its place while it runs. Everything reads it
 * anew for each message, so that no message has the certificate of one and the key of the other.
 */
export class IdentityInForce implements RaIdentity {
  #now: RaIdentity;

  constructor(identity: RaIdentity) {
    this.#now = identity;
  }

  get certificate(): RaIdentity['certificate'] {
    return this.#now.certificate;
  }

  get hostname(): string {
    return this.#now.hostname;
  }

  get signer(): RaIdentity['signer'] {
    return this.#now.signer;
  }

  get decrypter(): RaIdentity['decrypter'] {
    return this.#now.decrypter;
  }

  get former(): NonNullable<RaIdentity['former']> {
    return this.#now.former ?? [];
  }

  replace(next: RaIdentity): void {
    this.#now = next;
  }
}
