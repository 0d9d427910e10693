/** All kinds of attack. */
import type { Kind } from './kind.ts';
import { OF_CONNECTIONS } from './of-connections.ts';
import { OF_DEVICES } from './of-devices.ts';
import { OF_ENVELOPES } from './of-envelopes.ts';
import { OF_HTTP } from './of-http.ts';
import { OF_SERVICES } from './of-services.ts';

export const KINDS: readonly Kind[] = [
  ...OF_CONNECTIONS,
  ...OF_HTTP,
  ...OF_SERVICES,
  ...OF_ENVELOPES,
  ...OF_DEVICES,
];
