/**
 * The few file operations that the library and the command line need, the same on every runtime.
 *
 * Errors are the runtime's own, with a POSIX name in `code` (`ENOENT`, `EEXIST`, `EACCES`, …); callers say what they
 * were doing.
 *
 * @module
 */

import type { Stats } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { mkdir, open, readdir, rename, stat, unlink } from "node:fs/promises";
import { devNull, homedir } from "node:os";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import process from "node:process";
import { concatBytes, toHex } from "../base/bytes.ts";

const OWNER_ONLY_FILE = 0o600;
const OWNER_ONLY_DIRECTORY = 0o700;
/** Permissions of group and others. */
const NOT_OWNER = 0o077;

/** The most that is read of a file unless something else is said. */
const MAX_FILE = 16 << 20;
/** Read at a time. */
const PIECE = 1 << 16;

/**
 * Reads a whole file, or what comes out of a pipe.
 *
 * Rejects with code `EFBIG` if there are more than `limit` bytes, and `EINVAL` for what may have no end, such as a device; the
 * null device is empty.
 */
export async function readBytes(path: string, limit = MAX_FILE): Promise<Uint8Array> {
  if (path === devNull) return new Uint8Array(0);
  // Before it is opened, which does things to some devices.
  const info = await stat(path);
  const kind = kindOf(info);
  if (kind === "directory") throw failure("EISDIR", "it is a directory");
  if (kind === "other") throw failure("EINVAL", "it is not a regular file");
  if (info.size > limit) throw tooLarge(limit);
  const file = await open(path, "r");
  try {
    const pieces: Uint8Array[] = [];
    let length = 0;
    for (;;) {
      // Sizes may be wrong by now, and pipes have none.
      const piece = new Uint8Array(PIECE);
      const { bytesRead } = await file.read(piece, 0, PIECE, null);
      if (bytesRead === 0) return concatBytes(...pieces);
      length += bytesRead;
      if (length > limit) throw tooLarge(limit);
      pieces.push(piece.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}

/** Reads a whole file as UTF-8; bytes that are not become U+FFFD. Rejects as {@link readBytes} does. */
export async function readText(path: string, limit = MAX_FILE): Promise<string> {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(await readBytes(path, limit));
}

/** What a path can lead to; `other` are devices and sockets. */
export type FileKind = "file" | "pipe" | "directory" | "other";

/** What a path leads to. Rejects if it cannot be examined. */
export async function fileKind(path: string): Promise<FileKind> {
  return kindOf(await stat(path));
}

function kindOf(info: Stats): FileKind {
  if (info.isFile()) return "file";
  if (info.isFIFO()) return "pipe";
  return info.isDirectory() ? "directory" : "other";
}

function failure(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

function tooLarge(limit: number): Error {
  return failure("EFBIG", `it is larger than ${limit} bytes, which is the most that is read`);
}

/**
 * Writes a file that only its owner may read (mode 0600), durably and as a whole: whatever happens, the path holds the
 * old content, or the new, or nothing if it held nothing.
 *
 * Missing parent directories are made, with mode 0700. With `durable: false` a power failure may still take the file back: that costs no
 * waiting for the disk. Without `overwrite` an existing file (also a dangling symbolic
 * link) is an error with code `EEXIST`; with it, the file is replaced, and so gets mode 0600 whatever it had.
 *
 * @example
 * ```ts
 * import { mkdtemp, rm } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 * import { join } from "node:path";
 * import { isPrivate, writeSecretFile } from "./files.ts";
 *
 * const folder = await mkdtemp(join(tmpdir(), "mxp-"));
 * await writeSecretFile(join(folder, "identity"), "a private key", { overwrite: false });
 * console.log(await isPrivate(join(folder, "identity"))); // true
 * await rm(folder, { recursive: true });
 * ```
 */
export async function writeSecretFile(
  path: string,
  text: string,
  options: { overwrite?: boolean; durable?: boolean } = {},
): Promise<void> {
  const { overwrite = false, durable = true } = options;
  const directory = dirname(resolve(path));
  await mkdir(directory, { recursive: true, mode: OWNER_ONLY_DIRECTORY });
  if (overwrite) await replaceFile(path, directory, text, durable);
  else await createFile(path, text, durable);
  if (durable) await syncDirectory(directory);
}

/** The names in a directory, in no order; none if it does not exist. */
export async function listDirectory(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return [];
    throw error;
  }
}

/** Removes a file; whether it was there. Of several processes that do so at the same time, one is told so. */
export async function removeFile(path: string): Promise<boolean> {
  try {
    await unlink(path);
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return false;
    throw error;
  }
}

/** Adds a line to a log that only its owner may read (made with mode 0600 if it is missing). See {@link LineAppender}. */
export async function appendLine(path: string, line: string): Promise<void> {
  const appender = await LineAppender.open(path);
  try {
    await appender.append(line);
  } finally {
    await appender.close();
  }
}

/**
 * A file that grows by lines. Each line is one write to a file opened for appending (O_APPEND), which POSIX puts behind
 * all others as a whole: several processes can share the file without a lock. Calls of one appender keep their order.
 */
export class LineAppender {
  readonly #file: FileHandle;
  #last: Promise<void> = Promise.resolve();

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  /** Opens a file for appending, made with mode 0600 if it is missing. */
  static async open(path: string): Promise<LineAppender> {
    return new LineAppender(await open(path, "a", OWNER_ONLY_FILE));
  }

  /** Appends one line; the end of line is added. Throws a RangeError if the line has one inside. */
  append(line: string): Promise<void> {
    if (/[\r\n]/.test(line)) return Promise.reject(new RangeError("a line cannot contain a line break"));
    const bytes = new TextEncoder().encode(line + "\n");
    const written = this.#last.then(async () => {
      const { bytesWritten } = await this.#file.write(bytes, 0, bytes.length);
      // Only a full disk cuts a write to a file short; what is there cannot be taken back.
      if (bytesWritten < bytes.length) throw Object.assign(new Error("disk full: line cut short"), { code: "ENOSPC" });
    });
    this.#last = written.catch(() => {});
    return written;
  }

  /** Waits for what is on its way and closes the file. Idempotent. */
  async close(): Promise<void> {
    await this.#last;
    await this.#file.close();
  }
}

/**
 * Whether only its owner has any permission on a file or directory. Always true on Windows, whose access control lists
 * the mode does not show. Rejects if the file cannot be examined.
 */
export async function isPrivate(path: string): Promise<boolean> {
  const { mode } = await stat(path);
  return process.platform === "win32" || (mode & NOT_OWNER) === 0;
}

/** Whether something exists at a path. Rejects for any other reason not to know, such as missing permission. */
export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "ENOENT" || code === "ENOTDIR") return false;
    throw error;
  }
}

/**
 * Where this user's identity and known peers are kept: `$XDG_CONFIG_HOME/mxp` if that variable holds an absolute path (others
 * count as unset, XDG Base Directory Specification), else `~/.config/mxp`. Nothing is created.
 */
export function configDirectory(environment: Readonly<Record<string, string | undefined>> = process.env): string {
  const configured = environment.XDG_CONFIG_HOME;
  if (configured !== undefined && isAbsolute(configured)) return join(configured, "mxp");
  return join(homeDirectory(environment), ".config", "mxp");
}

/** `$HOME`, or what the system knows about this user. */
export function homeDirectory(environment: Readonly<Record<string, string | undefined>> = process.env): string {
  const home = environment.HOME;
  return home !== undefined && isAbsolute(home) ? home : homedir();
}

async function createFile(path: string, text: string, durable: boolean): Promise<void> {
  const file = await open(path, "wx", OWNER_ONLY_FILE);
  try {
    await writeAndClose(file, text, durable);
  } catch (error) {
    // Half a key is worse than none, and would stand in the way of the next attempt.
    await unlink(path).catch(() => {});
    throw error;
  }
}

async function replaceFile(path: string, directory: string, text: string, durable: boolean): Promise<void> {
  // In the same directory, since a rename across file systems would not be atomic; unguessable, so that nobody waits there.
  const suffix = toHex(crypto.getRandomValues(new Uint8Array(8)));
  const temporary = join(directory, `.${basename(path)}.${suffix}.tmp`);
  try {
    await createFile(temporary, text, durable);
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw error;
  }
}

async function writeAndClose(file: FileHandle, text: string, durable: boolean): Promise<void> {
  try {
    await file.writeFile(text, "utf8");
    if (durable) await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes a new name durable. Not every system lets a directory be opened; the file itself is safe already. */
async function syncDirectory(directory: string): Promise<void> {
  try {
    const handle = await open(directory, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch {
    // See above.
  }
}
