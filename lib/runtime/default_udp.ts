/**
 * Which UDP adapter is taken when nobody says.
 *
 * @module
 */

import type { BindUdp } from "../agent/udp_socket.ts";
import { bindBunUdp, hasBunUdp } from "./bun_udp.ts";
import { bindDenoUdp, hasDenoUdp } from "./deno_udp.ts";
import { detectRuntime } from "./detect.ts";
import { bindNodeUdp } from "./node_udp.ts";

/**
 * The fastest UDP sockets that this runtime offers: its own in Bun and in Deno with `--unstable-net`, `node:dgram` in
 * every other case.
 *
 * @example
 * ```ts
 * import { defaultBindUdp } from "./default_udp.ts";
 *
 * const bind = defaultBindUdp();
 * const socket = await bind({ host: "127.0.0.1", port: 0 }, {
 *   onDatagram: (bytes, remote) => console.log(bytes.length, "bytes from", remote.host),
 *   onBatchEnd: () => {},
 *   onError: (error) => console.error(error.message),
 * });
 * console.log(socket.adapter, socket.local.port);
 * socket.close();
 * ```
 */
export function defaultBindUdp(): BindUdp {
  const runtime = detectRuntime();
  if (runtime === "deno" && hasDenoUdp()) return bindDenoUdp;
  if (runtime === "bun" && hasBunUdp()) return bindBunUdp;
  return bindNodeUdp;
}
