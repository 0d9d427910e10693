/** A scene whose pipeline makes its steps when a test says so: what happens does not depend on time, and can be repeated. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { encode } from '@chrysalis/coer';
import { cocoonPoints, Expansion, type Random, sha256 } from '@chrysalis/crypto';
import { EccP256CurvePoint, fromPoint } from '@chrysalis/ieee1609dot2';
import type { RegistrationAuthority } from '@chrysalis/ra/server';
import {
  type CertRequestInfo,
  decodeMessage,
  decodeSigned,
  type ScmsPdu122,
  SignedCertificateRequest122,
  timeOf,
} from '@chrysalis/scms';
import { downloadReq, type TestDevice } from '../../../test/support/device.ts';
import { send } from '../../../test/support/https-client.ts';
import { Pipeline } from '../src/pipeline.ts';
import { createScene, type Registered, type Scene, type SceneOptions } from './scene.ts';

/** More steps than any test needs. */
const MOST_STEPS = 10_000;

export interface Stage extends Scene {
  readonly ra: RegistrationAuthority;
  readonly pipeline: Pipeline;
  /** Octets of the requests that reached the PCA, in their order. */
  readonly atPca: Uint8Array[];
  /** Steps until there is nothing more to do; how many did something. */
  settle(): Promise<number>;
  /** As after a kill: another pipeline, on the same rows. */
  restart(): Pipeline;
  /** Moves the clock to the second in which the i-period begins that comes after so many. */
  toPeriod(ahead: number): void;
  currentI(): number;
  /** What `.info` says; undefined when it is refused. */
  info(device: Registered): Promise<number | undefined>;
}

export async function createStage(t: TestContext, changes: SceneOptions = {}): Promise<Stage> {
  const atPca: Uint8Array[] = [];
  const { wrapPca = (pca) => pca } = changes;
  const scene = await createScene(t, {
    ...changes,
    wrapPca(pca) {
      const inner = wrapPca(pca);
      return {
        requestCertificate(request) {
          atPca.push(request);
          return inner.requestCertificate(request);
        },
      };
    },
  });
  const { options, clock } = scene;
  let pipeline = new Pipeline(options);
  const settle = async () => {
    for (let steps = 0; steps < MOST_STEPS; steps++) {
      if (!(await pipeline.step())) return steps;
    }
    throw new Error(`expected the pipeline to settle within ${MOST_STEPS} steps`);
  };
  const host = {
    start: async () => {
      await settle();
    },
    wake: () => {},
    stop: async () => {},
  };
  const ra = await scene.start({ pipeline: host });
  const currentI = () => options.iPeriod.at(timeOf(clock));
  return {
    ...scene,
    ra,
    get pipeline() {
      return pipeline;
    },
    atPca,
    settle,
    restart() {
      pipeline = new Pipeline(options);
      return pipeline;
    },
    toPeriod: (ahead) => clock.set(options.iPeriod.start(currentI() + ahead)),
    currentI,
    async info({ device, hash }) {
      const { certificate } = scene.scms.ra;
      const headers = downloadReq(
        device,
        `${hash}.info`,
        timeOf(clock),
        certificate,
        options.random,
      );
      const url = `https://localhost:${ra.port}/download/info`;
      const { status, body } = await send(url, scene.ca, { headers });
      if (status !== 200) return undefined;
      assert.equal(body.length, 4);
      return new DataView(body.buffer, body.byteOffset).getUint32(0);
    },
  };
}

/** The message inside a request to the PCA. */
export function messageOf(request: Uint8Array): ScmsPdu122 {
  const signed = decodeSigned(request);
  const { tbsRequest } = decodeMessage(SignedCertificateRequest122, signed, 'request');
  return tbsRequest.value;
}

/** What a request asks the PCA for. */
export function infoOf(request: Uint8Array): CertRequestInfo {
  const { content } = messageOf(request);
  assert(content.type === 'pcaRa' && content.value.type === 'raPcaCertRequest');
  return content.value.value.certRequestInfo;
}

/** The cocoon key of a pseudonym request, hex. */
export function cocoonKeyOf(request: Uint8Array): string {
  const info = infoOf(request);
  assert(info.type === 'pseudonymCertReq');
  return hexOf(encode(EccP256CurvePoint, info.value.sigButterflyKeyB));
}

/** Cocoon keys that a device expects in a period, by j, hex: computed from its own seeds. */
export function cocoonKeysOf(device: TestDevice, i: number, count: number): string[] {
  const expansion = new Expansion(device.verifyExpansion, 'signing');
  return cocoonPoints(device.verifySeed.publicPoint, expansion, i, count).map((point) =>
    hexOf(encode(EccP256CurvePoint, fromPoint(point))),
  );
}

export function hexOf(octets: Uint8Array): string {
  return Buffer.from(octets).toString('hex');
}

/** The same octets in every run: SHA-256 of a seed and a counter. */
export function seededRandom(seed: string): Random {
  let count = 0;
  return (length) => {
    const octets = new Uint8Array(length);
    for (let at = 0; at < length; at += 32) {
      const block = sha256(new TextEncoder().encode(`${seed} ${count++}`));
      octets.set(block.subarray(0, Math.min(32, length - at)), at);
    }
    return octets;
  };
}
