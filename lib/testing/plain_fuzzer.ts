/**
 * Makes UDP datagrams for the plain carrier (SPEC §3.2) that are wrong in one way or another: most are whole messages, so
 * that much of it gets past the checksum.
 *
 * @module
 */

import { MessageCodec } from "../codec/message.ts";
import { MESSAGE_OVERHEAD_BYTES } from "../codec/message_header.ts";
import { MessageType } from "../codec/message_type.ts";
import type { SeededRandom } from "./seeded_random.ts";

const ID = "5b0c2a1e-7d3f-4c8a-9e61-0f2d4b6a8c10";
const TEXTS: readonly string[] = [
  "",
  "{}",
  "{[",
  "[]",
  `{"id":"${ID}"}`,
  `{"agent_id":"${ID}"}`,
  `{"capability":"*"}`,
  `{"capability":7}`,
  `{"error":"","code":""}`,
  `{"request_id":"0000000000000000"}`,
  `{"id":"${ID}","name":"a","capabilities":["b"],"address":"127.0.0.1:1","metadata":{"tags":"[1"}}`,
  `{"agent_id":"${ID}","name":"a","capabilities":[],"endpoint":"[::1]:70000"}`,
  `{"__proto__":{"capability":"*"},"constructor":1}`,
  "{".repeat(50) + "}".repeat(50),
];
const TYPES: readonly number[] = [...Object.values(MessageType), 0xef];
const LONGEST_NOISE = 200;
const LONGEST_PAYLOAD = 80;

/** A generator of bad messages. */
export class PlainFuzzer {
  readonly #random: SeededRandom;
  readonly #codec = new MessageCodec();

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  /** The next datagram, with a buffer of its own. */
  next(): Uint8Array {
    const random = this.#random;
    if (random.below(8) === 0) return this.#noise(random.below(LONGEST_NOISE));
    const bytes = this.#message();
    if (random.below(3) === 0) bytes[random.below(bytes.length)] ^= 1 << random.below(8);
    return random.below(16) === 0 ? bytes.subarray(0, random.below(bytes.length)) : bytes;
  }

  #message(): Uint8Array {
    const random = this.#random;
    const payload = random.below(2) === 0
      ? this.#noise(random.below(LONGEST_PAYLOAD))
      : new TextEncoder().encode(TEXTS[random.below(TEXTS.length)]);
    const out = new Uint8Array(payload.length + MESSAGE_OVERHEAD_BYTES);
    const header = {
      type: TYPES[random.below(TYPES.length)],
      // None more often than not, because some flags end the matter.
      flags: random.below(2) === 0 ? 0 : random.below(16),
      idLow: random.below(2 ** 32),
      idHigh: random.below(2 ** 32),
      traceLow: 1,
      traceHigh: 0,
    };
    this.#codec.encode(out, 0, header, payload);
    return out;
  }

  #noise(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.#random.fillPublic(bytes);
    return bytes;
  }
}
