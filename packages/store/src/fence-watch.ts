import { isMoved, noteIn } from './copy-note.ts';
import { SqliteConnection } from './sqlite-connection.ts';
import { expectFile } from './sqlite-file.ts';

/** Sees whether a database is copied, and when it is fenced. */
export class FenceWatch {
  readonly #connection: SqliteConnection;

  private constructor(connection: SqliteConnection) {
    this.#connection = connection;
  }

  /** @throws StoreError `missing` */
  static async open(path: string): Promise<FenceWatch> {
    await expectFile(path);
    const connection = new SqliteConnection(path);
    connection.configureToLook();
    return new FenceWatch(connection);
  }

  get isMoved(): boolean {
    return isMoved(this.#connection);
  }

  /** Where a copy goes that was begun, as that has noted it. */
  get destination(): string | undefined {
    return noteIn(this.#connection)?.destination;
  }

  close(): void {
    this.#connection.close();
  }
}
