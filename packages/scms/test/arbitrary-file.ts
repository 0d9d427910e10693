/** For each type of policy, chain files, CRLs and misbehavior reports, the values that properties draw. */
import { capture } from '@chrysalis/coer';
import type * as scms from '@chrysalis/scms';
import { ToBeSignedPolicyData } from '@chrysalis/scms';
import fc from 'fast-check';
import {
  anyCertificate,
  anyChoice,
  anyDuration,
  anyExplicitCertificate,
  anyIeee1609Dot2Data,
  anyOctets,
  anyOpenChoice,
  anyOpenSequence,
  anyPsid,
  anySequence,
  anyText,
  anyTime64,
  anyUint,
} from '../../ieee1609dot2/test/arbitrary.ts';

type Any<T> = fc.Arbitrary<T>;
const version = fc.constant(1);
const anyTime = anyUint(32);
const anyList = <T>(element: Any<T>, minLength = 0): Any<T[]> =>
  fc.array(element, { minLength, maxLength: minLength + 2 });

function anySeries<T>(value: Any<T>): Any<scms.TemporalSeries<T>> {
  const interval = anySequence<scms.TemporalValue<T>>({ startTime: anyTime64, value });
  return anySequence<scms.TemporalSeries<T>>({ initial: value, intervals: anyList(interval) });
}
/** Now and then the default, which is not encoded. */
const orDefault = (value: Any<number>, byDefault: number): Any<number> =>
  fc.oneof(value, fc.constant(byDefault));

export const CertValidityModel: Any<scms.CertValidityModel> = fc.oneof(
  fc.constantFrom('concurrent' as const, 'nonConcurrent' as const),
  fc.integer({ min: 3, max: 300 }),
);
export const GlobalPolicyData = anyOpenSequence<scms.GlobalPolicyData>(
  {},
  {
    scmsVersion: anySeries(orDefault(anyUint(8), 1)),
    certChainFileId: anySeries(anyUint(16)),
    overdueCrlTolerance: anySeries(anyDuration),
    iPeriod: anySeries(anyDuration),
    minCertsPerIPeriod: anySeries(orDefault(anyUint(8), 20)),
    certValidityModel: anySeries(CertValidityModel),
    maxAvailableCertSupply: anySeries(anyDuration),
    maxCertRequestAge: anySeries(anyDuration),
    shuffleThreshold: anySeries(orDefault(anyUint(32), 1000)),
    hashOfRequestSize: anySeries(orDefault(anyUint(8), 32)),
    maxGpfGccfRetrievalInterval: anySeries(anyDuration),
    rseApplicationCertValidity: anySeries(anyDuration),
    rseApplicationCertOverlap: anySeries(anyDuration),
  },
);
export const CustomPolicyData = anyOpenSequence<scms.CustomPolicyData>(
  { globalPolicy: GlobalPolicyData },
  { requestingRaHostname: anyText },
);
export const LocalPolicyData = anyOpenSequence<scms.LocalPolicyData>(
  {},
  {
    shuffleThreshold: anySeries(anyUint(32)),
    certsPerIPeriod: anySeries(orDefault(anyUint(8), 20)),
    laOneHost: anySeries(anyText),
    laTwoHost: anySeries(anyText),
    pcaHost: anySeries(anyText),
    raX509TlsCert: anySeries(anyOctets(0, 8)),
    laX509TlsCert: anySeries(anyOctets(0, 8)),
    pcaX509TlsCert: anySeries(anyOctets(0, 8)),
    sharedKeyUpdateInterval: anySeries(anyDuration),
  },
);
const policies = { global: GlobalPolicyData, custom: CustomPolicyData, local: LocalPolicyData };
export const Policy = anyOpenChoice<scms.Policy>(policies);

function toBeSigned(policy: Any<unknown>): Any<scms.ToBeSignedPolicyData> {
  return anyOpenSequence<scms.ToBeSignedPolicyData>({
    policyID: anyOctets(0, 32),
    generationTime: anyTime64,
    activeTime: anyTime64,
    policy,
  });
}
function baseFile(policy: Any<unknown>): Any<scms.BasePolicyFile> {
  return anyOpenSequence<scms.BasePolicyFile>({
    version,
    tbsData: toBeSigned(policy).map((data) => capture(ToBeSignedPolicyData, data)),
    signatures: anyList(anyIeee1609Dot2Data, 1),
  });
}
const ofType = (type: keyof typeof policies) => baseFile(anyChoice({ [type]: policies[type] }));
const AnyToBeSignedPolicyData = toBeSigned(Policy);

export { AnyToBeSignedPolicyData as ToBeSignedPolicyData };
export const BasePolicyFile = baseFile(Policy);
export const GlobalPolicyFile = ofType('global');
export const SignedCustomPolicyFile = ofType('custom');
export const LocalPolicyFile = anySequence<scms.LocalPolicyFile>({
  globalParameters: SignedCustomPolicyFile,
  localParameters: ofType('local'),
});
export const PolicyFiles = anyOpenChoice<scms.PolicyFiles>({
  globalPolicyFile: GlobalPolicyFile,
  localPolicyFile: LocalPolicyFile,
});

export const EndorsementType = fc.oneof(
  fc.constantFrom('addRoot' as const, 'removeElector' as const),
  fc.integer({ min: 4, max: 300 }),
);
export const TbsElectorEndorsement = anyOpenSequence<scms.TbsElectorEndorsement>({
  type: EndorsementType,
  certificateHash: anyOctets(32),
  generationTime: anyTime,
});
export const ElectorBallot = anyOpenSequence<scms.ElectorBallot>({
  certificate: anyExplicitCertificate,
  endorsements: anyList(anyIeee1609Dot2Data, 1),
});
export const CompositeCrl = anyOpenSequence<scms.CompositeCrl>({
  securedCrlSeries: anyList(anyIeee1609Dot2Data),
  revokedRootCAs: anyList(ElectorBallot),
  revokedElectors: anyList(ElectorBallot),
});
export const ScmsComponentCertificateManagementPdu =
  anyOpenChoice<scms.ScmsComponentCertificateManagementPdu>({
    tbsElectorEndorsement: TbsElectorEndorsement,
    electorBallot: ElectorBallot,
  });

export const CertificateStore = anyOpenSequence<scms.CertificateStore>({
  rootCAEndorsements: anyList(ElectorBallot),
  electorEndorsements: anyList(ElectorBallot),
  maCertificate: anyCertificate,
  certs: anyList(anyCertificate),
});
export const CompositeVersion = anySequence<scms.CompositeVersion>({
  gccfVersion: anyUint(16),
  lccfVersion: anyUint(16),
  raHostname: anyText,
});
export const GlobalCertificateChainFile = anyOpenSequence<scms.GlobalCertificateChainFile>({
  version: anyUint(16),
  certStore: CertificateStore,
});
export const LocalCertificateChainFile = anyOpenSequence<scms.LocalCertificateChainFile>({
  version: CompositeVersion,
  requiredCertStore: CertificateStore,
  optionalCertList: anyList(anyCertificate),
});
export const CertificateChainFiles = anyOpenChoice<scms.CertificateChainFiles>({
  globalCertificateChainFile: GlobalCertificateChainFile,
  localCertificateChainFile: LocalCertificateChainFile,
});
export const ScmsFile = anySequence<scms.ScmsFile>({
  version,
  content: anyOpenChoice({ certChain: CertificateChainFiles, policy: PolicyFiles }),
});

export const RaPgError = fc.oneof(
  fc.constantFrom('raPgMalformedRequest' as const, 'raPgPolicyError' as const),
  fc.integer({ min: 3, max: 300 }),
);
export const RaPgPolicySignatureRequestMsg = anyOpenSequence<scms.RaPgPolicySignatureRequestMsg>({
  version,
  tbs: toBeSigned(anyChoice({ custom: CustomPolicyData })).map((data) =>
    capture(ToBeSignedPolicyData, data),
  ),
});
export const RaPgPolicySignatureRequestReplyMsg =
  anySequence<scms.RaPgPolicySignatureRequestReplyMsg>({
    version,
    signedFile: anyChoice({ success: SignedCustomPolicyFile, failure: RaPgError }),
  });
export const RaPgInterfacePdu = anyOpenChoice<scms.RaPgInterfacePdu>({
  raPgPolicySignatureRequest: RaPgPolicySignatureRequestMsg,
  raPgPolicySignatureRequestReply: RaPgPolicySignatureRequestReplyMsg,
});

export const MisbehaviorReportContents = anyOpenSequence<scms.MisbehaviorReportContents>(
  { version, misbehavingDeviceInfo: anyOctets(0, 8) },
  {
    misbehavingDeviceBSMs: anyOctets(0, 8),
    reporterDeviceBSMs: anyOctets(0, 8),
    sensorInfo: anyOctets(0, 8),
  },
);
export const EndEntityMaInterfacePdu = anyOpenChoice<scms.EndEntityMaInterfacePdu>({
  misbehaviorReport: MisbehaviorReportContents,
});

export const CrlPriorityInfo = anyOpenSequence<scms.CrlPriorityInfo>({}, { priority: anyUint(8) });
export const HashBasedRevocationInfo = anySequence<scms.HashBasedRevocationInfo>({
  id: anyOctets(10),
  expiry: anyTime,
});
export const ToBeSignedHashIdCrl = anyOpenSequence<scms.ToBeSignedHashIdCrl>({
  crlSerial: anyUint(32),
  entries: anyList(HashBasedRevocationInfo),
});
export const IndividualRevocation = anyOpenSequence<scms.IndividualRevocation>({
  linkageSeed1: anyOctets(16),
  linkageSeed2: anyOctets(16),
});
export const IMaxGroup = anyOpenSequence<scms.IMaxGroup>({
  iMax: anyUint(16),
  contents: anyList(IndividualRevocation),
});
export const LAGroup = anySequence<scms.LAGroup>({
  la1Id: anyOctets(2),
  la2Id: anyOctets(2),
  contents: anyList(IMaxGroup),
});
export const JMaxGroup = anyOpenSequence<scms.JMaxGroup>({
  jmax: anyUint(8),
  contents: anyList(LAGroup),
});
export const GroupCrlEntry = anyOpenSequence<scms.GroupCrlEntry>({
  iMax: anyUint(16),
  la1Id: anyOctets(2),
  linkageSeed1: anyOctets(16),
  la2Id: anyOctets(2),
  linkageSeed2: anyOctets(16),
});
export const ToBeSignedLinkageValueCrl = anyOpenSequence<scms.ToBeSignedLinkageValueCrl>(
  { iRev: anyUint(16), indexWithinI: anyUint(8) },
  { individual: anyList(JMaxGroup), groups: anyList(GroupCrlEntry) },
).filter(({ individual, groups }) => individual !== undefined || groups !== undefined);
export const CrlContents = anySequence<scms.CrlContents>({
  version,
  crlSeries: anyUint(16),
  crlCraca: anyOctets(8),
  issueDate: anyTime,
  nextCrl: anyTime,
  priorityInfo: CrlPriorityInfo,
  typeSpecific: anyOpenChoice({
    fullHashCrl: ToBeSignedHashIdCrl,
    deltaHashCrl: ToBeSignedHashIdCrl,
    fullLinkedCrl: ToBeSignedLinkageValueCrl,
    deltaLinkedCrl: ToBeSignedLinkageValueCrl,
  }),
});

const plainSsp = anyOpenSequence({ version });
export const LaSsp = anyOpenSequence<scms.LaSsp>({ version, laId: anyUint(16) });
export const MaSsp = anyOpenSequence<scms.MaSsp>({ version, relevantPsids: anyList(anyPsid) });
export const ScmsSsp = fc.oneof(
  anyChoice<scms.ScmsSsp>({ elector: plainSsp, pg: plainSsp, la: LaSsp, ma: MaSsp, ra: plainSsp }),
  fc.record(
    {
      type: fc.constant('unknown'),
      tag: fc.integer({ min: 12, max: 300 }),
      value: anyOctets(0, 8),
    },
    { noNullPrototype: true },
  ) as Any<unknown> as Any<scms.ScmsSsp>,
);
export const CrlSsp = anyOpenSequence<scms.CrlSsp>({
  version,
  associatedCraca: fc.constantFrom('isCraca', 'issuerIsCraca'),
  crls: anyList(anyUint(16)),
});
