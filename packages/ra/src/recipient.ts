import { equalConstantTime } from '@chrysalis/crypto';
import {
  type EncryptedData,
  endOfValidity,
  recipientIdOf,
  type Time32,
} from '@chrysalis/ieee1609dot2';
import type { RaIdentity } from './options.ts';

/** The RA as it is, or as it was when the data name a certificate of then whose time is not over. */
export function recipientOf(
  identity: RaIdentity,
  encrypted: EncryptedData,
  now: Time32,
): Pick<RaIdentity, 'certificate' | 'decrypter'> {
  const named = recipientIdOf(encrypted);
  const former = identity.former?.find(
    ({ certificate }) => named && equalConstantTime(certificate.id, named),
  );
  if (former === undefined) return identity;
  const { validityPeriod } = former.certificate.certificate.toBeSigned;
  const { until = Number.POSITIVE_INFINITY } = former;
  return now < Math.min(until, endOfValidity(validityPeriod)) ? former : identity;
}
