/**
 * This process's own standard streams and signals, for the command line.
 *
 * @module
 */

import { fstatSync } from "node:fs";
import process from "node:process";
import { MxpError } from "../base/errors.ts";
import { concatBytes } from "../base/bytes.ts";

/** A standard stream. */
export type StandardStream = "stdin" | "stdout" | "stderr";

/** Whether a standard stream is a terminal (and not a pipe or a file). */
export function isTerminal(stream: StandardStream): boolean {
  return process[stream].isTTY === true;
}

/**
 * Standard input as it comes, to its end. Nothing is read before the first chunk is asked for, and whoever leaves early
 * leaves nothing behind that keeps the process from ending.
 *
 * @throws {MxpError} `config` if it cannot be read, as a directory.
 */
export async function* stdinChunks(): AsyncGenerator<Uint8Array, void, undefined> {
  // Only errors of the reading arrive here: what goes wrong with whoever takes the chunks ends the generator from outside.
  try {
    // Node takes a directory for an empty file.
    if (isDirectory(0)) throw Object.assign(new Error("standard input is a directory"), { code: "EISDIR" });
    yield* rawStdin();
  } catch (cause) {
    const { code, message } = cause as { code?: string; message?: string };
    const reason = code === "EISDIR" ? "it is a directory" : message ?? String(cause);
    throw new MxpError("config", `cannot read standard input: ${reason}`, { cause });
  }
}

function isDirectory(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isDirectory();
  } catch {
    // Closed, or not a file of the system's at all: reading it will tell.
    return false;
  }
}

async function* rawStdin(): AsyncGenerator<Uint8Array, void, undefined> {
  // A read that process.stdin has begun cannot be taken back in Deno, and keeps the process until input comes.
  const own = (globalThis as { Deno?: { stdin: { readable: ReadableStream<Uint8Array> } } }).Deno?.stdin.readable;
  if (own !== undefined) {
    yield* streamChunks(own);
    return;
  }
  for await (const chunk of process.stdin) {
    // A stream that was given an encoding elsewhere yields text.
    const bytes = typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk as Uint8Array;
    yield new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  }
}

async function* streamChunks(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    void reader.cancel();
  }
}

/** All of standard input. Rejects with an MxpError `too_large` as soon as there is more than `limit` bytes. */
export async function readAllStdin(limit: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of stdinChunks()) {
    length += chunk.length;
    if (length > limit) {
      throw new MxpError("too_large", `standard input is longer than the maximum of ${limit} bytes`);
    }
    chunks.push(chunk);
  }
  return concatBytes(...chunks);
}

/** Whether somebody is still there to read. */
export type WriteResult = "written" | "closed";

/**
 * Writes to standard output and waits until the system has taken it, while everything else goes on. A reader that has gone away (`mxp … | head -1`) is a
 * result, not an error; all further writes then say `closed` as well. Rejects for everything else, such as a full disk.
 */
export function writeStdout(data: Uint8Array | string): Promise<WriteResult> {
  return write("stdout", data);
}

/** The same for standard error. */
export function writeStderr(data: Uint8Array | string): Promise<WriteResult> {
  return write("stderr", data);
}

const closedStreams = new Set<StandardStream>();
const watchedStreams = new Set<StandardStream>();

function write(name: "stdout" | "stderr", data: Uint8Array | string): Promise<WriteResult> {
  if (closedStreams.has(name)) return Promise.resolve("closed");
  if (data.length === 0) return Promise.resolve("written");
  const own = (globalThis as { Deno?: Record<"stdout" | "stderr", DenoStream> }).Deno?.[name];
  if (own !== undefined) return writeInDeno(name, own, data);
  const stream = process[name];
  if (!watchedStreams.has(name)) {
    watchedStreams.add(name);
    // The error also comes to the callback below; without a listener it would end the process.
    stream.on("error", (error: Error) => void isClosedPipe(name, error));
  }
  return new Promise((resolve, reject) => {
    const onWritten = (error?: Error | null): void => {
      if (!error) resolve("written");
      else if (isClosedPipe(name, error)) resolve("closed");
      else reject(error);
    };
    try {
      stream.write(data, onWritten);
    } catch (error) {
      onWritten(error as Error);
    }
  });
}

/** What Deno has of its own. */
interface DenoStream {
  write(data: Uint8Array): Promise<number>;
}

/** In Deno, `process.stdout` stops the whole process until whoever reads a pipe has made room. */
async function writeInDeno(
  name: "stdout" | "stderr",
  stream: DenoStream,
  data: Uint8Array | string,
): Promise<WriteResult> {
  let rest = typeof data === "string" ? new TextEncoder().encode(data) : data;
  try {
    while (rest.length > 0) rest = rest.subarray(await stream.write(rest));
    return "written";
  } catch (error) {
    if (isClosedPipe(name, error as Error)) return "closed";
    throw error;
  }
}

function isClosedPipe(name: StandardStream, error: Error): boolean {
  const { code } = error as { code?: string };
  const closed = code === "EPIPE" || code === "ERR_STREAM_DESTROYED" || code === "ECONNRESET";
  if (closed) closedStreams.add(name);
  return closed;
}

/** A request to end. */
export type TerminationSignal = "SIGINT" | "SIGTERM";

/** Calls back for every such signal, instead of ending the process. The returned function restores what was. */
export function onSignal(signal: TerminationSignal, callback: () => void): () => void {
  process.on(signal, callback);
  return () => {
    process.removeListener(signal, callback);
  };
}
