/**
 * What becomes of frames once their packet was acknowledged or lost: hands each to the part that made it.
 *
 * @module
 */

import { type Micros, micros } from "../base/time.ts";
import type { AckFrequency } from "./ack_frequency.ts";
import type { ConnectionIds } from "./connection_ids.ts";
import { type ControlQueue, NO_TOKEN } from "./control_queue.ts";
import type { DatagramFrames } from "./datagram_frames.ts";
import type { RecoveryHandler } from "./loss_detection.ts";
import type { ReceivedPackets } from "./received_packets.ts";
import type { SentFrame } from "./sent_frame.ts";
import type { SentPacket } from "./sent_packets.ts";
import type { StreamLayer } from "./stream_layer.ts";

/** Settles frames. */
export class FrameFate implements RecoveryHandler<SentFrame> {
  /** When the acknowledgement that is being handled arrived; set it before. */
  now: Micros = micros(0);
  readonly #streams: StreamLayer;
  readonly #control: ControlQueue;
  readonly #received: ReceivedPackets;
  readonly #ackFrequency: AckFrequency;
  readonly #datagrams: DatagramFrames;
  readonly #ids: ConnectionIds;
  readonly #onPong: (token: number, rtt: Micros) => void;

  constructor(
    streams: StreamLayer,
    control: ControlQueue,
    received: ReceivedPackets,
    ackFrequency: AckFrequency,
    datagrams: DatagramFrames,
    ids: ConnectionIds,
    onPong: (token: number, rtt: Micros) => void,
  ) {
    this.#streams = streams;
    this.#control = control;
    this.#received = received;
    this.#ackFrequency = ackFrequency;
    this.#datagrams = datagrams;
    this.#ids = ids;
    this.#onPong = onPong;
  }

  onFrameAcked(frame: SentFrame, packet: SentPacket<SentFrame>): void {
    switch (frame.type) {
      case "stream":
        this.#streams.onDataAcked(frame);
        return;
      case "ack":
        this.#received.onAckAcked(frame.largest);
        return;
      case "reset":
      case "stop_sending":
      case "stream_max_data":
      case "stream_blocked":
        this.#streams.onControlAcked(frame);
        return;
      case "ping":
        if (frame.token !== NO_TOKEN) this.#onPong(frame.token, micros(this.now - packet.timeSent));
        return;
      case "max_data":
      case "max_streams":
      case "data_blocked":
      case "streams_blocked":
      case "ticket":
        return;
      case "datagram":
        this.#datagrams.onAcked(packet.probed);
        return;
      case "new_connection_id":
      case "retire_connection_id":
        this.#ids.onAcked(frame);
        return;
      case "handshake_done":
        this.#control.onHandshakeDoneAcked();
        return;
      case "ack_frequency":
        this.#ackFrequency.onAcked(frame.threshold);
        return;
    }
  }

  onFrameLost(frame: SentFrame): void {
    switch (frame.type) {
      case "stream":
        this.#streams.onDataLost(frame);
        return;
      case "reset":
      case "stop_sending":
      case "stream_max_data":
      case "stream_blocked":
        this.#streams.onControlLost(frame);
        return;
      case "max_data":
      case "max_streams":
      case "data_blocked":
      case "streams_blocked":
        this.#streams.onCreditLost(frame);
        return;
      case "datagram":
        this.#datagrams.onLost();
        return;
      case "new_connection_id":
      case "retire_connection_id":
        this.#ids.onLost(frame);
        return;
      case "handshake_done":
        this.#control.queueHandshakeDone();
        return;
      case "ack_frequency":
        this.#ackFrequency.onLost(frame.threshold);
        return;
      case "ticket":
        this.#control.queueTicket(frame);
        return;
      case "ack": // The next one says more.
      case "ping": // A late answer would be no measurement.
        return;
    }
  }
}
