/**
 * One way to the peer: an address, whether the peer has proven that it receives there, and how much may be sent before it has (SPEC §5
 * "Anti-amplification").
 *
 * @module
 */

import type { Address } from "../base/address.ts";
import { type Micros, micros, millis, NEVER } from "../base/time.ts";
import { AMPLIFICATION_FACTOR, PROTECTED_PACKET_OVERHEAD } from "../wire/constants.ts";
import { PATH_CHALLENGE_FRAME_SIZE } from "../wire/frame_writer.ts";
import type { PathValidation } from "./path_validation.ts";
import type { RemoteId } from "./remote_ids.ts";

/** UDP datagram with a challenge and a response, and nothing else. */
export const LEAST_PROBE_SIZE: number = PROTECTED_PACKET_OVERHEAD + 2 * PATH_CHALLENGE_FRAME_SIZE;

/**
 * Time between two answers on a path. They are not subject to congestion control, since the acknowledgements that would open the window may come only
 * behind them; a peer that challenges more often than anybody needs to gets no more of them than this.
 */
const RESPONSE_GAP: Micros = millis(10);

/** A path. */
export class Path {
  /** Where its UDP datagrams go. */
  readonly remote: Address;
  /** The peer's id that only this path uses; undefined if it goes by the id in use. */
  readonly id: RemoteId | undefined;
  /** The highest packet number that came this way; −1 before the first. */
  newest = -1;
  /** The question whether the peer is there, while it is open. */
  validation: PathValidation | undefined;
  /** The answer to the last challenge that came this way, until it is sent. */
  response: Uint8Array | undefined;
  /** When it may leave. */
  responseAt: Micros = micros(0);
  /** When a path that is not in use is forgotten, whether or not it has been proven: a proof is worth something for a moment only. */
  until: Micros = NEVER;
  /** How long the challenge took that proved the path. */
  roundTrip: Micros | undefined;
  #proven: boolean;
  readonly #isValidated: boolean;
  /** Bytes that may still be sent before the path is proven; nobody looks at it afterwards. */
  #credit = 0;

  /**
   * `proven` from the start if we chose the address ourselves; `validated` if a cookie came back from it, so that it may be sent to without
   * limit although nobody there has proven who he is.
   */
  constructor(remote: Address, proven: boolean, validated: boolean = proven, id?: RemoteId) {
    this.remote = remote;
    this.#proven = proven;
    this.#isValidated = validated;
    this.id = id;
  }

  /** Whether the peer has proven that it receives there. */
  get isProven(): boolean {
    return this.#proven;
  }

  /** Whether more may be sent there than three times what came. */
  get isValidated(): boolean {
    return this.#proven || this.#isValidated;
  }

  /** Only who receives at the address can have answered like that. */
  prove(): void {
    this.#proven = true;
  }

  /** Bytes arrived. */
  onReceived(size: number): void {
    this.#credit += AMPLIFICATION_FACTOR * size;
  }

  /** A UDP datagram leaves. */
  onSent(size: number): void {
    this.#credit -= size;
  }

  /** The largest UDP datagram of at most `size` bytes that may leave now. */
  allows(size: number): number {
    return this.isValidated || size < this.#credit ? size : this.#credit;
  }

  /** The answer to a challenge has left. */
  onResponseSent(now: Micros): void {
    this.response = undefined;
    this.responseAt = micros(now + RESPONSE_GAP);
  }

  /** When a challenge or an answer is due, the validation has failed, or the path is to be forgotten. What may not leave is not waited for. */
  get wakeAt(): Micros {
    const { validation, response, until } = this;
    if (this.allows(LEAST_PROBE_SIZE) < LEAST_PROBE_SIZE) return validation === undefined ? until : validation.deadline;
    const at = response === undefined || this.responseAt > until ? until : this.responseAt;
    return validation === undefined || at < validation.wakeAt ? at : validation.wakeAt;
  }
}
