/**
 * Sending in order, for runtimes that report the end of each send with a callback or a promise.
 *
 * @module
 */

import type { Address } from "../base/address.ts";

/** Datagrams that wait while the socket does not take any. */
const MAX_HELD = 4_096;

/**
 * Hands datagrams to a runtime, and knows when their buffers are free again.
 *
 * Sends that Deno cannot complete at once are later completed in any order, the reverse one included. So they are held
 * back here while earlier ones may be stuck: behind the very first one (the event loop must turn once before Deno knows
 * the socket as writable), and behind a flush that has not settled.
 */
export class OrderedSender {
  readonly #issue: (bytes: Uint8Array, remote: Address) => void;
  /** Sends that the runtime has and that have not ended. */
  #issued = 0;
  /** Whether new sends wait in #held. True when the first send has begun, until it ends. */
  #holding = false;
  #isWritable = false;
  #held: { readonly bytes: Uint8Array; readonly remote: Address }[] = [];
  #refused = 0;
  #settled: Promise<void> | undefined;
  #onSettled: (() => void) | undefined;

  /** `issue` begins a send and does not throw; {@link ended} is called once for each. */
  constructor(issue: (bytes: Uint8Array, remote: Address) => void) {
    this.#issue = issue;
  }

  /** Datagrams that were dropped because too many waited. */
  get refused(): number {
    return this.#refused;
  }

  /** Sends a datagram, now or when earlier ones have gone. */
  send(bytes: Uint8Array, remote: Address): void {
    if (!this.#holding) {
      this.#holding = !this.#isWritable;
      this.#issued++;
      this.#issue(bytes, remote);
    } else if (this.#held.length < MAX_HELD) {
      this.#held.push({ bytes, remote });
    } else {
      this.#refused++;
    }
  }

  /** A send that was issued has ended, well or badly. */
  ended(): void {
    if (--this.#issued > 0) return;
    this.#isWritable = true;
    if (this.#held.length > 0) {
      const held = this.#held;
      this.#held = [];
      // Counted first: one that fails on the spot would otherwise look like the last.
      this.#issued = held.length;
      for (const { bytes, remote } of held) this.#issue(bytes, remote);
      return;
    }
    this.#holding = false;
    const onSettled = this.#onSettled;
    this.#settled = this.#onSettled = undefined;
    onSettled?.();
  }

  /** Undefined if every buffer is free, else a promise for that. */
  flush(): Promise<void> | undefined {
    if (this.#issued === 0) return undefined;
    this.#holding = true;
    return this.#settled ??= new Promise((resolve) => {
      this.#onSettled = resolve;
    });
  }

  /** Forgets what is held; what is issued still has to end. */
  drop(): void {
    this.#held.length = 0;
  }
}
