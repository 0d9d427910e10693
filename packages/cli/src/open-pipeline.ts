/** The pipeline of an RA where nobody answers devices: in a thread beside those that do, or in a worker. */
import {
  FollowedPolicy,
  type Log,
  Pipeline,
  type PipelineFigures,
  type PipelineHost,
  type PipelineOptions,
} from '@chrysalis/ra';
import { type AuditWriterName, openAudit } from './audit-parts.ts';
import type { ChrysalisConfig } from './config.ts';
import { openRaParts } from './ra-parts.ts';

/** How often it is looked for a new policy when nobody says that there is one. */
const LOOK_MS = 60_000;

export interface PipelinePlace {
  readonly config: ChrysalisConfig;
  readonly directory: string;
  readonly surroundings: Parameters<typeof openRaParts>[2] & { readonly log: Log };
  /** Whose series of the audit log is written. */
  readonly writer: AuditWriterName;
}

export interface OpenedPipeline {
  readonly pipeline: PipelineHost;
  /** What it says of itself, and what it works with. */
  readonly figures: PipelineFigures;
  readonly options: PipelineOptions;
  /** Takes the certificate and keys that lie there now. @throws when they will not do: nothing has changed then */
  readonly renew: (config: ChrysalisConfig) => Promise<void>;
  /** Ends after the step that is under way. */
  readonly stop: () => Promise<void>;
}

/** It is not started. What is opened is closed with `resources`. @throws CliError, AuthorityError, StoreError */
export async function openPipeline(
  { config, directory, surroundings, writer }: PipelinePlace,
  resources: AsyncDisposableStack,
): Promise<OpenedPipeline> {
  const { log } = surroundings;
  const parts = await openRaParts(config, directory, surroundings, resources);
  const audit = await openAudit(config, writer, parts, resources);
  const policy = new FollowedPolicy(parts, parts.ownPolicy);
  await policy.look();
  if (parts.isShared) policy.start();
  const options = { ...parts, ...(audit && { audit }), policy: policy.policy };
  const pipeline = new Pipeline(options);
  const wake = async () => {
    try {
      await policy.look();
    } catch (error) {
      log.error({ err: error }, 'no look at the policy');
    }
    pipeline.wake();
  };
  const timer = setInterval(() => void wake(), LOOK_MS);
  return {
    pipeline: {
      start: () => pipeline.start(),
      wake: () => void wake(),
      stop: () => pipeline.stop(),
    },
    figures: pipeline,
    options,
    renew: parts.renewIdentity,
    async stop() {
      clearInterval(timer);
      await policy.stop();
      await pipeline.stop();
    },
  };
}
