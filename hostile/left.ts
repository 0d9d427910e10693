/** The connections that an RA has open, as Linux sees them: whose they are, and what they wait for. */
import { readFile } from 'node:fs/promises';

/** include/net/tcp_states.h. One in TIME_WAIT is nobody's any more, and one that is listened on no connection. */
const STATES: Readonly<Record<string, string>> = {
  '01': 'established',
  '03': 'half open',
  '04': 'closed by the RA, which waits for its peer',
  '05': 'closed by the RA, which waits for its peer',
  '08': 'closed by its peer, and not by the RA',
  '09': 'closed by its peer, and not yet by the RA',
  '0B': 'closing',
};
const TABLES = ['/proc/net/tcp', '/proc/net/tcp6'];

/**
 * One line for each.
 *
 * @param whose says of a peer's port who has it
 */
export async function connectionsOf(
  port: number,
  whose: (peerPort: number) => string,
): Promise<string[]> {
  const tables = await Promise.all(TABLES.map((path) => readFile(path, 'utf8').catch(() => '')));
  return tables.flatMap((table) => connectionsIn(table, port, whose));
}

/** As {@link connectionsOf}, of a table as it stands in /proc. Pure. */
export function connectionsIn(
  table: string,
  port: number,
  whose: (peerPort: number) => string,
): string[] {
  return table
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, local, peer, state = '', queues = ''] = line.trim().split(/\s+/);
      const what = STATES[state];
      if (what === undefined || portOf(local) !== port) return [];
      const [toSend, toRead] = queues.split(':').map((hex) => Number.parseInt(hex, 16));
      return [`${whose(portOf(peer))}: ${what}, ${toRead} octets to read, ${toSend} to send`];
    });
}

function portOf(address = ''): number {
  return Number.parseInt(address.slice(address.indexOf(':') + 1), 16);
}
