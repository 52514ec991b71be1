/**
 * Brings the resumable streams of a client back when their connection, or the agent behind it, was lost.
 *
 * @module
 */

import type { MxpError } from "../../base/errors.ts";
import type { Random } from "../../base/random.ts";
import { StreamError } from "../../wire/error_codes.ts";
import { pauseBefore } from "../pause.ts";
import { isFinal } from "../registry/registration.ts";
import type { ResumableOutgoing } from "./resumable_outgoing.ts";
import type { Session } from "../session.ts";

/** Pauses between attempts double up to this: less than for a registration, because somebody waits. */
const LONGEST_PAUSE_MS = 4_000;

/** A connection to the node. */
export interface ResumerLink {
  readonly session: Session;
  readonly close: () => Promise<void>;
}

/** What a resumer is made from. */
export interface StreamResumerParts {
  /** The client's own; it is not closed here. */
  readonly session: Session;
  /** Another connection to the same node, with the same key. */
  readonly reconnect: (signal: AbortSignal) => Promise<ResumerLink>;
  readonly random: Random;
}

/** One for a client. All its streams share the connection that takes the lost one's place. */
export class StreamResumer {
  readonly #parts: StreamResumerParts;
  /** The connection that takes the place of the client's own. */
  #successor: ResumerLink | undefined;
  readonly #streams = new Set<ResumableOutgoing>();
  readonly #waiting = new Set<ResumableOutgoing>();
  #attempt = 0;
  #isRunning = false;
  /** Ends the pause or the attempt under way, when nobody waits for it any more. */
  #giveUp: (() => void) | undefined;
  #isClosed = false;

  constructor(parts: StreamResumerParts) {
    this.#parts = parts;
  }

  /** A stream has been opened. */
  add(stream: ResumableOutgoing): void {
    this.#streams.add(stream);
  }

  /** A stream has lost its connection, or was told to try again; false if it cannot be brought back. */
  onLost(stream: ResumableOutgoing): boolean {
    if (this.#isClosed) return false;
    this.#waiting.add(stream);
    if (!this.#isRunning) void this.#run();
    return true;
  }

  /** A stream goes on. */
  onResumed(): void {
    this.#attempt = 0;
  }

  /** A stream is over. */
  remove(stream: ResumableOutgoing): void {
    this.#streams.delete(stream);
    this.#waiting.delete(stream);
    if (this.#waiting.size === 0) this.#giveUp?.();
    if (this.#streams.size === 0) void this.#closeSuccessor();
  }

  /** The client is closed here: nothing is brought back any more. Settles when no connection is left. */
  async close(error: MxpError): Promise<void> {
    this.#isClosed = true;
    for (const stream of [...this.#streams]) stream.stream.fail(error, StreamError.CANCELLED);
    await this.#closeSuccessor();
  }

  async #closeSuccessor(): Promise<void> {
    const successor = this.#successor;
    this.#successor = undefined;
    await successor?.close();
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#waiting.size > 0) {
      const stop = new AbortController();
      this.#giveUp = () => stop.abort();
      await pauseBefore(this.#attempt++, this.#parts.random, stop.signal, LONGEST_PAUSE_MS);
      const session = this.#waiting.size > 0 ? await this.#session(stop.signal) : undefined;
      this.#giveUp = undefined;
      if (session === undefined) continue;
      const streams = [...this.#waiting];
      this.#waiting.clear();
      for (const stream of streams) stream.tryAgain(session.streams);
    }
    this.#isRunning = false;
  }

  /** A connection that stands; undefined if there is none now. */
  async #session(signal: AbortSignal): Promise<Session | undefined> {
    const { session, reconnect } = this.#parts;
    if (session.closeReason === undefined) return session;
    if (this.#successor?.session.closeReason === undefined && this.#successor !== undefined) {
      return this.#successor.session;
    }
    await this.#closeSuccessor();
    try {
      const link = await reconnect(signal);
      if (this.#streams.size > 0) {
        this.#successor = link;
        return link.session;
      }
      await link.close();
    } catch (error) {
      // Who is refused once will be refused again; everything else may pass.
      if (isFinal(error)) { for (const stream of [...this.#waiting]) stream.stream.fail(error); }
    }
    return undefined;
  }
}
