/**
 * What a scenario is: a situation that the transport has to master, in one or more cells, each with figures and what is asked of them.
 *
 * @module
 */

import { millis } from "../../lib/base/time.ts";
import type { CryptoProvider } from "../../lib/crypto/types.ts";
import type { LinkProfile } from "../../lib/testing/link.ts";
import type { CongestionName } from "../../lib/transport/congestion/create.ts";

/** What a cell is run with. */
export interface CellContext {
  /** Everything random follows from it. */
  readonly seed: number;
  readonly congestion: CongestionName;
  readonly crypto: CryptoProvider;
  /** Whether a small version will do: what the gate runs, seconds in total. */
  readonly quick: boolean;
}

/** Numbers and words, by name; the unit is the end of the name. */
export type Figures = Readonly<Record<string, number | string | boolean>>;

/** How a cell went. */
export interface Outcome {
  readonly ok: boolean;
  readonly figures: Figures;
  /** What is asked of the figures, with the numbers that hold for this cell. */
  readonly asked: string;
}

/** One set of parameters. */
export interface Cell {
  /** `loss=1,rtt=50`: what it is picked by. */
  readonly name: string;
  /** Whether the gate runs its small version. */
  readonly inGate?: boolean;
  /** Over real sockets, so that it takes real time and cannot be repeated to the byte. */
  readonly isReal?: boolean;
  readonly run: (context: CellContext) => Outcome | Promise<Outcome>;
}

/** A row of the table. */
export interface Scenario {
  /** `A1`. */
  readonly name: string;
  readonly title: string;
  /** What is asked, in general. */
  readonly asked: string;
  /** Whether the congestion controller matters, so that all of them should be tried. */
  readonly perController?: boolean;
  /** Empty for one that is not part of the transport. */
  readonly cells: readonly Cell[];
}

/** What Ethernet leaves for UDP over IPv4: the links of scenarios carry that, unless the scenario is about it. */
export const ETHERNET_UDP_PAYLOAD = 1472;

/** Packet header, tag, frame header and frame length: what a full datagram carries beside stream bytes. */
export const PACKET_OVERHEAD = 68;

/** A link of that round trip and rate. */
export function link(rtt: number, rate: number, more: Partial<LinkProfile> = {}): Partial<LinkProfile> {
  return { delay: millis(rtt / 2), rate, mtu: ETHERNET_UDP_PAYLOAD, ...more };
}

/** With so many digits behind the point. */
export function round(value: number, digits = 3): number {
  return Number(value.toFixed(digits));
}
