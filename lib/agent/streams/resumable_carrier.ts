/**
 * One connection's part of a resumable stream: moves bytes between the transport stream and the stream's end, until it is
 * lost or the stream is over.
 *
 * @module
 */

import type { MxpError } from "../../base/errors.ts";
import type { Outbound } from "../../mesh/resumable_end.ts";
import { StreamError } from "../../wire/error_codes.ts";
import type { StreamId } from "../../wire/stream_id.ts";
import type { AgentStreams } from "./agent_streams.ts";
import type { Driver, Link } from "../driver.ts";
import type { ResumableStream } from "./resumable_stream.ts";
import type { StreamUser } from "./stream_user.ts";

/** A transport stream for a resumable stream. */
export class ResumableCarrier implements StreamUser {
  readonly role: "opener" | "answerer";
  id: StreamId | -1 = -1;
  readonly #streams: AgentStreams;
  readonly #driver: Driver;
  readonly #link: Link;
  /** Undefined once the stream is over or goes on elsewhere. */
  #stream: ResumableStream | undefined;
  /** What the transport has not taken yet. */
  #pending: Outbound | undefined;
  #readOver = false;
  #writeOver = false;
  /** The peer reads no more, and may be about to say why. */
  #stopCode: number | undefined;

  constructor(streams: AgentStreams, driver: Driver, link: Link, stream: ResumableStream) {
    this.#streams = streams;
    this.#driver = driver;
    this.#link = link;
    this.#stream = stream;
    this.role = stream.role;
  }

  attach(id: StreamId): void {
    this.id = id;
    this.pump();
  }

  /** Sends what the stream has. */
  pump(): void {
    while (this.id !== -1 && !this.#writeOver) {
      this.#pending ??= this.#stream?.core.poll();
      if (this.#pending === undefined) return;
      const { bytes, fin } = this.#pending;
      const accepted = this.#link.connection.write(this.id, bytes, fin);
      this.#driver.touch(this.#link);
      if (accepted < bytes.length) {
        this.#pending = { bytes: bytes.subarray(accepted), fin };
        return;
      }
      this.#pending = undefined;
      this.#writeOver = fin;
    }
    this.#checkOver();
  }

  /** Gives the stream what has arrived; behind its end, drops it. */
  readOn(): void {
    if (this.id === -1 || this.#readOver) return;
    const { connection } = this.#link;
    const end = this.#stream?.core;
    while (end === undefined || end.wantsBytes) {
      const piece = connection.read(this.id);
      if (piece !== undefined) {
        end?.push(piece);
        continue;
      }
      if (connection.readFinished(this.id)) {
        this.#readOver = true;
        end?.finish();
      }
      break;
    }
    this.#driver.touch(this.#link);
  }

  /** An Error is all that the peer gets. */
  refuse(message: Uint8Array, code: number): void {
    this.#stream = undefined;
    this.#pending = { bytes: message, fin: true };
    this.#readOver = true;
    if (this.id !== -1) this.#link.connection.stopSending(this.id, code);
    this.pump();
  }

  /** The stream is over: what it has said leaves, and the rest of what the peer sends is dropped. */
  release(): void {
    this.#stream = undefined;
    this.readOn();
    this.pump();
  }

  /** The stream is given up, or goes on elsewhere. */
  reset(code: number): void {
    this.#stream = undefined;
    if (this.id !== -1) {
      this.#link.connection.resetStream(this.id, code);
      this.#link.connection.stopSending(this.id, code);
      this.#driver.touch(this.#link);
    }
    this.#streams.drop(this);
  }

  onReadable(): void {
    this.readOn();
    this.#stream?.update();
    if (this.#stopCode !== undefined && this.#stream?.core.state !== undefined) this.#onGivenUp(this.#stopCode);
    this.#checkOver();
  }

  onWritable(): void {
    this.pump();
    this.#stream?.update();
  }

  onReset(code: number): void {
    this.#readOver = true;
    this.#onGivenUp(code);
  }

  onStopSending(code: number): void {
    this.#writeOver = true;
    if (this.role === "answerer") return this.#onGivenUp(code);
    // Before a ResumeState there may be an Error that says why.
    this.#stopCode = code;
    this.onReadable();
  }

  onConnectionEnd(error: MxpError): void {
    // What has arrived need not be sent again.
    this.readOn();
    const stream = this.#stream;
    this.#stream = undefined;
    this.#streams.drop(this);
    if (stream === undefined) return;
    if (this.#streams.isLost) stream.lose(error);
    else stream.fail(error);
  }

  #onGivenUp(code: number): void {
    const stream = this.#stream;
    this.#stopCode = undefined;
    if (stream === undefined) {
      this.#readOver = this.#writeOver = true;
      this.#checkOver();
    } else if (code === StreamError.GONE) {
      // A node between us and the other side has lost it (SPEC §8.13).
      this.readOn();
      this.reset(code);
      stream.lose(stream.resetError(code));
    } else stream.cancel(code, stream.resetError(code));
  }

  #checkOver(): void {
    if (this.#stream === undefined && this.#readOver && this.#writeOver) this.#streams.drop(this);
  }
}
