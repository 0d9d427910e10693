/**
 * The LCCF that a fielded device accepted. The recording is not part of the project: the suite runs where it lies
 * ($CHRYSALIS_INTEROP_DIR, or ../shared/interop/obu-client beside the project).
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { decode, encode } from '@chrysalis/coer';
import { Certificate, checkValidAt } from '@chrysalis/ieee1609dot2';
import { adoptLocalChainFile, composeLocalChainFile, ScmsFile } from '@chrysalis/scms';

const FOLDER =
  process.env.CHRYSALIS_INTEROP_DIR ??
  path.resolve(import.meta.dirname, '../../../../shared/interop/obu-client');
const skip = existsSync(FOLDER) ? false : `SKIPPED: no recording of a device in ${FOLDER}`;
if (skip) console.error(`recorded-chain-file: ${skip}`);

function read(name: string): Uint8Array {
  return Uint8Array.from(readFileSync(path.join(FOLDER, name)));
}

/** When the device asked. */
const RECORDED = 722_380_099;

describe('a recorded LCCF', { skip }, () => {
  for (const name of [
    'enrolment/LCCF.oer',
    'http/11-GET-download_local-certificate-chain.response.bin',
  ]) {
    test(`${name} decodes, and encodes to the same octets`, () => {
      const octets = read(name);
      const file = decode(ScmsFile, octets);
      assert.ok(file.content.type === 'certChain');
      assert.ok(file.content.value.type === 'localCertificateChainFile');
      const { version } = file.content.value.value;
      assert.deepEqual(version, { gccfVersion: 1, lccfVersion: 1, raHostname: 'ra.test' });
      assert.deepEqual(encode(ScmsFile, file), octets);
    });

    test(`${name} is adopted by whoever knows the root, and made again of its parts`, () => {
      const octets = read(name);
      const roots = [decode(Certificate, read('pki/rca.oer'))];
      // Its MA may issue more than its ICA: a strict verifier refuses it, unless the owner vouches for it.
      assert.throws(() => adoptLocalChainFile(octets, roots), {
        code: 'outside-issuer-permissions',
      });
      const pinned = [decode(Certificate, read('pki/ma.oer'))];
      const adopted = adoptLocalChainFile(octets, roots, { pinned });
      for (const certificate of [adopted.ma, ...adopted.certs]) {
        checkValidAt(certificate, RECORDED);
      }
      assert.deepEqual(composeLocalChainFile(adopted.version, adopted.store), octets);
    });
  }
});
