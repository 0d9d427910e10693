import { PrivateKey, type Random, Secret } from '@chrysalis/crypto';
import {
  type Certificate,
  type CertificateContent,
  type HashedCertificate,
  hashCertificate,
  hashedId3,
  type Issuer,
  issueExplicit,
  type Time32,
} from '@chrysalis/ieee1609dot2';
import {
  type ApplicationScope,
  countryRegion,
  crlgContent,
  ecaContent,
  icaContent,
  laContent,
  maContent,
  type ProfileOptions,
  pcaContent,
  pgContent,
  raContent,
  rootContent,
} from './profile.ts';

export { hostnameOf } from '@chrysalis/scms';

/** A part of the SCMS: its certificate and the private keys that belong to it. */
export interface Authority {
  readonly certificate: HashedCertificate;
  readonly signingKey: PrivateKey;
  readonly encryptionKey?: PrivateKey;
}

/** All keys and certificates of an SCMS in one hand: for development and test only. */
export interface TestScms {
  readonly root: Authority;
  readonly ica: Authority;
  readonly eca: Authority;
  readonly pca: Authority;
  readonly la1: Authority;
  readonly la2: Authority;
  readonly pg: Authority;
  readonly ma: Authority;
  readonly crlg: Authority;
  readonly ra: Authority;
  /** Two octets each: the numbers that the LAs' linkage values begin with. */
  readonly la1Id: Uint8Array;
  readonly la2Id: Uint8Array;
  /**
   * AES-128 keys that each LA shares with the PCA. In CAMP the two negotiate them (la-pca.asn); here they are
   * drawn when the SCMS is made.
   */
  readonly pcaLa1Key: Secret;
  readonly pcaLa2Key: Secret;
  /** Each LA's own AES-128 key, under which it hands out its LinkageChainIds. */
  readonly la1ChainKey: Secret;
  readonly la2ChainKey: Secret;
}

export interface TestScmsOptions {
  readonly now: Time32;
  readonly random: Random;
  /** Stands in the RA's certificate: the name of its host. */
  readonly raHostname: string;
  /** Numbers of ISO 3166; the United States when missing. */
  readonly countries?: readonly number[];
  /** The other authorities are called `rca.<domain>`, `ica.<domain>` and so on. */
  readonly domain?: string;
  /** The applications that it serves: `camp` when missing. */
  readonly applications?: ApplicationScope;
}

const USA = 840;
/** RFC 6761 §6.2 keeps the top-level domain `test` for this. */
const DEFAULT_DOMAIN = 'scms.test';
const AES_KEY_OCTETS = 16;
const LA1_ID = 1;
const LA2_ID = 2;

/**
 * Certificates begin eight days ago, so that the PCA was there when the i-period of now began, which is where the
 * validity of a pseudonym certificate begins, and so that a device whose clock is behind accepts them.
 */
const BEGIN_EARLIER_SEC = 8 * 86_400;

/** Draws the keys and issues the certificates of a whole SCMS. Every chain passes a strict verifier. */
export function createTestScms(options: TestScmsOptions): TestScms {
  const { random, raHostname, domain = DEFAULT_DOMAIN } = options;
  const start = options.now - BEGIN_EARLIER_SEC;
  const root = createRoot(rootContent({ hostname: `rca.${domain}`, start }), random);
  const profile = (hostname: string): ProfileOptions => ({
    hostname,
    cracaId: hashedId3(root.certificate.hash),
    start,
    region: countryRegion(options.countries ?? [USA]),
    applications: options.applications ?? 'camp',
  });
  const named = (name: string) => profile(`${name}.${domain}`);
  const byRoot = issuerOf(root, random);
  const ica = byRoot.issue(icaContent(named('ica')));
  const byIca = issuerOf(ica, random);
  const secret = () => new Secret(random(AES_KEY_OCTETS));
  return {
    root,
    ica,
    eca: byIca.issueWithEncryption((key) => ecaContent(named('eca'), key)),
    pca: byIca.issueWithEncryption((key) => pcaContent(named('pca'), key)),
    la1: byIca.issue(laContent(named('la1'), LA1_ID)),
    la2: byIca.issue(laContent(named('la2'), LA2_ID)),
    pg: byRoot.issue(pgContent(named('pg'))),
    ma: byIca.issueWithEncryption((key) => maContent(named('ma'), key)),
    crlg: byRoot.issue(crlgContent(named('crlg'))),
    ra: byIca.issueWithEncryption((key) => raContent(profile(raHostname), key)),
    la1Id: laIdOctets(LA1_ID),
    la2Id: laIdOctets(LA2_ID),
    pcaLa1Key: secret(),
    pcaLa2Key: secret(),
    la1ChainKey: secret(),
    la2ChainKey: secret(),
  };
}

/** An LA's number as linkage values begin with it (LaId of 1609.2). */
export function laIdOctets(laId: number): Uint8Array {
  return Uint8Array.of(laId >> 8, laId & 0xff);
}

function createRoot(content: CertificateContent, random: Random): Authority {
  const signingKey = PrivateKey.generate(random);
  const certificate = issueExplicit(content, signingKey.publicPoint, { self: signingKey });
  return { certificate: hashCertificate(certificate), signingKey };
}

function issuerOf(authority: Authority, random: Random) {
  const issuer: Issuer = { certificate: authority.certificate, key: authority.signingKey };
  const issue = (content: CertificateContent): Authority => {
    const signingKey = PrivateKey.generate(random);
    const certificate: Certificate = issueExplicit(content, signingKey.publicPoint, issuer);
    return { certificate: hashCertificate(certificate), signingKey };
  };
  return {
    issue,
    issueWithEncryption(contentFor: (key: PrivateKey['publicPoint']) => CertificateContent) {
      const encryptionKey = PrivateKey.generate(random);
      return { ...issue(contentFor(encryptionKey.publicPoint)), encryptionKey };
    },
  };
}
