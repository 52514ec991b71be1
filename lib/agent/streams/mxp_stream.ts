/**
 * An agent stream as applications hold it, on either side.
 *
 * @module
 */

import { MxpError } from "../../base/errors.ts";
import type { StreamBody } from "./stream_body.ts";

/** What a stream takes: text is sent as UTF-8. */
export type StreamData = Uint8Array | ArrayBuffer | string;

/** Bytes that wait in `writable` before its `desiredSize` is used up; the transport's own buffer comes on top. */
const WRITABLE_HIGH_WATER_MARK = 65_536;
/** Most bytes that `text` and `bytes` collect. */
const MAX_COLLECTED = 1 << 30;

const encoder = new TextEncoder();

/** What a stream is made of. */
export interface MxpStreamParts {
  readonly stream: StreamBody;
  /** The agent stream's UUID as text. */
  readonly id: string;
  /** 16 hex digits. */
  readonly traceId: string;
  /** Resets both sides. */
  readonly cancel: (reason: unknown) => void;
  /** Stops reading, as `break` does: an opener that does not want the rest cancels the stream. */
  readonly stopReading: () => void;
  /** Settles when both halves are over. */
  readonly closed: Promise<void>;
}

/**
 * A stream of chunks in both directions. `Client.stream` opens one, a stream handler gets one.
 *
 * Both directions feel backpressure end to end: {@link write} and {@link writable} wait for the other side's credit, and
 * what nobody reads here is not asked for. A chunk that is written leaves in the same turn of the event loop.
 *
 * Read it in one of these ways: `for await`, {@link text}, {@link bytes}, {@link readable}. Leaving a loop early cancels the
 * stream for who opened it; in a handler it only says that no more is read.
 *
 * @example
 * ```ts
 * import { connect, serve } from "../../../mod.ts";
 * await using server = await serve({ listen: "127.0.0.1:0" }, {
 *   stream: async function* (stream) {
 *     for await (const chunk of stream) yield new TextDecoder().decode(chunk).toUpperCase();
 *   },
 * });
 * await using client = await connect(server.url);
 * const stream = client.stream();
 * await stream.write("hello");
 * await stream.close();
 * console.log(await stream.text()); // HELLO
 * ```
 */
export class MxpStream implements AsyncIterable<Uint8Array<ArrayBuffer>>, AsyncDisposable {
  readonly #parts: MxpStreamParts;
  #readable: ReadableStream<Uint8Array<ArrayBuffer>> | undefined;
  #writable: WritableStream<StreamData> | undefined;
  /** Names the stream in messages: a UUID. */
  readonly id: string;
  /** Ties log lines on both sides together: 16 hex digits. */
  readonly traceId: string;
  /** Settles when both directions have ended, however. Never rejects. */
  readonly closed: Promise<void>;

  /** Streams are made by `Client.stream` and by servers. */
  constructor(parts: MxpStreamParts) {
    this.#parts = parts;
    this.id = parts.id;
    this.traceId = parts.traceId;
    this.closed = parts.closed;
  }

  /** What the other side sends. Errors with an {@link MxpError}. */
  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#readable ??= this.#makeReadable();
  }

  /** What we send; each chunk written is a chunk of the stream. Closing ends our direction, aborting cancels the stream. */
  get writable(): WritableStream<StreamData> {
    return this.#writable ??= this.#makeWritable();
  }

  /** False where a unidirectional stream is answered: only who opened it sends chunks. */
  get mayWrite(): boolean {
    return this.#parts.stream.mayWrite;
  }

  /** Bytes that were read and written here, the chunks' own. */
  get transferred(): { readonly read: number; readonly written: number } {
    const { bytesRead, bytesWritten } = this.#parts.stream;
    return { read: bytesRead, written: bytesWritten };
  }

  /** How often it went on over another connection: more than 0 only with the option `resume`. */
  get resumptions(): number {
    return this.#parts.stream.resumptions;
  }

  /**
   * Sends a chunk (of more than 64 KiB: several). Settles when the transport has taken it, which is at once while the other
   * side keeps up.
   *
   * @throws {MxpError} why the stream failed; `closed` if the other side wants no more; `usage` after {@link close}.
   */
  write(data: StreamData): Promise<void> {
    if (this.#writable?.locked) return Promise.reject(locked("writable"));
    let bytes: Uint8Array;
    try {
      bytes = toBytes(data);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#parts.stream.write(bytes);
  }

  /** Ends our direction; the other one goes on. */
  close(): Promise<void> {
    if (this.#writable === undefined) return this.#parts.stream.end(0, "");
    return this.#writable.locked ? Promise.reject(locked("writable")) : this.#writable.close();
  }

  /** Gives the stream up on both sides. Whoever reads or writes gets an error `cancelled`. Harmless on one that is over. */
  cancel(reason?: unknown): void {
    this.#parts.cancel(reason);
  }

  /** All that is left to read, as text. @throws {MxpError} `agent_error` if it is not UTF-8. */
  async text(): Promise<string> {
    const bytes = await this.bytes();
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } catch (cause) {
      throw new MxpError("agent_error", `the stream (${bytes.length} bytes) is not valid UTF-8; use bytes`, { cause });
    }
  }

  /** All that is left to read. @throws {MxpError} `too_large` for more than 1 GiB, which is cancelled then. */
  async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of this) {
      length += chunk.length;
      if (length > MAX_COLLECTED) throw new MxpError("too_large", `the stream has more than ${MAX_COLLECTED} bytes`);
      chunks.push(chunk);
    }
    const whole = new Uint8Array(length);
    let at = 0;
    for (const chunk of chunks) {
      whole.set(chunk, at);
      at += chunk.length;
    }
    return whole;
  }

  /** Chunk by chunk, as they were written. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
    if (this.#readable?.locked) throw locked("readable");
    const { stream, stopReading } = this.#parts;
    let finished = false;
    try {
      for (;;) {
        const chunk = await stream.read();
        if (chunk === undefined) break;
        yield chunk as Uint8Array<ArrayBuffer>;
      }
      finished = true;
    } finally {
      if (!finished) stopReading();
    }
  }

  /** Cancels the stream unless it is over. */
  [Symbol.asyncDispose](): Promise<void> {
    this.cancel();
    return this.closed;
  }

  #makeReadable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    const { stream, stopReading } = this.#parts;
    // A high water mark of 0: the transport is only asked for what somebody waits for.
    return new ReadableStream({
      async pull(controller) {
        const chunk = await stream.read();
        if (chunk === undefined) controller.close();
        else controller.enqueue(chunk as Uint8Array<ArrayBuffer>);
      },
      cancel: () => stopReading(),
    }, { highWaterMark: 0 });
  }

  #makeWritable(): WritableStream<StreamData> {
    const { stream, cancel } = this.#parts;
    return new WritableStream<StreamData>({
      write: (data) => stream.write(toBytes(data)),
      close: () => stream.end(0, ""),
      abort: (reason) => cancel(reason),
    }, { highWaterMark: WRITABLE_HIGH_WATER_MARK, size: sizeOf });
  }
}

/** The bytes of a chunk. @throws {MxpError} `usage` for what is none. */
export function toBytes(data: StreamData): Uint8Array {
  if (typeof data === "string") return encoder.encode(data);
  if (data instanceof Uint8Array) return data;
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  throw new MxpError("usage", `a chunk must be text or bytes, got ${data === null ? "null" : typeof data}`);
}

/** At least 1, so that empty chunks count for something. */
function sizeOf(data: StreamData | undefined): number {
  if (data === undefined) return 1;
  return Math.max(1, typeof data === "string" ? data.length : data.byteLength);
}

function locked(what: string): MxpError {
  return new MxpError("usage", `the stream's ${what} is in use; use that`);
}
