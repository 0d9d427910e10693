/** What has to be carried from one CompositeCrl into the next, which lists everything again. */
import type { Revocation } from '@chrysalis/authorities';
import { decode } from '@chrysalis/coer';
import { signedPayload, type Time32 } from '@chrysalis/ieee1609dot2';
import { CompositeCrl, CrlContents } from '@chrysalis/scms';

/** All entries of a CompositeCrl of our own. */
export function continuedRevocations(composite: Uint8Array): Revocation[] {
  return contentsOf(composite).flatMap(({ crlSeries, typeSpecific }): Revocation[] => {
    if (typeSpecific.type === 'fullHashCrl') {
      const { entries } = typeSpecific.value;
      return entries.map(({ id, expiry }) => ({ type: 'certificate', id, crlSeries, expiry }));
    }
    if (typeSpecific.type !== 'fullLinkedCrl') return [];
    const { iRev: i, individual = [] } = typeSpecific.value;
    return individual.flatMap(({ jmax: jMax, contents }) =>
      contents.flatMap(({ la1Id, la2Id, contents: groups }) =>
        groups.flatMap(({ iMax, contents: devices }) =>
          devices.map(({ linkageSeed1, linkageSeed2 }): Revocation => {
            const seeds = { la1Id, la2Id, linkageSeed1, linkageSeed2 };
            return { type: 'linkage', i, iMax, jMax, ...seeds };
          }),
        ),
      ),
    );
  });
}

/** When the first of its CRLs was issued: all are at once. */
export function issueDateOf(composite: Uint8Array): Time32 {
  return Math.min(...contentsOf(composite).map(({ issueDate }) => issueDate));
}

function contentsOf(composite: Uint8Array): CrlContents[] {
  return decode(CompositeCrl, composite).securedCrlSeries.map(({ content }) => {
    if (content.type !== 'signedData') throw new TypeError('expected a signed CRL');
    return decode(CrlContents, signedPayload(content.value));
  });
}
