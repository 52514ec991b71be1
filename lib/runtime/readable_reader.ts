/**
 * Reading a Node stream chunk by chunk.
 *
 * The stream's own async iterator would do, but for one thing: it begins to listen only when the first chunk is asked
 * for, and what a child process has written and nobody listens to is thrown away when the process ends.
 *
 * @module
 */

import type { Readable } from "node:stream";

/** Pulls chunks from a stream, which waits meanwhile (backpressure). One reader a stream. */
export class ReadableReader {
  readonly #stream: Readable;
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(stream: Readable) {
    this.#stream = stream;
    const end = (): void => {
      this.#ended = true;
      this.#notify();
    };
    stream.on("readable", () => this.#notify());
    stream.on("end", end);
    stream.on("close", end);
    stream.on("error", end);
  }

  /** Whether {@link next} has been called and has nothing to give. */
  get isWaiting(): boolean {
    return this.#wake !== undefined;
  }

  /** Whether there will be nothing more from the stream; what it had may still be unread. */
  get hasEnded(): boolean {
    return this.#ended;
  }

  /** The next bytes, a view that stays valid; undefined at the end, also when an error was the end. */
  async next(): Promise<Uint8Array | undefined> {
    for (;;) {
      const chunk = this.#stream.read() as Uint8Array | null;
      if (chunk !== null) return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length);
      if (this.#ended) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Gives up on the rest. A waiting {@link next} ends. */
  destroy(): void {
    this.#stream.destroy();
    this.#ended = true;
    this.#notify();
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
