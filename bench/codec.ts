/**
 * The codec beside a native reference of the same run: what Node needs to copy the same octets once and take
 * their SHA-256. A request costs at least that much, so the ratio says what decoding adds, on any machine.
 */
import { createHash } from 'node:crypto';
import {
  type Captured,
  type Codec,
  capture,
  captured,
  choice,
  constrained,
  decode,
  type Extensible,
  encode,
  enumerated,
  integer,
  lazy,
  nullValue,
  octetString,
  optional,
  sequence,
  sequenceOf,
  type UnknownAlternative,
  utf8String,
} from '@chrysalis/coer';
import { type Measurement, measurementOf, print, printHead } from './measurement.ts';

/** How long each variant runs; the first fifth of it warms the compiler up and is not counted. */
const DEFAULT_SECONDS = 1;
const WARM_UP_SHARE = 0.2;
/** Operations between two looks at the clock. */
const BATCH = 200;

export async function run(options: { json: boolean; seconds?: number }): Promise<void> {
  printHead(options.json);
  for (const line of measureAll(options.seconds ?? DEFAULT_SECONDS)) print(line, options.json);
}

function* measureAll(seconds: number): Generator<Measurement> {
  const envelope = encode(Envelope, ENVELOPE);
  const certificate = encode(Certificate, CERTIFICATE);
  yield* measureMessage('envelope', Envelope, envelope, seconds);
  yield* measureMessage('certificate', Certificate, certificate, seconds);
}

function* measureMessage<T>(
  message: string,
  codec: Codec<T>,
  octets: Uint8Array,
  seconds: number,
): Generator<Measurement> {
  const value = decode(codec, octets);
  const size = `${octets.length} octets`;
  const native = measure(() => createHash('sha256').update(Buffer.from(octets)).digest(), seconds);
  const variants: readonly [string, () => unknown][] = [
    [`decode ${message}, ${size}`, () => decode(codec, octets)],
    [`encode ${message}, ${size}`, () => encode(codec, value)],
  ];
  yield measurementOf({
    name: 'codec',
    variant: `copy and SHA-256 of ${size}`,
    ...native,
    ratioToNative: 1,
  });
  for (const [variant, operation] of variants) {
    const measured = measure(operation, seconds);
    const ratioToNative = native.cpuUsPerOp / measured.cpuUsPerOp;
    yield measurementOf({ name: 'codec', variant, ...measured, ratioToNative });
  }
}

/** Keeps the last result alive, so that no compiler can leave the work out. */
const sink: { last: unknown } = { last: undefined };

function measure(
  operation: () => unknown,
  seconds: number,
): Pick<Measurement, 'opsPerSec' | 'cpuUsPerOp'> {
  repeat(operation, seconds * WARM_UP_SHARE);
  const cpu = process.cpuUsage();
  const { count, elapsedSec } = repeat(operation, seconds * (1 - WARM_UP_SHARE));
  const { user, system } = process.cpuUsage(cpu);
  return { opsPerSec: count / elapsedSec, cpuUsPerOp: (user + system) / count };
}

function repeat(operation: () => unknown, seconds: number): { count: number; elapsedSec: number } {
  const start = performance.now();
  let count = 0;
  let elapsedSec = 0;
  do {
    for (let i = 0; i < BATCH; i++) sink.last = operation();
    count += BATCH;
    elapsedSec = (performance.now() - start) / 1000;
  } while (elapsedSec < seconds);
  return { count, elapsedSec };
}

// A schema of the same shape as 1609.2 (clauses 6.3 and 6.4), of its own: the bench of the codec needs no other room.

const Uint8 = integer({ min: 0, max: 0xff });
const Uint16 = integer({ min: 0, max: 0xffff });
const Uint32 = integer({ min: 0, max: 0xffff_ffff });
const VersionThree = constrained(Uint8, 'Uint8 (3)', (version) => version === 3);

type Point =
  | { readonly type: 'xOnly' | 'compressedY0' | 'compressedY1'; readonly value: Uint8Array }
  | { readonly type: 'fill'; readonly value: null };
const Point = choice<Point>('Point', {
  xOnly: octetString(32),
  fill: nullValue,
  compressedY0: octetString(32),
  compressedY1: octetString(32),
});

interface Ciphertext {
  readonly nonce: Uint8Array;
  readonly ccmCiphertext: Uint8Array;
}
type SymmetricCiphertext =
  | { readonly type: 'aes128ccm'; readonly value: Ciphertext }
  | UnknownAlternative;
const SymmetricCiphertext = choice<SymmetricCiphertext>(
  'SymmetricCiphertext',
  {
    aes128ccm: sequence<Ciphertext>('Ciphertext', {
      nonce: octetString(12),
      ccmCiphertext: octetString(),
    }),
  },
  { extensible: true },
);

interface WrappedKey {
  readonly v: Point;
  readonly c: Uint8Array;
  readonly t: Uint8Array;
}
type EncryptionKey =
  | { readonly type: 'eciesNistP256'; readonly value: WrappedKey }
  | UnknownAlternative;
interface Recipient {
  readonly recipientId: Uint8Array;
  readonly encKey: EncryptionKey;
}
type RecipientInfo =
  | { readonly type: 'pskRecipInfo'; readonly value: Uint8Array }
  | { readonly type: 'certRecipInfo'; readonly value: Recipient };
const RecipientInfo = choice<RecipientInfo>('RecipientInfo', {
  pskRecipInfo: octetString(8),
  certRecipInfo: sequence<Recipient>('Recipient', {
    recipientId: octetString(8),
    encKey: choice<EncryptionKey>(
      'EncryptionKey',
      {
        eciesNistP256: sequence<WrappedKey>('WrappedKey', {
          v: Point,
          c: octetString(16),
          t: octetString(16),
        }),
      },
      { extensible: true },
    ),
  }),
});

interface EncryptedData {
  readonly recipients: readonly RecipientInfo[];
  readonly ciphertext: SymmetricCiphertext;
}
type Content =
  | { readonly type: 'unsecuredData'; readonly value: Uint8Array }
  | { readonly type: 'signedData'; readonly value: Envelope }
  | { readonly type: 'encryptedData'; readonly value: EncryptedData }
  | UnknownAlternative;
interface Envelope {
  readonly protocolVersion: number;
  readonly content: Content;
}
/** Shaped like an Ieee1609Dot2Data that is encrypted to one certificate. */
const Envelope: Codec<Envelope> = sequence<Envelope>('Envelope', {
  protocolVersion: VersionThree,
  content: choice<Content>(
    'Content',
    {
      unsecuredData: octetString(),
      signedData: lazy('Envelope', () => Envelope),
      encryptedData: sequence<EncryptedData>('EncryptedData', {
        recipients: sequenceOf(RecipientInfo),
        ciphertext: SymmetricCiphertext,
      }),
    },
    { extensible: true },
  ),
});

interface LinkageData {
  readonly iCert: number;
  readonly linkageValue: Uint8Array;
  readonly groupLinkageValue?: Uint8Array;
}
type CertificateId =
  | { readonly type: 'linkageData'; readonly value: LinkageData }
  | { readonly type: 'name'; readonly value: string }
  | { readonly type: 'none'; readonly value: null }
  | UnknownAlternative;
const CertificateId = choice<CertificateId>(
  'CertificateId',
  {
    linkageData: sequence<LinkageData>('LinkageData', {
      iCert: Uint16,
      linkageValue: octetString(9),
      groupLinkageValue: optional(octetString(13)),
    }),
    name: utf8String({ max: 255 }),
    none: nullValue,
  },
  { extensible: true },
);

type Duration = { readonly type: 'minutes' | 'hours'; readonly value: number };
interface Validity {
  readonly start: number;
  readonly duration: Duration;
}
interface PsidSsp {
  readonly psid: number;
  readonly ssp?: Uint8Array;
}
type Issuer =
  | { readonly type: 'sha256AndDigest'; readonly value: Uint8Array }
  | { readonly type: 'self'; readonly value: null }
  | UnknownAlternative;
interface ToBeSigned extends Extensible {
  readonly id: CertificateId;
  readonly cracaId: Uint8Array;
  readonly crlSeries: number;
  readonly validityPeriod: Validity;
  readonly assuranceLevel?: Uint8Array;
  readonly appPermissions?: readonly PsidSsp[];
  readonly encryptionKey?: Point;
  readonly reconstructionValue: Point;
}
const ToBeSigned: Codec<ToBeSigned> = sequence<ToBeSigned>(
  'ToBeSigned',
  {
    id: CertificateId,
    cracaId: octetString(3),
    crlSeries: Uint16,
    validityPeriod: sequence<Validity>('Validity', {
      start: Uint32,
      duration: choice<Duration>('Duration', { minutes: Uint16, hours: Uint16 }),
    }),
    assuranceLevel: optional(octetString(1)),
    appPermissions: optional(
      sequenceOf(
        sequence<PsidSsp>('PsidSsp', {
          psid: integer({ min: 0 }),
          ssp: optional(octetString()),
        }),
      ),
    ),
    encryptionKey: optional(Point),
    reconstructionValue: Point,
  },
  { extensible: true },
);

interface Certificate {
  readonly version: number;
  readonly type: 'explicit' | 'implicit' | number;
  readonly issuer: Issuer;
  readonly toBeSigned: Captured<ToBeSigned>;
  readonly signature?: Uint8Array;
}
/** Shaped like an implicit pseudonym certificate. */
const Certificate: Codec<Certificate> = sequence<Certificate>('Certificate', {
  version: VersionThree,
  type: enumerated('CertificateType', ['explicit', 'implicit'], { extensible: true }),
  issuer: choice<Issuer>(
    'Issuer',
    { sha256AndDigest: octetString(8), self: nullValue },
    { extensible: true },
  ),
  toBeSigned: captured(ToBeSigned),
  signature: optional(octetString(64)),
});

const ENVELOPE: Envelope = {
  protocolVersion: 3,
  content: {
    type: 'encryptedData',
    value: {
      recipients: [
        {
          type: 'certRecipInfo',
          value: {
            recipientId: octets(8),
            encKey: {
              type: 'eciesNistP256',
              value: {
                v: { type: 'compressedY0', value: octets(32) },
                c: octets(16),
                t: octets(16),
              },
            },
          },
        },
      ],
      ciphertext: {
        type: 'aes128ccm',
        value: { nonce: octets(12), ccmCiphertext: octets(300) },
      },
    },
  },
};

const TO_BE_SIGNED: ToBeSigned = {
  id: { type: 'linkageData', value: { iCert: 7, linkageValue: octets(9) } },
  cracaId: octets(3),
  crlSeries: 1,
  validityPeriod: { start: 500_000_000, duration: { type: 'hours', value: 169 } },
  appPermissions: [{ psid: 0x20, ssp: octets(3) }, { psid: 0x26 }],
  reconstructionValue: { type: 'compressedY1', value: octets(32) },
};
const CERTIFICATE: Certificate = {
  version: 3,
  type: 'implicit',
  issuer: { type: 'sha256AndDigest', value: octets(8) },
  toBeSigned: capture(ToBeSigned, TO_BE_SIGNED),
};

/** Octets that differ from each other, the same in every run. */
function octets(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => (i * 167 + size) & 0xff);
}
