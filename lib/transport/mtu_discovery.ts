/**
 * How large the UDP datagrams of a path may be (RFC 8899): larger ones are tried with probes that carry nothing else, and when only large packets
 * get lost, the path has become smaller than it was.
 *
 * There is no timer: probes leave along with other traffic, which is what larger datagrams are for.
 *
 * @module
 */

import { isLoopback } from "../base/address.ts";
import { type Micros, micros, seconds } from "../base/time.ts";
import { MIN_PATH_DATAGRAM_SIZE } from "../wire/constants.ts";
import type { SentPacket } from "./sent_packets.ts";
import type { TransportSettings } from "./settings.ts";

/** When larger datagrams are tried. `bulk`: once a connection has sent enough to profit from it. `always`: from the beginning. `off`: never. */
export type PathMtuDiscovery = "bulk" | "always" | "off";
/** All of {@link PathMtuDiscovery}; the first is the default. */
export const PATH_MTU_DISCOVERY_MODES: readonly PathMtuDiscovery[] = ["bulk", "always", "off"];

/** What paths carry, mostly: Ethernet under IPv6 and IPv4, and what lies beyond. In between nothing is worth a try. */
const CLASSES: readonly number[] = [1452, 1472, 4352, 8952, 8972, 16_384, 32_768, 65_507];
/** Below Ethernet there are tunnels of any size, so sizes are halved between the last that passed and the first that did not, down to this. */
const RESOLUTION = 16;
/** Lost probes of one size that mean it does not pass (MAX_PROBES, RFC 8899 §5.1.2). */
const MAX_PROBES = 3;
/** After this time a path is tried anew (PMTU_RAISE_TIMER, RFC 8899 §5.1.1). */
const RAISE_TIME: Micros = seconds(600);
/** So many datagrams of full size have left before the first probe, unless probes leave at once: a few calls do not need larger ones. */
const BULK_DATAGRAMS = 8;
/** What may be left over in a datagram that is full. */
const NEARLY_FULL = 64;
/**
 * So many large packets in a row lost, over more than a probe timeout, while smaller ones arrive: the path does not carry them any more. In a shorter
 * time it is no sign: a queue that is full still takes small packets.
 */
const BLACK_HOLE_LOSSES = 3;
/** IPv6 headers are longer than IPv4's by this. */
const IPV6_EXTRA = 20;

/** The settings that this is about. */
export type MtuSettings = Pick<
  TransportSettings,
  "udpPayload" | "loopbackUdpPayload" | "pathMtuDiscovery" | "maxProbedUdpPayload"
>;

/** The largest UDP datagram that a connection with these settings ever sends: what buffers have to hold. */
export function largestDatagram(settings: MtuSettings): number {
  const { udpPayload, loopbackUdpPayload, pathMtuDiscovery, maxProbedUdpPayload } = settings;
  return Math.max(udpPayload, loopbackUdpPayload, pathMtuDiscovery === "off" ? 0 : maxProbedUdpPayload);
}

/** The size to begin with towards a host. */
export function initialSize(host: string, settings: MtuSettings): number {
  return isLoopback(host) ? settings.loopbackUdpPayload : settings.udpPayload;
}

/** The datagram size of one path. */
export class MtuDiscovery {
  readonly #mode: PathMtuDiscovery;
  /** The largest size that is worth a try. */
  #most: number;
  #size: number;
  /** The smallest size that is known not to pass; Infinity if none is. */
  #ceiling = Infinity;
  /** The size that is being tried; 0 if none is. */
  #trying = 0;
  #underWay = false;
  #losses = 0;
  /** When the search begins anew; −1 while it goes on. */
  #raiseAt = -1;
  #fullSized = 0;
  /** Large packets lost behind the last one that arrived, when the first and the last of them left, and the number of the last. */
  #largeLosses = 0;
  #firstLargeAt: Micros = micros(0);
  #lastLargeAt: Micros = micros(0);
  #lastLarge = -1;
  #newestArrived = -1;
  /** Times that the path turned out to be smaller than before. */
  blackHoles = 0;

  /** Begins with what the settings say about a host. */
  constructor(host: string, settings: MtuSettings) {
    const { pathMtuDiscovery, maxProbedUdpPayload } = settings;
    this.#mode = pathMtuDiscovery;
    this.#size = initialSize(host, settings);
    // Loopback is known: there is nothing to find out, unless it turns out to be smaller than it should be.
    const probed = isLoopback(host) ? 0 : maxProbedUdpPayload - (host.includes(":") ? IPV6_EXTRA : 0);
    this.#most = pathMtuDiscovery === "off" ? this.#size : Math.max(this.#size, probed);
  }

  /** Size of the datagrams that are sent now. */
  get size(): number {
    return this.#size;
  }

  /** The peer receives no datagrams above this. */
  limit(most: number): void {
    this.#most = Math.min(this.#most, most);
    this.#size = Math.min(this.#size, most);
  }

  /** A datagram has left. */
  onSent(size: number): void {
    if (size + NEARLY_FULL > this.#size) this.#fullSized++;
  }

  /** Size of the probe that should leave now, at most `room`; 0 if none should. */
  probeSize(now: Micros, room: number): number {
    if (this.#underWay || this.#mode === "off" || (this.#mode === "bulk" && this.#fullSized < BULK_DATAGRAMS)) return 0;
    if (this.#raiseAt >= 0) {
      if (now < this.#raiseAt) return 0;
      this.#raiseAt = -1;
      this.#ceiling = Infinity;
    }
    if (this.#trying === 0) {
      this.#trying = this.#next(Math.min(this.#most, room));
      this.#losses = 0;
      if (this.#trying === 0) this.#raiseAt = micros(now + RAISE_TIME);
    }
    return this.#trying;
  }

  /** The probe has left. */
  onProbeSent(): void {
    this.#underWay = true;
  }

  /** What becomes of the packets that were sent so far will not be told. */
  forget(): void {
    this.#underWay = false;
    this.#largeLosses = 0;
  }

  /** A packet of this path has arrived. */
  onAcked(packet: SentPacket<unknown>): void {
    if (packet.mtuProbe) this.#onProbeAcked(packet.size);
    if (packet.size <= MIN_PATH_DATAGRAM_SIZE) return;
    this.#newestArrived = Math.max(this.#newestArrived, packet.packetNumber);
    if (packet.packetNumber > this.#lastLarge) this.#largeLosses = 0;
  }

  /** A packet of this path was lost. */
  onLost(packet: SentPacket<unknown>): void {
    if (packet.mtuProbe) {
      this.#onProbeLost(packet.size);
      return;
    }
    // One that left before a large one that arrived says nothing about sizes.
    if (packet.size <= MIN_PATH_DATAGRAM_SIZE || packet.packetNumber < this.#newestArrived) return;
    if (this.#largeLosses++ === 0) this.#firstLargeAt = packet.timeSent;
    this.#lastLargeAt = packet.timeSent;
    this.#lastLarge = packet.packetNumber;
  }

  /**
   * Goes back to what every path carries if the path has turned into a black hole for large packets. Called before something is sent, when all of an
   * acknowledgement is known. Losses are only noticed behind something that arrived, so smaller packets do.
   */
  settle(pto: Micros): void {
    if (this.#largeLosses < BLACK_HOLE_LOSSES || this.#lastLargeAt - this.#firstLargeAt < pto) return;
    this.#largeLosses = 0;
    if (this.#size <= MIN_PATH_DATAGRAM_SIZE) return;
    this.blackHoles++;
    this.#ceiling = this.#size;
    this.#size = MIN_PATH_DATAGRAM_SIZE;
    this.#trying = 0;
    this.#underWay = false;
    this.#raiseAt = -1;
  }

  #onProbeAcked(size: number): void {
    if (size === this.#trying) this.#underWay = false;
    if (size <= this.#size || size >= this.#ceiling) return;
    this.#size = size;
    if (size >= this.#trying) this.#trying = 0;
  }

  #onProbeLost(size: number): void {
    // Probes of an earlier search do not count.
    if (size !== this.#trying) return;
    this.#underWay = false;
    if (++this.#losses < MAX_PROBES) return;
    this.#ceiling = size;
    this.#trying = 0;
  }

  /** The next size to try; 0 if the search is over. */
  #next(most: number): number {
    const low = this.#size, high = this.#ceiling;
    for (const size of CLASSES) if (size > low && size < high && size <= most) return size;
    if (most > low && most < high) return most;
    if (high > CLASSES[0] || high - low <= RESOLUTION) return 0;
    return Math.floor((low + high) / 2);
  }
}
