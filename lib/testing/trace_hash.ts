/**
 * A fingerprint of everything that was sent, to show that two runs were the same.
 *
 * @module
 */

import type { Micros } from "../base/time.ts";

/** Not cryptographic: it finds differences, it does not withstand somebody who wants to hide them. */
export class TraceHash {
  /** How many datagrams it covers. */
  count = 0;
  #a = 0x811c9dc5;
  #b = 0x01000193;
  readonly #time = new Float64Array(1);
  readonly #timeWords = new Uint32Array(this.#time.buffer);

  /** Takes note of a datagram. */
  note(now: Micros, from: string, to: string, bytes: Uint8Array): void {
    this.count++;
    this.#time[0] = now;
    this.#word(this.#timeWords[0]);
    this.#word(this.#timeWords[1]);
    this.#text(from);
    this.#text(to);
    this.#word(bytes.length);
    for (let i = 0; i < bytes.length; i++) this.#word(bytes[i]);
  }

  /** The fingerprint so far, 16 hex digits. */
  get value(): string {
    return [this.#a, this.#b].map((half) => (half >>> 0).toString(16).padStart(8, "0")).join("");
  }

  #text(text: string): void {
    for (let i = 0; i < text.length; i++) this.#word(text.charCodeAt(i));
  }

  #word(word: number): void {
    this.#a = Math.imul(this.#a ^ word, 0x01000193);
    this.#b = Math.imul((this.#b << 5) ^ (this.#b >>> 27) ^ word, 0x85ebca6b);
  }
}
