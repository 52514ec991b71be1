/**
 * What a call gives back.
 *
 * @module
 */

import { MxpError } from "../../base/errors.ts";
import { formatId64 } from "../../mesh/id_sequence.ts";

/** When things happened, in milliseconds since `call` was called. */
export interface ReplyTiming {
  /** The last byte of the request had been handed to the transport. */
  readonly sentMs: number;
  /** The first byte of the answer was there. */
  readonly firstByteMs: number;
  /** The answer was complete. */
  readonly doneMs: number;
}

/** What {@link Reply} is made from. Times are microseconds. */
export interface ReplyParts {
  readonly startedAt: number;
  readonly sentAt: number;
  readonly firstByteAt: number;
  readonly doneAt: number;
  readonly idHigh: number;
  readonly idLow: number;
  readonly traceHigh: number;
  readonly traceLow: number;
  readonly early: boolean;
}

/** Which of several attempts it was. */
export interface ReplyAttempt {
  /** All of them. */
  readonly whole: { readonly attempts: number };
  /** When the first began, in microseconds. */
  readonly startedAt: number;
}

const decoder = new TextDecoder("utf-8", { fatal: true });

/**
 * An agent's answer.
 *
 * @example
 * ```ts
 * import { connect, serve } from "../../../mod.ts";
 * await using server = await serve({ listen: "127.0.0.1:0" }, (payload) => payload);
 * await using client = await connect(server.url);
 * const reply = await client.call("hello");
 * console.log(reply.text(), reply.timing.doneMs);
 * ```
 */
export class Reply {
  /** The answer's bytes; the caller's to keep. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #parts: ReplyParts;
  readonly #startedAt: number;
  /** How many attempts had been made when it came: above 1 only for calls with `retry` or `hedge`. */
  readonly attempts: number;

  /** Replies are made by `Client.call`. */
  constructor(bytes: Uint8Array, parts: ReplyParts, attempt?: ReplyAttempt) {
    this.bytes = bytes as Uint8Array<ArrayBuffer>;
    this.#parts = parts;
    this.#startedAt = attempt?.startedAt ?? parts.startedAt;
    this.attempts = attempt?.whole.attempts ?? 1;
  }

  /** Whether the question went along with the first UDP datagram of the connection, and was taken there. */
  get early(): boolean {
    return this.#parts.early;
  }

  /** The answer as text. @throws {MxpError} `agent_error` if it is not valid UTF-8. */
  text(): string {
    try {
      return decoder.decode(this.bytes);
    } catch (cause) {
      throw new MxpError("agent_error", `the answer (${this.bytes.length} bytes) is not valid UTF-8; use bytes`, {
        cause,
      });
    }
  }

  /** The answer as JSON. @throws {MxpError} `agent_error` if it is not. */
  json<T = unknown>(): T {
    try {
      return JSON.parse(this.text()) as T;
    } catch (cause) {
      if (cause instanceof MxpError) throw cause;
      throw new MxpError("agent_error", `the answer (${this.bytes.length} bytes) is not JSON`, { cause });
    }
  }

  /** Ties log lines on both sides together: 16 hex digits. */
  get traceId(): string {
    return formatId64(this.#parts.traceHigh, this.#parts.traceLow);
  }

  /** The call's message id, 16 hex digits. */
  get messageId(): string {
    return formatId64(this.#parts.idHigh, this.#parts.idLow);
  }

  /** When things happened. */
  get timing(): ReplyTiming {
    const { sentAt, firstByteAt, doneAt } = this.#parts;
    const startedAt = this.#startedAt;
    return {
      sentMs: (sentAt - startedAt) / 1000,
      firstByteMs: (firstByteAt - startedAt) / 1000,
      doneMs: (doneAt - startedAt) / 1000,
    };
  }
}
