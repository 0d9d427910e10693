import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import { after, describe, it } from 'node:test';
import { decode, encode } from '@chrysalis/coer';
import {
  cocoonPoints,
  cocoonPrivateKey,
  Expansion,
  ecqvPrivateKey,
  equalPoints,
  linkageValue,
  PrivateKey,
  sha256,
  systemRandom,
} from '@chrysalis/crypto';
import {
  checkValidAt,
  decrypterOf,
  decryptForKey,
  decryptSymmetric,
  fromPoint,
  hashedId8,
  Ieee1609Dot2Data,
  signatureInput,
  ToBeSignedCertificate,
} from '@chrysalis/ieee1609dot2';
import {
  type EncryptedIndividualPlv,
  IPeriodClock,
  openSignedMessage,
  PlaintextCertificateResponse,
  ScmsPdu122,
  signRequest,
  ToBeEncryptedIndividualPlv,
  ToBeSignedEncryptedCertificateResponse,
} from '@chrysalis/scms';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { countryRegion, createTestScms, type PcaRefusal } from '../src/index.ts';
import { symmetricKeyId } from '../src/shared-key.ts';
import {
  CURRENT_I,
  certificateRequest,
  type Form,
  failureOf,
  NOW,
  nameOf,
  openPcaAnswer,
  openPca as openPcaHere,
  pseudonymInfo,
  scms,
  sealedCertificate,
  TestClock,
  trustOf,
} from './ra-side.ts';

const MEMORY = 'sqlite::memory:';

/** Opens what a device finds in its batch, with the private key of the cocoon key J. */
function openSealed(sealed: Uint8Array, responseKey: PrivateKey) {
  const { payload, signer } = openSignedMessage(sealed, trustOf());
  assert.deepEqual(signer.id, scms.pca.certificate.id);
  const response = decode(ToBeSignedEncryptedCertificateResponse, payload);
  const { content } = response.encryptedCert.value;
  assert.equal(content.type, 'encryptedData');
  const inner = decode(Ieee1609Dot2Data, decryptForKey(content.value, decrypterOf(responseKey)));
  assert.equal(inner.content.type, 'unsecuredData');
  const plaintext = decode(PlaintextCertificateResponse, inner.content.value);
  assert.equal(plaintext.type, 'implicitButterfly');
  return { response, ...plaintext.value };
}

function openPlv(name: 'pcaLa1Key' | 'pcaLa2Key', encrypted: EncryptedIndividualPlv): Uint8Array {
  const key = scms[name];
  const octets = decryptSymmetric(encrypted.encPlv, key.reveal(), symmetricKeyId(key));
  return decode(ToBeEncryptedIndividualPlv, octets).plv;
}

/** What the test PCA promises, in whatever form it is reached. */
export function pseudonymAuthorityConformance(form: Form): void {
  describe(`the PCA, ${form.name}`, () => {
    after(() => form.close());
    const openPca = async (...how: Parameters<typeof openPcaHere>) =>
      form.pca(await openPcaHere(...how));

    describe('a pseudonym certificate', () => {
      it('goes from caterpillar to a signature that OpenSSL verifies', async (t) => {
        const pca = await openPca(MEMORY);
        t.after(() => pca.close());
        const [i, j] = [CURRENT_I, 3];
        // The device's caterpillar keys and expansion keys; the RA gets the public halves.
        const a = PrivateKey.generate(systemRandom);
        const h = PrivateKey.generate(systemRandom);
        const signing = new Expansion(systemRandom(16), 'signing');
        const encryption = new Expansion(systemRandom(16), 'encryption');
        const info = await pseudonymInfo({
          i,
          signing: cocoonPoints(a.publicPoint, signing, i, j + 1)[j]!,
          encryption: cocoonPoints(h.publicPoint, encryption, i, j + 1)[j]!,
        });

        const answer = await pca.requestCertificate(certificateRequest(info));

        const { response, certificate, privKeyReconstructionS } = openSealed(
          sealedCertificate(answer),
          cocoonPrivateKey(h, encryption, i, j),
        );
        const verified = trustOf().verify(certificate);
        checkValidAt(verified, NOW);
        const tbs = certificate.value.toBeSigned;
        const start = new IPeriodClock().start(i);
        assert.deepEqual(tbs.id, {
          type: 'linkageData',
          value: {
            iCert: i,
            linkageValue: linkageValue(
              openPlv('pcaLa1Key', info.encPlv1),
              openPlv('pcaLa2Key', info.encPlv2),
            ),
          },
        });
        assert.deepEqual(tbs.cracaId, scms.root.certificate.hash.slice(-3));
        assert.equal(tbs.crlSeries, 1);
        assert.deepEqual(tbs.validityPeriod, { start, duration: { type: 'hours', value: 169 } });
        assert.deepEqual(tbs.region, countryRegion([840]));
        assert.deepEqual(tbs.appPermissions, [{ psid: 0x20 }, { psid: 0x26 }]);
        assert.equal(response.expiration, start + 169 * 3600);
        assert.deepEqual(response.lifetime, { type: 'hours', value: 169 });
        assert.deepEqual(response.psidSsp, tbs.appPermissions);

        const e = sha256(signatureInput(encode(ToBeSignedCertificate, tbs), scms.pca.certificate));
        const key = ecqvPrivateKey(e, cocoonPrivateKey(a, signing, i, j), privKeyReconstructionS);
        assert.ok(equalPoints(key.publicPoint, verified.publicKey.point));
        const message = new TextEncoder().encode('a basic safety message');
        const { r, s } = key.sign(message);
        assert.ok(
          verify(
            'sha256',
            message,
            { key: toNodeKey(verified.publicKey.point), dsaEncoding: 'ieee-p1363' },
            Buffer.concat([r, s]),
          ),
        );
      });

      it('is sealed: the RA, with keys of its own, cannot open it', async (t) => {
        const pca = await openPca(MEMORY);
        t.after(() => pca.close());
        const sealed = sealedCertificate(
          await pca.requestCertificate(certificateRequest(await pseudonymInfo())),
        );
        assert.throws(() => openSealed(sealed, scms.ra.encryptionKey!), {
          code: 'decryption-failed',
        });
      });

      it('is refused in the region of another country, and granted in the one asked for', async (t) => {
        const pca = await openPca(MEMORY);
        t.after(() => pca.close());
        const inside = await pseudonymInfo({ region: countryRegion([840]) });
        assert.equal(
          openPcaAnswer(await pca.requestCertificate(certificateRequest(inside))).reply.type,
          'success',
        );
        const outside = await pseudonymInfo({ region: countryRegion([840, 124]) });
        assert.equal(
          failureOf(await pca.requestCertificate(certificateRequest(outside))),
          'invalidRegion',
        );
      });
    });

    describe('the PCA as a CertificateAuthority', () => {
      it('answers the same octets with the same octets, also after it was closed and opened', async (t) => {
        const url = `sqlite:${temporaryDirectory()}/pca.db`;
        const request = certificateRequest(await pseudonymInfo());
        const first = await openPca(url);
        const answer = await first.requestCertificate(request);
        assert.deepEqual(await first.requestCertificate(request), answer);
        await first.close();
        const second = await openPca(url);
        t.after(() => second.close());
        assert.deepEqual(await second.requestCertificate(request), answer);
        assert.equal((await Array.fromAsync(second.log())).length, 1);
      });

      it('gives one certificate to the same request asked many times at once', async (t) => {
        const pca = await openPca(`sqlite:${temporaryDirectory()}/pca.db`);
        t.after(() => pca.close());
        const request = certificateRequest(await pseudonymInfo());
        const answers = await Promise.all(
          Array.from({ length: 8 }, () => pca.requestCertificate(request)),
        );
        for (const answer of answers) assert.deepEqual(answer, answers[0]);
        assert.equal((await Array.fromAsync(pca.log())).length, 1);
      });

      it('answers each of many that come together for itself, and a fault of one is its own', async (t) => {
        const pca = await openPca(MEMORY);
        t.after(() => pca.close());
        const signing = PrivateKey.generate(systemRandom).publicPoint;
        const noPoint = { type: 'compressedY0', value: new Uint8Array(32).fill(0xff) } as const;
        const good = certificateRequest(await pseudonymInfo());
        const requests = [
          good,
          Uint8Array.of(3),
          certificateRequest(await pseudonymInfo({ sigButterflyKeyB: noPoint })),
          certificateRequest(await pseudonymInfo({ encButterflyKeyH: noPoint })),
          certificateRequest(await pseudonymInfo({ psidSsp: [] })),
          certificateRequest(await pseudonymInfo({ signing })),
          certificateRequest(await pseudonymInfo({ signing })),
          certificateRequest(await pseudonymInfo()),
          good,
        ];
        const answers = await Promise.all(requests.map((one) => pca.requestCertificate(one)));
        const outcomes = answers.map((answer) => {
          const { reply } = openPcaAnswer(answer);
          return reply.type === 'success' ? reply.type : failureOf(answer);
        });
        assert.deepEqual(outcomes, [
          'success',
          'unknownError',
          'invalidSignaturePublicKey',
          'invalidEncryptionPublicKey',
          'invalidPsidSsp',
          'success',
          'invalidSignaturePublicKey',
          'success',
          'success',
        ]);
        for (const [n, answer] of answers.entries()) {
          const { requestHash } = openPcaAnswer(answer);
          assert.deepEqual(requestHash, hashedId8(sha256(requests[n]!)));
        }
        assert.deepEqual(answers[8], answers[0]);
        assert.equal((await Array.fromAsync(pca.log())).length, 3);
      });

      it('names the request in the answer by the low octets of its SHA-256, and logs the whole', async (t) => {
        const pca = await openPca(MEMORY);
        t.after(() => pca.close());
        const encryption = PrivateKey.generate(systemRandom);
        const info = await pseudonymInfo({ encryption: encryption.publicPoint });
        const request = certificateRequest(info);
        const answer = await pca.requestCertificate(request);
        assert.deepEqual(openPcaAnswer(answer).requestHash, hashedId8(sha256(request)));
        assert.equal(openPcaAnswer(answer).pcaId, nameOf('pca'));
        const [entry] = await Array.fromAsync(pca.log());
        const { certificate } = openSealed(sealedCertificate(answer), encryption);
        assert.deepEqual(entry?.requestHash, sha256(request));
        assert.deepEqual(entry?.certificateId, hashedId8(sha256(certificate.octets)));
        assert.equal(entry?.issuedAt, NOW);
      });

      it('never certifies a cocoon key for a second request', async (t) => {
        const pca = await openPca(MEMORY);
        t.after(() => pca.close());
        const signing = PrivateKey.generate(systemRandom).publicPoint;
        const first = await pca.requestCertificate(
          certificateRequest(await pseudonymInfo({ signing })),
        );
        assert.equal(openPcaAnswer(first).reply.type, 'success');
        const again = certificateRequest(await pseudonymInfo({ signing }));
        assert.equal(failureOf(await pca.requestCertificate(again)), 'invalidSignaturePublicKey');
        assert.equal((await Array.fromAsync(pca.log())).length, 1);
      });

      it('walks a log longer than a page', async (t) => {
        const pca = await openPca(MEMORY);
        t.after(() => pca.close());
        const info = await pseudonymInfo();
        const count = 1001;
        await Promise.all(
          Array.from({ length: count }, () => {
            const sigButterflyKeyB = fromPoint(PrivateKey.generate(systemRandom).publicPoint);
            return pca.requestCertificate(certificateRequest({ ...info, sigButterflyKeyB }));
          }),
        );
        const hashes = (await Array.fromAsync(pca.log())).map(({ requestHash }) =>
          Buffer.from(requestHash).toString('hex'),
        );
        assert.equal(new Set(hashes).size, count);
        assert.deepEqual(hashes, hashes.toSorted());
      });

      it('is unavailable, and says so, when it cannot store, or is closed', async () => {
        const path = `${temporaryDirectory()}/pca.db`;
        const pca = await openPca(`sqlite:${path}`);
        const request = certificateRequest(await pseudonymInfo());
        const saboteur = new DatabaseSync(path);
        saboteur.exec('drop table pca_answer');
        saboteur.close();
        const unavailable = { name: 'AuthorityUnavailableError' };
        await assert.rejects(pca.requestCertificate(request), unavailable);
        await pca.close();
        await assert.rejects(pca.requestCertificate(request), unavailable);
      });

      it('stores no refusal: what was wrong with the time may be right later', async (t) => {
        const clock = new TestClock();
        const pca = await openPca(MEMORY, { clock });
        t.after(() => pca.close());
        const request = certificateRequest(await pseudonymInfo());
        clock.time = scms.pca.certificate.certificate.toBeSigned.validityPeriod.start - 1;
        assert.equal(failureOf(await pca.requestCertificate(request)), 'unknownError');
        clock.time = NOW;
        assert.equal(openPcaAnswer(await pca.requestCertificate(request)).reply.type, 'success');
      });
    });

    describe('the PCA refuses', () => {
      const refusals: [string, () => Promise<Uint8Array>, string][] = [
        ['what is no message', async () => Uint8Array.of(3, 0x80), 'unknownError'],
        [
          'a signature by another key',
          async () =>
            certificateRequest(await pseudonymInfo(), {
              signer: { ...scms.ra, signingKey: PrivateKey.generate(systemRandom) },
            }),
          'unknownError',
        ],
        [
          'an RA of another SCMS',
          async () => {
            const raHostname = nameOf('ra');
            const { ra } = createTestScms({ now: NOW, random: systemRandom, raHostname });
            return certificateRequest(await pseudonymInfo(), { signer: ra });
          },
          'unknownError',
        ],
        [
          'an authority that is no RA',
          async () =>
            certificateRequest(await pseudonymInfo(), { signer: scms.eca, raId: 'eca.scms.test' }),
          'unknownError',
        ],
        [
          "an RA under another RA's name",
          async () => certificateRequest(await pseudonymInfo(), { raId: 'ra2.scms.test' }),
          'unknownError',
        ],
        [
          'a request to another PCA',
          async () => certificateRequest(await pseudonymInfo({ pcaId: 'pca2.scms.test' })),
          'unknownError',
        ],
        [
          'an explicit identification certificate',
          async () => authCertRequest({}, 'explicit'),
          'invalidType',
        ],
        [
          'a CRL series that the RA chose',
          async () => authCertRequest({ crlSeries: 3 }),
          'unknownError',
        ],
        [
          'an identification certificate under a name',
          async () => authCertRequest({ id: { type: 'name', value: 'a' } }),
          'unknownError',
        ],
        [
          'an identification certificate that may issue others',
          async () => authCertRequest({ certIssuePermissions: [] }),
          'unknownError',
        ],
        [
          'an identification certificate without permissions',
          async () => authCertRequest({ appPermissions: [] }),
          'invalidPsidSsp',
        ],
        [
          'an identification certificate with permissions that it may not give',
          async () => authCertRequest({ appPermissions: [{ psid: 0x23 }] }),
          'invalidPsidSsp',
        ],
        [
          'an identification certificate that outlives it',
          async () =>
            authCertRequest({
              validityPeriod: { start: NOW, duration: { type: 'years', value: 30 } },
            }),
          'invalidValidity',
        ],
        [
          'an application that it may not certify',
          async () => certificateRequest(await pseudonymInfo({ psidSsp: [{ psid: 0x23 }] })),
          'invalidPsidSsp',
        ],
        [
          'an SSP outside its range',
          async () =>
            certificateRequest(
              await pseudonymInfo({
                psidSsp: [{ psid: 0x20, ssp: { type: 'opaque', value: Uint8Array.of(1) } }],
              }),
            ),
          'invalidPsidSsp',
        ],
        [
          'no application at all',
          async () => certificateRequest(await pseudonymInfo({ psidSsp: [] })),
          'invalidPsidSsp',
        ],
        [
          'a period that is over',
          async () => certificateRequest(await pseudonymInfo({ i: CURRENT_I - 2 })),
          'invalidValidity',
        ],
        [
          'a period that its own certificate does not reach',
          async () => certificateRequest(await pseudonymInfo({ i: CURRENT_I + 4 * 53 })),
          'invalidValidity',
        ],
        [
          'the last period that 16 bits can name',
          async () => certificateRequest(await pseudonymInfo({ i: 65_535 })),
          'invalidValidity',
        ],
        [
          'a signature key that is no point',
          async () =>
            certificateRequest(
              await pseudonymInfo({
                sigButterflyKeyB: { type: 'compressedY0', value: new Uint8Array(32).fill(0xff) },
              }),
            ),
          'invalidSignaturePublicKey',
        ],
        [
          'an encryption key that is no point',
          async () =>
            certificateRequest(
              await pseudonymInfo({
                encButterflyKeyH: { type: 'xOnly', value: new Uint8Array(32) },
              }),
            ),
          'invalidEncryptionPublicKey',
        ],
        [
          'one LA twice',
          async () => {
            const info = await pseudonymInfo();
            return certificateRequest({ ...info, la2Id: info.la1Id, encPlv2: info.encPlv1 });
          },
          'invalidEncryptedPreLinkageValue',
        ],
        [
          'an LA that it does not know',
          async () => certificateRequest(await pseudonymInfo({ la1Id: 'la3.scms.test' })),
          'invalidEncryptedPreLinkageValue',
        ],
        [
          'the value of one LA under the name of the other',
          async () => {
            const info = await pseudonymInfo();
            return certificateRequest({ ...info, encPlv1: info.encPlv2 });
          },
          'invalidEncryptedPreLinkageValue',
        ],
        [
          "another week's value",
          async () => {
            const { encPlv1 } = await pseudonymInfo({ i: CURRENT_I + 1 });
            return certificateRequest(await pseudonymInfo({ encPlv1 }));
          },
          'invalidEncryptedPreLinkageValue',
        ],
        [
          'a performance assurance level',
          async () =>
            certificateRequest(
              await pseudonymInfo({ performanceAssuranceLevel: Uint8Array.of(0x20) }),
            ),
          'unknownError',
        ],
      ];
      for (const [what, request, code] of refusals) {
        it(`${what}: ${code}`, async (t) => {
          const seen: PcaRefusal[] = [];
          const pca = await openPca(MEMORY, { onRefusal: (refusal) => seen.push(refusal) });
          t.after(() => pca.close());
          const octets = await request();
          const answer = await pca.requestCertificate(octets);
          assert.equal(failureOf(answer), code);
          assert.deepEqual(openPcaAnswer(answer).requestHash, hashedId8(sha256(octets)));
          assert.equal(seen[0]?.code, code);
          assert.deepEqual(await Array.fromAsync(pca.log()), []);
        });
      }

      it('an RA whose certificate has expired', async (t) => {
        const clock = new TestClock();
        const pca = await openPca(MEMORY, { clock });
        t.after(() => pca.close());
        const request = certificateRequest(await pseudonymInfo());
        clock.time = NOW + 26_448 * 3600;
        assert.equal(failureOf(await pca.requestCertificate(request)), 'unknownError');
      });
    });
  });
}

/** A request of the kind that comes later, complete enough to decode. */
/** An identification certificate that the PCA would issue, but for the changes. */
function authCertRequest(
  changes: Partial<ToBeSignedCertificate>,
  type: 'explicit' | 'implicit' = 'implicit',
): Uint8Array {
  const point = () => fromPoint(PrivateKey.generate(systemRandom).publicPoint);
  const toBeSignedCert: ToBeSignedCertificate = {
    id: { type: 'binaryId', value: systemRandom(8) },
    cracaId: new Uint8Array(3),
    crlSeries: 0,
    validityPeriod: { start: NOW, duration: { type: 'hours', value: 721 } },
    appPermissions: [{ psid: 0x26 }],
    verifyKeyIndicator: { type: 'reconstructionValue', value: point() },
    ...changes,
  };
  const scoped = encode(ScmsPdu122, {
    version: 1,
    content: {
      type: 'pcaRa',
      value: {
        type: 'raPcaCertRequest',
        value: {
          version: 1,
          raId: nameOf('ra'),
          certRequestInfo: {
            type: 'authCertReq',
            value: {
              pcaId: nameOf('pca'),
              type,
              toBeSignedCert,
              responseEncryptionKey: point(),
            },
          },
        },
      },
    },
  });
  return signRequest(scoped, scms.ra.certificate, scms.ra.signingKey);
}

function toNodeKey(point: Uint8Array) {
  const base64 = (octets: Uint8Array) => Buffer.from(octets).toString('base64url');
  const jwk = {
    kty: 'EC',
    crv: 'P-256',
    x: base64(point.slice(1, 33)),
    y: base64(point.slice(33)),
  };
  return createPublicKey({ key: jwk, format: 'jwk' });
}
