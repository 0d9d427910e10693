/** For each type of this room, the values that properties draw. */
import { type Codec, capture } from '@chrysalis/coer';
import { Ieee1609Dot2Data } from '@chrysalis/ieee1609dot2';
import type * as scms from '@chrysalis/scms';
import {
  ScmsPdu122,
  ScmsPdu124,
  ToBeSignedBlacklistingInstructionMsg,
  ToBeSignedCdvRequestMsg,
  ToBeSignedLciRequestMsg,
  ToBeSignedRseObeIdBlacklistingInstructionMsg,
} from '@chrysalis/scms';
import fc from 'fast-check';
import {
  anyCertificate,
  anyCertificateType,
  anyChoice,
  anyDuration,
  anyEccP256CurvePoint,
  anyEncryptedData,
  anyExplicitCertificate,
  anyGeographicRegion,
  anyHashAlgorithm,
  anyIeee1609Dot2Data,
  anyImplicitCertificate,
  anyOctets,
  anyOpenChoice,
  anyOpenSequence,
  anyPsidSsp,
  anyPublicEncryptionKey,
  anyPublicVerificationKey,
  anySequence,
  anySignature,
  anySignerIdentifier,
  anyText,
  anyToBeSignedCertificate,
  anyUint,
} from '../../ieee1609dot2/test/arbitrary.ts';
import * as files from './arbitrary-file.ts';

const anyVersion = fc.constant(1);
const anyTime = anyUint(32);
const anyList = <T>(element: fc.Arbitrary<T>) => fc.array(element, { maxLength: 2 });

export const anyUnsignedButterflyParams = anySequence<scms.UnsignedButterflyParams>({
  seedKey: anyEccP256CurvePoint,
  expansion: anyOctets(16),
});
export const anyCommon = anyOpenSequence<scms.CommonProvisioningRequestFields>({
  currentTime: anyTime,
  requestedStartTime: anyTime,
});
export const anyEeRaCertRequestMsg = anyOpenSequence<scms.EeRaCertRequestMsg>({
  version: anyVersion,
});

const butterfly = {
  version: anyVersion,
  verifyKeyInfo: anyUnsignedButterflyParams,
  respEncKeyInfo: anyUnsignedButterflyParams,
};
const certEncKeyInfo = { certEncKeyInfo: anyUnsignedButterflyParams };
const app = {
  version: anyVersion,
  verifyKey: anyPublicVerificationKey,
  responseEncryptionKey: anyPublicEncryptionKey,
};
const certEncryptionKey = { certEncryptionKey: anyPublicEncryptionKey };
const common = { common: anyCommon };
const current = { currentTime: anyTime };
const region = { region: anyGeographicRegion };

export const anyPseudonymRequest122 = anyOpenSequence<scms.EeRaPseudonymCertProvisioningRequest122>(
  { ...butterfly, ...common },
);
export const anyPseudonymRequest124 = anyOpenSequence<scms.EeRaPseudonymCertProvisioningRequest124>(
  { ...butterfly, ...current },
);
export const anyIdRequest122 = anyOpenSequence<scms.EeRaIdCertProvisioningRequest122>(
  { ...butterfly, ...common },
  certEncKeyInfo,
);
export const anyIdRequest124 = anyOpenSequence<scms.EeRaIdCertProvisioningRequest124>(
  { ...butterfly, ...region, ...current },
  certEncKeyInfo,
);
export const anyAppRequest122 = anyOpenSequence<scms.EeRaAppCertProvisioningRequest122>(
  { ...app, ...common },
  certEncryptionKey,
);
export const anyAppRequest124 = anyOpenSequence<scms.EeRaAppCertProvisioningRequest124>(
  { ...app, ...region, ...current, requestedStartTime: anyTime },
  certEncryptionKey,
);
export const anyAck = anyOpenSequence<scms.PseudonymCertProvisioningAck>({
  certDLTime: anyTime,
  certDLURL: anyText,
});
export const anyAckMsg = anyOpenSequence<scms.RaEePseudonymCertProvisioningAck>({
  version: anyVersion,
  requestHash: anyOctets(8),
  reply: anyOpenChoice({ ack: anyAck }),
});
export const anyDownload = anyOpenSequence<scms.AuthenticatedDownloadRequest>({
  timestamp: anyTime,
  filename: anyText,
});

/** Alternatives in the order of the module: the number of them is where unknown tags begin. */
function anyEeRa<T>(
  pseudonym: fc.Arbitrary<unknown>,
  id: fc.Arbitrary<unknown>,
  application: fc.Arbitrary<unknown>,
): fc.Arbitrary<T> {
  const known: Record<string, fc.Arbitrary<unknown>> = {
    eeRaCertRequest: anyEeRaCertRequestMsg,
    eeRaPseudonymCertProvisioningRequest: pseudonym,
    raEePseudonymCertProvisioningAck: anyAckMsg,
    eeRaIdCertProvisioningRequest: id,
    raEeIdCertProvisioningAck: anyAckMsg,
    eeRaAppCertProvisioningRequest: application,
    raEeAppCertProvisioningAck: anyAckMsg,
    eeRaAuthenticatedDownloadRequest: anyDownload,
  };
  // raEeCertResponse, which is not spoken here, is missing from the list: unknown tags begin one later.
  return fc.oneof(
    { weight: 20, arbitrary: anyChoice<T>(known) },
    { weight: 1, arbitrary: anyUnknown(9) as fc.Arbitrary<T> },
  );
}

function anyUnknown(first: number): fc.Arbitrary<unknown> {
  return fc.record(
    {
      type: fc.constant('unknown'),
      tag: fc.integer({ min: first, max: 300 }),
      value: anyOctets(0, 8),
    },
    { noNullPrototype: true },
  );
}

export const anyEeRa122 = anyEeRa<scms.EndEntityRaInterfacePdu122>(
  anyPseudonymRequest122,
  anyIdRequest122,
  anyAppRequest122,
);
export const anyEeRa124 = anyEeRa<scms.EndEntityRaInterfacePdu124>(
  anyPseudonymRequest124,
  anyIdRequest124,
  anyAppRequest124,
);

export const anyEeEcaCertRequest = anyOpenSequence<scms.EeEcaCertRequest>({
  version: anyVersion,
  currentTime: anyTime,
  tbsData: anyToBeSignedCertificate,
});
export const anyEcaEeCertResponse = anyOpenSequence<scms.EcaEeCertResponse>({
  version: anyVersion,
  requestHash: anyOctets(8),
  ecaCert: anyCertificate,
  enrollmentCert: anyImplicitCertificate,
  privKeyReconstruction: anyOctets(32),
});
export const anyEcaEe = anyOpenChoice<scms.EcaEndEntityInterfacePdu>({
  eeEcaCertRequest: anyEeEcaCertRequest,
  ecaEeCertResponse: anyEcaEeCertResponse,
});

export const anyIndividualPlv = anySequence<scms.EncryptedIndividualPlv>({
  version: anyVersion,
  laId: anyOctets(2),
  encPlv: anyEncryptedData,
});
export const anyGroupPlv = anySequence<scms.EncryptedGroupPlv>({
  version: anyVersion,
  laId: anyOctets(2),
  encGroupIndex: anyOctets(16),
  encGroupPlv: anyEncryptedData,
});
export const anyToBeEncryptedPlv = anySequence<scms.ToBeEncryptedIndividualPlv>({
  iValue: anyUint(16),
  plv: anyOctets(9),
});
export const anyLinkageSeedAndLaId = anySequence<scms.LinkageSeedAndLaId>({
  linkageSeed: anyOctets(16),
  laId: anyOctets(2),
});

export const anyPlvHeader = anySequence<scms.RaLaPreLinkageValueRequestMsgHeader>({
  version: anyVersion,
  raId: anyText,
  pcaId: anyText,
  iMin: anyUint(16),
  iMax: anyUint(16),
});
export const anyIndividualPlvRequest = anySequence<scms.RaLaIndividualPreLinkageValueRequestMsg>(
  { header: anyPlvHeader, jMax: anyUint(8) },
  { numberOfFreshInd: anyUint(32), continuationsInd: anyList(anyEncryptedData) },
).filter((msg) => msg.numberOfFreshInd !== undefined || msg.continuationsInd !== undefined);
export const anyGroupPlvRequest = anySequence<scms.RaLaGroupPreLinkageValueRequestMsg>({
  header: anyPlvHeader,
  jMax: anyUint(32),
  otherLa: anyOctets(2),
  groupIdentifier: anyOctets(4),
});
export const anyIndividualChain = anySequence<scms.IndividualPlvResponseLinkageChain>({
  jMax: anyUint(8),
  values: anyList(anyList(anyIndividualPlv)),
  linkageChainId: anyEncryptedData,
});
export const anyGroupChain = anySequence<scms.GroupPlvResponseLinkageChain>({
  jMax: anyUint(32),
  otherLa: anyOctets(2),
  values: anyList(anyList(anyGroupPlv)),
  groupIdentifier: anyOctets(4),
});
export const anyPlvResponse = anyOpenSequence<scms.PreLinkageValueRequestResponse>({
  iMin: anyUint(16),
  iMax: anyUint(16),
  individual: anyList(anyIndividualChain),
  group: anyList(anyGroupChain),
});

export const anyPcaRaBaseErrorCode = fc.oneof(
  fc.constant('unknownError' as const),
  fc.integer({ min: 1, max: 300 }),
);
export const anyPcaRaRequestErrorCode = fc.oneof(
  fc.constantFrom(
    'invalidCertificateRequestType' as const,
    'invalidEncryptedGroupPreLinkageValue' as const,
  ),
  fc.integer({ min: 9, max: 300 }),
);
export const anyPcaRaError = anyOpenChoice<scms.PcaRaError>({
  pcaRaBaseError: anyPcaRaBaseErrorCode,
  pcaRaRequestError: anyPcaRaRequestErrorCode,
});
export const anyLaRaErrorCode = fc.oneof(
  fc.constantFrom('invalidPcaKey' as const, 'invalidJMax' as const),
  fc.integer({ min: 6, max: 300 }),
);
export const anyLaRaError = anyOpenChoice<scms.LaRaError>({ laRa: anyLaRaErrorCode });
export const anyMaRaBaseErrorCode = fc.oneof(
  fc.constantFrom('raInternalTimeout' as const, 'hpcrIsUnknownToRA' as const),
  fc.integer({ min: 11, max: 300 }),
);
export const anyMaRaBlacklistErrorCode = fc.oneof(
  fc.constant('alreadyBlacklisted' as const),
  fc.integer({ min: 1, max: 300 }),
);
export const anyMaRaLciErrorCode = fc.oneof(
  fc.constant('noLinkageChainIdentifiersKnownForHPCR' as const),
  fc.integer({ min: 1, max: 300 }),
);
export const anyMaRaCdvErrorCode = fc.oneof(
  fc.constant('noCertificateDigestValuesKnownForRIF' as const),
  fc.integer({ min: 1, max: 300 }),
);
export const anyMaRaError = anyOpenChoice<scms.MaRaError>({
  maRaBaseError: anyMaRaBaseErrorCode,
  maRaBlacklistError: anyMaRaBlacklistErrorCode,
  maRaLciError: anyMaRaLciErrorCode,
  maRaCdvError: anyMaRaCdvErrorCode,
});
export const anyScmsError: fc.Arbitrary<scms.ScmsError> = fc.oneof(
  anyChoice<scms.ScmsError>({
    common: fc.nat(200),
    ccm: fc.nat(200),
    laRa: anyLaRaError,
    maRa: anyMaRaError,
    pcaRa: anyPcaRaError,
  }),
  anyUnknown(9) as fc.Arbitrary<scms.ScmsError>,
);
export const anyPlvResponseMsg = anySequence<scms.LaRaPreLinkageValueResponseMsg>({
  version: anyVersion,
  requestHash: anyOctets(8),
  laId: anyText,
  reply: anyChoice({ success: anyPlvResponse, failure: anyScmsError }),
});
export const anyLaRa = anyOpenChoice<scms.LaRaInterfacePdu>({
  raLaIndividualPreLinkageValueRequest: anyIndividualPlvRequest,
  raLaGroupPreLinkageValueRequest: anyGroupPlvRequest,
  laRaPreLinkageValueResponse: anyPlvResponseMsg,
});

export const anyGroupLinkageInfo = anySequence<scms.GroupLinkageInfo>({
  gla1Id: anyText,
  gla2Id: anyText,
  encGplv1: anyGroupPlv,
  encGplv2: anyGroupPlv,
});
export const anyPseudonymCertRequestInfo = anySequence<scms.PseudonymCertRequestInfo>(
  {
    psidSsp: anyList(anyPsidSsp),
    iValue: anyUint(16),
    pcaId: anyText,
    sigButterflyKeyB: anyEccP256CurvePoint,
    la1Id: anyText,
    la2Id: anyText,
    encPlv1: anyIndividualPlv,
    encPlv2: anyIndividualPlv,
    encButterflyKeyH: anyEccP256CurvePoint,
  },
  {
    performanceAssuranceLevel: anyOctets(1),
    region: anyGeographicRegion,
    groupLinkageInfo: anyGroupLinkageInfo,
  },
);
export const anyIdCertRequestInfo = anySequence<scms.IdCertRequestInfo>({
  pcaId: anyText,
  type: anyCertificateType,
  toBeSignedCert: anyToBeSignedCertificate,
  responseEncryptionKey: anyEccP256CurvePoint,
});
export const anyRaPcaCertRequestMsg = anySequence<scms.RaPcaCertRequestMsg>({
  version: anyVersion,
  raId: anyText,
  certRequestInfo: anyOpenChoice({
    pseudonymCertReq: anyPseudonymCertRequestInfo,
    authCertReq: anyIdCertRequestInfo,
  }),
});
export const anyImplicitCertResponse = anySequence<scms.ImplicitCertResponse>({
  certificate: anyImplicitCertificate,
  privKeyReconstructionS: anyOctets(32),
});
export const anyButterflyExplicitCertResponse = anySequence<scms.ButterflyExplicitCertResponse>({
  certificate: anyExplicitCertificate,
  privKeyReconstructionC: anyOctets(32),
});
export const anyPlaintextCertificateResponse = anyChoice<scms.PlaintextCertificateResponse>({
  implicitButterfly: anyImplicitCertResponse,
  implicit: anyImplicitCertResponse,
  explicitButterfly: anyButterflyExplicitCertResponse,
  explicit: anyCertificate,
});
const anyCapturedData = anyIeee1609Dot2Data.map((data) => capture(Ieee1609Dot2Data, data));
export const anyToBeSignedEncryptedCertificateResponse =
  anySequence<scms.ToBeSignedEncryptedCertificateResponse>({
    psidSsp: anyList(anyPsidSsp),
    expiration: anyTime,
    lifetime: anyDuration,
    encryptedCert: anyCapturedData,
  });
export const anyPcaRaCertResponseMsg = anyOpenSequence<scms.PcaRaCertResponseMsg>({
  version: anyVersion,
  requestHash: anyOctets(8),
  pcaId: anyText,
  reply: anyChoice({
    success: anyChoice({
      signedEncrypted: anyCapturedData,
      raw: anyPlaintextCertificateResponse,
    }),
    failure: anyScmsError,
  }),
});
export const anyPcaRa = anyOpenChoice<scms.PcaRaInterfacePdu>({
  raPcaCertRequest: anyRaPcaCertRequestMsg,
  pcaRaCertResponse: anyPcaRaCertResponseMsg,
});

export const anyBlacklistTbs = anyOpenSequence<scms.ToBeSignedBlacklistingInstructionMsg>({
  maId: anyText,
  hpcr: anyList(anyOctets(32)),
});
export const anyLciTbs = anyOpenSequence<scms.ToBeSignedLciRequestMsg>({
  maId: anyText,
  hpcr: anyList(anyOctets(32)),
});
export const anyRifTbs = anyOpenSequence<scms.ToBeSignedRseObeIdBlacklistingInstructionMsg>({
  maId: anyText,
  rif: anyList(anyOctets(8)),
});
export const anyCdvTbs = anyOpenSequence<scms.ToBeSignedCdvRequestMsg>({
  maId: anyText,
  rifValues: anyList(anyOctets(8)),
});
function anyMaRaRequest<Tbs>(
  codec: Codec<Tbs>,
  tbs: fc.Arbitrary<Tbs>,
): fc.Arbitrary<scms.MaRaRequestMsg<Tbs>> {
  return anySequence<scms.MaRaRequestMsg<unknown>>({
    version: anyVersion,
    tbs: tbs.map((value) => capture(codec, value)),
    signatures: anyList(anyIeee1609Dot2Data),
  }) as fc.Arbitrary<scms.MaRaRequestMsg<Tbs>>;
}
export const anyBlacklistRequest = anyMaRaRequest(
  ToBeSignedBlacklistingInstructionMsg,
  anyBlacklistTbs,
);
export const anyLciRequest = anyMaRaRequest(ToBeSignedLciRequestMsg, anyLciTbs);
export const anyRifRequest = anyMaRaRequest(
  ToBeSignedRseObeIdBlacklistingInstructionMsg,
  anyRifTbs,
);
export const anyCdvRequest = anyMaRaRequest(ToBeSignedCdvRequestMsg, anyCdvTbs);
const anyMaRaReply = <T>(success: fc.Arbitrary<T>) =>
  anyChoice({ success, failure: anyScmsError }) as fc.Arbitrary<scms.MaRaReply<T>>;
const responseTo = { version: anyVersion, requestHash: anyOctets(8), raId: anyText };
export const anyBlacklistingStatus = anySequence<scms.BlacklistingStatus>({
  hpcr: anyOctets(32),
  reply: anyMaRaReply(fc.constant(null)),
});
export const anyBlacklistResponse = anyOpenSequence<scms.RaMaBlacklistResponseMsg>({
  ...responseTo,
  status: anyList(anyBlacklistingStatus),
});
export const anyLciAndHostInfo = anySequence<scms.LciAndHostInfo>({
  iMax: anyOctets(4),
  la1Lci: anyEncryptedData,
  la2Lci: anyEncryptedData,
  la1Id: anyText,
  la2Id: anyText,
});
export const anyHpcr2Lci = anySequence<scms.Hpcr2Lci>({
  hpcr: anyOctets(32),
  reply: anyMaRaReply(
    anySequence<scms.GroupAndLci>({ groupIdentifier: anyOctets(4), info: anyLciAndHostInfo }),
  ),
});
export const anyLciResponse = anyOpenSequence<scms.RaMaLciResponseMsg>({
  ...responseTo,
  lciInfo: anyList(anyHpcr2Lci),
});
export const anyRifStatus = anySequence<scms.RseObeIdBlacklistingStatus>({
  rif: anyOctets(8),
  reply: anyMaRaReply(fc.constant(null)),
});
export const anyRifResponse = anyOpenSequence<scms.RaMaRseObeIdBlacklistResponseMsg>({
  ...responseTo,
  status: anyList(anyRifStatus),
});
export const anyCdvInfo = anySequence<scms.CdvInfo>({
  rif: anyOctets(8),
  reply: anyMaRaReply(anyList(anyOctets(10))),
});
export const anyCdvResponse = anySequence<scms.RaMaCdvResponseMsg>({
  ...responseTo,
  cdvInfo: anyList(anyCdvInfo),
});
export const anyMaRa = anyOpenChoice<scms.MaRaInterfacePdu>({
  maRaBlacklistRequest: anyBlacklistRequest,
  raMaBlacklistResponse: anyBlacklistResponse,
  maRaLCIRequest: anyLciRequest,
  raMaLCIResponse: anyLciResponse,
  maRaRseObeIdBlacklistRequest: anyRifRequest,
  raMaRseObeIdBlacklistResponse: anyRifResponse,
  maRaCDVRequest: anyCdvRequest,
  raMaCDVResponse: anyCdvResponse,
});

function anyScmsPdu<EeRa>(eeRa: fc.Arbitrary<EeRa>): fc.Arbitrary<scms.ScmsPduOf<EeRa>> {
  return anySequence<scms.ScmsPduOf<EeRa>>({
    version: anyVersion,
    content: fc.oneof(
      {
        weight: 20,
        arbitrary: anyChoice({
          ccm: files.ScmsComponentCertificateManagementPdu,
          ecaEe: anyEcaEe,
          eeMa: files.EndEntityMaInterfacePdu,
          eeRa,
          laRa: anyLaRa,
          maRa: anyMaRa,
          pcaRa: anyPcaRa,
          raPg: files.RaPgInterfacePdu,
        }),
      },
      { weight: 1, arbitrary: anyUnknown(11) },
    ),
  });
}
export const anyScmsPdu122 = anyScmsPdu(anyEeRa122);
export const anyScmsPdu124 = anyScmsPdu(anyEeRa124);

function anySignedRequest<Pdu>(
  tbsRequest: fc.Arbitrary<unknown>,
): fc.Arbitrary<scms.SignedCertificateRequestOf<Pdu>> {
  return anySequence<scms.SignedCertificateRequestOf<Pdu>>({
    hashId: anyHashAlgorithm,
    tbsRequest,
    signer: anySignerIdentifier,
    signature: anySignature,
  });
}
export const anySignedRequest122 = anySignedRequest<scms.ScmsPdu122>(
  anyScmsPdu122.map((pdu) => capture(ScmsPdu122, pdu)),
);
export const anySignedRequest124 = anySignedRequest<scms.ScmsPdu124>(
  anyScmsPdu124.map((pdu) => capture(ScmsPdu124, pdu)),
);

export const anyCertificateRequests = fc.array(anyOctets(0, 300), { minLength: 1, maxLength: 4 });
export const anyCertificateAnswers = fc.array(
  anyChoice<scms.CertificateAnswer>({ answer: anyOctets(0, 300), unavailable: fc.constant(null) }),
  { minLength: 1, maxLength: 4 },
);
