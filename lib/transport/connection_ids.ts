/**
 * Both sides' connection ids of one connection, as far as packets are concerned: what to address the peer with, and the frames that issue and
 * retire ids.
 *
 * @module
 */

import type { TransportParameters } from "../wire/transport_parameters.ts";
import { type IdSource, LocalIds } from "./local_ids.ts";
import { RemoteIds, type TokenRegister } from "./remote_ids.ts";
import type { SentFrame, SentIdFrame } from "./sent_frame.ts";

/** The ids. */
export class ConnectionIds {
  /** Those that the peer addresses us with. */
  readonly local: LocalIds;
  /** Those that we address the peer with. */
  readonly remote: RemoteIds;

  /** `keeps`: how many of the peer's ids we keep. */
  constructor(source: IdSource, keeps: number, tokens: TokenRegister) {
    this.local = new LocalIds(source);
    this.remote = new RemoteIds(keeps, tokens);
  }

  /** The peer has said how many ids it keeps, and what a reset of its first one looks like. */
  setPeerParameters({ activeConnectionIds, resetToken }: TransportParameters): void {
    this.local.peerKeeps = activeConnectionIds;
    if (resetToken !== undefined) this.remote.setFirstToken(resetToken);
  }

  /** Whether a frame waits for a packet. */
  get hasPending(): boolean {
    return this.local.hasPending || this.remote.hasPending;
  }

  /** Writes what fits between `at` and `end`, notes it in `frames`, and returns the position behind it. */
  write(out: Uint8Array, at: number, end: number, frames: SentFrame[]): number {
    if (this.remote.hasPending) at = this.remote.write(out, at, end, frames);
    return this.local.hasPending ? this.local.write(out, at, end, frames) : at;
  }

  /** A frame has arrived. */
  onAcked(frame: SentIdFrame): void {
    if (frame.type === "retire_connection_id") this.remote.onRetireAcked(frame.sequence);
  }

  /** A frame was lost. */
  onLost(frame: SentIdFrame): void {
    if (frame.type === "retire_connection_id") this.remote.onRetireLost(frame.sequence);
    else this.local.onLost(frame.sequence);
  }
}
