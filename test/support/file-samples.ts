/** One valid encoding of each file and message of policy, chains, CRLs and reports, and what a receiver does with it. */
import { type Codec, encode } from '@chrysalis/coer';
import { decrypterOf, Ieee1609Dot2Data } from '@chrysalis/ieee1609dot2';
import {
  adoptGlobalChainFile,
  adoptLocalChainFile,
  CompositeCrl,
  CrlContents,
  type CrlTypeSpecific,
  composeGlobalChainFile,
  composeGlobalPolicyFile,
  composeLocalChainFile,
  composeLocalPolicyFile,
  constantSeries,
  countersigned,
  customPolicy,
  DEFAULT_GLOBAL_POLICY,
  MisbehaviorReportContents,
  openCompositeCrl,
  openGlobalPolicyFile,
  openLocalPolicyFile,
  openMisbehaviorReport,
  openPolicySignature,
  openSignedMessage,
  RevocationList,
  requestPolicySignature,
  ScmsFile,
  ScmsPdu122,
  secureMisbehaviorReport,
  signCrl,
  signRaPg,
  versionOctets,
} from '@chrysalis/scms';
import { fixedRandom, issue, NOW } from '../../packages/ieee1609dot2/test/pki.ts';
import {
  crlg,
  ica,
  ma,
  maKey,
  pca,
  pg,
  ra,
  root,
  signerOf,
  trust,
} from '../../packages/scms/test/component.ts';

export interface FileSample {
  readonly name: string;
  readonly codec: Codec<unknown>;
  readonly encodings: readonly Uint8Array[];
  readonly use: (octets: Uint8Array) => void;
}

const known = trust();
const raCertificate = known.verify(ra.given);
const times = { generationTime: NOW, activeTime: NOW };
const custom = customPolicy({
  ...times,
  policyID: versionOctets(1),
  custom: { requestingRaHostname: 'ra.test', globalPolicy: DEFAULT_GLOBAL_POLICY },
});
const payloadOf = (message: Uint8Array) => openSignedMessage(message, known).payload;
const nothing = () => {};

export function fileSamples(): FileSample[] {
  return [...policyFiles(), ...raPg(), ...chainFiles(), ...crls(), ...reports()];
}

function policyFiles(): FileSample[] {
  const global = composeGlobalPolicyFile(
    { ...times, gpfVersion: 1, policy: DEFAULT_GLOBAL_POLICY },
    signerOf(pg),
  );
  const intervals = [{ startTime: BigInt(NOW) * 1_000_000n, value: 40 }];
  const local = composeLocalPolicyFile(
    {
      ...times,
      gpfVersion: 1,
      lpfVersion: 1,
      custom: countersigned(custom, signerOf(pg), NOW),
      local: { certsPerIPeriod: { initial: 20, intervals }, pcaHost: constantSeries('pca.test') },
    },
    signerOf(ra),
  );
  return [
    file('SignedGlobalPolicyFile', Ieee1609Dot2Data, [global], (octets) =>
      openGlobalPolicyFile(octets, known, NOW),
    ),
    file('SignedLocalPolicyFile', Ieee1609Dot2Data, [local], (octets) =>
      openLocalPolicyFile(octets, known, { time: NOW }),
    ),
    file('ScmsFile of policy', ScmsFile, [global, local].map(payloadOf), nothing),
  ];
}

function raPg(): FileSample[] {
  const request = requestPolicySignature(custom, signerOf(ra), NOW);
  const signedFile = {
    type: 'success',
    value: countersigned(custom, signerOf(pg), NOW),
  } as const;
  const reply = signRaPg(
    { type: 'raPgPolicySignatureRequestReply', value: { version: 1, signedFile } },
    signerOf(pg),
    NOW,
    'certificate',
  );
  return [
    file('RaPgPolicySignatureRequestReply, signed', Ieee1609Dot2Data, [reply], (octets) =>
      openPolicySignature(octets, custom, known, { time: NOW, ra: raCertificate }),
    ),
    file('RaPgInterfacePdu', ScmsPdu122, [request, reply].map(payloadOf), nothing),
  ];
}

function chainFiles(): FileSample[] {
  const parts = {
    maCertificate: ma.given,
    certs: [ica, pca, crlg].map(({ given }) => given),
  };
  const version = { gccfVersion: 1, lccfVersion: 1, raHostname: 'ra.test' };
  const global = composeGlobalChainFile(1, parts);
  const local = composeLocalChainFile(version, { ...parts, optionalCerts: [ra.given] });
  return [
    file('ScopedGlobalCertificateChainFile', ScmsFile, [global], (octets) =>
      adoptGlobalChainFile(octets, [root.given]),
    ),
    file('ScopedLocalCertificateChainFile', ScmsFile, [local], (octets) =>
      adoptLocalChainFile(octets, [root.given]),
    ),
  ];
}

function crls(): FileSample[] {
  const seed = new Uint8Array(16);
  const individual = {
    la1Id: Uint8Array.of(0, 1),
    la2Id: Uint8Array.of(0, 2),
    contents: [{ iMax: 700, contents: [{ linkageSeed1: seed, linkageSeed2: seed }] }],
  };
  const bodies: CrlTypeSpecific[] = [
    {
      type: 'fullLinkedCrl',
      value: { iRev: 600, indexWithinI: 0, individual: [{ jmax: 20, contents: [individual] }] },
    },
    {
      type: 'fullHashCrl',
      value: { crlSerial: 1, entries: [{ id: new Uint8Array(10), expiry: NOW }] },
    },
  ];
  const contents = bodies.map((typeSpecific, n) => ({
    version: 1,
    crlSeries: n + 1,
    crlCraca: root.certificate.id,
    issueDate: NOW,
    nextCrl: NOW + 1,
    priorityInfo: {},
    typeSpecific,
  }));
  const securedCrlSeries = contents.map((crl) => signCrl(crl, signerOf(crlg)));
  const composite = encode(CompositeCrl, {
    securedCrlSeries,
    revokedRootCAs: [],
    revokedElectors: [],
  });
  return [
    file('CompositeCrl', CompositeCrl, [composite], (octets) => {
      const list = new RevocationList(openCompositeCrl(octets, known, NOW));
      list.find(raCertificate);
    }),
    file(
      'CrlContents',
      CrlContents,
      contents.map((crl) => encode(CrlContents, crl)),
      nothing,
    ),
  ];
}

function reports(): FileSample[] {
  const reporter = issue('reporter', { appPermissions: [{ psid: 0x26 }] }, pca);
  const contents = {
    version: 1,
    misbehavingDeviceInfo: new Uint8Array(3),
    sensorInfo: new Uint8Array(2),
  };
  const generationLocation = { latitude: 1, longitude: 2, elevation: 3 };
  const secured = secureMisbehaviorReport(
    { contents, generationTime: NOW, generationLocation },
    signerOf(reporter),
    ma.certificate,
    fixedRandom('report'),
  );
  const key = decrypterOf(maKey);
  return [
    file('SecuredMisbehaviorReport', Ieee1609Dot2Data, [secured], (octets) =>
      openMisbehaviorReport(octets, { ma: ma.certificate, key, trust: known, time: NOW }),
    ),
    file(
      'MisbehaviorReportContents',
      MisbehaviorReportContents,
      [encode(MisbehaviorReportContents, contents)],
      nothing,
    ),
  ];
}

function file<T>(
  name: string,
  codec: Codec<T>,
  encodings: readonly Uint8Array[],
  use: (octets: Uint8Array) => unknown,
): FileSample {
  return { name, codec: codec as Codec<unknown>, encodings, use };
}
