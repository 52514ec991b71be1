/**
 * What everybody behind the plain carrier shares: the socket's way out, the counters, the time.
 *
 * @module
 */

import type { Address } from "../../base/address.ts";
import type { Clock, Micros } from "../../base/time.ts";
import type { PayloadForm } from "../../codec/json/detect.ts";
import { errorCodeInfo, isApplicationError } from "../../codec/error_codes.ts";
import { DeadlineWheel } from "../../mesh/deadline_wheel.ts";
import type { MessageIds } from "../../mesh/message_writer.ts";
import type { PlainMessages } from "../../mesh/plain_messages.ts";
import { AMPLIFICATION, type PlainLimits } from "./plain_limits.ts";
import { noDrops, type PlainDrop } from "./plain_options.ts";
import type { UdpSocket } from "../udp_socket.ts";

/** What an answer has to know of its question. */
export interface PlainQuestion extends MessageIds {
  /** How it was asked, and how it is answered. */
  readonly form: PayloadForm;
  /** Where it seems to come from. */
  readonly remote: Address;
  /** Bytes of the datagram. */
  readonly size: number;
}

/** One plain port. */
export class PlainPort {
  readonly clock: Clock;
  readonly messages: PlainMessages;
  readonly limits: PlainLimits;
  readonly deadlines: DeadlineWheel;
  readonly dropped: Record<PlainDrop, number> = noDrops();
  /** Errors that were sent, by the name of the code. Codes of applications, and those that nobody knows, count together: agents choose them. */
  readonly refused: Record<string, number> = {};
  received = 0;
  sent = 0;
  #socket: UdpSocket | undefined;
  #closed = false;
  #inBatch = false;
  #cancelTimer: (() => void) | undefined;
  #armedAt = Infinity;

  constructor(clock: Clock, messages: PlainMessages, limits: PlainLimits) {
    this.clock = clock;
    this.messages = messages;
    this.limits = limits;
    this.deadlines = new DeadlineWheel(clock.now());
  }

  /** The socket, once it is bound. */
  get socket(): UdpSocket {
    return this.#socket!;
  }

  /** Everything leaves there from now on. */
  use(socket: UdpSocket): void {
    this.#socket = socket;
  }

  /** Datagrams are being handed in: what is sent meanwhile leaves together, with {@link endBatch}. */
  beginBatch(): void {
    this.#inBatch = true;
  }

  endBatch(): void {
    this.#inBatch = false;
    if (!this.#closed) this.#socket?.flush();
  }

  /** Sends a datagram. */
  send(bytes: Uint8Array, remote: Address): void {
    if (this.#closed) return;
    this.sent++;
    this.socket.send(bytes, remote);
    if (!this.#inBatch) this.socket.flush();
  }

  /** Sends an answer, unless it is too long for a question from who knows whom. */
  answer({ remote, size }: PlainQuestion, bytes: Uint8Array): void {
    if (this.limits.mayAnswer(this.clock.now(), remote, size, bytes.length)) this.send(bytes, remote);
    else this.drop("amplification");
  }

  /** Sends an Error: never more than three times as long as the question. */
  error(question: PlainQuestion, code: number, retryable: boolean, text: string): void {
    const name = isApplicationError(code) ? "application" : errorCodeInfo(code)?.name ?? "unknown";
    this.refused[name] = (this.refused[name] ?? 0) + 1;
    const most = AMPLIFICATION * question.size;
    this.send(this.messages.error(question, question.form, code, retryable, text, most), question.remote);
  }

  /** Counts what comes to nothing. */
  drop(reason: PlainDrop): void {
    this.dropped[reason]++;
  }

  /** Sees to it that what was put on {@link deadlines} expires. */
  arm(): void {
    const at = this.deadlines.next();
    if (at >= this.#armedAt) return;
    this.#cancelTimer?.();
    this.#armedAt = at;
    this.#cancelTimer = this.clock.wakeAt(at, () => {
      this.#armedAt = Infinity;
      this.deadlines.expire(this.clock.now());
      this.arm();
    });
  }

  /** A deadline so many milliseconds from now. */
  after(ms: number): Micros {
    return (this.clock.now() + 1000 * ms) as Micros;
  }

  /** Lets go of the socket. What was sent leaves first. */
  async close(): Promise<void> {
    this.#cancelTimer?.();
    this.#armedAt = -Infinity;
    this.#closed = true;
    await this.#socket?.flush();
    this.#socket?.close();
  }
}
