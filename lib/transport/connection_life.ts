/**
 * Where a connection stands, from the handshake to the end, and why it ended (RFC 9000 §10).
 *
 * @module
 */

import { type Micros, micros } from "../base/time.ts";
import { TransportError, transportErrorName } from "../wire/error_codes.ts";
import { CloseState } from "./close_state.ts";
import type { ConnectionState } from "./connection_start.ts";
import type { DatagramFrames } from "./datagram_frames.ts";
import type { CloseReason, EventQueue } from "./events.ts";
import type { LossDetection } from "./loss_detection.ts";

/** What the end of a connection concerns. */
export interface ConnectionLifeParts {
  readonly recovery: LossDetection<unknown>;
  readonly events: EventQueue;
  readonly datagrams: DatagramFrames;
  /** The endpoint's count of broken rules, by the name of their code. */
  readonly violations: Record<string, number>;
  /** Whether the peer would understand a CLOSE, and may be sent one. */
  canTell(): boolean;
}

/** The states of one connection. */
export class ConnectionLife {
  /** Where it stands. */
  state: ConnectionState = "handshake";
  /** Why it ended, once it has. */
  closeReason: CloseReason | undefined;
  /** What is left to do while it is closing or draining. */
  close: CloseState | undefined;
  /** How long the handshake took; undefined until it is over. */
  handshakeTime: Micros | undefined;
  readonly #parts: ConnectionLifeParts;

  constructor(parts: ConnectionLifeParts) {
    this.#parts = parts;
  }

  /** Whether packets are still of interest. */
  get isOpen(): boolean {
    return this.state === "handshake" || this.state === "established";
  }

  /** The peer is authenticated, by a handshake that began at `beganAt`. */
  establish(now: Micros, beganAt: Micros): void {
    this.state = "established";
    this.#parts.datagrams.open();
    this.handshakeTime = micros(now - beganAt);
    this.#parts.events.push({ type: "established" });
  }

  /** We end it; the peer is told if it can be. */
  end(now: Micros, code: number, message: string): void {
    if (this.closeReason !== undefined) return;
    const { recovery, canTell } = this.#parts;
    const isTold = canTell();
    this.#finish({ by: "local", code, message });
    this.state = isTold ? "closing" : "closed";
    if (isTold) this.close = new CloseState(now, recovery.pto(), code, message, true);
  }

  /** The peer broke a rule. */
  violate(now: Micros, code: number, message: string): void {
    const { violations } = this.#parts, name = transportErrorName(code);
    if (this.closeReason === undefined) violations[name] = (violations[name] ?? 0) + 1;
    this.end(now, code, message);
  }

  /** The peer closed: nothing is sent any more, but late packets still belong to us for a while. */
  drain(now: Micros, code: number, message: string): void {
    this.#finish({ by: "peer", code, message });
    this.state = "draining";
    this.close = new CloseState(now, this.#parts.recovery.pto(), code, message, false);
  }

  /** It is over without a word to or from the peer. */
  fail(by: Exclude<CloseReason["by"], "local" | "peer">, message: string, hint: CloseReason["hint"]): void {
    this.#finish({ by, code: TransportError.NO_ERROR, message, hint });
    this.state = "closed";
  }

  /** The time that closing or draining takes may be over. */
  onTimeout(now: Micros): void {
    if (this.close !== undefined && this.close.deadline <= now) this.state = "closed";
  }

  #finish(reason: CloseReason): void {
    this.closeReason = reason;
    this.#parts.recovery.discard();
    this.#parts.datagrams.close();
    this.#parts.events.push({ type: "closed", reason });
  }
}
