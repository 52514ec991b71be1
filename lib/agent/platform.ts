/**
 * What the library needs of the world around it, in one object: everything that tests replace.
 *
 * @module
 */

import type { MessageCodec } from "../codec/message.ts";
import type { Random } from "../base/random.ts";
import type { Clock } from "../base/time.ts";
import type { CryptoProvider } from "../crypto/types.ts";
import type { Compressor } from "./packing/compressor.ts";
import type { BindUdp } from "./udp_socket.ts";

/** Sockets, time, randomness, cryptography, names. */
export interface Platform {
  /** AEADs, hash and key agreement. */
  readonly crypto: CryptoProvider;
  /** Owns the checksum's kernel; all connections share it. */
  readonly codec: MessageCodec;
  /** Where keys, connection ids and message ids come from. */
  readonly random: Random;
  /** Time, and wake-ups for timers. */
  readonly clock: Clock;
  /** zstd, where the runtime has it. */
  readonly compressor?: Compressor | undefined;
  /** Opens UDP sockets. */
  readonly bindUdp: BindUdp;
  /** The IP addresses of a host name, in the order in which they should be tried. Rejects if there are none. */
  readonly resolveHost: (host: string) => Promise<readonly { readonly host: string }[]>;
}
