/**
 * The receiving half of packet protection: opens packets, keeps those that came before their keys, and sees to it that none counts twice.
 *
 * @module
 */

import type { Micros } from "../base/time.ts";
import { TransportError } from "../wire/error_codes.ts";
import type { Drops } from "./connection_stats.ts";
import { type KeyPhases, OpenResult } from "./key_phases.ts";
import { ReplayWindow } from "./replay_window.ts";
import { UndecryptablePackets } from "./undecryptable.ts";

/** Result of {@link PacketReceiver.open}: authentic and new. */
export const OPENED = 0;
/** Result of {@link PacketReceiver.open}: not believed, and counted. */
export const DROPPED = -1;

/** Opens packets of one connection. */
export class PacketReceiver {
  /** What opens packets; undefined until the handshake has agreed on it. */
  keys: KeyPhases | undefined;
  readonly #dropped: Drops;
  readonly #replay = new ReplayWindow();
  readonly #undecryptable = new UndecryptablePackets();

  /** @param dropped where what is not believed is counted */
  constructor(dropped: Drops) {
    this.#dropped = dropped;
  }

  /**
   * Opens a packet. {@link OPENED}: its number and plaintext are in {@link keys} and `scratch`. {@link DROPPED}: it was
   * not, or is kept until there are keys. Else the code with which the connection closes.
   */
  open(now: Micros, bytes: Uint8Array, start: number, end: number, scratch: Uint8Array): number {
    const { keys } = this, dropped = this.#dropped;
    if (keys === undefined) {
      if (!this.#undecryptable.keep(bytes, start, end)) dropped.undecryptable++;
      return DROPPED;
    }
    switch (keys.open(now, bytes, start, end, scratch)) {
      case OpenResult.OPENED:
        break;
      case OpenResult.UNAUTHENTIC:
        dropped.unauthentic++;
        return DROPPED;
      case OpenResult.OLD_KEYS:
        dropped.oldKeys++;
        return DROPPED;
      case OpenResult.KEY_LIMIT:
        dropped.unauthentic++;
        return TransportError.KEY_LIMIT;
      case OpenResult.KEY_UPDATE:
        dropped.keyUpdates++;
        return TransportError.KEY_UPDATE;
    }
    if (!this.#replay.isFresh(keys.packetNumber)) {
      dropped.replayed++;
      return DROPPED;
    }
    this.#replay.mark(keys.packetNumber);
    return OPENED;
  }

  /** What was kept until there are keys, in order of arrival; forgets it. */
  takeEarly(): Uint8Array[] {
    return this.#undecryptable.takeAll();
  }
}
