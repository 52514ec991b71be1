/**
 * What the library needs of the world around it, in one object: everything that tests replace.
 *
 * @module
 */

import type { Random } from "../base/random.ts";
import type { Clock } from "../base/time.ts";
import type { CryptoProvider } from "../crypto/types.ts";
import type { BindUdp } from "./udp_socket.ts";

/** Sockets, time, randomness, cryptography, names. */
export interface Platform {
  readonly crypto: CryptoProvider;
  readonly random: Random;
  readonly clock: Clock;
  readonly bindUdp: BindUdp;
  /** The IP addresses of a host name, in the order in which they should be tried. Rejects if there are none. */
  readonly resolveHost: (host: string) => Promise<readonly string[]>;
}
