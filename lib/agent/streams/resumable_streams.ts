/**
 * The resumable streams that one answerer serves: kept while their openers have no connection, for a while (SPEC §8.13).
 *
 * @module
 */

import { MxpError } from "../../base/errors.ts";
import type { Random } from "../../base/random.ts";
import { type Clock, type Micros, millis } from "../../base/time.ts";
import { formatUuid } from "../../base/uuid.ts";
import { ErrorCode } from "../../codec/error_codes.ts";
import type { RequestProblem, StreamStart } from "../../mesh/request_reader.ts";
import type { ResumeGrant } from "../../mesh/resumable_end.ts";
import { type ResumableEntry, type ResumableLimits, ResumableTable } from "../../mesh/resumable_table.ts";
import type { AgentStreams } from "./agent_streams.ts";
import type { IncomingCall } from "../calls/incoming_call.ts";
import type { IncomingStream } from "./incoming_stream.ts";
import type { ResumableStream } from "./resumable_stream.ts";

/** What an answerer may be told about streams that go on after their connection was lost. */
export interface ResumeLimits {
  /** How long a stream is kept without a connection, at most and by default; default 30 000. */
  readonly windowMs?: number;
  /** Bytes that each side of a stream may have sent ahead of the other side's application, at most; default 1 MiB. */
  readonly bufferBytes?: number;
  /** Such streams that may be open at once; further ones are answered with `overloaded`. Default 4 096; 0 = none. */
  readonly maxStreams?: number;
  /** The same for one peer; default 1 024. */
  readonly maxStreamsPerPeer?: number;
  /** Bytes that all of them may take in memory together; default 256 MiB. One peer gets at most half. */
  readonly maxBytes?: number;
}

/** Numbers about them. */
export interface ResumableStats {
  /** Open now. */
  readonly open: number;
  /** Among the open ones: those that have no connection. */
  readonly parked: number;
  /** Bytes that the open ones may take in memory. */
  readonly bytes: number;
  /** How often one went on over another connection. */
  readonly resumed: number;
  /** Turned away because there were too many already. */
  readonly noRoom: number;
  /** Wanted to go on, and were not known, or not any more. */
  readonly unknown: number;
  /** Given up because the opener did not come back in time. */
  readonly expired: number;
}

/** A stream and what it has been granted. */
interface Kept {
  readonly incoming: IncomingStream;
  readonly stream: ResumableStream;
  readonly agentId: Uint8Array;
  place: ResumableEntry<Kept> | undefined;
  cancelWindow: (() => void) | undefined;
}

/** One for a server, or for the agents of a client, whatever connection they have. */
export class ResumableStreams {
  readonly #table: ResumableTable<Kept>;
  readonly #clock: Clock;
  readonly #counters = { resumed: 0, noRoom: 0, unknown: 0, expired: 0 };
  #parked = 0;
  #isDraining = false;

  /** @throws {MxpError} `usage` for limits that make no sense. */
  constructor(clock: Clock, random: Random, limits: ResumeLimits = {}) {
    const maxBytes = limits.maxBytes ?? 256 << 20;
    const all: ResumableLimits = {
      windowMillis: limits.windowMs ?? 30_000,
      bufferBytes: limits.bufferBytes ?? 1 << 20,
      maxStreams: limits.maxStreams ?? 4_096,
      maxStreamsPerPeer: limits.maxStreamsPerPeer ?? 1_024,
      maxBytes,
      maxBytesPerPeer: Math.floor(maxBytes / 2),
    };
    this.#clock = clock;
    try {
      this.#table = new ResumableTable(all, random);
    } catch (cause) {
      throw new MxpError("usage", `resume: ${(cause as Error).message}`, { cause });
    }
  }

  /** A snapshot. */
  stats(): ResumableStats {
    return { open: this.#table.size, parked: this.#parked, bytes: this.#table.bytes, ...this.#counters };
  }

  /** Takes a stream for which there is a handler, if it is a resumable one; the problem if it cannot be served. */
  admit(incoming: IncomingStream): RequestProblem | undefined {
    const { resume, streamId, stream } = incoming;
    if (resume === undefined) return undefined;
    if (resume.at !== undefined) {
      this.#counters.unknown++;
      const text = "the stream that is to go on is not known here, or not any more";
      return { code: ErrorCode.CANNOT_RESUME, retryable: false, text };
    }
    const { token, bufferBytes, windowMillis } = resume;
    const kept: Kept = {
      incoming,
      stream: stream as ResumableStream,
      agentId: incoming.target.slice(),
      place: undefined,
      cancelWindow: undefined,
    };
    const peer = incoming.peer.publicKeyText;
    const place = this.#table.add({ peer, streamId, token, bufferBytes, windowMillis }, kept);
    if (place === "taken") {
      return { code: ErrorCode.BAD_REQUEST, retryable: false, text: "there is a stream with this id already" };
    }
    if (place === "no_room") {
      this.#counters.noRoom++;
      const text = `${this.#table.size} resumable streams are open, which is all that fit in here`;
      return { code: ErrorCode.OVERLOADED, retryable: true, text };
    }
    kept.place = place;
    incoming.keeper = { park: () => this.#park(kept), release: () => this.#release(kept) };
    kept.stream.begin(grantOf(kept));
    return undefined;
  }

  /** Goes on with a stream on the transport stream where its opener asks for that; false if it is not known here. */
  resume(streams: AgentStreams, request: IncomingCall, start: StreamStart): boolean {
    const { streamId, resume } = start.open;
    if (resume?.at === undefined) return false;
    const place = this.#table.find(streams.peer.publicKeyText, streamId, resume.token);
    if (place === undefined) return false;
    const kept = place.value;
    if (!kept.stream.goOn(streams, request.stream, grantOf(kept), resume.at, start.reader)) return false;
    this.#counters.resumed++;
    // The opener may be gone again already.
    if (kept.stream.isCarried) this.#unpark(kept);
    return true;
  }

  /** From now on nothing waits for an opener to come back. */
  drain(): void {
    this.#isDraining = true;
    for (const kept of this.#table.values()) if (!kept.stream.isCarried) kept.stream.fail(gone());
  }

  /** An agent is not here any more: its streams that have no connection are given up. @param agent its UUID. */
  giveUp(agent: string): void {
    for (const { stream, agentId } of this.#table.values()) {
      if (!stream.isCarried && formatUuid(agentId) === agent) stream.fail(gone());
    }
  }

  #park(kept: Kept): boolean {
    const { windowMillis } = kept.place!;
    if (this.#isDraining || windowMillis === 0) return false;
    if (kept.cancelWindow !== undefined) return true;
    this.#parked++;
    kept.cancelWindow = this.#clock.wakeAt((this.#clock.now() + millis(windowMillis)) as Micros, () => {
      this.#counters.expired++;
      const text = `who opened the stream did not come back within ${windowMillis} ms`;
      kept.stream.fail(new MxpError("connection_lost", text));
    });
    return true;
  }

  #unpark(kept: Kept): void {
    if (kept.cancelWindow === undefined) return;
    kept.cancelWindow();
    kept.cancelWindow = undefined;
    this.#parked--;
  }

  #release(kept: Kept): void {
    this.#unpark(kept);
    this.#table.remove(kept.place!);
  }
}

function grantOf({ agentId, place }: Kept): ResumeGrant {
  const { windowMillis, bufferBytes } = place!;
  return { agentId, windowMillis, bufferBytes };
}

function gone(): MxpError {
  return new MxpError("connection_lost", "the connection to who opened the stream has ended");
}
