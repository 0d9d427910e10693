import { encode } from '@chrysalis/coer';
import { equalConstantTime, sha256 } from '@chrysalis/crypto';
import { endOfChain, SequenceOfPsidSsp, type Time32 } from '@chrysalis/ieee1609dot2';
import {
  AuthorityUnavailableError,
  type EeRaRequest,
  type EndEntityRaInterfacePdu122,
  requestHash,
  ScmsPdu122,
  signMessage,
  timeOf,
} from '@chrysalis/scms';
import type { AcknowledgementEvent, RegistrationEvent } from './audit-event.ts';
import type { Authenticator, IdentifiedRequest } from './authenticate.ts';
import { type KnownBacklog, waitOf } from './backlog.ts';
import type { Contacts } from './contacts.ts';
import type { Device, DeviceRegistry, KnownDevice, NewDevice } from './device-registry.ts';
import { hasLinkageChain } from './linkage-supply.ts';
import type { RaOptions } from './options.ts';
import { permissionsOf } from './permissions-of-enrollment.ts';
import { Refusal } from './refusal.ts';
import {
  describeApplication,
  describeIdentification,
  describePseudonym,
  type RequestColumns,
} from './registration.ts';
import type { CertificateKind } from './schema.ts';
import { asksForTheSame, columnsAfter, hasKeysOf } from './second-request.ts';
import type { Tries } from './tries.ts';
import { startOf } from './validity.ts';

/** Seconds until a device finds its first file when nothing waits in the shuffle. A device that comes earlier comes again. */
const PROMPT_SEC = 5;

type ProvisioningRequest = Extract<EeRaRequest, { type: CertificateKind }>;
type AckPdu = Extract<EndEntityRaInterfacePdu122, { type: `raEe${string}Ack` }>;

/** What an authenticated device asks for. */
interface Asked {
  readonly kind: CertificateKind;
  readonly body: Uint8Array;
  readonly bodyHash: Uint8Array;
  readonly identified: IdentifiedRequest;
  readonly request: ProvisioningRequest;
  /** The registration that this one replaces. */
  readonly former?: Device | undefined;
}

/** Under which name each kind is acknowledged, and where its files are (section 1.1). */
const ANSWERS: Record<CertificateKind, { readonly ack: AckPdu['type']; readonly path: string }> = {
  pseudonym: { ack: 'raEePseudonymCertProvisioningAck', path: '/download/batch' },
  identification: { ack: 'raEeIdCertProvisioningAck', path: '/download/identity-certificate' },
  application: { ack: 'raEeAppCertProvisioningAck', path: '/download/application-certificate' },
};

/**
 * The services by which devices ask for certificates: authenticate, record, acknowledge. What was acknowledged is on
 * stable storage, and a pipeline that starts from the record makes the certificates.
 */
export class Provisioning {
  readonly #options: RaOptions;
  readonly #authenticator: Authenticator;
  readonly #registry: DeviceRegistry;
  readonly #tries: Tries;
  readonly #contacts: Contacts;
  readonly #backlog: KnownBacklog;
  readonly #publicUrl: () => string;
  readonly #wakePipeline: () => void;

  constructor(
    options: RaOptions,
    authenticator: Authenticator,
    registry: DeviceRegistry,
    tries: Tries,
    contacts: Contacts,
    backlog: KnownBacklog,
    hooks: { publicUrl: () => string; wakePipeline: () => void },
  ) {
    this.#options = options;
    this.#authenticator = authenticator;
    this.#registry = registry;
    this.#tries = tries;
    this.#contacts = contacts;
    this.#backlog = backlog;
    this.#publicUrl = hooks.publicUrl;
    this.#wakePipeline = hooks.wakePipeline;
  }

  /**
   * @param kind of the service that was called
   * @param body SecuredPseudonymCertProvisioningRequest, SecuredIdCertProvisioningRequest or
   *   SecuredAppCertProvisioningRequest, COER
   * @returns the Signed acknowledgement of that kind, COER
   * @throws Refusal
   */
  async provision(kind: CertificateKind, body: Uint8Array): Promise<Uint8Array> {
    const identified = await this.#authenticator.identify(body, 'provisioning');
    const request = requestOf(identified, kind);
    // A device that lost its acknowledgement sends the same octets again, perhaps much later.
    const bodyHash = sha256(body);
    const repeated = acknowledged(identified.devices, bodyHash);
    if (repeated) return this.#acknowledgeAgain(repeated);

    this.#authenticator.authenticate(identified, request.currentTime, 'provisioning');
    return this.#tries.run(identified.enrollment.hash, `provision-${kind}`, () =>
      this.#register(kind, body, bodyHash, identified, request),
    );
  }

  async #register(
    kind: CertificateKind,
    body: Uint8Array,
    bodyHash: Uint8Array,
    identified: IdentifiedRequest,
    request: ProvisioningRequest,
  ): Promise<Uint8Array> {
    // What cannot be written down is not begun.
    await this.#options.audit?.ready();
    const known = this.#refuseSecond(identified, kind);
    if (kind === 'pseudonym') await this.#expectLinkageChain();
    if (known === undefined) return this.#record({ kind, body, bodyHash, identified, request });
    let isReplaced = false;
    try {
      const former = await this.#newest(known);
      const asked = { kind, body, bodyHash, identified, request, former };
      return await this.#record(asked, () => {
        isReplaced = true;
      });
    } finally {
      if (!isReplaced) this.#contacts.open(known.id);
    }
  }

  /** @param onReplaced called when the former registration is one no more */
  async #record(
    { kind, body, bodyHash, identified, request, former }: Asked,
    onReplaced = () => {},
  ): Promise<Uint8Array> {
    const device = await this.#describe(body, bodyHash, identified, request, former);
    const isSame = former !== undefined && asksForTheSame(former, device);
    const isRecorded = isSame
      ? await this.#registry.rename(former, device)
      : await this.#registry.register(device, device.registered_at, former);
    if (!isRecorded) return this.#answerToLoserOfRace(identified, bodyHash, kind);
    if (!isSame) onReplaced();
    // Each costs the LAs a chain and the PCA its certificates.
    if (former && !isSame) this.#tries.charge(identified.enrollment.hash, `provision-${kind}`);
    const hash = Buffer.from(device.request_hash).toString('hex');
    this.#options.log.info(
      { kind, requestHash: hash, firstI: device.first_i },
      'device registered',
    );
    await this.#options.audit?.record(
      registrationEvent(device, former, isSame),
      acknowledgementEvent(device, false),
    );
    this.#wakePipeline();
    return device.ack;
  }

  #acknowledgeAgain(device: KnownDevice): Uint8Array {
    this.#options.audit?.note(acknowledgementEvent(device, true));
    return device.ack;
  }

  /**
   * The rules of Q17: the same request once; one set of pseudonym and one of identification keys per enrollment
   * certificate at a time; one application certificate at a time until its overlap begins.
   *
   * @returns the registration that this one replaces
   */
  #refuseSecond(
    { devices, signed }: IdentifiedRequest,
    kind: CertificateKind,
  ): KnownDevice | undefined {
    const innerHash = sha256(signed.tbsRequest);
    if (devices.some((device) => equalConstantTime(device.inner_hash, innerHash))) {
      throw new Refusal(
        'raDuplicateRequestReceived',
        'expected a new request, saw one that was acknowledged in another envelope',
      );
    }
    const same = devices.filter((device) => device.kind === kind);
    if (kind !== 'application') {
      const former = same.find(({ status }) => status !== 'replaced');
      if (former === undefined || this.#options.secondRequest !== 'refuse') return former;
      throw new Refusal(
        'raDuplicateRequestReceived',
        `expected one set of ${kind} keys per enrollment certificate, saw a second`,
      );
    }
    // By the terms under which it was registered: a policy that has changed since changes nothing of it.
    const now = timeOf(this.#options.clock);
    if (same.some((device) => startOf(device, 1) > now)) throw openCertificate();
    return undefined;
  }

  /** The whole row, after everything that its device has fetched is noted; from then on it is given nothing more. */
  async #newest({ id }: KnownDevice): Promise<Device | undefined> {
    await this.#contacts.close(id);
    return this.#registry.find(id);
  }

  /** Precondition of the service: a chain in the PLV cache. Without one it is ours to mend, and the device comes again. */
  async #expectLinkageChain(): Promise<void> {
    if (await hasLinkageChain(this.#options.database)) return;
    throw new AuthorityUnavailableError(
      'expected a pre-linkage value chain in the cache, saw none: provisioning is refused until the LAs answer',
    );
  }

  /** Two requests of one device at once: the second finds the row of the first. */
  async #answerToLoserOfRace(
    identified: IdentifiedRequest,
    bodyHash: Uint8Array,
    kind: CertificateKind,
  ): Promise<Uint8Array> {
    const { devices } = await this.#registry.lookUp(identified.enrollment.hash);
    const device = acknowledged(devices, bodyHash);
    if (device) return this.#acknowledgeAgain(device);
    if (kind === 'application') throw openCertificate();
    throw new Refusal('raDuplicateRequestReceived', 'expected one request at a time, saw two');
  }

  async #describe(
    body: Uint8Array,
    bodyHash: Uint8Array,
    { enrollment, signed }: IdentifiedRequest,
    request: ProvisioningRequest,
    former: Device | undefined,
  ): Promise<NewDevice> {
    const now = timeOf(this.#options.clock);
    const permissions = permissionsOf(enrollment.certificate.toBeSigned);
    if (permissions.length === 0) {
      throw new Refusal(
        'raWrongParameters',
        'expected an enrollment certificate with a permission to request',
      );
    }
    const asked = this.#columnsOf(request, enrollment);
    const columns = former ? this.#columnsAfter(former, asked, enrollment) : asked;
    const availableAt = await this.#firstFileAt(request.type, columns.first_i, now);
    const hash = requestHash(body);
    return {
      ...columns,
      request_hash: hash,
      body_hash: bodyHash,
      inner_hash: sha256(signed.tbsRequest),
      enrollment_hash: enrollment.hash,
      enrollment_certificate: enrollment.octets,
      enrollment_end: endOfChain(enrollment),
      public_key: enrollment.publicKey.point,
      permissions: encode(SequenceOfPsidSsp, permissions),
      registered_at: now,
      ack: this.#acknowledge(request.type, hash, availableAt),
      available_at: availableAt,
      status: 'active',
      linked_through: columns.first_i - 1,
      expanded_through: columns.first_i - 1,
      filed_through: columns.first_i - 1,
      la1_chain: null,
      la2_chain: null,
    };
  }

  #columnsAfter(
    former: Device,
    asked: RequestColumns,
    enrollment: IdentifiedRequest['enrollment'],
  ): RequestColumns {
    if (asksForTheSame(former, asked)) return asked;
    if (!hasKeysOf(former, asked)) return columnsAfter(former, asked, enrollment, this.#options);
    throw new Refusal('raDuplicateRequestReceived', 'expected new keys with new parameters');
  }

  #columnsOf(
    request: ProvisioningRequest,
    enrollment: IdentifiedRequest['enrollment'],
  ): RequestColumns {
    switch (request.type) {
      case 'pseudonym':
        return describePseudonym(request, enrollment, this.#options);
      case 'identification':
        return describeIdentification(request, enrollment, this.#options);
      case 'application':
        return describeApplication(request, enrollment, this.#options);
    }
  }

  /**
   * certDLTime: when the first file is expected. Only pseudonym certificates are shuffled (sections 1.4, 3.6), and wait
   * until those of all other devices are made that are as near.
   */
  async #firstFileAt(kind: CertificateKind, firstI: number, now: Time32): Promise<Time32> {
    const promptly = now + PROMPT_SEC;
    if (kind !== 'pseudonym') return promptly;
    const { policy, iPeriod } = this.#options;
    const { shuffleInitial, shuffleMaxAgeSec, certificatesPerPeriod } = policy;
    const backlog = await this.#backlog.at(now);
    const device = { id: backlog.greatestId };
    const { beforePeriodSec, inPeriodSec } = waitOf(backlog, {
      device,
      i: firstI,
      current: iPeriod.at(now),
      certificatesPerPeriod,
      periodSec: iPeriod.lengthSec,
    });
    const isPooled = shuffleInitial === 'pooled';
    return promptly + beforePeriodSec + inPeriodSec + (isPooled ? shuffleMaxAgeSec : 0);
  }

  #acknowledge(kind: CertificateKind, hash: Uint8Array, certDLTime: Time32): Uint8Array {
    const { certificate, signer } = this.#options.identity;
    const { ack, path } = ANSWERS[kind];
    const pdu = encode(ScmsPdu122, {
      version: 1,
      content: {
        type: 'eeRa',
        value: {
          type: ack,
          value: {
            version: 1,
            requestHash: hash,
            reply: {
              type: 'ack',
              value: { certDLTime, certDLURL: `${this.#publicUrl()}${path}` },
            },
          },
        },
      },
    });
    return signMessage(pdu, certificate, signer);
  }
}

/** The request that belongs to this service. */
function requestOf({ signed }: IdentifiedRequest, kind: CertificateKind): ProvisioningRequest {
  const { request } = signed;
  if (request.type === kind) return request as ProvisioningRequest;
  throw new Refusal('raWrongParameters', `expected a ${kind} request, saw ${request.type}`);
}

function acknowledged(
  devices: readonly KnownDevice[],
  bodyHash: Uint8Array,
): KnownDevice | undefined {
  return devices.find((device) => equalConstantTime(device.body_hash, bodyHash));
}

function registrationEvent(
  device: NewDevice,
  former: Device | undefined,
  isSame: boolean,
): RegistrationEvent {
  const outcome = former === undefined ? 'new' : isSame ? 'renamed' : 'replaced';
  return {
    event: 'registration',
    kind: device.kind,
    requestHash: hex(device.request_hash),
    enrollment: hex(device.enrollment_hash),
    outcome,
    ...(former && { former: hex(former.request_hash) }),
    firstI: device.first_i,
    lastI: device.last_i,
  };
}

function acknowledgementEvent(
  { kind, request_hash }: Pick<KnownDevice, 'kind' | 'request_hash'>,
  repeated: boolean,
): AcknowledgementEvent {
  return { event: 'acknowledgement', kind, requestHash: hex(request_hash), repeated };
}

function hex(octets: Uint8Array): string {
  return Buffer.from(octets).toString('hex');
}

function openCertificate(): Refusal {
  return new Refusal(
    'raRequestForMultipleCerts',
    'expected no request until the overlap of the certificate before',
  );
}
