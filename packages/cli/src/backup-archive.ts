/** A backup: a tar archive (POSIX.1-2001, ustar and pax) of files, whose last member says what they have to be. */
import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { systemCodeOf } from '@chrysalis/store/files';
import { createTarDecoder, createTarPacker } from 'modern-tar';
import { z } from 'zod';
import { CliError } from './context.ts';

/** The name of the last member. */
export const MANIFEST = 'manifest.json';
/** Of what this program writes and reads; another is refused. */
const FORMAT = 1;
/** A line of it is 150 octets: two million files. */
const MAX_MANIFEST_OCTETS = 256 * 1024 * 1024;
/** Read and written at a time. */
const CHUNK_OCTETS = 256 * 1024;

const Member = z.strictObject({
  name: z.string().min(1).max(4096),
  /** Octets. */
  size: z.int().nonnegative(),
  /** Hex. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
export type Member = z.infer<typeof Member>;

const Manifest = z.strictObject({
  format: z.literal(FORMAT),
  /** Of the program that wrote it. */
  chrysalis: z.string().max(100),
  /** ISO 8601. */
  createdAt: z.string().max(100),
  kind: z.enum(['ra', 'authority']),
  /** For each database, the migrations that were applied to it. */
  databases: z.array(z.strictObject({ name: z.string(), migrations: z.array(z.string()) })),
  /** What the configuration names outside the state directory: it is not in the backup. */
  elsewhere: z.array(z.string()),
  members: z.array(Member),
});
export type Manifest = z.infer<typeof Manifest>;

/** A file on its way into an archive. */
export interface Source {
  readonly name: string;
  readonly path: string;
}

/** What the archive is made of, besides the members. */
export type About = Omit<Manifest, 'format' | 'members'>;

/**
 * Writes an archive. A source that is gone meanwhile is left out.
 *
 * @returns the manifest, and SHA-256 of the archive in hex
 * @throws CliError when a file shrinks while it is read; the errors of node:fs
 */
export async function writeArchive(
  file: FileHandle,
  sources: AsyncIterable<Source>,
  about: About,
): Promise<{ readonly manifest: Manifest; readonly sha256: string }> {
  const { readable, controller } = createTarPacker();
  const written = writeChunks(file, readable);
  // It is awaited below; until then it is nobody's.
  written.catch(() => {});
  const add = async (name: string, size: number, chunks: AsyncIterable<Uint8Array>) => {
    const hash = createHash('sha256');
    const writer = controller.add({ name, size, mode: 0o600 }).getWriter();
    for await (const chunk of chunks) {
      hash.update(chunk);
      await writer.write(chunk);
    }
    await writer.close();
    return { name, size, sha256: hash.digest('hex') };
  };
  try {
    const members: Member[] = [];
    for await (const { name, path } of sources) {
      await using source = await openIfPresent(path);
      if (source === undefined) continue;
      // What is appended meanwhile comes with the next backup.
      const { size } = await source.stat();
      members.push(await add(name, size, chunksOf(source, size, path)));
    }
    const manifest: Manifest = { format: FORMAT, ...about, members };
    const text = Buffer.from(`${JSON.stringify(manifest, undefined, 1)}\n`);
    await add(
      MANIFEST,
      text.length,
      (async function* () {
        yield text;
      })(),
    );
    controller.finalize();
    return { manifest, sha256: await written };
  } catch (error) {
    controller.error(error);
    // A disk that is full is the reason, and what the packer says of it is not.
    await written;
    throw error;
  }
}

/**
 * Reads an archive whole: each member goes to `take`, which is told of no name twice and of none that leads out of a
 * directory, and then the manifest is compared with what came.
 *
 * @throws CliError when it is no backup, is cut off, or has a member that its manifest does not have so
 */
export async function readArchive(
  path: string,
  take: (name: string, chunks: AsyncIterable<Uint8Array>) => Promise<void>,
): Promise<Manifest> {
  await using file = await open(path, 'r');
  const decoder = createTarDecoder({ strict: true });
  const bytes = file.readableWebStream({ autoClose: false }) as ReadableStream<Uint8Array>;
  const members = new Map<string, Member>();
  let manifest: Manifest | undefined;
  try {
    for await (const { header, body } of bytes.pipeThrough(decoder)) {
      const { name } = header;
      if (manifest !== undefined)
        throw new CliError(`expected nothing after ${MANIFEST}, saw ${name}`);
      if (name === MANIFEST) {
        manifest = await readManifest(body);
        continue;
      }
      if (header.type !== 'file' || !isPlainName(name) || members.has(name)) {
        throw new CliError(`expected files alone, each once, saw ${JSON.stringify(name)}`);
      }
      const hash = createHash('sha256');
      let size = 0;
      await take(
        name,
        (async function* () {
          for await (const chunk of body) {
            hash.update(chunk);
            size += chunk.length;
            yield chunk;
          }
        })(),
      );
      members.set(name, { name, size, sha256: hash.digest('hex') });
    }
  } catch (cause) {
    if (cause instanceof CliError) throw new CliError(`${path}: ${cause.message}`, { cause });
    if (systemCodeOf(cause) !== undefined) throw cause;
    const seen = cause instanceof Error ? cause.message : String(cause);
    throw new CliError(`${path}: expected a whole backup, saw: ${seen}`, { cause });
  }
  if (manifest === undefined) {
    throw new CliError(`${path}: expected a whole backup, saw one without ${MANIFEST}`);
  }
  compare(path, manifest, members);
  return manifest;
}

function compare(path: string, manifest: Manifest, members: Map<string, Member>): void {
  for (const expected of manifest.members) {
    const seen = members.get(expected.name);
    if (seen?.size !== expected.size || seen.sha256 !== expected.sha256) {
      const what = seen === undefined ? 'nothing' : `${seen.size} octets, ${seen.sha256}`;
      throw new CliError(
        `${path}: ${expected.name}: expected ${expected.size} octets, SHA-256 ${expected.sha256}, saw ${what}`,
      );
    }
    members.delete(expected.name);
  }
  const [more] = members.keys();
  if (more !== undefined) {
    throw new CliError(
      `${path}: expected what ${MANIFEST} names alone, saw ${JSON.stringify(more)}`,
    );
  }
}

async function readManifest(body: ReadableStream<Uint8Array>): Promise<Manifest> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > MAX_MANIFEST_OCTETS) {
      throw new CliError(`expected at most ${MAX_MANIFEST_OCTETS} octets of ${MANIFEST}`);
    }
    chunks.push(chunk);
  }
  let json: unknown;
  try {
    json = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch (cause) {
    throw new CliError(`expected JSON in ${MANIFEST}`, { cause });
  }
  const { format } = json as { format?: unknown };
  if (format !== FORMAT) {
    throw new CliError(`expected a backup of format ${FORMAT}, saw ${String(format)}`);
  }
  const { success, data, error } = Manifest.safeParse(json);
  if (success) return data;
  const [issue] = error.issues;
  throw new CliError(`${MANIFEST}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`);
}

/** One that stays in the directory that it is put into. */
function isPlainName(name: string): boolean {
  return (
    !name.includes('\\') &&
    !name.includes('\0') &&
    name.split('/').every((segment) => segment !== '' && segment !== '.' && segment !== '..')
  );
}

async function openIfPresent(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r');
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function* chunksOf(file: FileHandle, size: number, path: string): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < size; ) {
    // A buffer for each: what was handed on is not written yet.
    const chunk = new Uint8Array(Math.min(CHUNK_OCTETS, size - at));
    const { bytesRead } = await file.read(chunk, 0, chunk.length, at);
    if (bytesRead === 0) {
      throw new CliError(`expected ${size} octets in ${path}, saw it end after ${at}`);
    }
    at += bytesRead;
    yield chunk.subarray(0, bytesRead);
  }
}

async function writeChunks(file: FileHandle, chunks: ReadableStream<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of chunks) {
    hash.update(chunk);
    await file.writeFile(chunk);
  }
  return hash.digest('hex');
}
