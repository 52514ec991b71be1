/**
 * Where the peer is, whether it has proven that it receives there, and how much may be sent before it has (SPEC §5
 * "Anti-amplification").
 *
 * @module
 */

import type { Address } from "../base/address.ts";
import { AMPLIFICATION_FACTOR } from "../wire/constants.ts";

/** The address of one connection's peer. */
export class PeerAddress {
  /** Where our UDP datagrams go. */
  readonly remote: Address;
  #proven: boolean;
  /** Bytes that may still be sent before the address is proven; nobody looks at it afterwards. */
  #credit = 0;
  #moved = false;
  readonly #validated: boolean;

  /**
   * `proven` from the start if we chose the address ourselves; `validated` if a cookie came back from it, so that it may be sent to without
   * limit although nobody there has proven who he is.
   */
  constructor(remote: Address, proven: boolean, validated: boolean = proven) {
    this.remote = remote;
    this.#proven = proven;
    this.#validated = validated;
  }

  /** Whether the peer has proven that it receives at its address. */
  get isProven(): boolean {
    return this.#proven;
  }

  /** Whether more may be sent there than three times what came. */
  get isValidated(): boolean {
    return this.#proven || this.#validated;
  }

  /** Whether the last UDP datagram came from another address. */
  get hasMoved(): boolean {
    return this.#moved;
  }

  /** Only who receives at the address can have answered like that. */
  prove(): void {
    this.#proven = true;
  }

  /** A UDP datagram arrived. From elsewhere it earns no credit: its sender may be anybody. */
  onReceived(from: Address, size: number): void {
    this.#moved = from !== this.remote && from.key !== this.remote.key;
    if (!this.#moved) this.#credit += AMPLIFICATION_FACTOR * size;
  }

  /** A UDP datagram leaves. */
  onSent(size: number): void {
    this.#credit -= size;
  }

  /** The largest UDP datagram of at most `size` bytes that may leave now. */
  allows(size: number): number {
    return this.isValidated || size < this.#credit ? size : this.#credit;
  }
}
