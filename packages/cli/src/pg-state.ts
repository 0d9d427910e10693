/** What the test PG keeps in a state directory: the global policy, and the versions of its two files. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { authorityDirectory } from '@chrysalis/authorities';
import { DEFAULT_GLOBAL_POLICY, type GlobalPolicyData } from '@chrysalis/scms';
import { writeFileDurably } from '@chrysalis/store/files';
import * as z from 'zod';
import { CliError } from './context.ts';
import { formatPolicy, parsePolicy } from './policy-text.ts';

/** Versions are Uint16. */
const version = z.int().min(1).max(0xffff);
const PolicyState = z.strictObject({
  version,
  policy: z.record(
    z.string(),
    z.strictObject({
      initial: z.string(),
      changes: z.array(z.strictObject({ at: z.string(), value: z.string() })),
    }),
  ),
});
const ChainState = z.strictObject({ version, digest: z.string() });
export type ChainState = z.output<typeof ChainState>;

export interface PolicyState {
  readonly version: number;
  readonly policy: GlobalPolicyData;
}

/** CAMP's defaults, version 1, until another policy is set. @throws CliError */
export async function readPolicyState(directory: string): Promise<PolicyState> {
  const path = policyPath(directory);
  const state = await readJson(path, PolicyState);
  if (state === undefined) return { version: 1, policy: DEFAULT_GLOBAL_POLICY };
  try {
    return { version: state.version, policy: parsePolicy(state.policy) };
  } catch (cause) {
    if (!(cause instanceof CliError)) throw cause;
    throw new CliError(`${path}: ${cause.message}`, { cause });
  }
}

/** Durable when it resolves. */
export async function writePolicyState(directory: string, state: PolicyState): Promise<void> {
  const { version, policy } = state;
  await writeJson(policyPath(directory), { version, policy: formatPolicy(policy) });
}

/** Of the GCCF that was made last. @throws CliError */
export function readChainState(directory: string): Promise<ChainState | undefined> {
  return readJson(chainPath(directory), ChainState);
}

/** Durable when it resolves. */
export function writeChainState(directory: string, state: ChainState): Promise<void> {
  return writeJson(chainPath(directory), state);
}

function policyPath(directory: string): string {
  return join(authorityDirectory(directory, 'pg'), 'policy.json');
}

function chainPath(directory: string): string {
  return join(authorityDirectory(directory, 'pg'), 'chain.json');
}

async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    if (!(cause instanceof SyntaxError || cause instanceof z.ZodError)) throw cause;
    throw new CliError(`${path}: expected what chrysalis writes there, saw something else`, {
      hint: 'a copy from before may help; the version in it must not go back',
      cause,
    });
  }
}

function writeJson(path: string, value: object): Promise<void> {
  return writeFileDurably(
    path,
    new TextEncoder().encode(`${JSON.stringify(value, undefined, 2)}\n`),
  );
}
