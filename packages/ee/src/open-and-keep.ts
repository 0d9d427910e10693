import type { CertificateFolder, StoredBatch } from './certificate-folder.ts';
import type { CertificateKind } from './download-url.ts';
import type { OpenedBatch } from './open-batch.ts';
import type { Progress } from './progress.ts';

export interface OpenAndKeepOptions {
  readonly kind: CertificateKind;
  readonly i: number;
  readonly folder: CertificateFolder;
  /** What opened of this file before. */
  readonly held: StoredBatch | undefined;
  /** How many certificates the policy promises for each period. */
  readonly expected?: number;
  readonly open: () => OpenedBatch;
  readonly report: (progress: Progress) => void;
}

/** Opens a zip that lies in the profile, and keeps what came out. @throws what `open` throws */
export async function openAndKeep(options: OpenAndKeepOptions): Promise<OpenedBatch> {
  const { kind, i, folder, held, report, expected } = options;
  let opened: OpenedBatch;
  try {
    opened = options.open();
  } catch (error) {
    // Not to be found again by the next call, which would never get past it.
    await folder.removeZip(i);
    throw error;
  }
  const { certificates, failures } = opened;
  // A batch that got worse does not take away certificates that opened before.
  if (certificates.length >= (held?.certificates.length ?? 0)) await folder.saveOpened(opened);
  report({
    type: 'opened',
    kind,
    i,
    certificates: certificates.length,
    failures: failures.length,
    ...(expected !== undefined && { expected }),
  });
  return opened;
}
