import { createHash, webcrypto } from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';

/**
 * The X.509 side: TLS between devices and the RA, and between the authorities. These certificates
 * have nothing to do with the IEEE 1609.2 ones; they are for development and test, and an operator
 * brings their own.
 */
export interface X509Identity {
  /** One certificate, PEM. */
  readonly certificatePem: string;
  /** Its P-256 key: PKCS#8, PEM, not encrypted. */
  readonly privateKeyPem: string;
}

export interface X509RootOptions {
  readonly commonName: string;
  /** Times in X.509 have whole seconds: what is below is dropped. */
  readonly notBefore: Date;
  readonly notAfter: Date;
}

export interface X509EndEntityOptions extends X509RootOptions {
  /** What clients may call the server. */
  readonly dnsNames: readonly string[];
  /** IPv4 (`127.0.0.1`) or IPv6 (`::1`). A client that connects by address looks only here. */
  readonly ipAddresses?: readonly string[];
}

/** RFC 5280 §4.2.1.3: names of the bits, most significant first. */
const KEY_USAGE_BITS = {
  digitalSignature: 0,
  keyCertSign: 5,
  cRLSign: 6,
} as const;

const OID = {
  commonName: '2.5.4.3',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const;

/** GeneralName's CHOICE, RFC 5280 §4.2.1.6. */
const GENERAL_NAME = { dNSName: 2, iPAddress: 7 } as const;

/** RFC 5280 §4.1.2.4, upper bound of a commonName. */
const MAX_COMMON_NAME = 64;

/** The oldest and youngest years that UTCTime writes, RFC 5280 §4.1.2.5. */
const UTC_TIME_YEARS = { first: 1950, last: 2049 } as const;

/** ECDSA on P-256 with SHA-256: what every V2X device has, for its own certificates. */
const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNATURE_HASH = 'SHA-256';

export const engine = new pkijs.CryptoEngine({ name: 'node', crypto: webcrypto });

interface KeyPair {
  readonly privateKey: webcrypto.CryptoKey;
  readonly publicKey: webcrypto.CryptoKey;
}

/** Draws a key and makes the self-signed certificate of a root of trust for TLS. */
export async function createX509Root(options: X509RootOptions): Promise<X509Identity> {
  const keys = await generateKeys();
  const certificate = await newCertificate(options, keys.publicKey);
  certificate.issuer = certificate.subject;
  certificate.extensions = [
    extension(OID.basicConstraints, true, new pkijs.BasicConstraints({ cA: true }).toSchema()),
    extension(OID.keyUsage, true, keyUsage('keyCertSign', 'cRLSign')),
    extension(OID.subjectKeyIdentifier, false, octetString(keyIdentifier(certificate))),
  ];
  await certificate.sign(keys.privateKey, SIGNATURE_HASH, engine);
  return identity(certificate, keys.privateKey);
}

/**
 * Draws a key and makes the certificate of a TLS server.
 * @throws TypeError when there is no name at all, or one is not what it should be
 */
export async function issueX509ServerCertificate(
  root: X509Identity,
  options: X509EndEntityOptions,
): Promise<X509Identity> {
  if (options.dnsNames.length + (options.ipAddresses ?? []).length === 0) {
    throw new TypeError('expected at least one DNS name or IP address, saw none');
  }
  return issue(root, options, OID.serverAuth);
}

/**
 * Draws a key and makes the certificate of a TLS client, for mutual TLS between authorities.
 * @throws TypeError when a name is not what it should be
 */
export async function issueX509ClientCertificate(
  root: X509Identity,
  options: X509EndEntityOptions,
): Promise<X509Identity> {
  return issue(root, options, OID.clientAuth);
}

async function issue(
  root: X509Identity,
  options: X509EndEntityOptions,
  purpose: string,
): Promise<X509Identity> {
  const issuer = pkijs.Certificate.fromBER(decodePem(root.certificatePem));
  const issuerKey = await importPrivateKey(root.privateKeyPem);
  const keys = await generateKeys();
  const certificate = await newCertificate(options, keys.publicKey);
  certificate.issuer = issuer.subject;
  const authorityKey = new pkijs.AuthorityKeyIdentifier({
    keyIdentifier: octetString(keyIdentifier(issuer)),
  });
  certificate.extensions = [
    extension(OID.basicConstraints, true, new pkijs.BasicConstraints({ cA: false }).toSchema()),
    extension(OID.keyUsage, true, keyUsage('digitalSignature')),
    extension(OID.extKeyUsage, false, new pkijs.ExtKeyUsage({ keyPurposes: [purpose] }).toSchema()),
    extension(OID.subjectKeyIdentifier, false, octetString(keyIdentifier(certificate))),
    extension(OID.authorityKeyIdentifier, false, authorityKey.toSchema()),
  ];
  const names = alternativeNames(options);
  if (names.length > 0) {
    const schema = new pkijs.GeneralNames({ names }).toSchema();
    certificate.extensions.push(extension(OID.subjectAltName, false, schema));
  }
  await certificate.sign(issuerKey, SIGNATURE_HASH, engine);
  return identity(certificate, keys.privateKey);
}

async function newCertificate(
  options: X509RootOptions,
  publicKey: webcrypto.CryptoKey,
): Promise<pkijs.Certificate> {
  checkOptions(options);
  const certificate = new pkijs.Certificate();
  certificate.version = 2; // v3, the one with extensions
  certificate.serialNumber = randomSerialNumber();
  certificate.subject.typesAndValues.push(
    new pkijs.AttributeTypeAndValue({
      type: OID.commonName,
      value: new asn1js.Utf8String({ value: options.commonName }),
    }),
  );
  certificate.notBefore = time(options.notBefore);
  certificate.notAfter = time(options.notAfter);
  await certificate.subjectPublicKeyInfo.importKey(publicKey, engine);
  return certificate;
}

function checkOptions({ commonName, notBefore, notAfter }: X509RootOptions): void {
  if (commonName.length === 0 || commonName.length > MAX_COMMON_NAME) {
    throw new TypeError(
      `expected a common name of 1 to ${MAX_COMMON_NAME} characters, saw ${commonName.length}`,
    );
  }
  // Written so that an invalid Date, which is NaN, is refused as well.
  if (!(notBefore.getTime() < notAfter.getTime())) {
    throw new TypeError(`expected notBefore before notAfter, saw ${notBefore} and ${notAfter}`);
  }
}

function alternativeNames({ dnsNames, ipAddresses = [] }: X509EndEntityOptions) {
  return [
    ...dnsNames.map(
      (name) => new pkijs.GeneralName({ type: GENERAL_NAME.dNSName, value: dns(name) }),
    ),
    ...ipAddresses.map((address) => {
      const value = octetString(ipAddressOctets(address));
      return new pkijs.GeneralName({ type: GENERAL_NAME.iPAddress, value });
    }),
  ];
}

/** Labels of letters, digits and hyphens, a star allowed as the first label. */
function dns(name: string): string {
  const label = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?';
  if (name.length > 253 || !new RegExp(`^(?:\\*\\.)?${label}(?:\\.${label})*$`).test(name)) {
    throw new TypeError(`expected a DNS name, saw ${JSON.stringify(name)}`);
  }
  return name;
}

function ipAddressOctets(address: string): Uint8Array {
  if (isIPv4(address)) return Uint8Array.from(address.split('.'), Number);
  if (isIPv6(address) && !address.includes('%')) return ipv6Octets(address);
  throw new TypeError(`expected an IP address, saw ${JSON.stringify(address)}`);
}

function ipv6Octets(address: string): Uint8Array {
  // The URL parser writes the last two groups in hex, whatever the notation, and keeps one `::`.
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const groups = (text: string) => (text === '' ? [] : text.split(':'));
  const before = groups(head);
  const after = groups(tail ?? '');
  const zeros = Array<string>(8 - before.length - after.length).fill('0');
  const octets = new Uint8Array(16);
  const view = new DataView(octets.buffer);
  for (const [index, group] of [...before, ...zeros, ...after].entries()) {
    view.setUint16(2 * index, Number.parseInt(group, 16));
  }
  return octets;
}

/** 16 random octets, positive: RFC 5280 §4.1.2.2 allows up to 20 and no negative ones. */
function randomSerialNumber(): asn1js.Integer {
  const octets = webcrypto.getRandomValues(new Uint8Array(16));
  // The top bit clear makes it positive, the next one set makes it 16 octets without padding.
  octets[0] = (octets[0]! & 0x7f) | 0x40;
  return new asn1js.Integer({ valueHex: octets.buffer });
}

/** RFC 5280 §4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050. */
function time(date: Date): pkijs.Time {
  const value = new Date(Math.floor(date.getTime() / 1000) * 1000);
  const year = value.getUTCFullYear();
  const isUtcTime = year >= UTC_TIME_YEARS.first && year <= UTC_TIME_YEARS.last;
  return new pkijs.Time({ type: isUtcTime ? 0 : 1, value });
}

/** RFC 5280 §4.2.1.2 method 1: SHA-1 of the public key's bit string; a name, not a protection. */
export function keyIdentifier(certificate: pkijs.Certificate): Uint8Array {
  const { valueHexView } = certificate.subjectPublicKeyInfo.subjectPublicKey.valueBlock;
  return new Uint8Array(createHash('sha1').update(valueHexView).digest());
}

function keyUsage(...usages: (keyof typeof KEY_USAGE_BITS)[]): asn1js.BitString {
  let bits = 0;
  for (const usage of usages) bits |= 0x80 >> KEY_USAGE_BITS[usage];
  // DER, X.690 §11.2.2: a named bit list ends with its last bit that is set.
  const unusedBits = 31 - Math.clz32(bits & -bits);
  return new asn1js.BitString({ valueHex: Uint8Array.of(bits).buffer, unusedBits });
}

function octetString(octets: Uint8Array): asn1js.OctetString {
  return new asn1js.OctetString({ valueHex: new Uint8Array(octets).buffer });
}

function extension(extnID: string, critical: boolean, value: asn1js.BaseBlock): pkijs.Extension {
  return new pkijs.Extension({ extnID, critical, extnValue: value.toBER() });
}

async function generateKeys(): Promise<KeyPair> {
  return webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']);
}

export async function importPrivateKey(pem: string): Promise<webcrypto.CryptoKey> {
  return webcrypto.subtle.importKey('pkcs8', decodePem(pem), KEY_ALGORITHM, false, ['sign']);
}

async function identity(
  certificate: pkijs.Certificate,
  privateKey: webcrypto.CryptoKey,
): Promise<X509Identity> {
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', privateKey);
  return {
    certificatePem: encodePem('CERTIFICATE', certificate.toSchema(true).toBER()),
    privateKeyPem: encodePem('PRIVATE KEY', pkcs8),
  };
}

/** RFC 7468: lines of 64 characters. */
function encodePem(label: string, der: ArrayBuffer): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

/** The DER of the first block. */
export function decodePem(pem: string): Uint8Array<ArrayBuffer> {
  const body = /-----BEGIN [A-Z ]+-----([A-Za-z0-9+/=\s]+)-----END /.exec(pem)?.[1];
  if (body === undefined) throw new TypeError('expected a PEM block, saw none');
  return new Uint8Array(Buffer.from(body, 'base64'));
}
