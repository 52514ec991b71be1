/**
 * An application for simulated nodes: sends streams of known bytes, reads whatever arrives and compares every byte, and sees to it that each
 * stream ends exactly once.
 *
 * @module
 */

import type { Connection } from "../transport/connection.ts";
import type { ConnectionEvent } from "../transport/events.ts";
import { isUnidirectional, type StreamId, type StreamRole, streamRole } from "../wire/stream_id.ts";
import { InvariantError } from "./invariants.ts";
import { Pattern } from "./pattern.ts";
import type { NodeApplication, SimulatedNode } from "./simulated_node.ts";

/** How a stream, or one half of it, ended; `open` if it has not. */
export type StreamOutcome = "open" | "finished" | "reset" | "stopped" | "closed";

/** What {@link PatternTraffic.send} can be told. */
export interface SendOptions {
  /** One-way (the default), or with a reply. */
  readonly unidirectional?: boolean;
  /** 0 Control, 1 Interactive, 2 Bulk (the default). */
  readonly streamClass?: number;
}

/** A stream's half that we send. */
export interface OutgoingStream {
  /** The connection it is on. */
  readonly connection: Connection;
  /** Bytes to send. */
  readonly total: number;
  /** How to send them. */
  readonly options: SendOptions;
  /** −1 until it could be opened. */
  id: StreamId | -1;
  /** Bytes that were accepted so far. */
  written: number;
  /** `finished`: everything was accepted, end included. */
  outcome: StreamOutcome;
}

/** A stream's half that we receive. */
export interface IncomingStream {
  /** The connection it is on. */
  readonly connection: Connection;
  /** Which stream. */
  readonly id: StreamId;
  /** Bytes that were read and compared. */
  received: number;
  /** `finished`: everything was read, end included. */
  outcome: StreamOutcome;
  /** Code of the peer's reset; −1 if there was none. */
  resetCode: number;
}

/** Everything of one connection. */
interface Flows {
  readonly outgoing: Map<StreamId, OutgoingStream>;
  readonly incoming: Map<StreamId, IncomingStream>;
  waiting: OutgoingStream[];
}

/** Bytes written at once. */
const CHUNK = 16384;

/** Sends and receives patterns on any number of connections. */
export class PatternTraffic implements NodeApplication {
  /** Streams that we send on, in the order in which they were asked for. */
  readonly outgoing: OutgoingStream[] = [];
  /** Streams that we receive on, in the order in which they appeared. */
  readonly incoming: IncomingStream[] = [];
  /** Bytes that were delivered and compared. */
  delivered = 0;
  /** Bytes that are sent back on each two-way stream of the peer, once it has ended. */
  replySize = 0;
  /** Whether what arrives is left unread; see {@link resume}. */
  paused = false;
  /** Which streams are left unread although nothing is {@link paused}; {@link take} reads from them. */
  leavesUnread: ((stream: IncomingStream) => boolean) | undefined;
  /** Sees every piece that was delivered, after it was compared. */
  onDelivered: ((stream: IncomingStream, bytes: Uint8Array) => void) | undefined;
  /** Sees every event, after it was handled. */
  onOther: ((node: SimulatedNode, connection: Connection, event: ConnectionEvent) => void) | undefined;
  readonly #pattern: Pattern;
  readonly #flows = new Map<Connection, Flows>();

  /** Patterns are the same everywhere; handing one over saves the time to make it. */
  constructor(pattern: Pattern = new Pattern()) {
    this.#pattern = pattern;
  }

  /** How many streams of ours and halves of the peer's have not ended. */
  get open(): number {
    const isOpen = ({ outcome }: { readonly outcome: StreamOutcome }): boolean => outcome === "open";
    return this.outgoing.filter(isOpen).length + this.incoming.filter(isOpen).length;
  }

  /** Sends `total` bytes on a new stream, as soon as one can be opened and as fast as they are accepted. */
  send(node: SimulatedNode, connection: Connection, total: number, options: SendOptions = {}): OutgoingStream {
    const stream: OutgoingStream = { connection, total, options, id: -1, written: 0, outcome: "open" };
    this.outgoing.push(stream);
    this.#flowsOf(connection).waiting.push(stream);
    this.#openWaiting(connection);
    node.pump(connection);
    return stream;
  }

  /** Reads what was left unread while {@link paused}, and goes on reading. */
  resume(node: SimulatedNode): void {
    this.paused = false;
    for (const stream of this.incoming) if (stream.outcome === "open") this.#read(stream);
    node.pump();
  }

  /** Reads one piece of a stream that was left unread; how many bytes it had, 0 if nothing is there. */
  take(node: SimulatedNode, stream: IncomingStream): number {
    const before = stream.received;
    if (stream.outcome === "open") this.#read(stream, 1);
    node.pump(stream.connection);
    return stream.received - before;
  }

  onEvent(node: SimulatedNode, connection: Connection, event: ConnectionEvent): void {
    const flows = this.#flowsOf(connection);
    switch (event.type) {
      case "established":
      case "streams_available":
        this.#openWaiting(connection);
        break;
      case "readable":
        this.#onReadable(flows, connection, event.id);
        break;
      case "writable":
        this.#continue(connection, event.id);
        break;
      case "stream_reset": {
        const stream = this.#incomingOf(flows, connection, event.id);
        stream.resetCode = event.code;
        this.#end(stream, "reset");
        break;
      }
      case "stop_sending": {
        const stream = flows.outgoing.get(event.id);
        if (stream !== undefined && stream.outcome !== "finished") this.#end(stream, "stopped");
        break;
      }
      case "closed":
        for (const stream of [...flows.outgoing.values(), ...flows.incoming.values(), ...flows.waiting]) {
          if (stream.outcome === "open") this.#end(stream, "closed");
        }
        this.#flows.delete(connection);
        break;
      case "confirmed":
      case "path_validated":
      case "path_failed":
      case "pong":
      case "ticket":
        break;
    }
    this.onOther?.(node, connection, event);
  }

  #flowsOf(connection: Connection): Flows {
    let flows = this.#flows.get(connection);
    if (flows === undefined) {
      flows = { outgoing: new Map(), incoming: new Map(), waiting: [] };
      this.#flows.set(connection, flows);
    }
    return flows;
  }

  #openWaiting(connection: Connection): void {
    const flows = this.#flowsOf(connection);
    flows.waiting = flows.waiting.filter((stream) => {
      const { unidirectional = true, streamClass = 2 } = stream.options;
      const id = connection.openStream(unidirectional, streamClass);
      if (id === -1) return true;
      stream.id = id;
      flows.outgoing.set(id, stream);
      this.#continue(connection, id);
      return false;
    });
  }

  /** Writes as much as is accepted. */
  #continue(connection: Connection, id: StreamId): void {
    const stream = this.#flowsOf(connection).outgoing.get(id);
    if (stream === undefined || stream.outcome !== "open") return;
    const pattern = patternOf(id, connection.role === "initiator" ? 0 : 1);
    for (;;) {
      const piece = this.#pattern.piece(pattern, stream.written, Math.min(CHUNK, stream.total - stream.written));
      const fin = stream.written + piece.length === stream.total;
      const accepted = connection.write(id, piece, fin);
      stream.written += accepted;
      if (accepted < piece.length) return;
      if (fin) break;
    }
    this.#end(stream, "finished");
  }

  #onReadable(flows: Flows, connection: Connection, id: StreamId): void {
    const stream = this.#incomingOf(flows, connection, id);
    if (!this.paused && !this.leavesUnread?.(stream)) this.#read(stream);
  }

  #incomingOf(flows: Flows, connection: Connection, id: StreamId): IncomingStream {
    let stream = flows.incoming.get(id);
    if (stream === undefined) {
      stream = { connection, id, received: 0, outcome: "open", resetCode: -1 };
      flows.incoming.set(id, stream);
      this.incoming.push(stream);
    }
    return stream;
  }

  #read(stream: IncomingStream, mostPieces = Infinity): void {
    const { connection, id } = stream;
    const pattern = patternOf(id, connection.role === "initiator" ? 1 : 0);
    for (let left = mostPieces, piece; left > 0 && (piece = connection.read(id)) !== undefined; left--) {
      if (stream.outcome !== "open") throw new InvariantError(`stream ${id}: data after it was ${stream.outcome}`);
      const difference = this.#pattern.firstDifference(pattern, stream.received, piece);
      if (difference >= 0) throw new InvariantError(`stream ${id}: wrong byte at ${stream.received + difference}`);
      stream.received += piece.length;
      this.delivered += piece.length;
      this.onDelivered?.(stream, piece);
    }
    if (stream.outcome !== "open" || !connection.readFinished(id)) return;
    this.#end(stream, "finished");
    const isOurs = streamRole(id) === (connection.role === "initiator" ? 0 : 1);
    if (!isOurs && !isUnidirectional(id)) this.#reply(connection, id);
  }

  #reply(connection: Connection, id: StreamId): void {
    const options = { unidirectional: false };
    const stream: OutgoingStream = { connection, total: this.replySize, options, id, written: 0, outcome: "open" };
    this.outgoing.push(stream);
    this.#flowsOf(connection).outgoing.set(id, stream);
    this.#continue(connection, id);
  }

  #end(stream: OutgoingStream | IncomingStream, outcome: StreamOutcome): void {
    if (stream.outcome !== "open") {
      throw new InvariantError(`stream ${stream.id}: ${outcome} after it was ${stream.outcome}`);
    }
    stream.outcome = outcome;
  }
}

/** The number of the pattern that a stream carries: both halves have their own. */
export function patternOf(id: StreamId, senderRole: StreamRole): number {
  return 2 * id + senderRole;
}
