/**
 * What may be tuned about the transport, with defaults and why they are what they are. Constants that the protocol fixes
 * live in `lib/wire/constants.ts`.
 *
 * @module
 */

import { type Micros, millis, seconds } from "../base/time.ts";
import { MAX_DIFFICULTY } from "./proof_of_work.ts";
import { PATH_MTU_DISCOVERY_MODES, type PathMtuDiscovery } from "./mtu_discovery.ts";
import { CONGESTION_NAMES, type CongestionName } from "./congestion/create.ts";
import { DATAGRAM_DROPS, type DatagramDrop } from "./datagram_frames.ts";

/** When a responder asks for a cookie. */
export type RetryMode = "auto" | "always" | "never";

/** All of {@link RetryMode}. */
export const RETRY_MODES: readonly RetryMode[] = ["auto", "always", "never"];

/** Everything that may be tuned about a connection and its endpoint. */
export interface TransportSettings {
  /** Bytes that the peer may have under way on the whole connection, at first. */
  readonly maxData: number;
  /** Bytes that the peer may have under way on one stream, at first. */
  readonly maxStreamData: number;
  /** Size up to which the connection's window grows when what arrives is read at once. */
  readonly maxDataWindow: number;
  /** Size up to which a stream's window grows. */
  readonly maxStreamWindow: number;
  /** Bidirectional streams that the peer may have open at once. */
  readonly maxStreamsBidi: number;
  /** Unidirectional streams that the peer may have open at once. */
  readonly maxStreamsUni: number;
  /** Unacknowledged bytes that one stream keeps for retransmission; a writer waits beyond that. Three times the congestion window where that is more. */
  readonly sendBuffer: number;
  /** Silence after which a connection is given up. 0 = never; the smaller of both sides applies. */
  readonly idleTimeout: Micros;
  /** Silence after which a PING is sent. 0 = never. */
  readonly keepAlive: Micros;
  /** How long a handshake may take altogether. */
  readonly handshakeTimeout: Micros;
  /** Which congestion controller decides how much is under way. */
  readonly congestion: CongestionName;
  /** Size of the UDP datagrams that we send at first, 1 200 to 65 507; {@link pathMtuDiscovery} finds out whether more pass. */
  readonly udpPayload: number;
  /** The same to peers on this machine's loopback, whose path is known; {@link udpPayload} where only that is given. */
  readonly loopbackUdpPayload: number;
  /**
   * When larger UDP datagrams than {@link udpPayload} are tried: `bulk`, `always` or `off`. The operating system should be told not to fragment them;
   * see {@link maxProbedUdpPayload}.
   */
  readonly pathMtuDiscovery: PathMtuDiscovery;
  /** Largest UDP datagram that is tried, in IPv4; IPv6 has room for 20 bytes less. */
  readonly maxProbedUdpPayload: number;
  /** Largest UDP datagram that we can receive; announced to the peer. */
  readonly maxUdpPayload: number;
  /** How long an acknowledgement may wait. */
  readonly maxAckDelay: Micros;
  /** An acknowledgement is due after this many ack-eliciting packets. */
  readonly ackThreshold: number;
  /** How long one key seals. 0 = every key is replaced as soon as the rules allow it. */
  readonly keyUpdateInterval: Micros;
  /** How many packets one key seals; half of what its suite allows where that is less. */
  readonly keyUpdatePackets: number;
  /** Largest data that the peer may send in a DATAGRAM frame; 0 = none is taken. Announced to the peer. */
  readonly maxDatagramFrame: number;
  /** DATAGRAM frames of one connection that may wait to be sent, and as many to be read. */
  readonly datagramQueueLength: number;
  /** Bytes of DATAGRAM frames that may wait to be sent, and as many to be read. */
  readonly datagramQueueBytes: number;
  /** Which DATAGRAM frame gives way when a queue is full: what has waited longest, or what comes. */
  readonly datagramDrop: DatagramDrop;
  /** Connection ids of the peer that are kept at once, the handshake's included, 1 to 255; without a second one nobody can move. */
  readonly activeConnectionIds: number;
  /** Connections that an endpoint holds at once. */
  readonly maxConnections: number;
  /** Connections among them whose peer has not yet proven its address. */
  readonly maxHalfOpen: number;
  /** When hellos have to prove their address with a cookie before anything is done for them; `auto`: under load. */
  readonly retry: RetryMode;
  /** Half-open connections from which on we are under load. */
  readonly retryHalfOpen: number;
  /** Hellos without a cookie a second from which on we are under load. */
  readonly retryRate: number;
  /** Hellos a second from one address (IPv6: /64) that are handled; of twice as many at once. Loopback is not limited. */
  readonly helloRate: number;
  /** Hellos a second, all together, that are handled. */
  readonly helloBudget: number;
  /** Zero bits of the work that a cookie asks for, 0 to 22; each doubles it. 0 = none. */
  readonly proofOfWork: number;
  /** Zero bits of work that we are willing to do for others. */
  readonly maxProofOfWork: number;
  /** Tickets that we give to a peer that would like some, for each of its connections. 0 = none, and nobody resumes. */
  readonly maxTickets: number;
  /** How long a ticket that we give is good. */
  readonly ticketLifetime: Micros;
  /** Whether we act on data that comes in the hello of a resumed connection. */
  readonly acceptEarlyData: boolean;
}

/** The defaults. */
export const defaultSettings: TransportSettings = {
  // A call's 16 MiB should not need many credit round trips at 50 ms; 2 MiB a stream gives 40 MB/s there.
  maxData: 8 << 20,
  maxStreamData: 2 << 20,
  // One stream may fill 250 Mbit/s at 600 ms, a satellite, also while what was lost is sent again: that is two and a half times what is
  // in flight there. What is in the window is memory that a peer can make us hold.
  maxDataWindow: 64 << 20,
  maxStreamWindow: 48 << 20,
  maxStreamsBidi: 1024,
  maxStreamsUni: 1024,
  sendBuffer: 2 << 20,
  idleTimeout: seconds(30),
  keepAlive: 0 as Micros,
  handshakeTimeout: seconds(30),
  congestion: CONGESTION_NAMES[0],
  // What every path carries (RFC 9000 §14), until it has been probed for more.
  udpPayload: 1200,
  // Loopback takes 64 KiB everywhere, but a default receive buffer holds a dozen datagrams of more than 8 KiB and three of 64.
  loopbackUdpPayload: 8192,
  pathMtuDiscovery: PATH_MTU_DISCOVERY_MODES[0],
  // Ethernet. Beyond it a system that does not set the don't-fragment bit sends fragments instead, and every size seems to pass.
  maxProbedUdpPayload: 1472,
  maxUdpPayload: 65507,
  maxAckDelay: millis(25),
  ackThreshold: 2,
  // Short enough that a stolen key is worth little, and far below any suite's limit; an update costs as much as a few packets.
  keyUpdateInterval: seconds(60),
  keyUpdatePackets: 2 ** 20,
  // Whatever fits into a packet; the queues bound what it costs.
  maxDatagramFrame: 65535,
  datagramQueueLength: 1024,
  datagramQueueBytes: 256 << 10,
  // Unreliable data is mostly about the present.
  datagramDrop: DATAGRAM_DROPS[0],
  // What RFC 9000 implementations announce, mostly; each that is issued costs both sides a look-up entry or as much.
  activeConnectionIds: 4,
  maxConnections: 16384,
  maxHalfOpen: 1024,
  retry: "auto",
  // A quarter of the room for them: from there on only those get in that can be reached where they say.
  retryHalfOpen: 256,
  // A handshake costs about 0.3 ms: at this rate they take a quarter of a core.
  retryRate: 1000,
  // Room for many users behind one address, and still a tenth of a core.
  helloRate: 500,
  helloBudget: 5000,
  proofOfWork: 0,
  // About a second of one core.
  maxProofOfWork: 18,
  maxTickets: 4,
  // Long enough for whoever calls now and then, short enough that a stolen one is soon worth nothing.
  ticketLifetime: seconds(3600),
  // A ticket works once, so there is nothing to gain by replaying the data that came with it.
  acceptEarlyData: true,
};

/** Completes and checks settings. Throws a RangeError that names the first one out of bounds. */
export function completeSettings(partial: Partial<TransportSettings> = {}): TransportSettings {
  const loopbackUdpPayload = partial.loopbackUdpPayload ?? partial.udpPayload ?? defaultSettings.loopbackUdpPayload;
  const settings = { ...defaultSettings, ...dropUndefined(partial), loopbackUdpPayload };
  checkWhole("maxData", settings.maxData, 1 << 14, 2 ** 40);
  checkWhole("maxStreamData", settings.maxStreamData, 1 << 12, 2 ** 40);
  checkWhole("maxDataWindow", settings.maxDataWindow, 0, 2 ** 40);
  checkWhole("maxStreamWindow", settings.maxStreamWindow, 0, 2 ** 40);
  checkWhole("maxStreamsBidi", settings.maxStreamsBidi, 0, 2 ** 20);
  checkWhole("maxStreamsUni", settings.maxStreamsUni, 0, 2 ** 20);
  checkWhole("sendBuffer", settings.sendBuffer, 1 << 12, 2 ** 32);
  check("idleTimeout", settings.idleTimeout, 0, (2 ** 32 - 1) * 1000);
  check("keepAlive", settings.keepAlive, 0, 2 ** 53 - 1);
  check("handshakeTimeout", settings.handshakeTimeout, 1, 2 ** 53 - 1);
  checkWhole("udpPayload", settings.udpPayload, 1200, 65507);
  checkWhole("loopbackUdpPayload", settings.loopbackUdpPayload, 1200, 65507);
  checkWhole("maxProbedUdpPayload", settings.maxProbedUdpPayload, 1220, 65507);
  checkWhole("maxUdpPayload", settings.maxUdpPayload, 1200, 65507);
  check("maxAckDelay", settings.maxAckDelay, 0, 1_000_000);
  checkWhole("ackThreshold", settings.ackThreshold, 1, 64);
  check("keyUpdateInterval", settings.keyUpdateInterval, 0, 2 ** 53 - 1);
  checkWhole("keyUpdatePackets", settings.keyUpdatePackets, 1, 2 ** 48);
  checkWhole("maxDatagramFrame", settings.maxDatagramFrame, 0, 65535);
  checkWhole("datagramQueueLength", settings.datagramQueueLength, 1, 2 ** 20);
  checkWhole("datagramQueueBytes", settings.datagramQueueBytes, 1, 2 ** 32);
  checkWhole("activeConnectionIds", settings.activeConnectionIds, 1, 255);
  checkWhole("maxConnections", settings.maxConnections, 1, 2 ** 24);
  checkWhole("maxTickets", settings.maxTickets, 0, 16);
  check("ticketLifetime", settings.ticketLifetime, seconds(1), seconds(7 * 86_400));
  checkWhole("maxHalfOpen", settings.maxHalfOpen, 1, 2 ** 24);
  checkWhole("retryHalfOpen", settings.retryHalfOpen, 0, 2 ** 24);
  check("retryRate", settings.retryRate, 1, 1e9);
  check("helloRate", settings.helloRate, 1, 1e9);
  check("helloBudget", settings.helloBudget, 1, 1e9);
  checkWhole("proofOfWork", settings.proofOfWork, 0, MAX_DIFFICULTY);
  checkWhole("maxProofOfWork", settings.maxProofOfWork, 0, MAX_DIFFICULTY);
  if (!RETRY_MODES.includes(settings.retry)) {
    throw new RangeError(`retry must be one of ${RETRY_MODES.join(", ")}, got ${settings.retry}`);
  }
  if (!DATAGRAM_DROPS.includes(settings.datagramDrop)) {
    throw new RangeError(`datagramDrop must be one of ${DATAGRAM_DROPS.join(", ")}, got ${settings.datagramDrop}`);
  }
  if (!PATH_MTU_DISCOVERY_MODES.includes(settings.pathMtuDiscovery)) {
    const modes = PATH_MTU_DISCOVERY_MODES.join(", ");
    throw new RangeError(`pathMtuDiscovery must be one of ${modes}, got ${settings.pathMtuDiscovery}`);
  }
  if (!CONGESTION_NAMES.includes(settings.congestion)) {
    throw new RangeError(`congestion must be one of ${CONGESTION_NAMES.join(", ")}, got ${settings.congestion}`);
  }
  return settings;
}

function check(name: string, value: number, least: number, most: number): void {
  if (!(value >= least && value <= most)) {
    throw new RangeError(`${name} must be between ${least} and ${most}, got ${value}`);
  }
}

function checkWhole(name: string, value: number, least: number, most: number): void {
  check(name, value, least, most);
  if (!Number.isInteger(value)) throw new RangeError(`${name} must be a whole number, got ${value}`);
}

function dropUndefined(partial: Partial<TransportSettings>): Partial<TransportSettings> {
  return Object.fromEntries(Object.entries(partial).filter(([, value]) => value !== undefined));
}
