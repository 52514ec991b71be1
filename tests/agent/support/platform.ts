/**
 * Platforms for tests: a network in memory, or the runtime's own sockets on loopback.
 *
 * @module
 */

import process from "node:process";
import { MessageCodec } from "../../../lib/codec/message.ts";
import { selectProvider } from "../../../lib/crypto/select.ts";
import type { CryptoProvider } from "../../../lib/crypto/types.ts";
import type { Platform } from "../../../lib/agent/platform.ts";
import { defaultBindUdp } from "../../../lib/runtime/mod.ts";
import { builtInZstd } from "../../../lib/runtime/zstd.ts";
import { SystemClock } from "../../../lib/runtime/clock.ts";
import { SystemRandom } from "../../../lib/runtime/random.ts";
import { MemoryNetwork, type MemoryNetworkOptions } from "../../../lib/runtime/memory_udp.ts";

let provider: CryptoProvider | undefined;
let codec: MessageCodec | undefined;

function platform(bindUdp: Platform["bindUdp"]): Platform {
  provider ??= selectProvider();
  codec ??= new MessageCodec();
  return {
    codec,
    crypto: provider,
    random: new SystemRandom(),
    clock: new SystemClock(),
    compressor: builtInZstd(),
    bindUdp,
    resolveHost: (host) =>
      host === "localhost"
        ? Promise.resolve([{ host: "127.0.0.1" }])
        : Promise.reject(new Error(`unknown host ${host}`)),
  };
}

/** A network of its own in memory. */
export function memoryPlatform(options: MemoryNetworkOptions = {}): Platform & { readonly network: MemoryNetwork } {
  const network = new MemoryNetwork(options);
  return { ...platform(network.bind), network };
}

/** The runtime's own sockets. */
export function udpPlatform(): Platform {
  return platform(defaultBindUdp());
}

/** Both kinds, with a name for the test's title. */
export const platforms: readonly (readonly [string, () => Platform])[] = [
  ["in memory", memoryPlatform],
  ["over UDP", udpPlatform],
];

/** Whether more is to be said while tests run. */
export const verbose = process.env.MXP_TEST_VERBOSE === "1";
