/**
 * What the driver needs of a UDP socket. Every runtime adapter implements it, and one contract suite
 * (`tests/runtime/udp_contract.ts`) runs against each.
 *
 * @module
 */

import type { Address } from "../base/address.ts";

/** What a socket tells its owner. Nothing here may throw into the adapter. */
export interface UdpHandlers {
  /** One UDP datagram. `bytes` is only valid until the call returns; keepers copy. */
  onDatagram(bytes: Uint8Array, remote: Address): void;
  /**
   * No further datagram is at hand in this turn of the event loop: what was produced in answer may leave now. Called at
   * least once after every run of `onDatagram` calls, as late as the runtime allows without waiting for a timer.
   */
  onBatchEnd(): void;
  /** The socket failed for good (not for a single unreachable peer) and will deliver nothing more. */
  onError(error: Error): void;
}

/** A bound UDP socket. */
export interface UdpSocket {
  /** Where it is bound; the real port when 0 was asked for. */
  readonly local: Address;
  /** Which adapter this is, for logs: `deno`, `bun`, `node`, `memory`. */
  readonly adapter: string;
  /**
   * Sends one UDP datagram, now or at the next {@link flush}. Never throws for what the network does: a datagram that
   * cannot be sent is dropped and counted in {@link sendErrors}. `bytes` must stay untouched until the next `flush` has settled.
   */
  send(bytes: Uint8Array, remote: Address): void;
  /** Pushes out what `send` took. Undefined when all buffers are free again already, else a promise for that; it never rejects. */
  flush(): Promise<void> | undefined;
  /** Datagrams that the operating system refused, but for those that {@link tooLarge} counts. */
  readonly sendErrors: number;
  /** Datagrams that do not fit through the way out in one piece. No errors: the transport tries out what fits, and sees that they are lost. */
  readonly tooLarge: number;
  /** Closes at once. No handler is called afterwards. Idempotent. */
  close(): void;
}

/** Binds a socket. `host` is an IP address; port 0 takes any free one. Rejects with the runtime's own error. */
export type BindUdp = (
  local: { readonly host: string; readonly port: number },
  handlers: UdpHandlers,
) => Promise<UdpSocket>;
