/**
 * Port: where a profile's files lie. Names are relative, with `/` between a folder and a file.
 * One process at a time writes (see `lockProfile`), except that any may add a report.
 *
 * What an attacker gains who reads it: every key of the device. Who changes it: nothing but a
 * device that no longer works, because all that comes from outside is verified again when read
 * (certificates, bundle) or is bound to keys that have to match (batches).
 */
export interface ProfileStorage {
  /** The octets of a file, undefined when there is none. @throws EeError `storage` */
  read(name: string): Promise<Uint8Array | undefined>;

  /**
   * Replaces a file. When it resolves, the octets survive a power cut; whoever looks after a crash
   * sees the old file whole or the new one whole.
   *
   * @throws EeError `storage`; the file may have been replaced nevertheless
   */
  write(name: string, octets: Uint8Array): Promise<void>;

  /**
   * Adds to the end of a file, which is made when it is missing. Not durable: a crash may lose any
   * part of the end. For partial downloads only, which can be fetched again.
   *
   * @throws EeError `storage`
   */
  append(name: string, octets: Uint8Array): Promise<void>;

  /** Removes a file; that it was absent is no error. @throws EeError `storage` */
  remove(name: string): Promise<void>;

  /** The names of the files in a folder, without it; empty when it is missing. @throws EeError `storage` */
  list(folder: string): Promise<string[]>;
}
