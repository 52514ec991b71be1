/**
 * What a caller may hand over as a body, and a handler as an answer: turned into bytes, within a limit.
 *
 * @module
 */

import { MxpError } from "../base/errors.ts";
import { MAX_PAYLOAD_BYTES } from "../codec/message_header.ts";

/** A body. A message has one length, so whatever comes in pieces is collected before it is sent. */
export type CallBody =
  | string
  | Uint8Array
  | ArrayBuffer
  | AsyncIterable<Uint8Array | string>
  | Iterable<Uint8Array>
  | ReadableStream<Uint8Array>;

const encoder = new TextEncoder();
const EMPTY = new Uint8Array(0);

/** Ends the collecting of a body from outside. */
export class Collecting {
  /** Once set, no further chunk is asked for. */
  stopped = false;
  /** Gives the source back; set while it is being read. */
  release: (() => void) | undefined = undefined;

  /** Stops; the promise for the body may never settle, or settle with anything. */
  stop(): void {
    this.stopped = true;
    this.release?.();
  }
}

/** Whether a value can be a body, as opposed to an options object. */
export function isCallBody(value: unknown): value is CallBody {
  if (typeof value === "string") return true;
  if (typeof value !== "object" || value === null) return false;
  return value instanceof Uint8Array || value instanceof ArrayBuffer || Symbol.asyncIterator in value ||
    Symbol.iterator in value || isReadable(value);
}

/**
 * What `call` was given. Two arguments of which the second is an options object are body and options; in every other case of
 * two or three the first is the method.
 *
 * @throws {MxpError} `usage` for a method that is none.
 */
export function callArguments<O extends { readonly method?: string }>(
  first: CallBody | undefined,
  second: CallBody | O | undefined,
  third: O | undefined,
  count: number,
  none: O,
): { readonly method: string | undefined; readonly body: CallBody | undefined; readonly options: O } {
  const hasMethod = third !== undefined || (second !== undefined && isCallBody(second)) || count > 2;
  if (!hasMethod) {
    const options = (second as O | undefined) ?? none;
    return { method: options.method, body: first, options };
  }
  if (typeof first !== "string") throw new MxpError("usage", `a method is text, got ${typeof first}`);
  return { method: first, body: second as CallBody | undefined, options: third ?? none };
}

/**
 * The bytes of a body: at once if they are there, else a promise for them. Bytes are not copied.
 *
 * @param what names the body in errors.
 * @throws {MxpError} `too_large` (or rejects with it) as soon as there are more than `limit` bytes; a stream is
 * cancelled then.
 * @throws {TypeError} for what is not a body.
 */
export function bodyBytes(
  body: CallBody | undefined | void,
  limit: number,
  what: string,
  collecting?: Collecting,
): Uint8Array | Promise<Uint8Array> {
  if (body instanceof Uint8Array) return within(body, limit, what);
  if (typeof body === "string") return within(body === "" ? EMPTY : encoder.encode(body), limit, what);
  if (body === undefined) return EMPTY;
  if (body instanceof ArrayBuffer) return within(new Uint8Array(body), limit, what);
  if (typeof body === "object" && body !== null) {
    if (Symbol.asyncIterator in body) {
      return collect(body as AsyncIterable<Uint8Array | string>, limit, what, collecting);
    }
    if (isReadable(body)) return collect(readerChunks(body), limit, what, collecting);
    if (Symbol.iterator in body) return collect(body as Iterable<Uint8Array>, limit, what, collecting);
  }
  const seen = body === null ? "null" : typeof body;
  throw new TypeError(`${what} must be text, bytes or an iterable of them, got ${seen} (JSON.stringify objects first)`);
}

/**
 * {@link bodyBytes} for whoever does nothing else meanwhile; undefined as soon as the signal says that nobody wants the body any more.
 *
 * @param watchEnd calls back when it has no use any more for another reason; its result takes that back.
 * @throws {MxpError} `too_large` (or rejects with it). @throws {TypeError} for what is not a body. Rejects with whatever the source throws.
 */
export function bodyUnlessAborted(
  body: CallBody | undefined,
  limit: number,
  what: string,
  signal: AbortSignal | undefined,
  watchEnd?: (onEnd: () => void) => () => void,
): Uint8Array | undefined | Promise<Uint8Array | undefined> {
  if (signal?.aborted) return undefined;
  const collecting = new Collecting();
  const bytes = bodyBytes(body, limit, what, collecting);
  if (bytes instanceof Uint8Array) return bytes;
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      resolve(undefined);
      collecting.stop();
    };
    const forget = watchEnd?.(stop);
    signal?.addEventListener("abort", stop, { once: true });
    bytes.then(resolve, reject).finally(() => {
      forget?.();
      signal?.removeEventListener("abort", stop);
    });
  });
}

/** The error for a body of more than `limit` bytes. */
export function tooLarge(what: string, limit: number): MxpError {
  return new MxpError("too_large", `${what} is larger than ${limit} bytes`, { nothingDone: true });
}

/** The same for an event, whose other fields count as well. */
export function eventTooLarge(otherBytes: number): MxpError {
  const text =
    `the event's data and topic are larger than ${MAX_PAYLOAD_BYTES} bytes together: with this topic, the data ` +
    `may have ${MAX_PAYLOAD_BYTES - otherBytes} bytes`;
  return new MxpError("too_large", text, { nothingDone: true });
}

function within(bytes: Uint8Array, limit: number, what: string): Uint8Array {
  if (bytes.length > limit) throw tooLarge(what, limit);
  return bytes;
}

function isReadable(value: object): value is ReadableStream<Uint8Array> {
  return "getReader" in value && typeof value.getReader === "function";
}

/** For runtimes whose streams are not iterable. */
async function* readerChunks(stream: ReadableStream<Uint8Array>): AsyncIterable<Uint8Array> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

async function collect(
  chunks: AsyncIterable<Uint8Array | string> | Iterable<Uint8Array>,
  limit: number,
  what: string,
  collecting: Collecting = new Collecting(),
): Promise<Uint8Array> {
  const iterator: AsyncIterator<unknown> | Iterator<unknown> = Symbol.asyncIterator in chunks
    ? chunks[Symbol.asyncIterator]()
    : chunks[Symbol.iterator]();
  const release = (): void => {
    collecting.release = undefined;
    // Whatever the source does about it must not surface here.
    void Promise.resolve().then(() => iterator.return?.()).catch(() => {});
  };
  collecting.release = release;
  const parts: Uint8Array[] = [];
  let length = 0;
  try {
    while (!collecting.stopped) {
      const { done, value } = await iterator.next();
      if (done) {
        collecting.release = undefined;
        return join(parts, length);
      }
      const part = typeof value === "string" ? encoder.encode(value) : value;
      if (!(part instanceof Uint8Array)) {
        throw new TypeError(`${what} yields ${typeof part}; expected text or bytes (Uint8Array)`);
      }
      length += part.length;
      if (length > limit) throw tooLarge(what, limit);
      parts.push(part);
    }
  } catch (error) {
    if (collecting.release === release) release();
    throw error;
  }
  throw new MxpError("cancelled", `${what} is not wanted any more`);
}

function join(parts: readonly Uint8Array[], length: number): Uint8Array {
  if (parts.length === 1) return parts[0];
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
