/**
 * An endpoint: all connections behind one UDP socket. It looks only at what a packet shows in clear, finds the connection it belongs
 * to, and decides about newcomers.
 *
 * @module
 */

import { type Address, address } from "../base/address.ts";
import { readU32 } from "../base/bytes.ts";
import type { Random } from "../base/random.ts";
import type { Micros } from "../base/time.ts";
import { hkdf } from "../crypto/hkdf.ts";
import type { CryptoProvider, KeyPair } from "../crypto/types.ts";
import { type ConnectionId, isZeroConnectionId } from "../wire/connection_id.ts";
import {
  HandshakeKind,
  HandshakePattern,
  MAX_UDP_PAYLOAD_SIZE,
  MIN_INITIATOR_DATAGRAM_SIZE,
  WIRE_VERSION,
} from "../wire/constants.ts";
import { RejectCode } from "../wire/error_codes.ts";
import {
  decodeHandshakeMessage,
  encodeReject,
  encodeVersionNegotiation,
  type HandshakeMessage,
  separateCookie,
  type SeparatedHello,
} from "../wire/handshake_message.ts";
import { FrameReader } from "../wire/frame_reader.ts";
import { handshakePacketSize, PacketReader, writeHandshakePacket } from "../wire/packet_header.ts";
import { Connection } from "./connection.ts";
import { ConnectionRoutes } from "./connection_routes.ts";
import type { ConnectionShared, ConnectionStart } from "./connection_start.ts";
import { ConnectionTotals } from "./connection_totals.ts";
import { type HandshakeContext, ResponderHandshake, type ResponderRole } from "./handshake.ts";
import { InitiatorFlow, ResponderFlow } from "./handshake_flow.ts";
import { type GateCounters, HelloGate } from "./hello_gate.ts";
import { RateLimit } from "./rate_limit.ts";
import { type ConnectOptions, planOf } from "./initiator_plan.ts";
import { ResumedResponder } from "./resumed_handshake.ts";
import { completeSettings, type TransportSettings } from "./settings.ts";
import { PeerResetTokens, ResetTokens } from "./stateless_reset.ts";
import { TicketVault } from "./ticket_vault.ts";

/** What an endpoint is made from. */
export interface EndpointOptions {
  /** The static key pair that proves who we are. */
  readonly identity: KeyPair;
  /** What handshakes and packets are protected with. */
  readonly crypto: CryptoProvider;
  /** Where ephemeral keys and connection ids come from. */
  readonly random: Random;
  /** What differs from {@link defaultSettings}. */
  readonly settings?: Partial<TransportSettings>;
  /** Whether connections from others are taken. */
  readonly accept: boolean;
  /** Decides about a peer once its static key is proven. Refused peers are closed with NOT_ALLOWED. Everybody is welcome by default. */
  readonly authorize?: (peerKey: Uint8Array) => boolean;
}

/** What an endpoint counts. Every dropped input has a name here. */
export interface EndpointCounters extends GateCounters {
  /** UDP datagrams that were handed in. */
  datagramsReceived: number;
  /** UDP datagrams, or the rest of one, that cannot be packets. */
  droppedMalformed: number;
  /** Protected or handshake packets for a connection id that is not known (any more). */
  droppedUnknownConnection: number;
  /** Packets that did not begin their UDP datagram and were for another connection than the one that did, or behind a hello. */
  droppedForeign: number;
  /** Hellos that are too short, from a zero id, or to an endpoint that takes no connections. */
  droppedHello: number;
  /** Hellos that did not authenticate. */
  failedHellos: number;
  /** Handshakes of others that proved nothing in their time, the displaced ones included. */
  abandonedHandshakes: number;
  /** Handshakes that proved nothing and had to make room for newer ones. */
  displacedHandshakes: number;
  /** Hellos turned away because there was no room. */
  refusedHellos: number;
  /** Hellos of a version that is not spoken here. */
  unknownVersions: number;
  /** Answers that were not given because too many were waiting. */
  droppedAnswers: number;
  /** Stateless resets that were sent. */
  resetsSent: number;
  /** Packets of unknown connections that were not answered with one, because there had been too many. */
  resetsLimited: number;
  /** Stateless resets that have ended a connection. */
  resetsReceived: number;
  /** Connections that this side began. */
  connectionsInitiated: number;
  /** Connections that others began and that were taken, whatever became of their handshakes. */
  connectionsAccepted: number;
  /** Tickets given away. */
  ticketsIssued: number;
  /** Hellos with a ticket that was good. */
  ticketsAccepted: number;
  /** Hellos with a ticket under a key that is not known (any more): after a restart, or long ago. */
  ticketsUnknown: number;
  /** Hellos with a ticket whose time was over. */
  ticketsExpired: number;
  /** Hellos with a ticket that had been used before. */
  ticketsUsed: number;
  /** Hellos with something that is no ticket, or was not made here. */
  ticketsMalformed: number;
  /** Early data that was acted upon. */
  earlyDataAccepted: number;
  /** Early data of good tickets that was not: it is not wanted, or its sender is not. */
  earlyDataRefused: number;
}

/** Stateless answers that may wait for the driver to collect them. */
const MAX_ANSWERS = 256;
/** Stateless resets a second; of twice as many at once. Clients of a node that was started anew go on asking until they have theirs. */
const RESETS_PER_SECOND = 2000;

const NO_BYTES = new Uint8Array(0);
const encoder = new TextEncoder();

interface Answer {
  readonly remote: Address;
  readonly packet: Uint8Array;
}

/**
 * All connections behind one UDP socket.
 *
 * @example
 * ```ts
 * import { address } from "../base/address.ts";
 * import { micros } from "../base/time.ts";
 * import { generateKeyPair, selectProvider } from "../crypto/mod.ts";
 * import { SeededRandom } from "../testing/seeded_random.ts";
 * import { Endpoint } from "./endpoint.ts";
 *
 * const crypto = selectProvider(), random = new SeededRandom(1); // a secure source outside of examples
 * const client = new Endpoint({ identity: generateKeyPair(crypto.dh, random), crypto, random, accept: false });
 * const server = new Endpoint({ identity: generateKeyPair(crypto.dh, random), crypto, random, accept: true });
 * const here = address("192.0.2.1", 1000), there = address("192.0.2.2", 9000), out = new Uint8Array(1200);
 *
 * const connection = client.connect(micros(0), there); // without a key: first contact
 * let size = connection.pollTransmit(micros(0), out);
 * const accepted = server.handleDatagram(micros(10), here, out.subarray(0, size))!;
 * size = accepted.pollTransmit(micros(10), out);
 * client.handleDatagram(micros(20), there, out.subarray(0, size));
 * connection.pollEvent(); // { type: "established" }
 * ```
 */
export class Endpoint {
  /** Live counters; read only. */
  readonly counters: EndpointCounters = {
    datagramsReceived: 0,
    droppedMalformed: 0,
    droppedUnknownConnection: 0,
    droppedForeign: 0,
    droppedHello: 0,
    failedHellos: 0,
    refusedHellos: 0,
    unknownVersions: 0,
    droppedAnswers: 0,
    retriesSent: 0,
    cookiesAccepted: 0,
    cookiesRejected: 0,
    workMissing: 0,
    helloRateLimited: 0,
    helloBudgetExceeded: 0,
    resetsSent: 0,
    resetsLimited: 0,
    resetsReceived: 0,
    displacedHandshakes: 0,
    abandonedHandshakes: 0,
    connectionsInitiated: 0,
    connectionsAccepted: 0,
    ticketsIssued: 0,
    ticketsAccepted: 0,
    ticketsUnknown: 0,
    ticketsExpired: 0,
    ticketsUsed: 0,
    ticketsMalformed: 0,
    earlyDataAccepted: 0,
    earlyDataRefused: 0,
  };
  /** How many connections were closed because the peer broke a rule, by the name of the CLOSE code; live, read only. */
  readonly violations: Record<string, number> = {};
  /** The settings in effect, defaults filled in. */
  readonly settings: TransportSettings;
  /** Where the packet of the last `pollTransmit` goes. */
  transmitRemote: Address = address("0.0.0.0", 0);
  readonly #options: EndpointOptions;
  readonly #shared: ConnectionShared;
  readonly #routes: ConnectionRoutes<Connection>;
  readonly #connections = new Set<Connection>();
  /** Accepted connections by what their initiator said, and from where: what a repeated hello is matched with. */
  readonly #byHello = new Map<string, Connection>();
  /** Key of the hash that the keys of {@link #byHello} are. */
  readonly #helloSecret: Uint8Array;
  /** Those among them whose initiator has not proven itself. */
  readonly #halfOpen = new Set<Connection>();
  /** Sums over the connections that were forgotten. */
  readonly #past = new ConnectionTotals();
  readonly #reader = new PacketReader();
  /** What those need who take connections. */
  readonly #gate: HelloGate | undefined;
  readonly #resetTokens: ResetTokens | undefined;
  /** Whether the UDP datagram that is being handled has not been answered with a reset. */
  #mayReset = true;
  readonly #resetLimit = new RateLimit(RESETS_PER_SECOND, 2 * RESETS_PER_SECOND);
  readonly #answers: Answer[] = [];
  #displaced: Connection | undefined;

  /** Throws a RangeError for settings out of bounds. */
  constructor(options: EndpointOptions) {
    this.#options = options;
    this.settings = completeSettings(options.settings);
    const { crypto, random, identity } = options;
    this.#shared = {
      scratch: new Uint8Array(MAX_UDP_PAYLOAD_SIZE),
      reader: new FrameReader(),
      frames: [],
      options,
      settings: this.settings,
      resets: new PeerResetTokens(crypto.sha256, identity.privateKey),
      violations: this.violations,
      vault: new TicketVault(options.crypto, options.random, this.settings.ticketLifetime),
      counters: this.counters,
    };
    this.#helloSecret = hkdf(crypto.sha256, NO_BYTES, identity.privateKey, "mxp1 hello index", 32);
    this.#resetTokens = options.accept ? new ResetTokens(crypto.sha256, identity.privateKey) : undefined;
    this.#routes = new ConnectionRoutes(random, this.#resetTokens);
    if (!options.accept) return;
    this.#gate = new HelloGate(this.settings, this.counters, crypto.sha256, random, identity.privateKey);
  }

  /** The connections that are not forgotten yet. */
  get connections(): Iterable<Connection> {
    return this.#connections;
  }

  /** What all connections have counted together, those that are over included. Looks at each: not for hot paths. */
  totals(): ConnectionTotals {
    const totals = new ConnectionTotals();
    totals.add(this.#past);
    for (const connection of this.#connections) totals.add(connection.stats());
    return totals;
  }

  /** How many there are. */
  get connectionCount(): number {
    return this.#connections.size;
  }

  /** How many of them have a peer that has not proven itself. */
  get halfOpenCount(): number {
    return this.#halfOpen.size;
  }

  /**
   * Begins a connection. With `peerKey` the handshake is IK and fails unless the peer holds that key; without, it is XX and the caller
   * has to judge `connection.peerKey` once it is established. Throws a RangeError for a port of 0, a key, ticket or number of tickets out of bounds.
   */
  connect(now: Micros, remote: Address, options: ConnectOptions = {}): Connection {
    if (!(remote.port >= 1 && remote.port <= 65535)) throw new RangeError(`cannot connect to port ${remote.port}`);
    if (options.peerKey !== undefined && options.peerKey.length !== 32) {
      throw new RangeError(`a public key has 32 bytes, got ${options.peerKey.length}`);
    }
    const { tickets } = options;
    const context = this.#context(tickets);
    const { localId } = context;
    const anew = (): HandshakeContext => {
      const again = this.#context(tickets);
      this.#routes.set(again.localId, connection);
      return again;
    };
    const plan = planOf(context, options, this.settings.maxProofOfWork, anew);
    const flow = new InitiatorFlow(now, plan, this.settings.handshakeTimeout);
    const start = { remote, localId, idSource: this.#routes.sourceOf, flow, tickets };
    const connection: Connection = new Connection(now, start, this.#shared);
    this.#add(connection);
    this.counters.connectionsInitiated++;
    return connection;
  }

  /**
   * Takes one UDP datagram. The bytes may be overwritten. Returns the connection that has something to do now; undefined if there
   * is none. Never throws, whatever the bytes are.
   */
  handleDatagram(now: Micros, remote: Address, bytes: Uint8Array): Connection | undefined {
    this.counters.datagramsReceived++;
    this.#mayReset = true;
    const reader = this.#reader;
    reader.reset(bytes);
    let connection = reader.next() ? this.#handleFirst(now, remote, bytes) : undefined;
    while (reader.next()) {
      // The first packet says whose UDP datagram it is: nobody else earns credit or work by it, and a hello comes alone.
      if (isZeroConnectionId(bytes, 0) || !isSameId(bytes, 0, reader.start)) this.counters.droppedForeign++;
      else if (connection === undefined) connection = this.#handleUnknown(now, remote);
      else this.#handleKnown(now, connection);
    }
    if (reader.dropReason !== undefined) this.counters.droppedMalformed++;
    return connection;
  }

  /**
   * The connection that had to make room for the one that the last `handleDatagram` returned, once; undefined if none had to. It is closed: poll its
   * events and forget it.
   */
  takeDisplaced(): Connection | undefined {
    const displaced = this.#displaced;
    this.#displaced = undefined;
    return displaced;
  }

  /** Fills `out` with the next answer that belongs to no connection; its size, 0 if there is none. */
  pollTransmit(out: Uint8Array): number {
    const answer = this.#answers.shift();
    if (answer === undefined) return 0;
    out.set(answer.packet);
    this.transmitRemote = answer.remote;
    return answer.packet.length;
  }

  /** Drops a connection whose state is `closed`. Throws a TypeError for any other. */
  forget(connection: Connection): void {
    if (connection.state !== "closed") throw new TypeError(`cannot forget a connection that is ${connection.state}`);
    this.#connections.delete(connection);
    this.#past.add({ ...connection.stats(), openStreams: 0 });
    this.#routes.deleteAll(connection.localIds);
    this.#halfOpen.delete(connection);
    if (connection.role === "responder" && connection.closeReason?.by === "handshake_timeout") {
      this.counters.abandonedHandshakes++;
    }
    this.#shared.resets.removeAll(connection);
    if (connection.helloKey !== undefined) this.#byHello.delete(connection.helloKey);
  }

  #context(tickets?: number): HandshakeContext {
    const { crypto, random, identity } = this.#options;
    const localId = this.#routes.fresh(), resetToken = this.#resetTokens?.of(localId);
    const parameters = tickets ? { ...this.settings, tickets } : this.settings;
    return { crypto, random, identity, localId, parameters, resetToken };
  }

  #add(connection: Connection): void {
    this.#connections.add(connection);
    this.#routes.set(connection.localId, connection);
  }

  #handleFirst(now: Micros, remote: Address, bytes: Uint8Array): Connection | undefined {
    if (isZeroConnectionId(bytes, 0)) return this.#handleHello(now, remote, bytes.length);
    const connection = this.#routes.getAt(bytes, 0);
    if (connection === undefined) return this.#handleUnknown(now, remote);
    connection.onDatagram(remote, bytes.length);
    this.#handleKnown(now, connection);
    return connection;
  }

  /** A packet for an id that is nobody's: it may be the peer's way of saying that we are nobody to it, or we say so. */
  #handleUnknown(now: Micros, remote: Address): Connection | undefined {
    const reader = this.#reader;
    if (!reader.isHandshake) {
      const connection = this.#shared.resets.find(reader.bytes, reader.start, reader.end);
      if (connection !== undefined) {
        this.counters.resetsReceived++;
        connection.onStatelessReset();
        this.#halfOpen.delete(connection);
        return connection;
      }
      this.#sendReset(now, remote);
    }
    this.counters.droppedUnknownConnection++;
    return undefined;
  }

  /** One for a UDP datagram. */
  #sendReset(now: Micros, remote: Address): void {
    const { destinationId, start, end } = this.#reader;
    if (!this.#mayReset) return;
    this.#mayReset = false;
    const packet = this.#resetTokens?.packet(destinationId, end - start, this.#options.random);
    if (packet === undefined) return;
    if (!this.#resetLimit.take(now)) this.counters.resetsLimited++;
    else if (this.#queueAnswer(remote, packet)) this.counters.resetsSent++;
  }

  #handleKnown(now: Micros, connection: Connection): void {
    const reader = this.#reader;
    if (reader.isHandshake) {
      const message = decodeHandshakeMessage(reader.bytes, reader.bodyStart, reader.end);
      // A negotiation answers versions that we do not speak, so its own version field is not ours to judge.
      if (
        message === undefined || (reader.version !== WIRE_VERSION && message.kind !== HandshakeKind.VERSION_NEGOTIATION)
      ) {
        this.counters.droppedMalformed++;
        return;
      }
      connection.onHandshakePacket(now, message, reader.senderId);
    } else connection.onProtectedPacket(now, reader.bytes, reader.start, reader.end);
    if (connection.isProven) this.#halfOpen.delete(connection);
  }

  /** A packet for connection id 0: only an InitiatorHello may be that. */
  #handleHello(now: Micros, remote: Address, size: number): Connection | undefined {
    const reader = this.#reader;
    if (!reader.isHandshake || !this.#options.accept || size < MIN_INITIATOR_DATAGRAM_SIZE || reader.senderId.isZero) {
      this.counters.droppedHello++;
      return undefined;
    }
    const initiatorId = reader.senderId;
    if (reader.version !== WIRE_VERSION) {
      this.counters.unknownVersions++;
      this.#answer(remote, initiatorId, encodeVersionNegotiation([WIRE_VERSION]));
      return undefined;
    }
    const whole = decodeHandshakeMessage(reader.bytes, reader.bodyStart, reader.end);
    const hello = whole?.kind === HandshakeKind.INITIATOR_HELLO ? separateCookie(whole) : undefined;
    if (hello === undefined) {
      this.counters.droppedHello++;
      return undefined;
    }
    const { message } = hello;
    const helloKey = this.#helloKey(remote, initiatorId, message);
    const known = this.#byHello.get(helloKey);
    if (known !== undefined) {
      known.onDatagram(remote, size);
      known.onHandshakePacket(now, message, initiatorId);
      return known;
    }
    return this.#accept(now, remote, size, hello, initiatorId, helloKey);
  }

  /**
   * What tells a repeated hello from another one. Nothing in an XX hello is authenticated, so all of it counts: an altered copy that
   * comes first must not stand in the way of the real one. A keyed hash, because all of it is chosen by strangers, who could else choose
   * what a hash table takes long for.
   */
  #helloKey(remote: Address, initiatorId: ConnectionId, message: HandshakeMessage): string {
    const { ephemeral, payload } = message;
    const rest = payload[0] === HandshakePattern.XX ? payload : NO_BYTES;
    const { sha256 } = this.#options.crypto;
    return String.fromCharCode(
      ...sha256.hmac(this.#helloSecret, initiatorId.bytes, ephemeral, encoder.encode(remote.key), rest),
    );
  }

  #accept(
    now: Micros,
    remote: Address,
    size: number,
    hello: SeparatedHello,
    initiatorId: ConnectionId,
    helloKey: string,
  ): Connection | undefined {
    const { message } = hello;
    const isResumed = message.payload[0] === HandshakePattern.NNPSK0;
    if (!isResumed && !ResponderHandshake.knowsPattern(message)) {
      this.counters.failedHellos++;
      this.#reject(remote, initiatorId, RejectCode.UNKNOWN_PATTERN);
      return undefined;
    }
    if (this.#connections.size >= this.settings.maxConnections) {
      this.counters.refusedHellos++;
      this.#reject(remote, initiatorId, RejectCode.OVERLOADED);
      return undefined;
    }
    const admission = this.#gate!.admit(now, remote, initiatorId, hello.answer, this.#halfOpen.size);
    if (admission === "drop") return undefined;
    if (admission === "retry") {
      this.#answer(remote, initiatorId, this.#gate!.retry(now, remote, initiatorId, this.#helloHash()));
      return undefined;
    }
    const context = this.#context();
    const accepted = isResumed
      ? this.#resume(now, context, message, initiatorId)
      : { handshake: ResponderHandshake.accept(context, message, initiatorId), reject: RejectCode.UNDECRYPTABLE };
    const { handshake } = accepted;
    if (handshake === undefined) {
      if (accepted.reject === RejectCode.UNDECRYPTABLE) this.counters.failedHellos++;
      // Nothing in an XX hello is encrypted: it was damaged, or never meant to be one.
      if (message.payload[0] !== HandshakePattern.XX) this.#reject(remote, initiatorId, accepted.reject);
      return undefined;
    }
    if (!isResumed && this.#halfOpen.size >= this.settings.maxHalfOpen) this.#displaceOldest();
    const { localId } = context;
    const { result: keys } = handshake;
    const { early, isWelcome } = accepted;
    const flow = new ResponderFlow(now, handshake, initiatorId, this.settings.handshakeTimeout);
    const idSource = this.#routes.sourceOf;
    const validated = admission === "validated";
    const ids = { localId, idSource, initiatorId };
    const start: ConnectionStart = { remote, ...ids, flow, helloKey, keys, early, isWelcome, validated };
    const connection = new Connection(now, start, this.#shared);
    this.#add(connection);
    this.#byHello.set(helloKey, connection);
    // A good ticket has proven its owner's key, and there are not many of them: nothing that a flood has to push out.
    if (!isResumed) this.#halfOpen.add(connection);
    this.counters.connectionsAccepted++;
    connection.onDatagram(remote, size);
    return connection;
  }

  /** Answers a hello with a ticket, or says with which code to turn it away. */
  #resume(now: Micros, context: HandshakeContext, message: HandshakeMessage, initiatorId: ConnectionId): Acceptance {
    const { counters, settings } = this;
    let isWelcome: boolean | undefined;
    const handshake = ResumedResponder.accept(context, message, initiatorId, {
      now,
      vault: this.#shared.vault,
      acceptsEarly: (peerKey, early) => {
        if (!settings.acceptEarlyData || settings.maxStreamsBidi < 1) return false;
        if (early.length > Math.min(settings.maxData, settings.maxStreamData)) return false;
        return isWelcome = this.#options.authorize?.(peerKey) ?? true;
      },
    });
    if (typeof handshake === "string") {
      if (handshake === "unauthentic") return { handshake: undefined, reject: RejectCode.UNDECRYPTABLE };
      counters[REFUSALS[handshake]]++;
      return { handshake: undefined, reject: RejectCode.TICKET };
    }
    counters.ticketsAccepted++;
    const { early, result } = handshake;
    if (early !== undefined) counters.earlyDataAccepted++;
    else if (result.peerParameters.earlyData !== undefined) counters.earlyDataRefused++;
    return { handshake, reject: RejectCode.TICKET, early, isWelcome };
  }

  /**
   * Makes room among the half-open connections. Whoever floods us with hellos pushes out his own; an honest peer needs its place for one round
   * trip, and repeats its hello if it was not enough.
   */
  #displaceOldest(): void {
    for (const connection of this.#halfOpen) {
      connection.displace();
      this.#halfOpen.delete(connection);
      this.#displaced = connection;
      this.counters.displacedHandshakes++;
      return;
    }
  }

  /** Rejects the hello that the reader is at. */
  #reject(remote: Address, initiatorId: ConnectionId, code: number): void {
    this.#answer(remote, initiatorId, encodeReject(code, this.#helloHash()));
  }

  #helloHash(): Uint8Array {
    const { bytes, bodyStart, end } = this.#reader;
    return this.#options.crypto.sha256.hash(bytes.subarray(bodyStart, end));
  }

  /** Queues a stateless answer. It is always smaller than the hello that it answers. */
  #answer(remote: Address, initiatorId: ConnectionId, message: Uint8Array): void {
    const packet = new Uint8Array(handshakePacketSize(message.length));
    // The sender id of an answer without a connection has no meaning; it repeats the initiator's, which is known to both.
    writeHandshakePacket(packet, 0, initiatorId, 0, initiatorId, WIRE_VERSION, message);
    this.#queueAnswer(remote, packet);
  }

  /** Whether there was room for it. */
  #queueAnswer(remote: Address, packet: Uint8Array): boolean {
    if (this.#answers.length >= MAX_ANSWERS) {
      this.counters.droppedAnswers++;
      return false;
    }
    this.#answers.push({ remote, packet });
    return true;
  }
}

/** What became of a hello: the answer to it, or the code to reject it with. */
interface Acceptance {
  readonly handshake: ResponderRole | undefined;
  readonly reject: number;
  readonly early?: Uint8Array | undefined;
  readonly isWelcome?: boolean | undefined;
}

const REFUSALS = {
  unknown_key: "ticketsUnknown",
  expired: "ticketsExpired",
  used: "ticketsUsed",
  malformed: "ticketsMalformed",
} as const;

/** Whether the connection ids at `first` and at `second` are the same. */
function isSameId(bytes: Uint8Array, first: number, second: number): boolean {
  return readU32(bytes, first) === readU32(bytes, second) && readU32(bytes, first + 4) === readU32(bytes, second + 4);
}
