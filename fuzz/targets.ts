/** What is fuzzed without a server: every codec, envelope opener and reader, each with real messages to begin with. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CoerError } from '@chrysalis/coer';
import { CryptoError } from '@chrysalis/crypto';
import { decodeInfo, EeError } from '@chrysalis/ee';
import {
  Certificate,
  decrypterOf,
  Ieee1609Dot2Data,
  Ieee1609Dot2Error,
  TrustStore,
} from '@chrysalis/ieee1609dot2';
import {
  adoptGlobalChainFile,
  adoptLocalChainFile,
  decodeSigned,
  decodeSignedRequest,
  openCompositeCrl,
  openLocalPolicyFile,
  openSecured,
  openSignedMessage,
  parseFileName,
  ScmsDataError,
  ScmsPdu122,
  ScmsPdu124,
} from '@chrysalis/scms';
import { zipSync } from 'fflate';
import { readBatchZip, readSingleZip } from '../packages/ee/src/batch-zip.ts';
import { eca, ica, NOW, pca, ra, raEncryption, root } from '../packages/ieee1609dot2/test/pki.ts';
import { isWholeZip, zipBatch } from '../packages/ra/src/batch-file.ts';
import { messageSamples } from '../test/support/message-samples.ts';
import { INTEROP_DIR, SKIP_INTEROP } from '../test/support/recorded-scms.ts';
import { expectStrict } from '../test/support/strict-sample.ts';

/** Something that takes octets of anybody. */
export interface Target {
  readonly name: string;
  /** Real messages: what is changed. */
  readonly corpus: readonly Uint8Array[];
  /** @throws what is a finding */
  run(octets: Uint8Array): void;
}

const ANNOUNCED = [CoerError, ScmsDataError, Ieee1609Dot2Error, CryptoError, EeError];

/** Certificates under the root of the samples. */
function trustOfSamples(): TrustStore {
  const trust = new TrustStore([root.given]);
  for (const { given } of [ica, eca, pca, ra]) trust.add(given);
  return trust;
}

export function targets(): readonly Target[] {
  const samples = messageSamples();
  const own = samples.flatMap(({ encodings }) => encodings);
  const corpus = [...own, ...recorded()];
  const trust = trustOfSamples();
  const raKey = decrypterOf(raEncryption);
  const zips = [
    zipBatch(425, own.slice(0, 3)),
    zipSync({ '1A9_0': own[0] as Uint8Array, 'not ours': Uint8Array.of(1) }),
    zipSync({}),
  ];
  return [
    ...samples.map(({ name, codec, encodings, use }) => ({
      name: `codec of ${name}`,
      corpus: encodings,
      run: (octets: Uint8Array) => void expectStrict(name, codec, octets, use),
    })),
    // What is no message of the type that is expected there.
    strict('Ieee1609Dot2Data of anything', Ieee1609Dot2Data, corpus),
    strict('Certificate of anything', Certificate, corpus),
    strict('ScmsPDU of 1.2.2 of anything', ScmsPdu122, corpus),
    strict('ScmsPDU of 1.2.4 of anything', ScmsPdu124, corpus),
    reader('openSecured', corpus, (octets) => openSecured(octets, ra.certificate, raKey)),
    reader('openSignedMessage', corpus, (octets) => openSignedMessage(octets, trust)),
    reader('decodeSignedRequest', corpus, (octets) => decodeSignedRequest(decodeSigned(octets))),
    reader('readBatchZip', zips, readBatchZip),
    reader('readSingleZip', zips, readSingleZip),
    reader('isWholeZip', zips, isWholeZip),
    reader('.info', [Uint8Array.of(0, 0, 0, 0), Uint8Array.of(0x2a, 1, 2, 3)], decodeInfo),
    reader('parseFileName', fileNames(), (octets) =>
      parseFileName(Buffer.from(octets).toString('latin1')),
    ),
    reader('openLocalPolicyFile', corpus, (octets) =>
      openLocalPolicyFile(octets, trust, { time: NOW }),
    ),
    reader('adoptLocalChainFile', corpus, (octets) => adoptLocalChainFile(octets, [root.given])),
    reader('adoptGlobalChainFile', corpus, (octets) => adoptGlobalChainFile(octets, [root.given])),
    reader('openCompositeCrl', corpus, (octets) => openCompositeCrl(octets, trust, NOW)),
  ];
}

function reader(
  name: string,
  corpus: readonly Uint8Array[],
  read: (octets: Uint8Array) => unknown,
): Target {
  return {
    name,
    corpus,
    run(octets) {
      try {
        read(octets);
      } catch (error) {
        if (!ANNOUNCED.some((kind) => error instanceof kind)) throw error;
      }
    },
  };
}

function strict(
  name: string,
  codec: Parameters<typeof expectStrict>[1],
  corpus: readonly Uint8Array[],
): Target {
  return { name, corpus, run: (octets) => void expectStrict(name, codec, octets, undefined) };
}

function fileNames(): Uint8Array[] {
  return ['AB09281C9867DE53_F.zip', 'AB09281C9867DE53.info', 'AB09281C9867DE53.zip'].map(
    (name) => new Uint8Array(Buffer.from(name)),
  );
}

/** The messages of a recorded device, where they are: certificates, requests, answers, zips. */
function recorded(): Uint8Array[] {
  if (SKIP_INTEROP !== false || !existsSync(INTEROP_DIR)) return [];
  const names = readdirSync(INTEROP_DIR, { recursive: true, encoding: 'utf8' });
  return names
    .filter((name) => /\.(oer|cert|bin)$/.test(name))
    .map((name) => join(INTEROP_DIR, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => new Uint8Array(readFileSync(path)));
}
