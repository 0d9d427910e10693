/** Servers that answer with the same octets always, each a process of its own: what TLS and HTTP cost without an RA. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { freePort } from '../test/support/free-port.ts';
import { childrenOf } from './process-cost.ts';

/** The one with node:crypto does what is native besides. */
export type ReferenceName = 'node:https' | 'nginx' | 'node:https + node:crypto';

/** Something that answers `GET /` over TLS. */
export interface ReferenceServer {
  readonly name: ReferenceName;
  readonly pid: number;
  readonly port: number;
  stop(): Promise<void>;
}

/** PEM files. */
export interface TlsFiles {
  readonly certificate: string;
  readonly key: string;
}

/** The suites of TLS 1.2 that the RA prefers; 1.3 brings its own. */
const NGINX_CIPHERS = 'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-SHA256';
const LOOK_MS = 20;
const LOOKS = 250;

/** Each in a file of its own. */
const NODE_SERVERS = {
  'node:https': 'static-server.ts',
  'node:https + node:crypto': 'crypto-server.ts',
} as const;

export async function startNodeServer(
  name: keyof typeof NODE_SERVERS,
  tls: TlsFiles,
  octets: number,
): Promise<ReferenceServer> {
  const file = join(import.meta.dirname, NODE_SERVERS[name]);
  const child = spawn(process.execPath, [file, tls.certificate, tls.key, String(octets)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const [port] = (await once(lines, 'line')) as [string];
  return {
    name,
    pid: child.pid as number,
    port: Number(port),
    stop: () => stop(child),
  };
}

/** One worker of nginx; undefined where there is none. `directory` is there, and is its own. */
export async function startNginx(
  tls: TlsFiles,
  octets: number,
  directory: string,
): Promise<ReferenceServer | undefined> {
  if (!isInstalled()) return undefined;
  const port = await freePort();
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, 'answer'), Buffer.alloc(octets, 0x5a));
  await writeFile(join(directory, 'nginx.conf'), nginxConfiguration(tls, port, directory));
  const child = spawn('nginx', ['-p', directory, '-c', join(directory, 'nginx.conf')], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  for (let look = 0; look < LOOKS; look += 1) {
    const [worker] = childrenOf(child.pid as number);
    // The master only looks after its worker.
    if (worker !== undefined) return { name: 'nginx', pid: worker, port, stop: () => stop(child) };
    await setTimeout(LOOK_MS);
  }
  throw new Error('expected nginx to start');
}

function isInstalled(): boolean {
  try {
    execFileSync('nginx', ['-v'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function nginxConfiguration(tls: TlsFiles, port: number, directory: string): string {
  // Where the master is root, its worker is nobody, who may not read the directory.
  const user = process.getuid?.() === 0 ? 'user root;\n' : '';
  return `${user}daemon off;
worker_processes 1;
error_log stderr error;
pid ${directory}/pid;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;
  keepalive_requests 1000000;
  large_client_header_buffers 4 16k;
  open_file_cache max=16;
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${tls.certificate};
    ssl_certificate_key ${tls.key};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_ciphers ${NGINX_CIPHERS};
    ssl_ecdh_curve prime256v1;
    ssl_session_cache shared:bench:8m;
    root ${directory};
    location / { try_files /answer =404; }
  }
}
`;
}

async function stop(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
}
