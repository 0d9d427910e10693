import type { Random } from '@chrysalis/crypto';
import {
  type Time32,
  type TrustStore,
  unixFromTime32,
  type VerifiedCertificate,
} from '@chrysalis/ieee1609dot2';
import {
  type Clock,
  type DownloadFile,
  decodeSecured,
  formatFileName,
  type PolicyValues,
  timeOf,
} from '@chrysalis/scms';
import { type Acknowledgement, openAcknowledgement } from './acknowledgement.ts';
import { type BackOff, type Sleep, waitUntil, withBackOff } from './back-off.ts';
import { MAX_BATCH_OCTETS } from './batch-zip.ts';
import type { CertificateFolder } from './certificate-folder.ts';
import { type Answer, contact } from './contact.ts';
import type { DeviceSettings } from './device-settings.ts';
import { downloadOnce } from './download.ts';
import {
  type CertificateKind,
  crlStoreUrl,
  PATHS,
  resolveDownloadUrl,
  serviceUrl,
} from './download-url.ts';
import type { Enrollment } from './enrollment.ts';
import { EeError, hasCode } from './error.ts';
import type { Governance, RaFileKind } from './governance.ts';
import { toHex } from './json-record.ts';
import type { Progress } from './progress.ts';
import {
  makeDownloadHeader,
  makeProvisioningBody,
  type ProvisioningWish,
} from './provisioning-request.ts';
import type { ProvisioningState } from './provisioning-state.ts';
import { SECURED_RA_CERT_REQUEST } from './ra-certificate.ts';
import { fetchRaFile, type RaFile, type RaFileAnswer } from './ra-file.ts';
import type { RaRequest, RaTransport } from './ra-transport.ts';
import { expectStatus, readBody } from './response-body.ts';

/** An acknowledgement has 127 octets; a URL of 255 and a signer certificate may come on top. */
const MAX_ACK_OCTETS = 4_096;
/** A .info file has 4 octets, or 8. */
const MAX_INFO_OCTETS = 64;

/** An RA's certificate has some 250 octets. */
const MAX_CERTIFICATE_OCTETS = 4_096;
/** The answer to a report is empty; what an RA says nevertheless is read and forgotten. */
const MAX_REPORT_ANSWER_OCTETS = 4_096;

/** A fielded chain file has a thousand octets, a policy as many; a CRL some forty for each device on it. */
const MAX_FILE_OCTETS = {
  chains: 65_536,
  policy: 65_536,
  crl: 8_388_608,
} as const satisfies Record<RaFileKind, number>;

export interface RaSessionParts {
  /** As it is at this moment: the RA's certificate may change. */
  readonly enrollment: () => Enrollment;
  readonly settings: DeviceSettings;
  readonly transport: RaTransport;
  /** For reports, so that the RA does not learn from the connection whose they are. */
  readonly reportTransport: RaTransport;
  readonly clock: Clock;
  readonly random: Random;
  readonly sleep: Sleep;
  readonly signal?: AbortSignal;
  readonly report: (progress: Progress) => void;
  /** What the device lives by at this moment. */
  readonly governance: () => Governance;
}

export interface ProvisionOptions {
  /** Whether a refusal ends the matter; else it is waited out as far as its code lets. */
  readonly isTrial?: boolean;
  /** A body was sent, and the RA may hold it: no answer came. */
  readonly onDoubt?: () => void;
}

/** The exchanges of the EE-RA interface, each with its retries; what comes of them others keep. */
export class RaSession {
  readonly random: Random;
  readonly report: (progress: Progress) => void;
  readonly #parts: RaSessionParts;

  constructor(parts: RaSessionParts) {
    this.random = parts.random;
    this.report = parts.report;
    this.#parts = parts;
  }

  get enrollment(): Enrollment {
    return this.#parts.enrollment();
  }

  /** Opens certificate responses. */
  get trust(): TrustStore {
    return this.#parts.governance().trust;
  }

  /** The policy in force now. */
  get policy(): PolicyValues {
    return this.#parts.governance().policyAt(this.now());
  }

  /** How many certificates a policy file promises for each i-period. */
  get promisedCertificates(): number | undefined {
    return this.#parts.governance().hasPolicy ? this.policy.certsPerIPeriod : undefined;
  }

  /** The CRL store, if there is one. */
  get crlUrl(): URL | undefined {
    return this.#parts.settings.crlUrl ?? this.enrollment.crlUrl;
  }

  now(): Time32 {
    return timeOf(this.#parts.clock);
  }

  /**
   * Gets a request acknowledged; see `contact`.
   *
   * @param state as on disk, or new, without bodies
   * @param save when it resolves, the state survives a power cut
   */
  async provision<Keys>(
    state: ProvisioningState<Keys>,
    wish: ProvisioningWish,
    save: (state: ProvisioningState<Keys>) => Promise<void>,
    { isTrial = false, onDoubt }: ProvisionOptions = {},
  ): Promise<Acknowledgement> {
    const { type: kind } = wish;
    const acknowledgement = await contact(state, {
      send: (makeBody) => this.#send(kind, makeBody),
      save,
      newBody: () => this.#newBody(wish),
      backOff: {
        ...this.#backOff(),
        isWorthRetrying: ({ code }) => !isTrial || code !== 'refused',
      },
      ...(onDoubt && { onDoubt }),
      onBody: (requestHash) => this.report({ type: 'prepared', kind, requestHash }),
    });
    this.report({ type: 'acknowledged', kind, ...acknowledgement });
    return acknowledgement;
  }

  /** Waits for certDLTime. @throws EeError `aborted` */
  async waitUntilReady(kind: CertificateKind, certDLTime: Time32): Promise<void> {
    const { clock, sleep, signal } = this.#parts;
    await waitUntil(unixFromTime32(certDLTime), clock, sleep, signal, (remainingMs) =>
      this.report({ type: 'waiting', kind, until: certDLTime, remainingMs }),
    );
  }

  /**
   * Fetches a zip into its folder, going on from where an earlier attempt broke off.
   *
   * @param i its number in the folder
   * @param number its number in the name at the RA; an application certificate has none
   * @param waitForIt whether an HTTP 500 is waited out; else it ends the matter
   * @throws EeError `refused` and others as `downloadOnce`
   */
  async fetchZip(
    kind: CertificateKind,
    { i, number = i }: { readonly i: number; readonly number?: number },
    ack: Acknowledgement,
    folder: CertificateFolder,
    waitForIt: boolean,
  ): Promise<Uint8Array> {
    const { requestHash, certDLURL } = ack;
    const { transport, settings, signal } = this.#parts;
    const url = resolveDownloadUrl(kind, certDLURL, settings.raUrl);
    const file: DownloadFile =
      kind === 'application'
        ? { type: kind, requestHash }
        : { type: 'batch', requestHash, i: number };
    const zip = await withBackOff(
      () =>
        downloadOnce({
          transport,
          url,
          downloadReq: () => this.header(file),
          partial: folder.partial(i, MAX_BATCH_OCTETS),
          maxOctets: MAX_BATCH_OCTETS,
          ...(signal && { signal }),
        }),
      { ...this.#backOff(), isWorthRetrying: (error) => waitForIt || error.code !== 'refused' },
    );
    await folder.saveZip(i, zip);
    this.report({ type: 'downloaded', kind, i, octets: zip.length });
    return zip;
  }

  /** The octets of the .info file. */
  async fetchInfo({ requestHash }: Acknowledgement): Promise<Uint8Array> {
    const { transport, signal } = this.#parts;
    return withBackOff(async () => {
      const response = await transport.exchange(
        {
          method: 'GET',
          url: this.#url(PATHS.info),
          message: () => ({
            headers: {
              'Download-Req': this.header({ type: 'info', requestHash }),
              'Accept-Encoding': 'identity',
            },
          }),
        },
        signal,
      );
      expectStatus(response, [200], 'info');
      return readBody(response, MAX_INFO_OCTETS);
    }, this.#backOff());
  }

  /**
   * A file that anybody may have, if there is another than the one that is held.
   *
   * A refusal is waited out when the RA is known to have the file. Else it is taken for what it says most likely: that the RA
   * has none.
   *
   * @throws EeError `refused` and others as `fetchRaFile`
   */
  async fetchRaFile(
    which: RaFileKind,
    held: RaFile | undefined,
    isKnown: boolean,
  ): Promise<RaFileAnswer> {
    const { transport, signal } = this.#parts;
    const { crlUrl } = this;
    const url = crlUrl && which === 'crl' ? crlStoreUrl(crlUrl) : this.#url(PATHS[which]);
    const maxOctets = MAX_FILE_OCTETS[which];
    return withBackOff(
      () => fetchRaFile({ transport, url, held, maxOctets, ...(signal && { signal }) }),
      {
        ...this.#backOff(),
        isWorthRetrying: ({ code }) => {
          // A CRL store that is away stops nobody, and is not waited for.
          if (which === 'crl') return code !== 'unreachable' && code !== 'refused';
          return code !== 'refused' || isKnown;
        },
      },
    );
  }

  /** The RA's certificate as the RA gives it, not verified. */
  async fetchRaCertificate(): Promise<Uint8Array> {
    const { transport, signal } = this.#parts;
    return withBackOff(
      async () => {
        const request = postOf(this.#url(PATHS.raCertificate), () => SECURED_RA_CERT_REQUEST);
        const response = await transport.exchange(request, signal);
        expectStatus(response, [200], 'ra-certificate');
        return readBody(response, MAX_CERTIFICATE_OCTETS);
      },
      { ...this.#backOff(), isWorthRetrying: ({ code }) => code !== 'refused' },
    );
  }

  /** Hands a report to the RA, once. @throws EeError `refused` and others as the transport throws */
  async sendReport(report: Uint8Array): Promise<void> {
    const { reportTransport, signal } = this.#parts;
    const request = postOf(this.#url(PATHS.report), () => report);
    const response = await reportTransport.exchange(request, signal);
    expectStatus(response, [200], 'report');
    await readBody(response, MAX_REPORT_ANSWER_OCTETS);
  }

  /** A fresh value of Download-Req. */
  header(file: DownloadFile): string {
    return makeDownloadHeader(formatFileName(file), this.enrollment, this.now(), this.random);
  }

  async #send(kind: CertificateKind, makeBody: () => Promise<Uint8Array>): Promise<Answer> {
    const { transport, signal } = this.#parts;
    let body: Uint8Array | undefined;
    const url = this.#url(PATHS.provision[kind]);
    const request = postOf(url, async () => {
      body = await makeBody();
      return body;
    });
    const response = await transport.exchange(request, signal);
    expectStatus(response, [200], 'request');
    const octets = await readBody(response, MAX_ACK_OCTETS);
    if (body === undefined) throw new EeError('unexpected-response', 'saw an answer to nothing');
    const acknowledgement = this.#openAnswer(kind, octets, body);
    return { acknowledgement, octets, body };
  }

  /**
   * A body that was sealed to the RA's certificate of before may be acknowledged by the RA of now, who
   * has its key, and by nobody else: what another signed counts as refused, and the keys go out anew.
   */
  #openAnswer(kind: CertificateKind, octets: Uint8Array, body: Uint8Array): Acknowledgement {
    try {
      return openAcknowledgement(kind, octets, body, this.enrollment, this.now());
    } catch (cause) {
      if (!hasCode(cause, 'invalid-ack') || isSealedTo(body, this.enrollment.ra)) throw cause;
      throw new EeError('refused', `the RA has another certificate by now: ${cause.message}`, {
        cause,
      });
    }
  }

  #newBody(wish: ProvisioningWish): Uint8Array {
    const { dialect } = this.#parts.settings;
    return makeProvisioningBody(wish, this.enrollment, this.now(), this.random, dialect);
  }

  #url(path: string): URL {
    return serviceUrl(this.#parts.settings.raUrl ?? this.enrollment.raUrl, path);
  }

  #backOff(): BackOff {
    const { sleep, random, signal } = this.#parts;
    return {
      sleep,
      random,
      ...(signal && { signal }),
      onRetry: (pauseMs, reason) => this.report({ type: 'retry', pauseMs, reason }),
    };
  }
}

function postOf(url: URL, makeBody: () => Uint8Array | Promise<Uint8Array>): RaRequest {
  return {
    method: 'POST',
    url,
    message: async () => ({
      headers: { 'Content-Type': 'application/octet-stream', 'Accept-Encoding': 'identity' },
      body: await makeBody(),
    }),
  };
}

/** Whether a body of ours was encrypted to a certificate. */
function isSealedTo(body: Uint8Array, { id }: VerifiedCertificate): boolean {
  return decodeSecured(body).recipients.some(
    ({ type, value }) => type === 'certRecipInfo' && toHex(value.recipientId) === toHex(id),
  );
}
