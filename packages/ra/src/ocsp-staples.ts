import { X509Certificate } from 'node:crypto';
import { OcspError } from './ocsp-response.ts';
import { OcspStaple, type OcspStapleOptions } from './ocsp-staple.ts';
import type { TlsSuccessor } from './tls-in-force.ts';

/** A handshake ends within ten seconds (tls-options.ts): so long the staple of the pair before may be asked for. */
const HANDSHAKES_OVER_MS = 15_000;

interface Stapled {
  readonly staple: OcspStaple;
  readonly certificate: Buffer;
}

/** The staples of a server: of the certificate that it shows now, and for some seconds of the one that it showed before. */
export class OcspStaples {
  readonly #options: OcspStapleOptions;
  #present: Stapled;
  #former: Stapled | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @throws TypeError when `ocsp.issuerPem` did not issue the certificate of `tls` */
  constructor(options: OcspStapleOptions) {
    this.#options = options;
    this.#present = stapledOf(options);
    options.tls.follow?.((next) => this.#prepare(next));
  }

  /** Resolves when the responder was asked once, whatever it said. */
  start(): Promise<void> {
    return this.#present.staple.start();
  }

  wake(): Promise<void> {
    return this.#present.staple.wake();
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#former?.staple.stop();
    await this.#present.staple.stop();
  }

  /** @param certificate DER, of the handshake; the present one when missing */
  current(certificate?: Uint8Array): Buffer | null {
    const former = this.#former;
    const isFormer = certificate && former && Buffer.compare(certificate, former.certificate) === 0;
    return (isFormer ? former : this.#present).staple.current();
  }

  /** Devices do not go on without a staple: the certificate before stays until there is one. */
  async #prepare(next: TlsSuccessor): Promise<() => void> {
    const { ocsp = this.#options.ocsp } = next;
    const successor = stapledOf({ ...this.#options, ocsp, tls: next });
    await successor.staple.start();
    if (successor.staple.current() === null) {
      await successor.staple.stop();
      throw new OcspError('expected an OCSP response for the new TLS certificate, saw none');
    }
    return () => {
      void this.#former?.staple.stop();
      clearTimeout(this.#timer);
      this.#former = this.#present;
      this.#present = successor;
      this.#timer = setTimeout(() => this.#forgetFormer(), HANDSHAKES_OVER_MS).unref();
    };
  }

  #forgetFormer(): void {
    void this.#former?.staple.stop();
    this.#former = undefined;
  }
}

function stapledOf(options: OcspStapleOptions): Stapled {
  const certificate = new X509Certificate(options.tls.certificatePem).raw;
  return { staple: new OcspStaple(options), certificate };
}
