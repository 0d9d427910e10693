import { Blacklist } from './blacklist.ts';
import { BlacklistChanges } from './blacklist-changes.ts';
import { HorizonWarnings } from './horizon-warnings.ts';
import { LocalFiles } from './local-files.ts';
import { Membership } from './membership.ts';
import { MisbehaviorReports } from './misbehavior-reports.ts';
import { OperatorsView } from './operators-view.ts';
import type { RaOptions, RaSettings } from './options.ts';
import { Pipeline, type PipelineHost } from './pipeline.ts';

/**
 * What an RA does behind the answers, and once for all processes: the files of the PG, the pipeline, reports on their way to the
 * MA, lines of the audit log that somebody left, the look at what runs out. Of several nodes one makes the files and hands reports on; when it is gone, the next.
 */
export class BackOffice {
  /** With the policy in force. */
  readonly options: RaOptions;
  readonly files: LocalFiles;
  readonly pipeline: PipelineHost;
  readonly blacklist: Blacklist;
  readonly #changes: BlacklistChanges | undefined;
  readonly #reports: MisbehaviorReports | undefined;
  readonly #horizon: HorizonWarnings;
  /** Among the nodes; undefined when there is one. */
  readonly #membership: Membership | undefined;

  /** @param onFile called when there is a new policy or chain file */
  constructor(settings: RaSettings, onFile?: () => void) {
    this.#membership = settings.isShared
      ? new Membership({ ...settings, role: 'files' })
      : undefined;
    const isFirst = () => this.#membership?.isFirst ?? true;
    this.files = new LocalFiles(settings, onFile, isFirst);
    this.options = { ...settings, policy: this.files.policy };
    this.pipeline = settings.pipeline ?? new Pipeline(this.options);
    const { audit, database } = settings;
    this.#changes = audit && new BlacklistChanges({ ...this.options, audit });
    this.blacklist = new Blacklist(database, this.#changes);
    this.#reports = settings.ma && new MisbehaviorReports(this.options, settings.ma, isFirst);
    this.#horizon = new HorizonWarnings(this.options, new OperatorsView(this.options));
  }

  /** Resolves when the first chains are in the PLV cache, if the LAs are there: a device that comes now finds one. */
  async start(): Promise<void> {
    try {
      await this.#membership?.start();
      await this.files.start();
      await this.pipeline.start();
      await this.#horizon.start();
      this.#reports?.start();
      this.#changes?.start();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Looks again what is due. */
  wake(): void {
    this.pipeline.wake();
    void this.files.wake();
    void this.#reports?.wake();
    void this.#horizon.wake();
    this.#changes?.wake();
  }

  /** Resolves when the files that name the RA's certificate were made anew, or tried. */
  renewed(): Promise<void> {
    this.pipeline.renewed?.();
    return this.files.renew();
  }

  /** Each ends after the step that is under way. */
  async stop(): Promise<void> {
    await this.#horizon.stop();
    await this.#changes?.stop();
    await this.files.stop();
    await this.#reports?.stop();
    await this.pipeline.stop();
    await this.#membership?.stop();
  }
}
