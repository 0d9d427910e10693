/** The PCA and both LAs of the pipeline benchmark, in a process of their own, so that their CPU time is not the RA's. */
import { join } from 'node:path';
import {
  createLinkageAuthority,
  hostnameOf,
  openPseudonymAuthority,
  readTestScms,
} from '@chrysalis/authorities';
import { systemRandom } from '@chrysalis/crypto';
import { type Clock, IPeriodClock } from '@chrysalis/scms';
import { trustOf } from '../test/support/device.ts';

export type AuthorityName = 'pca' | 'la1' | 'la2';

/** What the RA's process says; each is answered by one {@link FromAuthorities}, in any order. */
export type ToAuthorities =
  | {
      readonly type: 'requests';
      readonly id: number;
      readonly requests: readonly (readonly [AuthorityName, Uint8Array])[];
    }
  /** The clock of the run, as milliseconds ahead of this machine's. */
  | { readonly type: 'set-clock'; readonly id: number; readonly aheadMs: number };

export interface FromAuthorities {
  readonly id: number;
  /** In the order of the requests. */
  readonly answers: readonly Uint8Array[];
  /** CPU time of this process up to now, user and system. */
  readonly cpuUs: number;
}

const [directory] = process.argv.slice(2);
if (directory === undefined || process.send === undefined) {
  throw new TypeError('expected to be started by the benchmark');
}

let aheadMs = 0;
const clock: Clock = { now: () => Date.now() + aheadMs };
const scms = await readTestScms(directory);
const trust = trustOf(scms);
const random = systemRandom;
const la1 = { la: scms.la1, laId: scms.la1Id, sharedKey: scms.pcaLa1Key };
const la2 = { la: scms.la2, laId: scms.la2Id, sharedKey: scms.pcaLa2Key };
const pca = await openPseudonymAuthority({
  pca: scms.pca,
  trust,
  laKeys: new Map(
    [la1, la2].map(({ la, laId, sharedKey }) => [
      hostnameOf(la.certificate) ?? '',
      { key: sharedKey, laId },
    ]),
  ),
  iPeriods: new IPeriodClock(),
  clock,
  random,
  databaseUrl: `sqlite:${join(directory, 'pca.db')}`,
});
const laOf = {
  la1: createLinkageAuthority({ ...la1, chainKey: scms.la1ChainKey, trust, clock, random }),
  la2: createLinkageAuthority({ ...la2, chainKey: scms.la2ChainKey, trust, clock, random }),
};

process.on('message', async (message: ToAuthorities) => {
  let answers: Uint8Array[] = [];
  if (message.type === 'set-clock') {
    aheadMs = message.aheadMs;
  } else {
    answers = await Promise.all(
      message.requests.map(([name, octets]) =>
        name === 'pca'
          ? pca.requestCertificate(octets)
          : laOf[name].requestPreLinkageValues(octets),
      ),
    );
  }
  const { user, system } = process.cpuUsage();
  process.send?.({ id: message.id, answers, cpuUs: user + system } satisfies FromAuthorities);
});
process.on('disconnect', () => void pca.close());
