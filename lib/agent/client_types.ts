/**
 * What a client is told, and what it tells about itself.
 *
 * @module
 */

import type { CloseReason } from "../transport/events.ts";
import type { DialStats } from "./onward/connection_pool.ts";
import type { HandshakeInfo, SocketStats, TransportStats } from "./connection_info.ts";
import type { DirectOptions } from "./onward/dial_policy.ts";
import type { EventStats } from "./events/outgoing_events.ts";
import type { OnceStats } from "./calls/once_calls.ts";
import type { PackingOptions } from "./packing/request_packing.ts";
import type { PackingStats } from "./packing/unpacking.ts";
import type { CallProgress } from "./calls/outgoing_calls.ts";
import type { HedgeOptions } from "./calls/hedge.ts";
import type { Priority } from "./priority.ts";
import type { RepetitionStats, RetryOptions } from "./calls/repeated_calls.ts";

/** What calls, streams and events may be told. */
export interface RequestOptions {
  /** The agent: a UUID or a name. Default: the URL's agent, else the node itself. */
  readonly agent?: string;
  /** What the agent is to do. */
  readonly method?: string;
  /** Gives the call or stream up on both sides, and an event that the transport has not taken yet, or whose Ack is waited for. */
  readonly signal?: AbortSignal;
  /** Keys and values for the handler. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** W3C trace context to go on with. */
  readonly traceparent?: string;
  /** The trace id to go on with where there is no traceparent, as `context.traceId` gives it: 16 hex digits. Default: a new one. */
  readonly traceId?: string;
  /** How often the request may be passed on by nodes, and lead to further ones (SPEC §8.11); default 32. */
  readonly hopLimit?: number;
  /**
   * Two calls with the same key from the same identity are one: they are carried out once, and get the same answer, for as long as the
   * other side remembers, which is five minutes.
   */
  readonly idempotencyKey?: string;
  /** Media type of the body, or of the chunks. */
  readonly contentType?: string;
  /**
   * Where the path is full, `bulk` gives way to `interactive`: here, for the answer, and at every node that passes it on.
   * Default: calls and streams are interactive, and so are events with `ack`; other events are bulk.
   */
  readonly priority?: Priority;
}

/** What a call may be told. */
export interface CallOptions extends RequestOptions, PackingOptions {
  /** Any agent that has this capability, or with `.*` at the end one below it, in place of a certain one; the node chooses. */
  readonly capability?: string;
  /**
   * Goes to the agent itself, at the endpoint that it has registered, and not through the node, which is only asked where that is and
   * which key the agent has proven. Nobody else gets the call: if the agent cannot be reached there, it fails. See {@link Client.dial}.
   */
  readonly direct?: boolean | DirectOptions;
  /** How long to wait for the whole answer; default 30 000, 0 = without end. */
  readonly timeoutMs?: number;
  /**
   * The call does no harm if it is executed twice. On a client that was connected with `early`, it may then go along with the
   * first UDP datagram of the connection, if it is the first call and not larger than some 600 bytes.
   */
  readonly idempotent?: boolean;
  /**
   * Further attempts if the call fails, with growing pauses, within `timeoutMs`, and over a new connection if the client's own is lost:
   * when the error is retryable, and either says that nothing was done (`nothingDone`), or the call is `idempotent` or has an
   * `idempotencyKey`. What is repeated is bounded by a budget: a tenth of the client's calls that ask for it, and ten.
   */
  readonly retry?: number | RetryOptions;
  /** A further attempt, at another agent if there is one, when the first takes long; the first answer counts. For `idempotent` calls. */
  readonly hedge?: HedgeOptions;
  /** Called as bytes are taken by the transport, and as the answer arrives. */
  readonly onProgress?: (progress: CallProgress) => void;
}

/** What an event may be told. */
export interface EventOptions extends Omit<RequestOptions, "method">, PackingOptions {
  /** Any agent that has this capability, or with `.*` at the end one below it, in place of a certain one; the node chooses. */
  readonly capability?: string;
  /** Waits until whoever the event is for has accepted it: the node, or the agent's handler. */
  readonly ack?: boolean;
  /** Sends it once, in one packet: it may be lost, and has to be small. Not with `ack`. */
  readonly unreliable?: boolean;
  /** How long to wait for an `ack`; default 30 000, 0 = without end. With `attempts`, how long to wait for each. */
  readonly timeoutMs?: number;
  /**
   * How often to send it at most until it is accepted, if need be over another connection; implies `ack`. All attempts have the same
   * `idempotencyKey` (a random one if none is given), by which whoever has accepted one knows the others, for five minutes.
   */
  readonly attempts?: number;
}

/** What a stream may be told. */
export interface StreamOptions extends RequestOptions, PackingOptions {
  /** Any agent that has this capability, or with `.*` at the end one below it, in place of a certain one; the node chooses. */
  readonly capability?: string;
  /** How long the stream may last altogether; default 0 = without end. */
  readonly timeoutMs?: number;
  /** True if only we send: the other side answers with nothing but its end. */
  readonly unidirectional?: boolean;
  /**
   * Goes on by itself where it was after the connection, or that of the agent to its node, was lost and has come back: no chunk
   * is lost or doubled. Needs memory on both sides for what may have to be sent again.
   */
  readonly resume?: boolean | StreamResumeOptions;
}

/** How a stream goes on after its connection was lost. */
export interface StreamResumeOptions {
  /**
   * Bytes that each side may have sent ahead of the other side's application: writing waits beyond that, and they are kept to
   * be sent again. Default 1 MiB, at least 64 KiB; the other side may allow less.
   */
  readonly bufferBytes?: number;
  /** How long the other side is asked to wait for us; default: as long as it likes, which is 30 000 unless it was told otherwise. */
  readonly windowMs?: number;
}

/** Why a client is closed. */
export interface CloseInfo {
  /** Who or what ended it; `socket` if the UDP socket failed. */
  readonly by: CloseReason["by"] | "socket";
  /** One line for people. */
  readonly message: string;
}

/** Numbers about a client: a plain object that survives JSON. */
export interface ClientStats {
  /** How the connection came about. */
  readonly handshake: HandshakeInfo;
  /** Calls since the connection was made. */
  readonly calls: {
    readonly started: number;
    readonly ok: number;
    readonly failed: number;
    /** Waiting for an answer, the queued ones included. */
    readonly pending: number;
    /** Waiting for the node to allow more calls at once. */
    readonly queued: number;
  };
  /** Calls that asked for it, and were made again. Those over further connections are not among `calls`. */
  readonly repeated: RepetitionStats;
  /** Agent streams that were opened here since the connection was made. */
  readonly streams: {
    readonly opened: number;
    /** Came to a good end in both directions. */
    readonly ok: number;
    readonly failed: number;
    /** Not over, the queued ones included. */
    readonly open: number;
    /** Waiting for the node to allow more streams at once. */
    readonly queued: number;
  };
  /** Events that were emitted here, those with `ack` excepted, which count as calls. */
  readonly events: EventStats;
  /** Compressed and sealed calls to agents that are registered over this connection, if there are any. */
  readonly packing?: PackingStats;
  /** Calls with idempotency keys to those agents, over this connection and those that took its place. */
  readonly once?: OnceStats;
  /** Connections that were made for direct calls, and by handlers of this client. */
  readonly dialled: DialStats;
  /** Traffic, round trips, losses and credit of the connection. */
  readonly transport: TransportStats;
  /** The socket that the connection has for itself. */
  readonly socket: SocketStats;
}
