import { EeError, type ProfileStorage } from '../src/index.ts';

/** A profile in memory. Each change is a step, and a step may be the last thing the process does. */
export class MemoryStorage implements ProfileStorage {
  readonly files: Map<string, Uint8Array>;
  /** Changes so far. */
  steps = 0;
  /** The step at which the power goes: this one and all after it fail. */
  dieAt = Infinity;
  /** Whether the last step still reaches the disk. */
  isAppliedBeforeDeath = false;

  constructor(files: ReadonlyMap<string, Uint8Array> = new Map()) {
    this.files = new Map(files);
  }

  /** What is on disk, for the next life. */
  reborn(): MemoryStorage {
    return new MemoryStorage(this.files);
  }

  async read(name: string): Promise<Uint8Array | undefined> {
    this.#live();
    return this.files.get(name)?.slice();
  }

  async write(name: string, octets: Uint8Array): Promise<void> {
    this.#step(() => this.files.set(name, octets.slice()));
  }

  async append(name: string, octets: Uint8Array): Promise<void> {
    this.#step(() =>
      this.files.set(
        name,
        new Uint8Array(Buffer.concat([this.files.get(name) ?? new Uint8Array(0), octets])),
      ),
    );
  }

  async remove(name: string): Promise<void> {
    this.#step(() => this.files.delete(name));
  }

  async list(folder: string): Promise<string[]> {
    this.#live();
    const prefix = `${folder}/`;
    return [...this.files.keys()]
      .filter((name) => name.startsWith(prefix))
      .map((name) => name.slice(prefix.length))
      .sort();
  }

  #step(change: () => unknown): void {
    this.steps += 1;
    if (this.steps < this.dieAt) change();
    else if (this.steps === this.dieAt && this.isAppliedBeforeDeath) change();
    this.#live();
  }

  #live(): void {
    if (this.steps >= this.dieAt) throw new EeError('storage', 'the power is gone');
  }
}
