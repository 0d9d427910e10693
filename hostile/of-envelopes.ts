/** Attacks on what devices send: envelopes, signatures, certificates, times, file names. None needs an enrollment of its own. */
import { encode } from '@chrysalis/coer';
import { systemRandom as random } from '@chrysalis/crypto';
import {
  encryptForCertificate,
  type HashedCertificate,
  Ieee1609Dot2Data,
} from '@chrysalis/ieee1609dot2';
import type { EeRaRequest } from '@chrysalis/scms';
import { pseudonymRequest, signedBy, type TestDevice } from '../test/support/device.ts';
import { getOf, postOf } from '../test/support/device-line.ts';
import { type Arena, PROVISION } from './arena.ts';
import { base64, below, changed, octets, pick } from './chance.ts';
import type { Kind } from './kind.ts';

type Signing = Pick<TestDevice, 'certificate' | 'key'>;

const HOUR = 3600;
/**
 * A change that leaves everything as it was: the r of a signature may stand as a point or as its x-coordinate alone (1609.2
 * §6.3.29), so that one signature has three encodings, all of them right.
 */
const OR_SERVED = [200, 500];

/** A provisioning request or one for a file, as a device would make it. */
function requestOf(arena: Arena, device: TestDevice, time = arena.now()): EeRaRequest {
  const filename = pick([arena.batchOf(arena.me), `${arena.me.hash}.info`]);
  return pick<EeRaRequest>([
    pseudonymRequest(device, time),
    { type: 'download', timestamp: time, filename },
  ]);
}

/** Where each belongs: a body, or base64 in a header. */
function inPlace(request: EeRaRequest['type'], envelope: Uint8Array): Buffer {
  if (request !== 'download') return postOf(PROVISION, envelope);
  const path = pick(['/download/batch', '/download/info']);
  return getOf(path, { 'Download-Req': base64(envelope) });
}

/** Signs a request, does something with it, seals it, does something with that. */
function asks(
  arena: Arena,
  how: {
    readonly by?: Signing;
    readonly to?: HashedCertificate;
    readonly time?: number;
    readonly inside?: (signed: Uint8Array) => Uint8Array;
    readonly outside?: (sealed: Uint8Array) => Uint8Array;
  },
): Promise<string> {
  const { by = arena.me.device, to = arena.certificate, time = arena.now() } = how;
  const { inside = (signed) => signed, outside = (sealed) => sealed } = how;
  const request = requestOf(arena, arena.me.device, time);
  const sealed = encryptForCertificate(inside(signedBy(by, request)), to, random);
  return arena.sockets.talk(inPlace(request.type, outside(sealed)));
}

export const OF_ENVELOPES: readonly Kind[] = [
  {
    name: 'no envelope',
    does: 'posts random octets, or a signed request that is not encrypted',
    attack(arena) {
      const request = pseudonymRequest(arena.me.device, arena.now());
      const body = pick([octets(2000), signedBy(arena.me.device, request)]);
      return arena.sockets.talk(postOf(PROVISION, body));
    },
  },
  {
    name: 'truncated envelope',
    does: 'cuts a correct envelope off, anywhere',
    attack: (arena) =>
      asks(arena, { outside: (sealed) => sealed.subarray(0, below(sealed.length)) }),
  },
  {
    name: 'changed envelope',
    does: 'changes one to three places of a correct envelope',
    attack: (arena) =>
      asks(arena, {
        outside(sealed) {
          const mutant = changed(sealed);
          return Buffer.compare(mutant, sealed) === 0 ? mutant.subarray(1) : mutant;
        },
      }),
  },
  {
    name: 'wrong recipient',
    does: 'encrypts a correct request to another certificate of this SCMS, or of another',
    attack(arena) {
      const { scms } = arena.ra;
      return asks(arena, {
        to: pick([scms.ma.certificate, scms.pca.certificate, arena.elsewhere.ra.certificate]),
      });
    },
  },
  {
    name: 'envelopes in envelopes',
    does: 'seals a sealed request, up to eight times',
    attack: (arena) =>
      asks(arena, {
        inside(signed) {
          let inner = signed;
          for (let n = below(8); n >= 0; n -= 1) {
            inner = encryptForCertificate(inner, arena.certificate, random);
          }
          return inner;
        },
      }),
  },
  {
    name: 'garbage in an envelope',
    does: 'seals random octets, or a few kilobytes of one octet',
    attack(arena) {
      const inner = pick([octets(1000), new Uint8Array(below(8000)).fill(below(256))]);
      return asks(arena, { inside: () => inner });
    },
  },
  {
    name: 'changed request',
    does: 'changes a signed request and seals it correctly: certificate, fields, signature',
    mayGet: OR_SERVED,
    attack: (arena) =>
      asks(arena, {
        inside(signed) {
          const mutant = changed(signed);
          return Buffer.compare(mutant, signed) === 0 ? mutant.subarray(1) : mutant;
        },
      }),
  },
  {
    name: 'changed inner value',
    does: 'changes the SignedCertificateRequest inside correct wrappings',
    mayGet: OR_SERVED,
    attack: (arena) =>
      asks(arena, {
        inside(signed) {
          // Version, content and length of the opaque value, which are made anew around it.
          const inner = signed.subarray(4);
          const mutant = changed(inner);
          const value = Buffer.compare(mutant, inner) === 0 ? mutant.subarray(1) : mutant;
          return encode(Ieee1609Dot2Data, {
            protocolVersion: 3,
            content: { type: 'signedCertificateRequest', value },
          });
        },
      }),
  },
  {
    name: 'wrong signature',
    does: 'signs with its own key beside the certificate of another device, as it is seen nowhere',
    attack: (arena) =>
      asks(arena, {
        by: { certificate: arena.other.device.certificate, key: arena.me.device.key },
      }),
  },
  {
    name: 'unknown ECA',
    does: 'comes with an enrollment certificate of an ECA under another root',
    attack: (arena) => asks(arena, { by: arena.stranger }),
  },
  {
    name: 'no enrollment certificate',
    does: 'signs with the certificate and the key of an authority of this SCMS, which it has stolen',
    attack(arena) {
      const { pca, ma, eca } = arena.ra.scms;
      const { certificate, signingKey: key } = pick([pca, ma, eca]);
      return asks(arena, { by: { certificate, key } });
    },
  },
  {
    name: 'expired certificate',
    does: 'comes with an enrollment certificate that ended a year ago',
    attack: (arena) => asks(arena, { by: arena.expired }),
  },
  {
    name: 'wrong time',
    does: 'signs times that are long ago, far ahead, or just beyond the tolerance',
    attack(arena) {
      const now = arena.now();
      const time = pick([0, 1, now - 30, now + 30, now - HOUR, now + 8760 * HOUR, 0xffff_ffff]);
      return asks(arena, { time });
    },
  },
];
