/** HAProxy and nginx in front of RA nodes, as `examples/` has them, on loopback and on ports of a test. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

/** What CI sets: a test that cannot have them fails. */
const REQUIRE = 'CHRYSALIS_REQUIRE_HAPROXY';
const EXAMPLES = join(import.meta.dirname, '../../examples');
/** Debian's nginx has what passes TLS through as a module. */
const STREAM_MODULE = '/usr/lib/nginx/modules/ngx_stream_module.so';
const START_MS = 20_000;
const LOOK_MS = 50;

const isRequired = process.env[REQUIRE] === '1';
const isThere = (program: string) => spawnSync(program, ['-v']).status === 0;

/** For `skip` of node:test: why there is none; false when there is one, or has to be. */
export const withoutHaproxy: string | false =
  !isThere('haproxy') && !isRequired && 'no HAProxy on this machine';
export const withoutNginx: string | false =
  !(isThere('nginx') && existsSync(STREAM_MODULE)) &&
  !isRequired &&
  'no nginx with its stream module on this machine';

export interface Balancer {
  readonly port: number;
  /** What it has said. */
  log(): string;
  close(): Promise<void>;
}

export interface BalancerPlace {
  /** Where its configuration is written. */
  readonly directory: string;
  readonly port: number;
  /** Three. */
  readonly nodes: readonly number[];
}

/** All devices of a test come from one address, which would make them all one node's: they take turns. */
export async function startHaproxy(place: BalancerPlace): Promise<Balancer> {
  const file = join(place.directory, 'haproxy.cfg');
  const text = configurationOf('haproxy/haproxy.cfg', place, [
    ['bind :8892', `bind 127.0.0.1:${place.port}`],
    ['maxconn 20000', 'maxconn 2000'],
    [/balance source\n +hash-type consistent/, 'balance roundrobin'],
    [/# CRLs[\s\S]*$/, ''],
  ]);
  await writeFile(file, text);
  return startBalancer('haproxy', ['-db', '-f', file], place.port);
}

export async function startNginx(place: BalancerPlace): Promise<Balancer> {
  const { directory, port } = place;
  const file = join(directory, 'nginx.conf');
  const text = configurationOf('nginx/nginx.conf', place, [
    ['listen 8892', `listen 127.0.0.1:${port}`],
    ['worker_connections 20000', 'worker_connections 512'],
    ['worker_rlimit_nofile 65536;', ''],
    [/hash \$remote_addr consistent;/, ''],
    [/ {2}# CRLs[\s\S]*$/, '}\n'],
  ]);
  const own = `load_module ${STREAM_MODULE};\npid nginx.pid;\nerror_log stderr;\n`;
  await writeFile(file, own + text);
  const args = ['-p', directory, '-c', file, '-e', 'stderr', '-g', 'daemon off;'];
  return startBalancer('nginx', args, port);
}

/** The example, with other addresses. */
function configurationOf(
  example: string,
  { nodes }: BalancerPlace,
  changes: readonly (readonly [string | RegExp, string])[],
): string {
  let text = readFileSync(join(EXAMPLES, example), 'utf8');
  const addresses = nodes.map((port, n) => [`10.0.0.1${n + 1}:8892`, `127.0.0.1:${port}`] as const);
  for (const [what, instead] of [...changes, ...addresses]) {
    const changed = text.replace(what, instead);
    assert.notEqual(changed, text, `${what} in ${example}`);
    text = changed;
  }
  return text;
}

/** Starts a program that listens; resolves when it does. @throws Error */
async function startBalancer(
  program: string,
  args: readonly string[],
  port: number,
): Promise<Balancer> {
  if (!isThere(program)) throw new Error(`${REQUIRE} is set: expected ${program}, saw none`);
  const child = spawn(program, [...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (said += text));
  const gone = once(child, 'close');
  const deadline = performance.now() + START_MS;
  while (!(await answers(port))) {
    if (child.exitCode !== null) throw new Error(`expected ${program} to start, saw ${said}`);
    if (performance.now() > deadline) throw new Error(`expected ${program} to listen: ${said}`);
    await setTimeout(LOOK_MS);
  }
  return {
    port,
    log: () => said,
    async close() {
      child.kill('SIGTERM');
      await gone;
    },
  };
}

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
