import { encode } from '@chrysalis/coer';
import { equalConstantTime, type Point, sha256 } from '@chrysalis/crypto';
import {
  Ieee1609Dot2Error,
  SequenceOfPsidSsp,
  type Time32,
  toPoint,
} from '@chrysalis/ieee1609dot2';
import {
  type PseudonymRequest,
  requestHash,
  ScmsPdu122,
  signMessage,
  timeOf,
} from '@chrysalis/scms';
import type { Authenticator, IdentifiedRequest } from './authenticate.ts';
import type { DeviceRegistry, KnownDevice, NewDevice } from './device-registry.ts';
import { lastPeriodWithin } from './horizon.ts';
import type { RaOptions } from './options.ts';
import { permissionsOf } from './permissions-of-enrollment.ts';
import { Refusal } from './refusal.ts';

/** Seconds until a device finds its first batch when nothing waits in the shuffle. A device that comes earlier comes again. */
const PROMPT_SEC = 5;

/**
 * `POST /provision-pseudonym-certificate-batch`: authenticate, record, acknowledge. What was acknowledged is on
 * stable storage, and a pipeline that starts from the record makes the certificates.
 */
export class Provisioning {
  readonly #options: RaOptions;
  readonly #authenticator: Authenticator;
  readonly #registry: DeviceRegistry;
  readonly #publicUrl: () => string;
  readonly #wakePipeline: () => void;

  constructor(
    options: RaOptions,
    authenticator: Authenticator,
    registry: DeviceRegistry,
    hooks: { publicUrl: () => string; wakePipeline: () => void },
  ) {
    this.#options = options;
    this.#authenticator = authenticator;
    this.#registry = registry;
    this.#publicUrl = hooks.publicUrl;
    this.#wakePipeline = hooks.wakePipeline;
  }

  /**
   * @param body SecuredPseudonymCertProvisioningRequest, COER
   * @returns SignedPseudonymCertProvisioningAck, COER
   * @throws Refusal
   */
  async provisionPseudonyms(body: Uint8Array): Promise<Uint8Array> {
    const identified = await this.#authenticator.identify(body, 'provisioning');
    const { request } = identified.signed;
    if (request.type !== 'pseudonym') {
      throw new Refusal('raWrongParameters', `expected a pseudonym request, saw ${request.type}`);
    }
    // A device that lost its acknowledgement sends the same octets again, perhaps much later.
    const bodyHash = sha256(body);
    const repeated = storedAck(identified.device, bodyHash);
    if (repeated) return repeated;

    this.#authenticator.authenticate(identified, request.currentTime, 'provisioning');
    this.#refuseSecondSet(identified);
    const device = this.#describe(body, bodyHash, identified, request);
    if (!(await this.#registry.register(device))) {
      return this.#answerToLoserOfRace(identified, bodyHash);
    }
    const hash = Buffer.from(device.request_hash).toString('hex');
    this.#options.log.info({ requestHash: hash, firstI: device.first_i }, 'device registered');
    this.#wakePipeline();
    return device.ack;
  }

  /** One active set of pseudonym certificates per enrollment certificate (Q17). */
  #refuseSecondSet({ device, signed }: IdentifiedRequest): void {
    if (device === undefined) return;
    const isSame = equalConstantTime(device.inner_hash, sha256(signed.tbsRequest));
    throw new Refusal(
      'raDuplicateRequestReceived',
      isSame
        ? 'expected a new request, saw one that was acknowledged in another envelope'
        : 'expected one set of keys per enrollment certificate, saw a second',
    );
  }

  /** Two requests of one device at once: the second finds the row of the first. */
  async #answerToLoserOfRace(
    identified: IdentifiedRequest,
    bodyHash: Uint8Array,
  ): Promise<Uint8Array> {
    const winner = await this.#registry.findByEnrollment(identified.enrollment.hash);
    const ack = storedAck(winner, bodyHash);
    if (ack) return ack;
    throw new Refusal('raDuplicateRequestReceived', 'expected one request at a time, saw two');
  }

  #describe(
    body: Uint8Array,
    bodyHash: Uint8Array,
    { enrollment, signed }: IdentifiedRequest,
    request: PseudonymRequest,
  ): NewDevice {
    const { clock, iPeriod, policy } = this.#options;
    const now = timeOf(clock);
    const permissions = permissionsOf(enrollment.certificate.toBeSigned);
    if (permissions.length === 0) {
      throw new Refusal(
        'raWrongParameters',
        'expected an enrollment certificate with a permission to request',
      );
    }
    const currentI = iPeriod.at(now);
    // Not the device's fault: our clock is wrong, or the epoch was configured too late.
    if (currentI < 0) throw new RangeError(`expected a current i-period from 0, saw ${currentI}`);
    const firstI = Math.max(currentI, iPeriod.at(request.requestedStartTime ?? now));
    if (firstI >= currentI + policy.weeksAhead) {
      throw new Refusal(
        'raWrongParameters',
        `expected a start within ${policy.weeksAhead} periods, saw i = ${firstI} at i = ${currentI}`,
      );
    }
    const lastI = lastPeriodWithin(enrollment, iPeriod);
    if (firstI > lastI) {
      throw new Refusal(
        'raWrongParameters',
        `expected a start within the enrollment certificate's validity, saw i = ${firstI} after ${lastI}`,
      );
    }
    const availableAt = this.#firstBatchAt(now);
    const hash = requestHash(body);
    return {
      request_hash: hash,
      body_hash: bodyHash,
      inner_hash: sha256(signed.tbsRequest),
      enrollment_hash: enrollment.hash,
      enrollment_certificate: enrollment.octets,
      public_key: enrollment.publicKey.point,
      permissions: encode(SequenceOfPsidSsp, permissions),
      verify_seed: seedPoint(request.verifyKeyInfo.seedKey, 'verify-key-info'),
      verify_expansion: request.verifyKeyInfo.expansion,
      encryption_seed: seedPoint(request.respEncKeyInfo.seedKey, 'resp-enc-key-info'),
      encryption_expansion: request.respEncKeyInfo.expansion,
      registered_at: now,
      ack: this.#acknowledge(hash, availableAt),
      available_at: availableAt,
      status: 'active',
      first_i: firstI,
      last_i: lastI,
      linked_through: firstI - 1,
      expanded_through: firstI - 1,
      filed_through: firstI - 1,
      la1_chain: null,
      la2_chain: null,
    };
  }

  /** certDLTime: when the first batch is expected. */
  #firstBatchAt(now: Time32): Time32 {
    const { shuffleInitial, shuffleMaxAgeSec } = this.#options.policy;
    return now + PROMPT_SEC + (shuffleInitial === 'pooled' ? shuffleMaxAgeSec : 0);
  }

  #acknowledge(hash: Uint8Array, certDLTime: Time32): Uint8Array {
    const { certificate, signer } = this.#options.identity;
    const pdu = encode(ScmsPdu122, {
      version: 1,
      content: {
        type: 'eeRa',
        value: {
          type: 'raEePseudonymCertProvisioningAck',
          value: {
            version: 1,
            requestHash: hash,
            reply: {
              type: 'ack',
              value: { certDLTime, certDLURL: `${this.#publicUrl()}/download/batch` },
            },
          },
        },
      },
    });
    return signMessage(pdu, certificate, signer);
  }
}

function storedAck(device: KnownDevice | undefined, bodyHash: Uint8Array): Uint8Array | undefined {
  return device && equalConstantTime(device.body_hash, bodyHash) ? device.ack : undefined;
}

/** A caterpillar public key: a whole point on the curve. */
function seedPoint(key: Parameters<typeof toPoint>[0], field: string): Point {
  try {
    return toPoint(key);
  } catch (cause) {
    if (!(cause instanceof Ieee1609Dot2Error)) throw cause;
    throw new Refusal('raWrongParameters', `${field}: ${cause.message}`, { cause });
  }
}
