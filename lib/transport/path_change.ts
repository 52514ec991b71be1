/**
 * What a connection does when it goes over to another path: what was learned about the old one does not hold for the new one.
 *
 * @module
 */

import type { Address } from "../base/address.ts";
import type { Random } from "../base/random.ts";
import { type Micros, micros } from "../base/time.ts";
import { createController } from "./congestion/create.ts";
import type { ConnectionIds } from "./connection_ids.ts";
import { type ControlQueue, NO_TOKEN } from "./control_queue.ts";
import type { DatagramFrames } from "./datagram_frames.ts";
import type { EventQueue } from "./events.ts";
import type { LossDetection } from "./loss_detection.ts";
import type { Pacer } from "./pacer.ts";
import type { Path } from "./path.ts";
import { type PathOwner, Paths } from "./paths.ts";
import type { SentFrame } from "./sent_frame.ts";
import type { TransportSettings } from "./settings.ts";

/** The parts of a connection that a change of path concerns. */
export interface PathParts {
  readonly role: "initiator" | "responder";
  readonly settings: TransportSettings;
  readonly recovery: LossDetection<SentFrame>;
  readonly pacer: Pacer;
  readonly control: ControlQueue;
  readonly datagrams: DatagramFrames;
  readonly random: Random;
  readonly ids: ConnectionIds;
  readonly events: EventQueue;
}

/** The paths of a connection, with `remote` as the first one; `validated` if a cookie has come back from there. */
export function pathsOf(
  remote: Address,
  validated: boolean,
  parts: PathParts,
): Paths {
  const { role, settings, random, ids } = parts;
  return new Paths({ role, remote, validated, settings, random, ids, owner: new PathChange(parts) });
}

/** Carries out changes of path. */
class PathChange implements PathOwner {
  readonly #parts: PathParts;

  constructor(parts: PathParts) {
    this.#parts = parts;
  }

  onMoved(now: Micros, path: Path, isSameWay: boolean, size: number): void {
    const { role, settings, recovery, control, events } = this.#parts;
    // RFC 9000 §9.4.
    if (isSameWay) recovery.leavePath(now);
    else recovery.resetPath(now, createController(settings.congestion, size));
    this.#sampleRtt(now, path);
    // Its acknowledgement tells which of the packets that went to the old address are lost.
    control.queuePing(NO_TOKEN);
    // The responder has validated the path before; the initiator waits for the answer to its challenge.
    if (role === "responder") events.push({ type: "path_validated", remote: path.remote });
  }

  onSize(now: Micros, size: number): void {
    const { recovery, pacer, datagrams } = this.#parts, { congestion } = recovery;
    datagrams.setUdpPayload(size);
    if (size === congestion.maxDatagramSize) return;
    congestion.setMaxDatagramSize(size);
    pacer.update(now, congestion, recovery.rtt);
  }

  onValidated(now: Micros, path: Path): void {
    if (this.#parts.role === "responder") return;
    this.#sampleRtt(now, path);
    this.#parts.events.push({ type: "path_validated", remote: path.remote });
  }

  onFailed(_now: Micros, path: Path): void {
    this.#parts.events.push({ type: "path_failed", remote: path.remote });
  }

  /** The challenge's round trip is the first sample of the new path, if there is none yet. */
  #sampleRtt(now: Micros, path: Path): void {
    const { recovery, pacer } = this.#parts;
    if (!recovery.rtt.hasSample && path.roundTrip !== undefined) {
      recovery.rtt.update(path.roundTrip, micros(0), now);
    }
    pacer.update(now, recovery.congestion, recovery.rtt);
  }
}
