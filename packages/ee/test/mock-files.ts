import { encode } from '@chrysalis/coer';
import { type Certificate, type HashedCertificate, hashedId10 } from '@chrysalis/ieee1609dot2';
import {
  type ComponentSigner,
  CompositeCrl,
  type CrlTypeSpecific,
  composeLocalChainFile,
  composeLocalPolicyFile,
  constantSeries,
  countersigned,
  customPolicy,
  DEFAULT_GLOBAL_POLICY,
  type GlobalPolicyData,
  type LocalPolicyData,
  signCrl,
  versionOctets,
} from '@chrysalis/scms';
import type { RaFile } from '../src/index.ts';
import { SCMS } from './device.ts';
import { type MockScms, NOW } from './mock-scms.ts';

export interface MockChains {
  readonly raHostname?: string;
  /** Besides those of the SCMS. */
  readonly more?: readonly Certificate[];
  /** Instead of the SCMS's own RA and MA. */
  readonly ra?: Certificate;
  readonly ma?: Certificate;
  /** Instead of the SCMS's own PCA. */
  readonly pca?: Certificate;
}

/** A local certificate chain file of the mock SCMS. */
export function chainFile(
  gccfVersion: number,
  lccfVersion: number,
  options: MockChains = {},
): RaFile {
  const { raHostname = 'ra.test', more = [], pca = SCMS.pca.given, ra = SCMS.ra.given } = options;
  const { ma = SCMS.ma.given } = options;
  const others = [SCMS.crlg.given, ra, SCMS.pg.given, SCMS.ica.given];
  const octets = composeLocalChainFile(
    { gccfVersion, lccfVersion, raHostname },
    { maCertificate: ma, certs: [pca, ...others, ...more] },
  );
  return { name: `local_certificate_chains_0${gccfVersion}_0${lccfVersion}.oer`, octets };
}

export interface MockPolicy {
  readonly global?: Partial<GlobalPolicyData>;
  readonly local?: Partial<LocalPolicyData>;
  readonly scms?: MockScms;
  /** Countersigns instead of the PG. */
  readonly pg?: ComponentSigner;
  readonly activeTime?: number;
  readonly generationTime?: number;
}

/** A local policy file of the mock SCMS. */
export function policyFile(
  gpfVersion: number,
  lpfVersion: number,
  options: MockPolicy = {},
): RaFile {
  const { global, local, scms = SCMS, pg = scms.pg, activeTime = NOW - 60 } = options;
  const times = { generationTime: options.generationTime ?? activeTime, activeTime };
  const globalPolicy = { ...DEFAULT_GLOBAL_POLICY, ...global };
  const custom = { requestingRaHostname: 'ra.test', globalPolicy };
  const asked = customPolicy({ ...times, policyID: versionOctets(gpfVersion), custom });
  const octets = composeLocalPolicyFile(
    {
      ...times,
      gpfVersion,
      lpfVersion,
      custom: countersigned(asked, pg, times.generationTime),
      local: {
        laOneHost: constantSeries('la1.test'),
        laTwoHost: constantSeries('la2.test'),
        pcaHost: constantSeries('pca.test'),
        ...local,
      },
    },
    scms.ra,
  );
  return { name: `local_policy_000${gpfVersion}_000${lpfVersion}.oer`, octets };
}

export interface MockCrl {
  readonly series: number;
  readonly typeSpecific: CrlTypeSpecific;
  readonly signer?: ComponentSigner;
  readonly issueDate?: number;
  readonly nextCrl?: number;
}

/** A CompositeCrl of the mock SCMS. */
export function crlFile(name: string, ...crls: readonly MockCrl[]): RaFile {
  const securedCrlSeries = crls.map((crl) => {
    const { series, typeSpecific, signer = SCMS.crlg } = crl;
    const { issueDate = NOW - 60, nextCrl = NOW + 604_800 } = crl;
    return signCrl(
      {
        version: 1,
        crlSeries: series,
        crlCraca: SCMS.root.certificate.id,
        issueDate,
        nextCrl,
        priorityInfo: {},
        typeSpecific,
      },
      signer,
    );
  });
  const octets = encode(CompositeCrl, {
    securedCrlSeries,
    revokedRootCAs: [],
    revokedElectors: [],
  });
  return { name, octets };
}

/** A list of certificates by their hashes. */
export function hashesOf(...certificates: readonly HashedCertificate[]): CrlTypeSpecific {
  const entries = certificates.map(({ hash }) => ({ id: hashedId10(hash), expiry: NOW + 86_400 }));
  return { type: 'fullHashCrl', value: { crlSerial: 1, entries } };
}
