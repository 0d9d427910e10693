/** What the RA does towards the PCA and the LAs, written down once more for the tests. */
import { decode, encode } from '@chrysalis/coer';
import { type Point, PrivateKey, sha256, systemRandom } from '@chrysalis/crypto';
import {
  asCertificate,
  fromPoint,
  TrustStore,
  time32FromUnix,
  unixFromTime32,
} from '@chrysalis/ieee1609dot2';
import {
  type EncryptedIndividualPlv,
  IPeriodClock,
  type LaRaPreLinkageValueResponseMsg,
  type LinkageAuthority,
  type LinkageChainId,
  openSignedMessage,
  type PcaRaCertResponseMsg,
  type PolicyGenerator,
  type PseudonymCertRequestInfo,
  ScmsPdu122,
  signMessage,
  signRequest,
} from '@chrysalis/scms';
import {
  createLinkageAuthority,
  createTestScms,
  hostnameOf,
  type InProcessMisbehaviorAuthority,
  openPseudonymAuthority,
  type PseudonymAuthority,
  type PseudonymAuthorityOptions,
  type TestScms,
} from '../src/index.ts';

/** 2026-11-21T20:50:00Z. */
export const NOW = time32FromUnix(Date.UTC(2026, 10, 21, 20, 50));
export const CURRENT_I = new IPeriodClock().at(NOW);

/** A clock that tests set. */
export class TestClock {
  time = NOW;
  now(): number {
    return unixFromTime32(this.time);
  }
}

/**
 * How a suite reaches an authority: as it is, or over a wire. Only what the RA may call goes over the wire; what is
 * there for those who look after the authority stays.
 */
export interface Form {
  readonly name: string;
  pca(port: PseudonymAuthority): Promise<PseudonymAuthority>;
  la(port: LinkageAuthority): Promise<LinkageAuthority>;
  pg(port: PolicyGenerator): Promise<PolicyGenerator>;
  ma(port: InProcessMisbehaviorAuthority): Promise<InProcessMisbehaviorAuthority>;
  /** Ends the wires. */
  close(): Promise<void>;
}

export const IN_PROCESS: Form = {
  name: 'in process',
  pca: async (port) => port,
  la: async (port) => port,
  pg: async (port) => port,
  ma: async (port) => port,
  close: async () => {},
};

export const scms: TestScms = createTestScms({
  now: NOW,
  random: systemRandom,
  raHostname: 'ra.scms.test',
});

/** Trusts every authority of {@link scms}. */
export function trustOf(authorities: TestScms = scms): TrustStore {
  const trust = new TrustStore([asCertificate(authorities.root.certificate)]);
  for (const name of ['ica', 'eca', 'pca', 'la1', 'la2', 'ra'] as const) {
    trust.add(asCertificate(authorities[name].certificate));
  }
  return trust;
}

export function nameOf(name: 'pca' | 'la1' | 'la2' | 'ra'): string {
  return hostnameOf(scms[name].certificate) ?? assertNever(name);
}

export function openPca(databaseUrl: string, more: Partial<PseudonymAuthorityOptions> = {}) {
  return openPseudonymAuthority({
    pca: scms.pca,
    trust: trustOf(),
    laKeys: new Map([
      [nameOf('la1'), { key: scms.pcaLa1Key, laId: scms.la1Id }],
      [nameOf('la2'), { key: scms.pcaLa2Key, laId: scms.la2Id }],
    ]),
    clock: new TestClock(),
    random: systemRandom,
    databaseUrl,
    ...more,
  });
}

export function openLa(name: 'la1' | 'la2', clock = new TestClock()): LinkageAuthority {
  const isFirst = name === 'la1';
  return createLinkageAuthority({
    la: scms[name],
    laId: isFirst ? scms.la1Id : scms.la2Id,
    sharedKey: isFirst ? scms.pcaLa1Key : scms.pcaLa2Key,
    chainKey: isFirst ? scms.la1ChainKey : scms.la2ChainKey,
    trust: trustOf(),
    clock,
    random: systemRandom,
    pcaHostname: nameOf('pca'),
  });
}

export interface PlvWish {
  readonly iMin?: number;
  readonly iMax?: number;
  readonly jMax?: number;
  readonly fresh?: number;
  readonly continued?: readonly LinkageChainId[];
  readonly pcaId?: string;
  readonly generationTime?: bigint | undefined;
}

/** A SignedRaLaIndividualPreLinkageValueRequest. */
export function plvRequest(wish: PlvWish = {}): Uint8Array {
  const { iMin = CURRENT_I, iMax = iMin, jMax = 2, pcaId = nameOf('pca') } = wish;
  const payload = encode(ScmsPdu122, {
    version: 1,
    content: {
      type: 'laRa',
      value: {
        type: 'raLaIndividualPreLinkageValueRequest',
        value: {
          header: { version: 1, raId: nameOf('ra'), pcaId, iMin, iMax },
          jMax,
          ...(wish.fresh !== undefined && { numberOfFreshInd: wish.fresh }),
          ...(wish.continued && { continuationsInd: wish.continued }),
        },
      },
    },
  });
  const generationTime = 'generationTime' in wish ? wish.generationTime : BigInt(NOW) * 1_000_000n;
  return signMessage(payload, scms.ra.certificate, scms.ra.signingKey, {
    ...(generationTime !== undefined && { generationTime }),
  });
}

/** Opens the answer of an LA as the RA does. */
export function openPlvAnswer(answer: Uint8Array): LaRaPreLinkageValueResponseMsg {
  const { payload } = openSignedMessage(answer, trustOf());
  const { content } = decode(ScmsPdu122, payload);
  if (content.type === 'laRa' && content.value.type === 'laRaPreLinkageValueResponse') {
    return content.value.value;
  }
  throw new Error(`expected laRaPreLinkageValueResponse, saw ${content.type}`);
}

/** The encrypted values of one fresh chain, by i and j. */
export async function plvsOf(
  la: LinkageAuthority,
  wish: PlvWish,
): Promise<readonly (readonly EncryptedIndividualPlv[])[]> {
  const { reply } = openPlvAnswer(
    await la.requestPreLinkageValues(plvRequest({ fresh: 1, ...wish })),
  );
  if (reply.type === 'failure') throw new Error('expected pre-linkage values');
  return reply.value.individual[0]?.values ?? [];
}

/** A request for one pseudonym certificate with fresh keys and values. */
export async function pseudonymInfo(
  more: Partial<PseudonymCertRequestInfo> & {
    i?: number;
    signing?: Point;
    encryption?: Point;
  } = {},
): Promise<PseudonymCertRequestInfo> {
  const { i = CURRENT_I, signing, encryption, ...rest } = more;
  const fresh = () => PrivateKey.generate(systemRandom).publicPoint;
  const [plv1, plv2] = await Promise.all([
    plvsOf(openLa('la1'), { iMin: i, jMax: 1 }),
    plvsOf(openLa('la2'), { iMin: i, jMax: 1 }),
  ]);
  return {
    psidSsp: [{ psid: 0x20 }, { psid: 0x26 }],
    iValue: i,
    pcaId: nameOf('pca'),
    sigButterflyKeyB: fromPoint(signing ?? fresh()),
    la1Id: nameOf('la1'),
    la2Id: nameOf('la2'),
    encPlv1: plv1[0]![0]!,
    encPlv2: plv2[0]![0]!,
    encButterflyKeyH: fromPoint(encryption ?? fresh()),
    ...rest,
  };
}

/** A SecuredRaPcaCertificateRequest. */
export function certificateRequest(
  value: PseudonymCertRequestInfo,
  { raId = nameOf('ra'), signer = scms.ra } = {},
): Uint8Array {
  const scoped = encode(ScmsPdu122, {
    version: 1,
    content: {
      type: 'pcaRa',
      value: {
        type: 'raPcaCertRequest',
        value: { version: 1, raId, certRequestInfo: { type: 'pseudonymCertReq', value } },
      },
    },
  });
  return signRequest(scoped, signer.certificate, signer.signingKey);
}

/** Opens the answer of the PCA as the RA does. */
export function openPcaAnswer(answer: Uint8Array): PcaRaCertResponseMsg {
  const { payload, signer } = openSignedMessage(answer, trustOf());
  if (Buffer.compare(signer.id, scms.pca.certificate.id) !== 0) throw new Error('expected the PCA');
  const { content } = decode(ScmsPdu122, payload);
  if (content.type === 'pcaRa' && content.value.type === 'pcaRaCertResponse') {
    return content.value.value;
  }
  throw new Error(`expected pcaRaCertResponse, saw ${content.type}`);
}

/** The SignedEncryptedCertificateResponse that goes into a batch. */
export function sealedCertificate(answer: Uint8Array): Uint8Array {
  const { reply } = openPcaAnswer(answer);
  if (reply.type !== 'success' || reply.value.type !== 'signedEncrypted') {
    throw new Error(`expected a certificate, saw ${JSON.stringify(reply)}`);
  }
  return reply.value.value.octets;
}

/** The name of the failure that the PCA answered with. */
export function failureOf(answer: Uint8Array): unknown {
  const { reply } = openPcaAnswer(answer);
  if (reply.type !== 'failure' || reply.value.type !== 'pcaRa') return reply;
  return reply.value.value.value;
}

export const hashOf = (octets: Uint8Array): string => Buffer.from(sha256(octets)).toString('hex');

function assertNever(name: string): never {
  throw new Error(`expected ${name} to have a name`);
}
