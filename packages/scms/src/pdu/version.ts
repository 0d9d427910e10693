import { type Codec, constrained } from '@chrysalis/coer';
import { Uint8 } from '@chrysalis/ieee1609dot2';

/** `Uint8 (1)`: the version of every CAMP structure. */
export const VersionOne = constrained(Uint8, 'Uint8 (1)', (version) => version === 1);

/** Stands at the place of a PDU that CAMP defines and this side never receives: it decodes to a refusal. */
export function notReceived(name: string): Codec<never> {
  return {
    name,
    minimumOctets: 1,
    read: (reader) =>
      reader.fail('unknown-alternative', `expected a PDU of this interface, saw ${name}`),
    write: (writer) =>
      writer.fail('unknown-alternative', `expected a PDU of this interface, saw ${name}`),
  };
}
