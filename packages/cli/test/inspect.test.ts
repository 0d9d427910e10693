import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { encode, encoded } from '@chrysalis/coer';
import { systemRandom } from '@chrysalis/crypto';
import {
  encryptForCertificate,
  encryptForKey,
  encryptSymmetric,
  Ieee1609Dot2Data,
  unixFromTime32,
} from '@chrysalis/ieee1609dot2';
import {
  type EeRaRequest,
  EncryptedIndividualPlv,
  encodeScopedRequest,
  PlaintextCertificateResponse,
  requestHash,
  ScmsPdu122,
  secureRequest,
  signMessage,
  signRequest,
  ToBeEncryptedIndividualPlv,
  ToBeSignedEncryptedCertificateResponse,
} from '@chrysalis/scms';
import { Command } from 'commander';
import { zipSync } from 'fflate';
import {
  fixedRandom,
  fromHex,
  issue,
  keyOf,
  NOW,
  pca,
  ra,
  raEncryption,
  SECURITY_MANAGEMENT,
  toHex,
  USA,
} from '../../ieee1609dot2/test/pki.ts';
import { device } from '../../scms/test/device.ts';
import { type CliContext, CliError } from '../src/context.ts';
import { addInspectCommand } from '../src/inspect.ts';

let place: string;
before(async () => {
  place = await mkdtemp(join(tmpdir(), 'chrysalis-inspect-'));
});
after(() => rm(place, { recursive: true, force: true }));

async function file(name: string, content: Uint8Array | string): Promise<string> {
  const path = join(place, name);
  await writeFile(path, content);
  return path;
}

/** Runs the command in this process; `input` is standard input. */
async function inspect(
  args: readonly string[],
  input: Uint8Array = new Uint8Array(0),
): Promise<string> {
  let stdout = '';
  const context: CliContext = {
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: () => assert.fail('nothing goes to standard error') },
    stdin: (async function* () {
      // In two pieces, as a pipe may deliver it.
      yield input.subarray(0, 3);
      yield input.subarray(3);
    })(),
    env: {},
    clock: { now: () => unixFromTime32(NOW) },
    random: systemRandom,
    signal: new AbortController().signal,
  };
  const program = new Command('chrysalis').exitOverride().option('--json');
  program.configureOutput({ writeOut: (text) => (stdout += text) });
  addInspectCommand(program, context);
  await program.parseAsync(['inspect', ...args], { from: 'user' });
  return stdout;
}

const inspectInput = (input: Uint8Array, ...args: string[]) => inspect(['-', ...args], input);

interface Json {
  readonly type: string;
  readonly encoding?: string;
  readonly notes: string[];
  readonly fields: JsonField;
  readonly entries: { name: string; notes: string[]; content?: Json }[];
}
interface JsonField {
  readonly name: string;
  readonly offset: number;
  readonly length: number;
  readonly octets?: string;
  readonly value?: string | number;
  readonly notes?: string[];
  readonly children?: JsonField[];
  readonly opened?: JsonField;
}

async function inspectJson(input: Uint8Array, ...args: string[]): Promise<Json> {
  return JSON.parse(await inspectInput(input, '--json', ...args));
}

/** All fields of that name, in order. */
function all(field: JsonField, name: string): JsonField[] {
  const inside = [...(field.children ?? []), ...(field.opened ? [field.opened] : [])];
  return [...(field.name === name ? [field] : []), ...inside.flatMap((child) => all(child, name))];
}

const seed = device.seed;
const pseudonym: EeRaRequest = {
  type: 'pseudonym',
  verifyKeyInfo: seed,
  respEncKeyInfo: seed,
  currentTime: NOW,
  requestedStartTime: NOW,
};
const signedPseudonym = signRequest(
  encodeScopedRequest(pseudonym, '1.2.2'),
  device.certificate,
  device.key,
);
const random = fixedRandom('inspect');
const body = secureRequest(signedPseudonym, ra.certificate, random);
const responseKey = keyOf('response');
const RA_CERT_REQUEST = fromHex('03 80 05 01 83 80 00 01');

const plaintext = encode(Ieee1609Dot2Data, {
  protocolVersion: 3,
  content: {
    type: 'unsecuredData',
    value: encode(PlaintextCertificateResponse, {
      type: 'implicitButterfly',
      value: { certificate: device.given, privKeyReconstructionS: new Uint8Array(32).fill(5) },
    }),
  },
});
const response = signMessage(
  encode(ToBeSignedEncryptedCertificateResponse, {
    psidSsp: [{ psid: 0x23 }],
    expiration: NOW,
    lifetime: { type: 'hours', value: 169 },
    encryptedCert: encoded(
      Ieee1609Dot2Data,
      encryptForKey(plaintext, responseKey.publicPoint, new Uint8Array(8), random),
    ),
  }),
  pca.certificate,
  pca.key,
);

describe('chrysalis inspect, as text', () => {
  test('a request for the RA certificate', async () => {
    assert.equal(
      await inspectInput(RA_CERT_REQUEST),
      `Ieee1609Dot2Data, 8 octets
  SHA-256 9844D27A5384B8A1F35C8811E59901FA245EDA1D0D98E417CAB08025B0422176

offset octets  field
     0      8  Ieee1609Dot2Data
     0      1    protocolVersion: 3  [03]
     1      7    content
     2      6      unsecuredData
     3      5        ScmsPDU
     3      1          version: 1  [01]
     4      4          content
     5      3            eeRa
     6      2              eeRaCertRequest
     7      1                version: 1  [01]
`,
    );
  });

  test('a certificate', async () => {
    const certificate = issue('ra.test', {
      region: USA,
      crlSeries: 2,
      appPermissions: [{ psid: 0x23, ssp: { type: 'opaque', value: fromHex('8b0001') } }],
    });
    assert.equal(
      await inspect([await file('ra.oer', certificate.given.octets)]),
      `Certificate, 144 octets

offset octets  field
     0    144  Certificate
                 - HashedId8 6ECAF1021F774234
                 - SHA-256 B70867235F745A925EF815CBF01D89E751C2F2282756A7D26ECAF1021F774234
                 - valid now: 2026-07-29T03:21:12Z until 2027-07-29T09:10:24Z
     1      1    version: 3  [03]
     2      1    type: explicit  [00]
     3      2    issuer
     4      1      self: sha256  [00]
     5     73    toBeSigned
     6      9      id
     7      8        name: "ra.test"
    15      3      cracaId: 000000
    18      2      crlSeries: 2 (SCMS components)  [0002]
    20      7      validityPeriod
                     - 2026-07-29T03:21:12Z until 2027-07-29T09:10:24Z
    20      4        start: 712380077 (2026-07-29T03:21:12Z)  [2A760EAD]
    24      3        duration
    25      2          years: 1  [0001]
    27      6      region
    28      5        identifiedRegion
    30      3          [0]
    31      2            countryOnly: 840 (United States)  [0348]
    33     10      appPermissions
    35      8        [0]
    36      2          psid: 35 (0x23, security management)  [0123]
    38      5          ssp
    39      4            opaque
    40      3              ScmsSsp
    41      2                ra
    42      1                  version: 1  [01]
    43     35      verifyKeyIndicator
    44     34        verificationKey
    45     33          ecdsaNistP256
    46     32            compressedY1: 9C0E52DA17346A9FCB102EEFB97E041D3F657AF6CF269A5EFD81B42C378E822C
    78     66    signature
    79     65      ecdsaNistP256Signature
    79     33        r
    80     32          xOnly: 2716EEA53BDF2B761236388D19CF03E597098224E484E759CC0AC2735F3144FE
   112     32        s: 87B1BB341D83F1164CE81F639DCC395EB4A806D806CAB7E6EB797B0B4BE84750
`,
    );
  });

  test('an .info', async () => {
    const time = fromHex('2b0ea52d');
    assert.equal(
      await inspectInput(time),
      `info, 4 octets
  SHA-256 C1EC2607FFB515B0DB1E20ACE0569A9C398FBD3AD9DDFE2283FA371224772818

offset octets  field
     0      4  info: 722380077 (2026-11-21T21:07:52Z)  [2B0EA52D]
`,
    );
  });
});

describe('what it finds out', () => {
  test('an encrypted request: for whom, and its request hash', async () => {
    const { type, notes, fields } = await inspectJson(body);
    assert.equal(type, 'Ieee1609Dot2Data');
    const hash = toHex(requestHash(body)).toUpperCase();
    assert.ok(notes.includes(`request hash ${hash}, if this is the body of a POST`));
    assert.equal(all(fields, 'recipientId')[0]?.value, toHex(ra.certificate.id).toUpperCase());
    const [encrypted] = all(fields, 'encryptedData');
    const whose = toHex(ra.certificate.id).toUpperCase();
    assert.deepEqual(encrypted?.notes, [
      `not opened: --key FILE names the encryption key of the certificate ${whose}`,
    ]);
  });

  test('offsets and octets: each field says which octets of the file are its own', async () => {
    const { fields } = await inspectJson(signedPseudonym);
    const check = (field: JsonField) => {
      const octets = signedPseudonym.subarray(field.offset, field.offset + field.length);
      if (field.children) assert.ok(field.octets === undefined || field === fields);
      else assert.equal(field.octets, toHex(octets).toUpperCase(), field.name);
      for (const child of field.children ?? []) check(child);
    };
    check(fields);
  });

  test('the request in a signed request, its release, its times and the certificate of its signer', async () => {
    const { fields } = await inspectJson(signedPseudonym);
    const [request] = all(fields, 'SignedCertificateRequest (1.2.2)');
    assert.ok(request);
    const [time] = all(request, 'currentTime');
    assert.deepEqual([time?.value, time?.notes], [NOW, ['2026-11-21T21:07:52Z']]);
    const [enrollment] = all(request, 'certificate')[0]?.children ?? [];
    const id = toHex(device.certificate.id).toUpperCase();
    assert.ok(enrollment?.notes?.includes(`HashedId8 ${id}`));
    assert.deepEqual(
      all(request, 'psid').map(({ notes }) => notes?.[0]),
      ['0x20', '0x26'],
    );
  });

  test('which release a request is of, or that it is the same in both', async () => {
    const { requestedStartTime: _, ...rest } = pseudonym;
    const newer = signRequest(encodeScopedRequest(rest, '1.2.4'), device.certificate, device.key);
    const text = await inspectInput(newer);
    assert.match(text, /SignedCertificateRequest \(1\.2\.4\)\n/);
    const download: EeRaRequest = { type: 'download', timestamp: NOW, filename: 'A.info' };
    const both = encodeScopedRequest(download, '1.2.2');
    assert.equal((await inspectJson(both)).type, 'ScmsPDU');
    assert.equal((await inspectJson(encodeScopedRequest(rest, '1.2.4'))).type, 'ScmsPDU (1.2.4)');
    assert.equal((await inspectJson(encodeScopedRequest(rest, '1.2.2'))).type, 'ScmsPDU (1.2.2)');
  });

  test('an acknowledgement inside its signature', async () => {
    const ack = encode(ScmsPdu122, {
      version: 1,
      content: {
        type: 'eeRa',
        value: {
          type: 'raEePseudonymCertProvisioningAck',
          value: {
            version: 1,
            requestHash: fromHex('ab09281c9867de53'),
            reply: { type: 'ack', value: { certDLTime: NOW, certDLURL: 'https://ra\u001b[2J' } },
          },
        },
      },
    });
    const text = await inspectInput(signMessage(ack, ra.certificate, ra.key));
    assert.match(text, /requestHash: AB09281C9867DE53\n/);
    assert.match(text, /certDLTime: 722380077 \(2026-11-21T21:07:52Z\)/);
    // A stranger's text does not reach the terminal as it is.
    assert.ok(text.includes('certDLURL: "https://ra\\u001b[2J"'));
    assert.match(text, /psid: 35 \(0x23, security management\)/);
  });

  test('i-values, and until when a certificate is valid', async () => {
    const { given } = issue('pseudonym', {
      id: { type: 'linkageData', value: { iCert: 425, linkageValue: new Uint8Array(9) } },
      validityPeriod: { start: 604_659_603, duration: { type: 'hours', value: 169 } },
      appPermissions: SECURITY_MANAGEMENT,
    });
    const text = await inspectInput(given.octets);
    assert.match(text, /iCert: 425 \(0x1A9, from 2023-02-28T08:59:58Z\)/);
    assert.match(text, /- expired: 2023-02-28T08:59:58Z until 2023-03-07T09:59:58Z/);
  });

  test('the names of all types, each of which --type takes, in any case', async () => {
    await assert.rejects(inspect(['--help']), { code: 'commander.helpDisplayed' });
    const names = (await help()).split('Types: ')[1]?.split('\n\n')[0] ?? '';
    assert.equal(names.split(/,\s+/).length, 19);
    const { fields } = await inspectJson(device.given.octets, '--type', 'CERTIFICATE');
    assert.equal(fields.name, 'Certificate');
    const plv = encode(ToBeEncryptedIndividualPlv, { iValue: 7, plv: new Uint8Array(9) });
    const text = await inspectInput(plv, '--type', 'ToBeEncryptedIndividualPLV');
    assert.match(text, /iValue: 7 \(0x7, from /);
  });

  async function help(): Promise<string> {
    let text = '';
    const program = new Command()
      .exitOverride()
      .configureOutput({ writeOut: (part) => (text += part) });
    addInspectCommand(program, {} as CliContext);
    await program.parseAsync(['inspect', '--help'], { from: 'user' }).catch(() => {});
    return text;
  }
});

describe('what it reads', () => {
  test('base64, as in a Download-Req header, over several lines or with its name', async () => {
    const base64 = Buffer.from(body).toString('base64');
    const folded = base64.replaceAll(/.{60}/g, '$&\n');
    for (const text of [base64, `${folded}\n`, `Download-Req: ${base64}\r\n`]) {
      const { encoding, fields } = await inspectJson(new TextEncoder().encode(text));
      assert.equal(encoding, 'base64');
      assert.equal(fields.octets, toHex(body).toUpperCase());
    }
  });

  test('hex', async () => {
    const text = new TextEncoder().encode('03 80 05 01 83 80 00 01\n');
    assert.match(await inspectInput(text), /^Ieee1609Dot2Data, 8 octets, from hex\n/);
  });

  test('an .info of eight hex digits, and one that says that nothing more will come', async () => {
    const { type, notes, fields } = await inspectJson(new TextEncoder().encode('29aa0593'));
    assert.equal(type, 'info');
    assert.equal(notes[0], 'eight hex digits, as one fielded RA writes its .info');
    assert.deepEqual(fields.notes, ['2026-02-24T08:59:58Z']);
    const { fields: stopped } = await inspectJson(new Uint8Array(4));
    assert.deepEqual(stopped.notes, ['the RA has stopped generating']);
  });

  test('a batch: every entry with its i and j, those that are none included', async () => {
    const zip = zipSync({
      '1A9_0': response,
      '1A9_13': [response, { level: 0 }],
      README: fromHex('00'),
    });
    const { type, notes, entries } = await inspectJson(zip);
    assert.deepEqual([type, notes], ['zip', ['3 entries']]);
    const byName = new Map(entries.map((entry) => [entry.name, entry]));
    assert.deepEqual(byName.get('1A9_13')?.notes, ['i 425, j 19']);
    assert.equal(byName.get('1A9_0')?.content?.type, 'Ieee1609Dot2Data');
    assert.match(byName.get('README')?.notes[0] ?? '', /^1 octets: expected a certificate/);
    const text = await inspectInput(zip);
    assert.match(
      text,
      /^zip, \d+ octets\n {2}3 entries\n\n"1A9_0", i 425, j 0\n {2}Ieee1609Dot2Data, /,
    );
  });

  test('an empty batch', async () => {
    assert.equal(await inspectInput(zipSync({})), 'zip, 22 octets\n  0 entries\n');
  });
});

describe('what it opens', () => {
  test('a request to the RA, with its key raw or in hex and its certificate', async () => {
    const scalar = raEncryption.scalar().reveal();
    const certificate = await file('ra-certificate.oer', ra.certificate.octets);
    const keys = [await file('raw.key', scalar), await file('hex.key', `${toHex(scalar)}\n`)];
    for (const key of keys) {
      const { fields } = await inspectJson(body, '--key', key, '--certificate', certificate);
      const [encrypted] = all(fields, 'encryptedData');
      assert.deepEqual(encrypted?.notes, ['opened with --key']);
      assert.equal(encrypted?.opened?.octets, toHex(signedPseudonym).toUpperCase());
      assert.equal(all(fields, 'eeRaPseudonymCertProvisioningRequest').length, 1);
    }
    const text = await inspectInput(body, '--key', keys[0]!, '--certificate', certificate);
    assert.match(text, /- inside, with offsets of its own:\n {5}0 +\d+ +Ieee1609Dot2Data\n/);
  });

  test('a certificate response, with the response encryption key alone', async () => {
    const key = await file('response.key', responseKey.scalar().reveal());
    const { fields } = await inspectJson(response, '--key', key);
    const [opened] = all(fields, 'PlaintextCertificateResponse');
    assert.equal(all(opened!, 'privKeyReconstructionS')[0]?.value, '05'.repeat(32));
    const [certificate] = all(opened!, 'certificate');
    assert.ok(
      certificate?.notes?.includes(`HashedId8 ${toHex(device.certificate.id).toUpperCase()}`),
    );
  });

  test('a pre-linkage value, with the key that LA and PCA share', async () => {
    const sharedKey = fromHex('000102030405060708090a0b0c0d0e0f');
    const plv = encode(ToBeEncryptedIndividualPlv, { iValue: 425, plv: new Uint8Array(9).fill(3) });
    const encPlv = encryptSymmetric(plv, sharedKey, new Uint8Array(8), random);
    const octets = encode(EncryptedIndividualPlv, { version: 1, laId: fromHex('0001'), encPlv });
    for (const content of [sharedKey, toHex(sharedKey)]) {
      const { type, fields } = await inspectJson(
        octets,
        '--key',
        await file('shared.key', content),
      );
      assert.equal(type, 'EncryptedIndividualPLV');
      assert.equal(all(fields, 'plv')[0]?.value, '03'.repeat(9));
    }
  });

  const reasons: readonly [string, () => Promise<string[]>, RegExp][] = [
    [
      'another key',
      async () => [
        '--key',
        await file('other.key', keyOf('other').scalar().reveal()),
        '--certificate',
        await file('ra-2.oer', ra.certificate.octets),
      ],
      /^not opened: expected data encrypted to this key$/,
    ],
    [
      'another certificate',
      async () => [
        '--key',
        await file('ra.key', raEncryption.scalar().reveal()),
        '--certificate',
        await file('pca.oer', pca.certificate.octets),
      ],
      /^not opened: expected data encrypted to this certificate$/,
    ],
    [
      'no certificate',
      async () => ['--key', await file('ra.key', raEncryption.scalar().reveal())],
      /^not opened: --certificate FILE names the file of the certificate [0-9A-F]{16}$/,
    ],
  ];
  for (const [name, args, note] of reasons) {
    test(`with ${name} it says why it does not, and shows the rest`, async () => {
      const { fields } = await inspectJson(body, ...(await args()));
      assert.match(all(fields, 'encryptedData')[0]?.notes?.[0] ?? '', note);
      assert.equal(all(fields, 'ccmCiphertext').length, 1);
    });
  }

  test('what it opens and does not know, it shows as octets', async () => {
    const secret = encryptForCertificate(fromHex('00112233'), ra.certificate, random);
    const key = await file('ra.key', raEncryption.scalar().reveal());
    const certificate = await file('ra-3.oer', ra.certificate.octets);
    const { fields } = await inspectJson(secret, '--key', key, '--certificate', certificate);
    const notes = all(fields, 'encryptedData')[0]?.notes;
    assert.deepEqual(notes, ['opened with --key', '4 octets: 00112233']);
  });
});

describe('what it refuses', () => {
  const refusals: readonly [string, () => Promise<string>, RegExp, RegExp | undefined][] = [
    [
      'octets that are nothing',
      () => inspectInput(fromHex('ffffffffff')),
      /^expected a certificate, PDU, zip or \.info, saw 5 octets that are none$/,
      /^as /,
    ],
    [
      'a private key, of which it shows no octet',
      () => inspectInput(new Uint8Array(32).fill(0xc7)),
      /^expected a certificate, PDU, zip or \.info, saw 32 octets that are none$/,
      /^they may be a key, and none of them is shown; --key takes one to open what is encrypted$/,
    ],
    [
      'a private key in hex, of which it shows no octet either',
      () => inspectInput(new TextEncoder().encode(`${'c7'.repeat(32)}\n`), '--type', 'Certificate'),
      /^expected Certificate, saw 32 octets that are none$/,
      /^they may be a key, and none of them is shown/,
    ],
    [
      'a message that is cut short, with where it ends',
      () => inspectInput(signedPseudonym.slice(0, 200)),
      /saw 200 octets that are none$/,
      /^as Ieee1609Dot2Data: expected \d+ more octets, saw \d+, in content\.signedCertificateRequest at octet/,
    ],
    [
      'a message of another type than was said',
      () => inspectInput(RA_CERT_REQUEST, '--type', 'Certificate'),
      /^expected Certificate, saw 8 octets that are none$/,
      /^as Certificate: /,
    ],
    ['nothing', () => inspectInput(new Uint8Array(0)), /saw 0 octets that are none$/, undefined],
    [
      'a type that nobody knows',
      () => inspectInput(RA_CERT_REQUEST, '--type', 'X.509'),
      /^expected a type that is known, saw X\.509$/,
      /^--type takes Ieee1609Dot2Data, /,
    ],
    [
      'a zip that is cut short',
      () => inspectInput(zipSync({ a: response }).slice(0, 60)),
      /^expected a zip: /,
      undefined,
    ],
    [
      'a zip whose entry would fill the memory',
      () => inspectInput(zipSync({ bomb: new Uint8Array(2 * 1024 * 1024) })),
      /^expected at most 1048576 octets in an entry, saw 2097152 in "bomb"$/,
      undefined,
    ],
    [
      'a file that is not there',
      () => inspect([join(place, 'nowhere')]),
      /^expected a file that can be read, saw ENOENT/,
      undefined,
    ],
    [
      'a key file that is not there',
      () => inspectInput(body, '--key', join(place, 'nowhere')),
      /^expected a key in .*nowhere, saw no file$/,
      undefined,
    ],
  ];
  for (const [name, attempt, message, hint] of refusals) {
    test(name, async () => {
      await assert.rejects(attempt, (error) => {
        assert.ok(error instanceof CliError, String(error));
        assert.match(error.message, message);
        if (hint) assert.match(error.hint ?? '', hint);
        return true;
      });
    });
  }

  test('a key that is none', async () => {
    for (const content of ['short', new Uint8Array(32), 'z'.repeat(64)]) {
      const key = await file('bad.key', content);
      await assert.rejects(inspectInput(body, '--key', key), {
        name: 'AuthorityError',
        code: 'malformed-key',
      });
    }
  });

  test('no mutant of a message with anything but a CliError', async () => {
    const messages = [body, signedPseudonym, response, device.given.octets];
    for (let i = 0; i < 400; i++) {
      const mutant = Uint8Array.from(messages[i % messages.length]!);
      mutant[(i * 7919) % mutant.length]! ^= 1 << (i % 8);
      await inspectInput(mutant).catch((error) =>
        assert.ok(error instanceof CliError, String(error)),
      );
    }
  });
});
