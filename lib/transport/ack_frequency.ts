/**
 * How often the peer should acknowledge what we send (SPEC §7, ACK_FREQUENCY): the sender knows how much is in flight, the receiver
 * does not.
 *
 * A window of a few packets stands still while the receiver waits for a second packet that may be lost: there every packet is to be
 * acknowledged at once. A window of hundreds is as well served by one acknowledgement for sixteen packets, which leaves the
 * way back (it may be a hundred times slower) and both processors in peace.
 *
 * @module
 */

import type { ControlQueue } from "./control_queue.ts";

/** What a receiver does before it is asked (SPEC §9). */
const USUAL_THRESHOLD = 2;
/** Windows up to so many packets want every packet acknowledged at once … */
const SMALL_WINDOW = 4;
/** … until they have grown to this, so that a window at the border does not send a frame each round trip. */
const NO_LONGER_SMALL = 6;
/** There are at least so many acknowledgements a round trip, as long as they name more than the usual number of packets each. */
const ACKS_PER_WINDOW = 32;
/** Most packets that wait for one acknowledgement. */
const MOST_PACKETS = 16;

/** Asks one peer. */
export class AckFrequency {
  readonly #control: ControlQueue;
  #asked = USUAL_THRESHOLD;
  #granted = USUAL_THRESHOLD;

  constructor(control: ControlQueue) {
    this.#control = control;
  }

  /** Whether the peer is known to acknowledge every packet at once: nothing has to be added for its delay. */
  get isImmediate(): boolean {
    return this.#granted === 1 && this.#asked === 1;
  }

  /** The congestion window has changed; both in bytes. Asks the peer for another threshold where that is worth a frame. */
  onWindow(window: number, maxDatagramSize: number): void {
    const packets = window / maxDatagramSize, asked = this.#asked;
    if (packets <= SMALL_WINDOW || (asked === 1 && packets < NO_LONGER_SMALL)) {
      if (asked !== 1) this.#ask(1);
      return;
    }
    const wanted = Math.max(USUAL_THRESHOLD, Math.min(Math.floor(packets / ACKS_PER_WINDOW), MOST_PACKETS));
    if (asked === 1 || wanted >= 2 * asked || 2 * wanted <= asked) this.#ask(wanted);
  }

  /** The peer has got the frame. */
  onAcked(threshold: number): void {
    this.#granted = threshold;
  }

  /** A frame was lost. Only the newest one matters. */
  onLost(threshold: number): void {
    if (threshold === this.#asked) this.#control.queueAckFrequency(threshold);
  }

  #ask(threshold: number): void {
    this.#asked = threshold;
    this.#control.queueAckFrequency(threshold);
  }
}
