/**
 * The known-bad control of a soak: loaded into an RA before its own code, loses as many octets with each connection as the
 * environment says, so that the verdict has something to find.
 */
import { channel } from 'node:diagnostics_channel';

const octets = Number(process.env.CHRYSALIS_SOAK_LEAK);
const lost: Uint8Array[] = [];
channel('net.server.socket').subscribe(() => {
  lost.push(new Uint8Array(octets).fill(1));
});
