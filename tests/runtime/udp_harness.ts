/**
 * A UDP socket that writes down what happens to it.
 *
 * @module
 */

import type { BindUdp, UdpSocket } from "../../lib/agent/udp_socket.ts";
import type { Address } from "../../lib/base/address.ts";

/** One call of a handler. */
export type UdpEvent =
  | { readonly kind: "datagram"; readonly bytes: Uint8Array; readonly remote: Address }
  | { readonly kind: "batch_end" }
  | { readonly kind: "error"; readonly error: Error };

/** A bound socket with everything that it reported. */
export class Recorder {
  socket!: UdpSocket;
  readonly events: UdpEvent[] = [];
  onDatagram: (bytes: Uint8Array, remote: Address) => void = () => {};
  onBatchEnd: () => void = () => {};

  static async bind(bind: BindUdp, host = "127.0.0.1", port = 0): Promise<Recorder> {
    const recorder = new Recorder();
    recorder.socket = await bind({ host, port }, {
      onDatagram: (bytes, remote) => {
        recorder.events.push({ kind: "datagram", bytes: bytes.slice(), remote });
        recorder.onDatagram(bytes, remote);
      },
      onBatchEnd: () => {
        recorder.events.push({ kind: "batch_end" });
        recorder.onBatchEnd();
      },
      onError: (error) => recorder.events.push({ kind: "error", error }),
    });
    return recorder;
  }

  get datagrams(): { readonly bytes: Uint8Array; readonly remote: Address }[] {
    return this.events.filter((event) => event.kind === "datagram");
  }

  get batches(): number {
    return this.events.filter((event) => event.kind === "batch_end").length;
  }

  /** Whether so many datagrams have come, and a batch has ended since. */
  hasBatchOf(count: number): boolean {
    return this.datagrams.length >= count && this.events.at(-1)?.kind === "batch_end";
  }

  [Symbol.dispose](): void {
    this.socket.close();
  }
}

/** Waits until something is so, a few seconds at most; says whether it came to be. */
export async function eventually(isSo: () => boolean, timeoutMs = 5_000): Promise<boolean> {
  const end = performance.now() + timeoutMs;
  while (!isSo()) {
    if (performance.now() > end) return false;
    await pause(1);
  }
  return true;
}

/** Lets the event loop turn for some milliseconds. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Bytes that differ between seeds and positions. */
export function pattern(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 7 + (i >> 8) * 13 + seed * 31) & 255;
  return bytes;
}
