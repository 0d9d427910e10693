/** The MA at the RA's port for it: each request of ma-ra.asn over mutual TLS, and whoever is not the MA. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import {
  type Authority,
  createTestScms,
  linkageSeedOf,
  servicesOf,
  startAuthorityServer,
} from '@chrysalis/authorities';
import { decode, encode } from '@chrysalis/coer';
import { equalConstantTime, preLinkageValues, sha256, systemRandom } from '@chrysalis/crypto';
import {
  decrypterOf,
  decryptSymmetric,
  encryptForCertificate,
  type HashedCertificate,
} from '@chrysalis/ieee1609dot2';
import {
  type AuditLog,
  AuditWriter,
  Blacklist,
  BlacklistChanges,
  MisbehaviorEnquiries,
  type MisbehaviorEnquiriesOptions,
  RemoteAuthority,
  type RemoteAuthorityOptions,
} from '@chrysalis/ra';
import {
  AuthorityUnavailableError,
  composeMaRaRequest,
  composeRaMaResponse,
  decodeSecured,
  encodeScopedRequest,
  formatScmsError,
  type GroupAndLci,
  hostnameOf,
  LinkageChainId,
  type MaRaRequest,
  openMaRa,
  openMaRaResponse,
  openSecured,
  type RaMaResponse,
  repliesOf,
  requestHash,
  type ScmsError,
  secureMaRa,
  signMessage,
  ToBeEncryptedIndividualPlv,
  timeOf,
} from '@chrysalis/scms';
import { StoreError } from '@chrysalis/store/files';
import { downloadReq } from '../../../test/support/device.ts';
import { send } from '../../../test/support/https-client.ts';
import { createX509Ca } from '../../authorities/test/mutual-tls.ts';
import type { Registered } from './scene.ts';
import { createStage, infoOf, type Stage } from './stage.ts';

const CA = await createX509Ca();
const OTHER_CA = await createX509Ca();
const MA_NAME = 'ma.scms.test';
const MICROSECONDS = 1_000_000n;
const UNKNOWN = sha256(Uint8Array.of(1));
const UNKNOWN_RIF = new Uint8Array(8).fill(9);

type Type = MaRaRequest['type'];
const HPCR: Type = 'maRaBlacklistRequest';
const RIF: Type = 'maRaRseObeIdBlacklistRequest';
const LCI: Type = 'maRaLCIRequest';
const CDV: Type = 'maRaCDVRequest';

interface Composing {
  readonly type?: Type;
  readonly auditors?: readonly Authority[];
  /** Seconds from now; no generation time when missing. */
  readonly generatedSec?: number;
  readonly signer?: Authority;
  readonly recipient?: HashedCertificate;
  readonly maId?: string;
}

/** An RA with its port for the MA, and the MA. */
async function createPort(
  t: TestContext,
  changes: Partial<MisbehaviorEnquiriesOptions> = {},
  stage?: Stage,
) {
  const on = stage ?? (await createStage(t, { policy: { weeksAhead: 2 } }));
  const { scms, trust, options, clock } = on;
  const asOptions = { ...options, ...changes };
  const { database, audit } = asOptions;
  const port = new MisbehaviorEnquiries(
    {
      ...asOptions,
      ma: scms.ma.certificate,
      countersignatures: { required: 0, auditors: [] },
      generationTime: 'optional',
      toleranceSec: 300,
      maxEntries: 10_000,
      requestsPerHour: 600,
      ...changes,
    },
    new Blacklist(database, audit && new BlacklistChanges({ ...asOptions, audit })),
  );
  const refused: string[] = [];
  const server = await startAuthorityServer({
    services: servicesOf.registrationAuthority(port),
    listen: { address: '127.0.0.1', port: 0 },
    tls: { ...(await CA.server('localhost')), clientCaPem: CA.root.certificatePem },
    clientNames: [MA_NAME],
    onRefusal: (problem) => refused.push(problem),
  });
  t.after(() => server.close());
  const connect = async (more: Partial<RemoteAuthorityOptions> = {}) => {
    const tls = { ...(await CA.client(MA_NAME)), caPem: CA.root.certificatePem };
    const remote = new RemoteAuthority({
      url: server.url,
      hostname: 'localhost',
      tls,
      timeoutMs: 60_000,
      ...more,
    });
    t.after(() => remote.close());
    return remote;
  };
  const remote = await connect();
  const raId = hostnameOf(scms.ra.certificate) ?? '';

  const compose = (identifiers: readonly Uint8Array[], how: Composing = {}) => {
    const { type = HPCR, auditors = [], generatedSec, signer = scms.ma } = how;
    const { recipient = scms.ra.certificate, maId = MA_NAME } = how;
    const time = timeOf(clock);
    const signers = auditors.map(componentOf);
    const request = composeMaRaRequest({ type, maId, identifiers }, signers, time);
    return { request, octets: seal(request, signer, recipient, generatedSec) };
  };
  const seal = (
    pdu: MaRaRequest | RaMaResponse,
    signer: Authority,
    recipient = scms.ra.certificate,
    generatedSec?: number,
  ) =>
    secureMaRa(pdu, {
      signer: componentOf(signer),
      recipient,
      random: systemRandom,
      ...(generatedSec !== undefined && {
        generationTime: BigInt(timeOf(clock) + generatedSec) * MICROSECONDS,
      }),
    });
  const exchange = async (sent: ReturnType<typeof compose>) => {
    const answer = await remote.answerMisbehaviorAuthority(sent.octets);
    const response = openMaRaResponse(answer, sent, {
      ma: scms.ma.certificate,
      key: decrypterOf(scms.ma.encryptionKey!),
      ra: scms.ra.certificate,
      raId,
      trust,
      time: timeOf(clock),
    });
    return repliesOf(response).map(({ reply }) =>
      reply.type === 'failure' ? lastWord(reply.value) : reply.value,
    );
  };
  return {
    ...on,
    stage: on,
    port,
    refused,
    connect,
    remote,
    compose,
    seal,
    exchange,
    /** What the RA says of each: null for success without a value, the name of the failure. */
    ask: (identifiers: readonly Uint8Array[], how?: Composing) =>
      exchange(compose(identifiers, how)),
    blacklist: new Blacklist(options.database),
    async refuses(octets: Uint8Array) {
      await assert.rejects(remote.answerMisbehaviorAuthority(octets), AuthorityUnavailableError);
    },
  };
}

function componentOf({ certificate, signingKey }: Authority) {
  return { certificate, key: signingKey };
}

function lastWord(error: ScmsError): string {
  return formatScmsError(error).split(' ').at(-1) ?? '';
}

/** Registers a device and has its certificates made; HPCRs of its requests. */
async function provision(stage: Stage): Promise<{ device: Registered; hpcrs: Uint8Array[] }> {
  const before = stage.atPca.length;
  const device = await stage.register(stage.ra);
  await stage.settle();
  return { device, hpcrs: stage.atPca.slice(before).map((octets) => sha256(octets)) };
}

/** Status and code of a download. */
async function download(stage: Stage, { device, hash }: Registered) {
  const i = stage.currentI().toString(16).toUpperCase();
  const { certificate } = stage.scms.ra;
  const time = timeOf(stage.clock);
  const headers = downloadReq(device, `${hash}_${i}.zip`, time, certificate, systemRandom);
  const url = `https://localhost:${stage.ra.port}/download/batch`;
  const answer = await send(url, stage.ca, { headers });
  return [answer.status, answer.headers['scms-poc-error']];
}

describe('the MA asks the RA to blacklist', () => {
  it('by HPCR: the next download is 500 with 5055, and the pipeline makes nothing more', async (t) => {
    const policy = { weeksAhead: 2, shuffleThreshold: 1 };
    const { stage, ask } = await createPort(t, {}, await createStage(t, { policy }));
    const { device, hpcrs } = await provision(stage);
    const other = await provision(stage);
    assert.equal(hpcrs.length, 6, 'two periods of three');
    assert.deepEqual(await download(stage, device), [200, undefined]);

    assert.deepEqual(await ask([hpcrs[4]!, UNKNOWN]), [null, 'hpcrIsUnknownToRA']);
    assert.deepEqual(await download(stage, device), [500, '5055']);
    assert.deepEqual(await download(stage, other.device), [200, undefined]);

    const made = stage.atPca.length;
    stage.toPeriod(1);
    await stage.settle();
    assert.equal(stage.atPca.length, made + 3, 'the next period of the other device alone');
    assert.deepEqual(await ask([hpcrs[0]!]), ['alreadyBlacklisted']);
  });

  it('by RIF: an enrollment certificate that has asked for something here', async (t) => {
    const { stage, ask } = await createPort(t);
    const { device } = await provision(stage);
    const rif = device.device.certificate.id;
    const reply = await ask([UNKNOWN_RIF, rif], { type: RIF });
    assert.deepEqual(reply, ['raInvalidRIFValue', null]);
    assert.deepEqual(await download(stage, device), [500, '5055']);
    assert.deepEqual(await ask([rif], { type: RIF }), ['alreadyBlacklisted']);
  });

  it('is not told which certificate it was, nor in one request which HPCRs belong together', async (t) => {
    const { stage, scms, compose, remote, ask } = await createPort(t);
    const [one, two] = [await provision(stage), await provision(stage)];
    const { octets } = compose([one.hpcrs[0]!, two.hpcrs[0]!, one.hpcrs[1]!, two.hpcrs[1]!]);
    const answer = await remote.answerMisbehaviorAuthority(octets);
    const key = decrypterOf(scms.ma.encryptionKey!);
    const inside = Buffer.from(openSecured(answer, scms.ma.certificate, key));
    for (const { device } of [one, two]) {
      const { hash, id, octets: certificate } = device.device.certificate;
      for (const secret of [hash, id, certificate]) {
        assert(!inside.includes(Buffer.from(secret)));
      }
    }
    const { pdu } = openMaRa(answer, scms.ma.certificate, key, stage.trust);
    const replies = repliesOf(pdu as RaMaResponse).map(({ reply }) => reply.type);
    assert.deepEqual(replies, Array(4).fill('success'));
    assert.deepEqual(await ask([]), []);
  });

  it('finds it on stable storage when it is answered', async (t) => {
    const { stage, ask, openDatabase } = await createPort(t);
    const { device, hpcrs } = await provision(stage);
    await ask([hpcrs[0]!]);
    const elsewhere = new Blacklist(await openDatabase());
    const entry = await elsewhere.find(device.device.certificate.hash);
    assert.match(entry?.reason ?? '', /^request [0-9a-f]{16} of the MA$/);
    assert.equal(entry?.addedAt, timeOf(stage.clock));
  });

  it('10,000 at once, and no more', async (t) => {
    const { stage, ask } = await createPort(t);
    const { device, hpcrs } = await provision(stage);
    const many = Array.from({ length: 10_000 }, (_, n) => sha256(Uint8Array.of(n, n >> 8, 2)));
    many[7777] = hpcrs[3]!;
    const tooMany = await ask([...many, UNKNOWN]);
    assert.equal(tooMany.length, 10_001);
    assert.deepEqual([...new Set(tooMany)], ['raNumberOfRequestsExceeded']);
    assert.deepEqual(await download(stage, device), [200, undefined]);

    const replies = await ask(many);
    assert.equal(replies[7777], null);
    assert.deepEqual([...new Set(replies.toSpliced(7777, 1))], ['hpcrIsUnknownToRA']);
    assert.deepEqual(await download(stage, device), [500, '5055']);
  });

  it('many devices in one transaction', async (t) => {
    const { stage, ask, blacklist } = await createPort(t);
    const { device } = await provision(stage);
    // Rows of the same device under other enrollment certificates, as a fleet has them.
    const row = await stage.database.query
      .selectFrom('device')
      .selectAll()
      .executeTakeFirstOrThrow();
    const rifs: Uint8Array[] = [];
    for (let n = 0; n < 450; n++) {
      const enrollment_hash = sha256(Uint8Array.of(n, n >> 8, 3));
      const request_hash = enrollment_hash.subarray(0, 8);
      const changes = { enrollment_hash, request_hash, inner_hash: enrollment_hash };
      const { id: _, ...rest } = row;
      await stage.database.query
        .insertInto('device')
        .values({ ...rest, ...changes })
        .execute();
      rifs.push(enrollment_hash.subarray(-8));
    }
    const replies = await ask([...rifs, device.device.certificate.id], { type: RIF });
    assert.equal(replies.length, 451);
    assert.deepEqual([...new Set(replies)], [null]);
    assert.equal((await blacklist.list()).length, 451);
    const blocked = await stage.database.query
      .selectFrom('device')
      .select('id')
      .where('blocked', '=', 1)
      .execute();
    assert.equal(blocked.length, 451);
  });
});

describe('the MA asks the RA for linkage chain identifiers', () => {
  it('which open at the LAs, to the values of the very request', async (t) => {
    const { stage, scms, ask, currentI } = await createPort(t);
    await provision(stage);
    const octets = stage.atPca[5]!;
    const [found, unknown] = await ask([sha256(octets), UNKNOWN], { type: LCI });
    assert.equal(unknown, 'hpcrIsUnknownToRA');
    const { groupIdentifier, info } = found as GroupAndLci;
    assert.deepEqual(groupIdentifier, new Uint8Array(4));
    assert.deepEqual([info.la1Id, info.la2Id], ['la1.scms.test', 'la2.scms.test']);
    const iMax = new DataView(info.iMax.buffer, info.iMax.byteOffset).getUint32(0);
    assert(iMax >= currentI() + 1, 'both periods');

    const asked = infoOf(octets);
    assert(asked.type === 'pseudonymCertReq');
    const { encPlv1, encPlv2, iValue } = asked.value;
    for (const [la, chain, encrypted, key] of [
      ['la1', info.la1Lci, encPlv1, scms.pcaLa1Key],
      ['la2', info.la2Lci, encPlv2, scms.pcaLa2Key],
    ] as const) {
      const [recipient] = encrypted.encPlv.recipients;
      assert(recipient?.type === 'symmRecipInfo');
      const plain = decryptSymmetric(encrypted.encPlv, key.reveal(), recipient.value.recipientId);
      const { plv } = decode(ToBeEncryptedIndividualPlv, plain);
      const laId = scms[`${la}Id`];
      const opened = { laId, chainKey: scms[`${la}ChainKey`] };
      const seed = linkageSeedOf(opened, encode(LinkageChainId, chain), iValue);
      assert(preLinkageValues(laId, seed, 3).some((value) => equalConstantTime(value, plv)));
    }
  });

  it('and is told when there are none', async (t) => {
    const { stage, ask } = await createPort(t);
    const { hpcrs } = await provision(stage);
    await stage.database.query.updateTable('device').set({ kind: 'identification' }).execute();
    assert.deepEqual(await ask([hpcrs[0]!], { type: LCI }), [
      'noLinkageChainIdentifiersKnownForHPCR',
    ]);
  });

  it('of 10,000 HPCRs of one device', async (t) => {
    const { stage, ask } = await createPort(t);
    const { hpcrs } = await provision(stage);
    const many = Array.from({ length: 10_000 }, (_, n) => hpcrs[n % hpcrs.length]!);
    const replies = await ask(many, { type: LCI });
    assert.equal(replies.length, 10_000);
    assert.deepEqual(replies[9_999], replies[0]);
    assert.equal(typeof replies[0], 'object');
  });
});

describe('the MA asks the RA for digests of certificates', () => {
  it('which the RA never saw', async (t) => {
    const { stage, ask } = await createPort(t);
    const { device } = await provision(stage);
    assert.deepEqual(await ask([device.device.certificate.id, UNKNOWN_RIF], { type: CDV }), [
      'noCertificateDigestValuesKnownForRIF',
      'raInvalidRIFValue',
    ]);
  });
});

describe('whoever is not the MA', () => {
  it('is told nothing, and changes nothing, whatever it signs', async (t) => {
    const { stage, scms, compose, seal, refuses, ask, logged, clock } = await createPort(t);
    const { device, hpcrs } = await provision(stage);
    const foreign = createTestScms({
      now: timeOf(clock),
      random: systemRandom,
      raHostname: 'localhost',
    });
    const asked = [hpcrs[0]!];
    const { request } = compose(asked);
    const head = { requestHash: new Uint8Array(8), raId: 'localhost' };
    const response = composeRaMaResponse(
      request as Extract<MaRaRequest, { type: typeof HPCR }>,
      head,
      [{ type: 'success', value: null }] as never,
    );
    const scoped = encodeScopedRequest(
      { type: 'download', timestamp: timeOf(clock), filename: 'x' },
      '1.2.2',
    );
    const eeRa = signMessage(scoped, scms.ma.certificate, scms.ma.signingKey);
    const { random } = stage.options;
    const rows: Readonly<Record<string, Uint8Array>> = {
      'another component of the SCMS': compose(asked, { signer: scms.pca }).octets,
      'the RA itself': compose(asked, { signer: scms.ra }).octets,
      'the MA of another SCMS': compose(asked, { signer: foreign.ma }).octets,
      "the MA's name with another's key": compose(asked, {
        signer: { ...scms.ma, signingKey: foreign.ma.signingKey },
      }).octets,
      'a message for another RA': compose(asked, { recipient: foreign.ra.certificate }).octets,
      'a message for the PCA': compose(asked, { recipient: scms.pca.certificate }).octets,
      'a response in place of a request': seal(response, scms.ma),
      'a message of another interface': encryptForCertificate(eeRa, scms.ra.certificate, random),
      'a signed message that is not encrypted': eeRa,
      nothing: new Uint8Array(0),
    };
    const before = logged.length;
    for (const [name, octets] of Object.entries(rows)) {
      await refuses(octets).catch((error: unknown) => assert.fail(`${name}: ${error}`));
    }
    const warned = logged.slice(before).map(({ message }) => message);
    assert.deepEqual(
      [warned.length, [...new Set(warned)]],
      [Object.keys(rows).length, ['what came to the port of the MA is not its request']],
    );
    assert.deepEqual(await download(stage, device), [200, undefined]);
    assert.deepEqual(await ask(asked, { maId: 'ma.other.test' }), ['raInvalidInputValueFormat']);
    assert.deepEqual(await download(stage, device), [200, undefined]);
    assert.deepEqual(await ask(asked), [null]);
  });

  it('does not get through TLS', async (t) => {
    const { connect, compose, refused } = await createPort(t);
    const { octets } = compose([UNKNOWN]);
    const clients = {
      'another name of the right root': await CA.client('la1.scms.test'),
      'the right name of another root': await OTHER_CA.client(MA_NAME),
    };
    for (const [name, tls] of Object.entries(clients)) {
      const remote = await connect({ tls: { ...tls, caPem: CA.root.certificatePem } });
      const asking = remote.answerMisbehaviorAuthority(octets);
      await assert.rejects(asking, AuthorityUnavailableError, name);
    }
    assert.equal(refused.length, 2);
    // Nor does the MA speak to an RA that it does not know.
    const tls = { ...(await CA.client(MA_NAME)), caPem: OTHER_CA.root.certificatePem };
    const remote = await connect({ tls });
    await assert.rejects(remote.answerMisbehaviorAuthority(octets), AuthorityUnavailableError);
  });

  it('cannot stop the RA with hostile octets', async (t) => {
    const { stage, compose, remote, ask, seal, scms, logged } = await createPort(t);
    const { hpcrs } = await provision(stage);
    const { octets, request } = compose([hpcrs[0]!]);
    const answered: number[] = [];
    const offer = (message: Uint8Array, n: number) =>
      remote.answerMisbehaviorAuthority(message).then(
        () => answered.push(n),
        (error: unknown) => assert(error instanceof AuthorityUnavailableError, String(error)),
      );
    for (let n = 0; n < octets.length; n++) {
      await offer(
        octets.map((octet, m) => (m === n ? octet ^ 1 : octet)),
        n,
      );
    }
    // The sign of y of the ephemeral key, which ECDH does not see: the same request in another encryption.
    assert.deepEqual(answered, [14]);
    const hostile = [
      ...Array.from({ length: 40 }, (_, n) => systemRandom(n * 13)),
      ...Array.from({ length: 40 }, (_, n) => octets.subarray(0, (n * octets.length) / 40)),
      new Uint8Array(512 * 1024),
      new Uint8Array(512 * 1024 + 1),
    ];
    for (const message of hostile) await offer(message, -1);
    assert.equal(answered.length, 1);
    // Inside the right signature: an id too long to be a host name, and HPCRs that no index has.
    const long = compose([UNKNOWN], { maId: 'm'.repeat(255) });
    await remote.answerMisbehaviorAuthority(long.octets);
    await remote.answerMisbehaviorAuthority(seal(request, scms.ma));
    assert.deepEqual(await ask([hpcrs[0]!]), ['alreadyBlacklisted']);
    assert(logged.every(({ message }) => !message.includes('failed')));
  });
});

describe('auditors', () => {
  it('have to countersign as configured', async (t) => {
    const stage = await createStage(t, { policy: { weeksAhead: 2 } });
    const { scms, trust, clock } = stage;
    const verified = (authority: Authority) => trust.get(authority.certificate.id)!;
    const countersignatures = {
      required: 2,
      auditors: [scms.pg, scms.crlg, scms.la1].map(verified),
    };
    const { ask, compose, exchange, seal } = await createPort(t, { countersignatures }, stage);
    const { device, hpcrs } = await provision(stage);
    const asked = [hpcrs[0]!, UNKNOWN];
    const foreign = createTestScms({
      now: timeOf(clock),
      random: systemRandom,
      raHostname: 'localhost',
    });
    const none = ['raNoMaAuthorizationSignature', 'raNoMaAuthorizationSignature'];
    const invalid = ['raInvalidMaAuthorizationSignature', 'raInvalidMaAuthorizationSignature'];
    const rows: readonly [string, readonly Authority[], readonly string[]][] = [
      ['nobody', [], none],
      ['one', [scms.pg], none],
      ['one, twice', [scms.pg, scms.pg], none],
      ['one, and the MA', [scms.pg, scms.ma], none],
      ['two, and somebody else of the SCMS', [scms.pg, scms.crlg, scms.pca], invalid],
      ['two, and a stranger', [scms.pg, scms.crlg, foreign.pg], invalid],
      [
        'one with a wrong key',
        [scms.pg, { ...scms.crlg, signingKey: scms.pg.signingKey }],
        invalid,
      ],
      ['17 signatures', Array(17).fill(scms.pg), invalid],
    ];
    for (const type of [HPCR, LCI]) {
      for (const [name, auditors, expected] of rows) {
        assert.deepEqual(await ask(asked, { type, auditors }), expected, `${type}: ${name}`);
      }
    }
    for (const type of [RIF, CDV]) {
      assert.deepEqual(await ask([UNKNOWN_RIF], { type }), ['raNoMaAuthorizationSignature']);
    }

    // What was countersigned for another list.
    const auditors = [scms.pg, scms.crlg];
    const other = compose([UNKNOWN], { auditors });
    const { request } = compose(asked);
    const value = { ...request.value, signatures: other.request.value.signatures };
    const moved = { type: request.type, value } as MaRaRequest;
    const sent = { request: moved, octets: seal(moved, scms.ma) };
    assert.deepEqual(await exchange(sent), invalid);

    assert.deepEqual(await download(stage, device), [200, undefined]);
    const good = { auditors: [...auditors, scms.ma] };
    assert.deepEqual(await ask(asked, good), [null, 'hpcrIsUnknownToRA']);
    assert.deepEqual(await download(stage, device), [500, '5055']);
  });
});

describe('a request that comes again', () => {
  it('is answered as before, and carried out once', async (t) => {
    const { stage, scms, compose, exchange, blacklist, openDatabase } = await createPort(t);
    const { device, hpcrs } = await provision(stage);
    const sent = compose([hpcrs[0]!, UNKNOWN]);
    const together = await Promise.all(Array.from({ length: 20 }, () => exchange(sent)));
    for (const replies of together) assert.deepEqual(replies, [null, 'hpcrIsUnknownToRA']);

    // The operator lets the device go on: somebody who recorded the request does not change that.
    await blacklist.remove(device.device.certificate.hash);
    assert.deepEqual(await exchange(sent), [null, 'hpcrIsUnknownToRA']);
    const opened = openSecured(
      sent.octets,
      scms.ra.certificate,
      decrypterOf(scms.ra.encryptionKey!),
    );
    const anew = encryptForCertificate(opened, scms.ra.certificate, systemRandom);
    assert.notDeepEqual(requestHash(anew), requestHash(sent.octets));
    assert.deepEqual(await exchange({ ...sent, octets: anew }), [null, 'hpcrIsUnknownToRA']);
    assert.deepEqual(await download(stage, device), [200, undefined]);

    // A process that starts later knows as much.
    const later = await createPort(t, { database: await openDatabase() }, stage);
    assert.deepEqual(await later.exchange(sent), [null, 'hpcrIsUnknownToRA']);
    assert.deepEqual(await download(stage, device), [200, undefined]);

    // After a day it is refused for ever; the MA signs anew.
    stage.clock.advance(86_401);
    assert.deepEqual(await later.ask([UNKNOWN]), ['hpcrIsUnknownToRA']);
    assert.deepEqual(await exchange(sent), ['maRequestTimeout', 'maRequestTimeout']);
    assert.deepEqual(await download(stage, device), [200, undefined]);
    assert.deepEqual(await later.ask([hpcrs[0]!]), [null]);
    assert.deepEqual(await download(stage, device), [500, '5055']);
  });

  it('or late is refused by its generation time', async (t) => {
    const stage = await createStage(t, { policy: { weeksAhead: 2 } });
    const { ask, compose, exchange } = await createPort(t, {}, stage);
    const late = ['maRequestTimeout'];
    assert.deepEqual(await ask([UNKNOWN], { generatedSec: -301 }), late);
    assert.deepEqual(await ask([UNKNOWN], { generatedSec: 301 }), late);
    for (const generatedSec of [-300, 0, 300]) {
      assert.deepEqual(await ask([UNKNOWN], { generatedSec }), ['hpcrIsUnknownToRA']);
    }
    const sent = compose([UNKNOWN], { generatedSec: 0 });
    assert.deepEqual(await exchange(sent), ['hpcrIsUnknownToRA']);
    stage.clock.advance(301);
    assert.deepEqual(await exchange(sent), late);

    const strict = await createPort(t, { generationTime: 'required' }, stage);
    assert.deepEqual(await strict.ask([UNKNOWN]), late);
    assert.deepEqual(await strict.ask([UNKNOWN], { generatedSec: 0 }), ['hpcrIsUnknownToRA']);
  });

  it('does not count among those of an hour; others do', async (t) => {
    const { ask, compose, exchange, clock } = await createPort(t, { requestsPerHour: 3 });
    const exceeded = ['raNumberOfRequestsExceeded'];
    const known = ['hpcrIsUnknownToRA'];
    const sent = compose([UNKNOWN]);
    for (let n = 0; n < 5; n++) assert.deepEqual(await exchange(sent), known);
    assert.deepEqual(await ask([UNKNOWN]), known);
    assert.deepEqual(await ask([UNKNOWN], { type: LCI }), known);
    const refused = compose([UNKNOWN]);
    assert.deepEqual(await exchange(refused), exceeded);
    assert.deepEqual(await ask([UNKNOWN_RIF], { type: CDV }), exceeded);
    clock.advance(1200);
    assert.deepEqual(await exchange(refused), known, 'what was not carried out may come again');
    assert.deepEqual(await ask([UNKNOWN]), exceeded);
  });
});

describe('what is left behind', () => {
  it('is an event for the request and for each device, without HPCRs', async (t) => {
    const stage = await createStage(t, { policy: { weeksAhead: 2 } });
    const { scms } = stage;
    const directory = await mkdtemp(join(tmpdir(), 'chrysalis-ma-audit-'));
    const audit = await AuditWriter.open({
      directory,
      writer: 'server',
      maxFileOctets: 1_000_000,
      keepDays: 0,
      clock: stage.clock,
      log: stage.options.log,
    });
    t.after(async () => {
      await audit.close();
      await rm(directory, { recursive: true });
    });
    const { compose, exchange, ask } = await createPort(t, { audit }, stage);
    const { device, hpcrs } = await provision(stage);
    const sent = compose([hpcrs[0]!, hpcrs[1]!, UNKNOWN]);
    await exchange(sent);
    await ask([hpcrs[0]!], { type: LCI });
    await ask([UNKNOWN], { maId: 'other.test' });

    // Each was there before its answer: nothing has to be flushed.
    const text = await readFile(join(directory, 'server-00000001.jsonl'), 'utf8');
    const lines = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const own = lines.filter(({ event }) => event === 'ma-request' || event === 'blacklist');
    const asked = Buffer.from(requestHash(sent.octets)).toString('hex');
    const ma = Buffer.from(scms.ma.certificate.id).toString('hex');
    const enrollment = Buffer.from(device.device.certificate.hash).toString('hex');
    const told = own.map(({ seq: _, time: __, hash: ___, ...rest }) => rest);
    const at = new Date(stage.clock.now()).toISOString();
    const reason = `request ${asked} of the MA`;
    assert.deepEqual(told.slice(0, 2), [
      { event: 'blacklist', change: 'added', enrollment, reason, id: told[0].id, at },
      {
        event: 'ma-request',
        request: 'blacklist',
        requestHash: asked,
        ma,
        entries: 3,
        succeeded: 2,
      },
    ]);
    const [, , linkage, refused] = told;
    assert.deepEqual(
      [linkage.request, linkage.entries, linkage.succeeded],
      ['linkage-chains', 1, 1],
    );
    assert.deepEqual([refused.succeeded, refused.refused], [0, 'raInvalidInputValueFormat']);
    for (const hpcr of hpcrs) assert(!text.includes(Buffer.from(hpcr).toString('hex')));
  });

  it('is the line about a device that the disk did not take, before the repetition is answered', async (t) => {
    const stage = await createStage(t, { policy: { weeksAhead: 2 } });
    let isFull = true;
    const written: string[] = [];
    const audit: AuditLog = {
      async record(...events) {
        if (isFull) throw new StoreError('full', 'could not append: ENOSPC');
        written.push(...events.map(({ event }) => event));
      },
      note() {},
      ready: async () => {},
    };
    const { compose, exchange, refuses, blacklist } = await createPort(t, { audit }, stage);
    const { device, hpcrs } = await provision(stage);
    const sent = compose([hpcrs[0]!]);
    await refuses(sent.octets);
    assert(await blacklist.has(device.device.certificate.hash), 'it counts all the same');
    await refuses(sent.octets);
    assert.deepEqual(written, []);
    isFull = false;
    assert.deepEqual(await exchange(sent), [null]);
    assert.deepEqual(written, ['blacklist', 'ma-request']);
  });

  it('is an answer only when all of it is durable', async (t) => {
    const { stage, compose, refuses, openDatabase } = await createPort(t);
    const { device, hpcrs } = await provision(stage);
    const database = await openDatabase();
    const cut = await createPort(t, { database }, stage);
    await database.close();
    await cut.refuses(compose([hpcrs[0]!]).octets);
    assert.deepEqual(await download(stage, device), [200, undefined]);
    await refuses(new Uint8Array(1));
    assert.equal(decodeSecured(compose([UNKNOWN]).octets).recipients.length, 1);
  });
});
