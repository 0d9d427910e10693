/** Three RA nodes and two workers as processes on one PostgreSQL and one S3, behind HAProxy; PCA and LAs beside them. */
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { type Balancer, startHaproxy } from './balancers.ts';
import { freePort } from './free-port.ts';
import { Mortal } from './mortal.ts';
import { command, editConfig, makeScms, type Supply } from './mortal-scms.ts';

export const NODES = ['node1', 'node2', 'node3'] as const;
export const WORKERS = ['worker1', 'worker2'] as const;
export type ClusterName = (typeof NODES)[number] | (typeof WORKERS)[number];

export interface Cluster {
  readonly processes: Readonly<Record<ClusterName, Mortal>>;
  readonly authorities: readonly Mortal[];
  readonly balancer: Balancer;
  /** State directories of nodes and workers. */
  readonly directories: readonly string[];
}

export interface ClusterPlace extends Supply {
  readonly root: string;
  readonly databaseUrl: string;
  readonly objectsUrl: string;
}

/** Nothing is started but the balancer. `root`/ra is as the nodes are, with the balancer's port: for enrollment and commands. */
export async function makeCluster(place: ClusterPlace): Promise<Cluster> {
  const { root, databaseUrl, objectsUrl } = place;
  const { pca, la1, la2 } = await makeScms(root, place);
  const state = join(root, 'ra');
  const port = await freePort();
  await editConfig(state, /^url = "sqlite:.*$/m, `url = "${databaseUrl}"`);
  await editConfig(state, /^url = "file:.*$/m, `url = "${objectsUrl}"`);
  await editConfig(state, /^# public-url = .*$/m, `public-url = "https://localhost:${port}"`);
  await command(['--dir', state, 'migrate']);
  const processes: Partial<Record<ClusterName, Mortal>> = {};
  const ports: number[] = [];
  for (const name of [...NODES, ...WORKERS]) {
    const directory = join(root, name);
    await cp(state, directory, { recursive: true });
    const own = await freePort();
    await editConfig(directory, RA_PORT, `$1${own}`);
    const isNode = name.startsWith('node');
    if (isNode) ports.push(own);
    // The first node does both.
    const roles = isNode ? ['serve', ...(name === NODES[0] ? [] : ['--no-pipeline'])] : ['worker'];
    const argv = ['--dir', directory, '--json', ...roles, '--log-level', 'warn'];
    processes[name] = new Mortal(name, argv, { respawns: true });
  }
  await editConfig(state, RA_PORT, `$1${port}`);
  return {
    processes: processes as Record<ClusterName, Mortal>,
    authorities: [pca, la1, la2],
    balancer: await startHaproxy({ directory: root, port, nodes: ports }),
    directories: [...NODES, ...WORKERS].map((name) => join(root, name)),
  };
}

/** The first port is that of the RA. */
const RA_PORT = /(^\[ra\][\s\S]*?^port = )\d+$/m;
