/** authority.toml: the configuration of one authority in a process of its own. */
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import * as z from 'zod';
import { type CamelKeys, camelKeys, hostname, parseWith, path } from './config.ts';
import { CliError } from './context.ts';
import { AUTHORITY_CONFIG_FILE } from './state-directory.ts';

export { AUTHORITY_CONFIG_FILE };

/** Written first by `authority export` and removed last: a directory that has it is not to be run yet. */
export const EXPORT_MARKER = '.chrysalis-export';

/** The authorities that run in processes of their own, and the ports they get; CAMP gives them none. */
export const AUTHORITY_PORTS = { pca: 8901, la1: 8902, la2: 8903 } as const;
export type ServableAuthority = keyof typeof AUTHORITY_PORTS;
export const SERVABLE_AUTHORITIES = ['pca', 'la1', 'la2'] as const;

const Schema = z.strictObject({
  authority: z.strictObject({
    name: z.enum(SERVABLE_AUTHORITIES),
    listen: z.union([z.ipv4(), z.ipv6()], 'expected an IP address'),
    port: z.int().min(0).max(65_535),
    'tls-cert': path,
    'tls-key': path,
  }),
  clients: z.strictObject({
    'x509-root': path,
    names: z.array(hostname).min(1),
  }),
  trust: z.strictObject({
    roots: z.array(path).min(1),
    intermediates: z.array(path),
    ra: path,
  }),
  hostnames: z.strictObject({ pca: hostname, la1: hostname, la2: hostname }),
  iperiod: z.strictObject({
    epoch: z.int().min(0).max(0xffff_ffff),
    'length-sec': z.int().min(3600).multipleOf(3600, 'expected whole hours'),
  }),
});

export type AuthorityConfigFile = z.input<typeof Schema>;
export type AuthorityConfig = CamelKeys<z.output<typeof Schema>>;

/** Reads the configuration; every path becomes absolute. @throws CliError naming key, expected and seen */
export async function loadAuthorityConfig(directory: string): Promise<AuthorityConfig> {
  const file = join(directory, AUTHORITY_CONFIG_FILE);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    throw new CliError(
      `expected the directory of an authority, saw no ${AUTHORITY_CONFIG_FILE} in ${directory}`,
      { hint: 'chrysalis authority export makes one; --dir names another', cause },
    );
  }
  const config = camelKeys(parseWith(Schema, text, file));
  const { authority, clients, trust } = config;
  const at = (name: string) => resolve(directory, name);
  return {
    ...config,
    authority: { ...authority, tlsCert: at(authority.tlsCert), tlsKey: at(authority.tlsKey) },
    clients: { ...clients, x509Root: at(clients.x509Root) },
    trust: {
      roots: trust.roots.map(at),
      intermediates: trust.intermediates.map(at),
      ra: at(trust.ra),
    },
  };
}

/** The text of the file, each key with its meaning. */
export function authorityConfigText(config: AuthorityConfigFile): string {
  const { authority, clients, trust, hostnames, iperiod } = config;
  const text = (value: string | readonly string[]) => JSON.stringify(value);
  return `# The configuration of an authority of a Chrysalis test SCMS, for \`chrysalis authority serve ${authority.name}\`.
# Made by \`chrysalis authority export\`. Relative paths start at this file.

[authority]
# "pca", "la1" or "la2". Its keys lie in authorities/<name>.
name = ${text(authority.name)}
listen = ${text(authority.listen)}
# 0 takes one that is free.
port = ${authority.port}
# TLS: the certificate for its name, and the key, PEM.
tls-cert = ${text(authority['tls-cert'])}
tls-key = ${text(authority['tls-key'])}

[clients]
# Who may connect: certificates that end in this X.509 root and bear one of these names, those of RAs.
x509-root = ${text(clients['x509-root'])}
names = ${text(clients.names)}

[trust]
# IEEE 1609.2: the roots, what stands below them, and the RA that may ask.
roots = ${text(trust.roots)}
intermediates = ${text(trust.intermediates)}
ra = ${text(trust.ra)}

[hostnames]
# What PCA and LAs are called in messages.
pca = ${text(hostnames.pca)}
la1 = ${text(hostnames.la1)}
la2 = ${text(hostnames.la2)}

[iperiod]
# As the RA counts: the start of i-period 0 in TAI seconds since 2004-01-01, and the length.
epoch = ${iperiod.epoch}
length-sec = ${iperiod['length-sec']}
`;
}
