/**
 * Something to share a bottleneck with: flows that are not MXP, reduced to what decides who gets how much.
 *
 * @module
 */

import type { Address } from "../base/address.ts";
import { type Micros, micros, seconds } from "../base/time.ts";
import type { SimulatedHost, SimulatedNetwork } from "./simulated_network.ts";

/** Bytes of a full segment, and of an acknowledgement. */
const SEGMENT = 1448;
const ACKNOWLEDGEMENT = 52;
const INITIAL_WINDOW = 10;
const DUPLICATE_THRESHOLD = 3;
const LEAST_TIMEOUT = seconds(0.2);
/** CUBIC (RFC 9438 §4): how fast the window grows, and what is left of it after a loss. */
const CUBIC_C = 0.4;
const CUBIC_BETA = 0.7;

/** Sends as if it were TCP with CUBIC and SACK, without end. Windows are in segments. Its segments carry nothing but their numbers. */
export class TcpFlow {
  /** Bytes that have arrived, each counted once. */
  delivered = 0;
  /** Segments that were sent again. */
  retransmissions = 0;
  readonly #network: SimulatedNetwork;
  readonly #from: Address;
  readonly #to: Address;
  readonly #segment = new Uint8Array(SEGMENT);
  readonly #ack = new Uint8Array(ACKNOWLEDGEMENT);
  // The sender. Segments in flight by number, with when they left; lost ones wait in #lost.
  readonly #inFlight = new Map<number, Micros>();
  readonly #lost: number[] = [];
  #next = 0;
  #highestAcked = -1;
  #window = INITIAL_WINDOW;
  #threshold = Infinity;
  #recoveryUntil = -1;
  #maxWindow = 0;
  #epochAt: number | undefined;
  #srtt = 0;
  #rttVar = 0;
  #backoff = 1;
  #cancelTimer: (() => void) | undefined;
  #stopped = false;
  // The receiver.
  readonly #received = new Set<number>();
  #receivedBelow = 0;

  /** Attaches a host at either address and begins. */
  constructor(network: SimulatedNetwork, from: Address, to: Address) {
    this.#network = network;
    this.#from = from;
    this.#to = to;
    const sender: SimulatedHost = { address: from, receive: (_from, bytes) => this.#onAck(numberIn(bytes)) };
    const receiver: SimulatedHost = { address: to, receive: (_from, bytes) => this.#onSegment(numberIn(bytes)) };
    network.attach(sender);
    network.attach(receiver);
    this.#send();
  }

  /** Sends nothing more. */
  stop(): void {
    this.#stopped = true;
    this.#cancelTimer?.();
  }

  #onSegment(segment: number): void {
    if (segment >= this.#receivedBelow && !this.#received.has(segment)) {
      this.#received.add(segment);
      this.delivered += SEGMENT;
      while (this.#received.delete(this.#receivedBelow)) this.#receivedBelow++;
    }
    // Selective: it names the segment that has just arrived.
    write(this.#ack, segment);
    this.#network.send(this.#to, this.#from, this.#ack);
  }

  #onAck(segment: number): void {
    if (this.#stopped) return;
    const { now } = this.#network;
    const sentAt = this.#inFlight.get(segment);
    if (sentAt !== undefined) {
      this.#inFlight.delete(segment);
      this.#sampleRtt(now - sentAt);
      this.#backoff = 1;
      this.#grow(now);
    }
    this.#highestAcked = Math.max(this.#highestAcked, segment);
    this.#detectLosses(sentAt);
    this.#send();
  }

  /** What left before something that has arrived, and is three numbers behind it, is lost. */
  #detectLosses(ackedSentAt: Micros | undefined): void {
    if (ackedSentAt === undefined) return;
    for (const [segment, sentAt] of this.#inFlight) {
      if (sentAt >= ackedSentAt || segment > this.#highestAcked - DUPLICATE_THRESHOLD) continue;
      this.#inFlight.delete(segment);
      this.#lost.push(segment);
      this.#onCongestion(segment);
    }
  }

  #onCongestion(segment: number): void {
    // One reduction for everything that was in flight together.
    if (segment <= this.#recoveryUntil) return;
    this.#recoveryUntil = this.#next;
    this.#maxWindow = this.#window < this.#maxWindow ? this.#window * (1 + CUBIC_BETA) / 2 : this.#window;
    this.#window = this.#threshold = Math.max(2, this.#window * CUBIC_BETA);
    this.#epochAt = undefined;
  }

  #grow(now: Micros): void {
    if (this.#window < this.#threshold) {
      this.#window++;
      return;
    }
    this.#epochAt ??= now;
    const elapsed = (now - this.#epochAt + this.#srtt) / 1e6;
    const k = Math.cbrt(Math.max(0, this.#maxWindow - this.#threshold) / CUBIC_C);
    const cubic = CUBIC_C * (elapsed - k) ** 3 + this.#maxWindow;
    const alpha = 3 * (1 - CUBIC_BETA) / (1 + CUBIC_BETA);
    const reno = this.#threshold + alpha * elapsed * 1e6 / Math.max(1, this.#srtt);
    const target = Math.min(Math.max(cubic, reno), 1.5 * this.#window);
    if (target > this.#window) this.#window += (target - this.#window) / this.#window;
  }

  #sampleRtt(rtt: number): void {
    if (this.#srtt === 0) {
      this.#srtt = rtt;
      this.#rttVar = rtt / 2;
    } else {
      this.#rttVar += (Math.abs(rtt - this.#srtt) - this.#rttVar) / 4;
      this.#srtt += (rtt - this.#srtt) / 8;
    }
  }

  #send(): void {
    if (this.#stopped) return;
    const { now } = this.#network;
    while (this.#inFlight.size < Math.floor(this.#window)) {
      const again = this.#lost.shift();
      if (again !== undefined) this.retransmissions++;
      const segment = again ?? this.#next++;
      this.#inFlight.set(segment, now);
      write(this.#segment, segment);
      this.#network.send(this.#from, this.#to, this.#segment);
    }
    this.#cancelTimer?.();
    const timeout = Math.max(LEAST_TIMEOUT, this.#srtt + 4 * this.#rttVar) * this.#backoff;
    this.#cancelTimer = this.#network.clock.wakeAt(micros(now + timeout), () => this.#onTimeout());
  }

  #onTimeout(): void {
    this.#backoff = Math.min(64, 2 * this.#backoff);
    this.#lost.push(...[...this.#inFlight.keys()].sort((a, b) => a - b));
    this.#inFlight.clear();
    this.#threshold = Math.max(2, this.#window / 2);
    this.#window = 1;
    this.#epochAt = undefined;
    this.#send();
  }
}

/** Sends datagrams of one size at an even pace, whatever becomes of them. */
export class SteadySource {
  /** Bytes that have arrived. */
  delivered = 0;
  #stopped = false;

  /** Attaches a host at the far end and begins, with `rate` Mbit/s. */
  constructor(network: SimulatedNetwork, from: Address, to: Address, rate: number, size: number = SEGMENT) {
    network.attach({ address: to, receive: (_from, bytes) => this.delivered += bytes.length });
    const bytes = new Uint8Array(size), gap = size * 8 / rate;
    const next = (): void => {
      if (this.#stopped) return;
      network.send(from, to, bytes);
      network.clock.wakeAt(micros(network.now + gap), next);
    };
    next();
  }

  /** Sends nothing more. */
  stop(): void {
    this.#stopped = true;
  }
}

function write(bytes: Uint8Array, segment: number): void {
  new DataView(bytes.buffer).setUint32(0, segment);
}

function numberIn(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
}
