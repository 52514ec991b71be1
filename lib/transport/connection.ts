/**
 * A connection: orchestrates handshake, packet protection, loss recovery and streams. The parts do the work; this file says in which order.
 *
 * Four families of methods: getters; commands (`openStream`, `write`, `close` …); `handle…` and `on…` (input); `poll…`
 * (output, until there is none). After any input or command: poll events, then transmissions, then the timeout.
 *
 * @module
 */

import type { Address } from "../base/address.ts";
import { type Micros, micros, NEVER } from "../base/time.ts";
import { type ConnectionId, ZERO_CONNECTION_ID } from "../wire/connection_id.ts";
import { WIRE_VERSION } from "../wire/constants.ts";
import { TransportError } from "../wire/error_codes.ts";
import type { HandshakeMessage } from "../wire/handshake_message.ts";
import { handshakePacketSize, writeHandshakePacket } from "../wire/packet_header.ts";
import { type StreamId, StreamRole } from "../wire/stream_id.ts";
import { AckFrequency } from "./ack_frequency.ts";
import { createController } from "./congestion/create.ts";
import type { ConnectionShared, ConnectionStart, ConnectionState } from "./connection_start.ts";
import { type ConnectionStats, Drops, recoveryStats, Traffic } from "./connection_stats.ts";
import { ConnectionIds } from "./connection_ids.ts";
import { ConnectionLife, type ConnectionLifeParts } from "./connection_life.ts";
import { ConnectionTickets } from "./connection_tickets.ts";
import { ControlQueue, NO_TOKEN } from "./control_queue.ts";
import { type CloseReason, type ConnectionEvent, EventQueue } from "./events.ts";
import { FrameFate } from "./frame_fate.ts";
import { ELICITING, type FrameTarget, handleFrames, IMMEDIATE, STOPPED } from "./frame_handler.ts";
import { DatagramFrames } from "./datagram_frames.ts";
import { forgetSecrets, type HandshakeResult } from "./handshake.ts";
import {
  type HandshakeOutcome,
  type HandshakeRtt,
  InitiatorFlow,
  type PatternName,
  patternName,
  ResponderFlow,
} from "./handshake_flow.ts";
import { IdleTimer } from "./idle_timer.ts";
import { KeyPhases } from "./key_phases.ts";
import { LossDetection } from "./loss_detection.ts";
import { initialSize } from "./mtu_discovery.ts";
import { Pacer } from "./pacer.ts";
import { OPENED, PacketReceiver } from "./packet_receiver.ts";
import { PacketSender, type SenderParts } from "./packet_sender.ts";
import { type PathParts, pathsOf } from "./path_change.ts";
import type { Paths } from "./paths.ts";
import { ReceivedPackets } from "./received_packets.ts";
import type { SentFrame } from "./sent_frame.ts";
import { StreamCommands } from "./stream_commands.ts";
import { StreamLayer } from "./stream_layer.ts";

/** One connection. Made by `Endpoint.connect` and `Endpoint.handleDatagram`. */
export class Connection extends StreamCommands {
  /** Which side of the handshake we are. */
  readonly role: "initiator" | "responder";
  /** What the endpoint matches a repeated hello with; responders only. */
  readonly helloKey: string | undefined;
  /** Where the datagram of the last `pollTransmit` goes. */
  transmitRemote: Address;
  /** The stream whose data was taken from the hello, read only; undefined if there is none. An initiator knows once it is established. */
  earlyStream: StreamId | undefined = undefined;
  /** Unreliable data: DATAGRAM frames, to be sent and read. */
  readonly datagrams: DatagramFrames;
  readonly #shared: ConnectionShared;
  readonly #flow: InitiatorFlow | ResponderFlow;
  readonly #initiator: InitiatorFlow | undefined;
  readonly #responder: ResponderFlow | undefined;
  readonly #received: ReceivedPackets;
  readonly #fate: FrameFate;
  readonly #recovery: LossDetection<SentFrame>;
  readonly #pacer = new Pacer();
  readonly #streams: StreamLayer;
  readonly #control = new ControlQueue();
  readonly #ackFrequency = new AckFrequency(this.#control);
  readonly #idle: IdleTimer;
  readonly #ids: ConnectionIds;
  /** All of these, for those of them that work together. */
  readonly #parts: SenderParts & PathParts & ConnectionLifeParts;
  readonly #paths: Paths;
  readonly #life: ConnectionLife;
  readonly #dropped = new Drops();
  readonly #receiver = new PacketReceiver(this.#dropped);
  readonly #localId: ConnectionId;
  #peerKey: Uint8Array | undefined;
  #suite = 0;
  #sender: PacketSender | undefined;
  #confirmed = false;
  readonly #events = new EventQueue();
  #handshakePackets = 0;
  /** Time of the input that is being handled. */
  #now: Micros;
  #pingTokens = 0;
  readonly #traffic = new Traffic();
  readonly #tickets: ConnectionTickets;
  #isWelcome: boolean | undefined;

  /** Begins at `now`, when the first hello is to be sent or has arrived. */
  constructor(now: Micros, start: ConnectionStart, shared: ConnectionShared) {
    super();
    const { settings } = shared, { remote, flow } = start;
    const isInitiator = flow instanceof InitiatorFlow;
    this.#flow = flow;
    this.#initiator = isInitiator ? flow : undefined;
    this.#responder = isInitiator ? undefined : flow;
    this.role = isInitiator ? "initiator" : "responder";
    this.transmitRemote = remote;
    this.#localId = start.localId;
    this.helloKey = start.helloKey;
    this.#shared = shared;
    this.#now = now;
    this.#ids = new ConnectionIds(start.idSource(this), settings.activeConnectionIds, shared.resets.of(this));
    this.#received = new ReceivedPackets(settings.maxAckDelay, settings.ackThreshold);
    const streamRole = isInitiator ? StreamRole.INITIATOR : StreamRole.RESPONDER;
    this.#streams = new StreamLayer(streamRole, settings, (event) => this.#events.push(event));
    const onDatagram = (): void => this.#events.push({ type: "datagram" });
    this.datagrams = new DatagramFrames(this.#streams.scheduler, settings, onDatagram);
    this.#fate = new FrameFate(
      this.#streams,
      this.#control,
      this.#received,
      this.#ackFrequency,
      this.datagrams,
      this.#ids,
      (token, rtt) => this.#events.push({ type: "pong", token, rtt }),
    );
    this.#recovery = new LossDetection<SentFrame>({
      handler: this.#fate,
      congestion: createController(settings.congestion, initialSize(remote.host, settings)),
      maxAckDelay: settings.maxAckDelay,
    });
    this.#idle = new IdleTimer(now, settings.idleTimeout, settings.keepAlive);
    this.#parts = {
      role: this.role,
      settings,
      random: shared.options.random,
      frames: shared.frames,
      violations: shared.violations,
      canTell: () => this.#sender !== undefined && this.isProven,
      received: this.#received,
      control: this.#control,
      ids: this.#ids,
      streams: this.#streams,
      recovery: this.#recovery,
      pacer: this.#pacer,
      idle: this.#idle,
      events: this.#events,
      datagrams: this.datagrams,
    };
    this.#paths = pathsOf(remote, start.validated === true, this.#parts);
    this.#recovery.observer = this.#paths;
    this.#life = new ConnectionLife(this.#parts);
    if (start.initiatorId !== undefined) this.#ids.remote.begin(start.initiatorId);
    this.#isWelcome = start.isWelcome;
    this.#tickets = new ConnectionTickets(shared.options.crypto, this.role, start.tickets ?? 0);
    if (start.keys !== undefined) this.#installKeys(now, start.keys);
    if (start.early !== undefined) this.#establish(now, () => this.#streams.receiveEarly(start.early!));
  }

  // Getters.

  /** @internal For the commands. */
  protected override get streams(): StreamLayer {
    return this.#streams;
  }

  /** The id that the peer addresses us with at first. */
  get localId(): ConnectionId {
    return this.#initiator?.localId ?? this.#localId;
  }

  /** Every id that may address us: those of all attempts, where one with a ticket was followed by another, and those that were issued later. */
  get localIds(): ConnectionId[] {
    return [...(this.#initiator?.localIds ?? [this.#localId]), ...this.#ids.local.all()];
  }

  /** The id that we address the peer with, once it is known. */
  get remoteId(): ConnectionId | undefined {
    return this.#ids.remote.current?.id;
  }

  /** Where the peer is. */
  get remote(): Address {
    return this.#paths.active.remote;
  }

  /** Which handshake pattern is used; what is tried first, until there is an answer. */
  get pattern(): PatternName {
    return patternName(this.#flow.pattern);
  }

  /** Whether nothing was sent yet, because the connection waits for {@link begin}. */
  get isHeld(): boolean {
    return this.#initiator?.isHeld === true;
  }

  /** Bytes of early data that {@link begin} takes. */
  get earlyCapacity(): number {
    return this.#initiator?.earlyCapacity ?? 0;
  }

  /** Where the connection stands. */
  override get state(): ConnectionState {
    return this.#life.state;
  }

  /** Whether the peer is known to have believed our handshake. */
  get confirmed(): boolean {
    return this.#confirmed;
  }

  /** Whether the peer has proven that it receives at its address. */
  get isProven(): boolean {
    return this.#paths.active.isProven;
  }

  /** Whether more may be sent to an address than three times what came from it. */
  isAddressValidated(address: Address): boolean {
    return this.#paths.isValidated(address);
  }

  /** The peer's static public key; on a responder in IK known, but not proven, before the connection is established. */
  get peerKey(): Uint8Array | undefined {
    return this.#peerKey;
  }

  /** Number of the AEAD suite; 0 until it is chosen. */
  get suite(): number {
    return this.#suite;
  }

  /** Why it ended, once it has. */
  get closeReason(): CloseReason | undefined {
    return this.#life.closeReason;
  }

  /** Bytes of packets that were sent and whose fate is open. */
  get bytesInFlight(): number {
    return this.#recovery.bytesInFlight;
  }

  /** How many bytes congestion control allows to be in flight. */
  get congestionWindow(): number {
    return this.#recovery.congestion.window;
  }

  /** A snapshot of the counters. Allocates: not for hot paths. */
  stats(): ConnectionStats {
    return {
      ...recoveryStats(this.#recovery),
      ...this.#traffic,
      paths: this.#paths.stats(),
      handshakeTime: this.#life.handshakeTime,
      retransmittedBytes: this.#streams.retransmittedBytes,
      handshakeMessagesSent: this.#handshakePackets,
      handshakeRetries: this.#initiator?.retries ?? 0,
      flow: this.#streams.flowStats(),
      streamResets: this.#streams.resetCount,
      openStreams: this.#streams.openCount,
      keyUpdatesSent: this.#receiver.keys?.updatesSent ?? 0,
      keyUpdatesReceived: this.#receiver.keys?.updatesReceived ?? 0,
      datagramFrames: this.datagrams.counters,
      udpPayload: this.#paths.mtu.size,
      dropped: { ...this.#dropped },
    };
  }

  // Commands.

  /**
   * Lets the handshake of a held connection begin. `early` is everything on its first stream, up to {@link earlyCapacity}, and is acted upon before
   * the handshake is over. If it is not taken nobody knows whether it was: what is sent again must be harmless twice. Throws a TypeError unless held.
   */
  begin(now: Micros, early?: Uint8Array): void {
    if (!this.isHeld) throw new TypeError("the handshake has begun already");
    this.#initiator!.begin(now, early);
  }

  /** Sends a PING; returns the token that the event `pong` will carry. Lost pings are not answered. */
  ping(): number {
    return this.#control.queuePing(this.#pingTokens++);
  }

  /**
   * Our own address has changed, or is about to: moves to the new path, with a fresh id and a fresh congestion state, and asks the peer to answer there.
   * `path_validated` or `path_failed` follows. False, and nothing has changed, if the connection cannot move: only a confirmed initiator can, and only
   * with an id that the peer has given it for that; after a move, the next one takes a round trip to arrive.
   */
  onLocalAddressChange(now: Micros): boolean {
    if (this.role === "responder" || !this.#confirmed || this.#life.closeReason !== undefined) return false;
    return this.#paths.changeLocalAddress(now, this.#recovery.pto());
  }

  /** Ends the connection. Streams are cut off: let them finish first if they matter. `reason` goes to the peer. */
  close(now: Micros, code: number, reason: string): void {
    this.#life.end(now, code, reason);
  }

  /** Gives up a handshake that has proven nothing, because others want its place. */
  displace(): void {
    if (!this.isProven && this.#life.closeReason === undefined) {
      this.#fail("handshake_timeout", "gave way to newer handshakes");
    }
  }

  // Input.

  /** A UDP datagram with at least one packet for this connection arrived. Called by the endpoint before its packets. */
  onDatagram(remote: Address, size: number): void {
    this.#traffic.bytesReceived += size;
    this.#traffic.datagramsReceived++;
    this.#paths.onDatagram(remote, size);
    if (this.#life.state === "closing") this.#life.close?.onReceived();
  }

  /** A handshake packet. Called by the endpoint. */
  onHandshakePacket(now: Micros, message: HandshakeMessage, senderId: ConnectionId): void {
    if (!this.#life.isOpen) {
      this.#dropped.late++;
      return;
    }
    const outcome: HandshakeOutcome = this.#initiator?.onMessage(now, message, senderId) ??
      this.#responder!.onMessage(now, message);
    switch (outcome.type) {
      case "ignored":
        this.#dropped.handshakeMessages++;
        return;
      case "retry":
        return;
      case "version":
        this.#fail("version", `the peer speaks wire versions ${outcome.spoken.join(", ")}, not ${WIRE_VERSION}`);
        return;
      case "keys":
        this.#ids.remote.begin(senderId);
        this.#installKeys(now, outcome.result);
        forgetSecrets(outcome.result);
        this.#sampleRtt(now, outcome);
        this.#establish(now, outcome.taken && (() => this.#streams.openDelivered(outcome.taken!)));
        break;
      case "proven":
        if (this.#sender === undefined) this.#installKeys(now, outcome.result);
        this.#sampleRtt(now, outcome);
        this.#prove(now);
        break;
      case "repeated":
        // What was sent behind the hello that got lost, which answers early data, got lost with it.
        if (this.#recovery.bytesInFlight > 0) this.#probe(1);
        return;
      case "unconfirmed":
        this.#control.queueHandshakeDone();
        return;
    }
    for (const packet of this.#receiver.takeEarly()) this.onProtectedPacket(now, packet, 0, packet.length);
  }

  /** A protected packet, at `start`–`end` of `bytes`. Called by the endpoint. */
  onProtectedPacket(now: Micros, bytes: Uint8Array, start: number, end: number): void {
    if (!this.#life.isOpen) {
      this.#dropped.late++;
      return;
    }
    const { scratch, reader } = this.#shared;
    const opened = this.#receiver.open(now, bytes, start, end, scratch);
    if (opened !== OPENED) {
      if (opened > 0) this.#life.violate(now, opened, "misuse of packet keys");
      return;
    }
    const { packetNumber, plaintextStart, plaintextEnd } = this.#receiver.keys!;
    if (this.#paths.isElsewhere) this.#traffic.packetsFromElsewhere++;
    this.#traffic.packetsReceived++;
    this.#idle.onReceived(now);
    if (!this.isProven) this.#prove(now);
    if (this.#life.closeReason !== undefined) return;
    this.#now = now;
    this.#paths.onPacket(now, packetNumber, this.#recovery.pto(), bytes, start);
    reader.reset(scratch, plaintextStart, plaintextEnd);
    const result = handleFrames(reader, this.#streams, this.#paths, this.#frameTarget);
    if (result === STOPPED) return;
    this.#received.onPacket(packetNumber, now, (result & ELICITING) !== 0, (result & IMMEDIATE) !== 0);
  }

  /** The peer has shown that it knows nothing of this connection. Called by the endpoint, which has checked the token. */
  onStatelessReset(): void {
    if (this.#life.closeReason === undefined) this.#fail("reset", "the peer does not know this connection any more");
    this.#life.state = "closed";
  }

  /** A timer expired. Harmless if none has. */
  handleTimeout(now: Micros): void {
    this.#life.onTimeout(now);
    if (!this.#life.isOpen) return;
    if (this.#flow.deadline <= now) {
      this.#fail("handshake_timeout", "the peer did not answer the handshake");
      return;
    }
    if (this.#idle.deadline(this.#recovery.pto()) <= now && this.#life.state === "established") {
      this.#fail("idle_timeout", "nothing was heard from the peer for too long");
      return;
    }
    if (this.#initiator !== undefined && this.#initiator.retryAt <= now) this.#initiator.onTimeout(now);
    if (this.#recovery.pollTimeout() <= now) this.#onRecoveryTimeout(now);
    this.#receiver.keys?.onTimeout(now);
    this.#paths.onTimeout(now);
    if (this.#life.state === "established" && this.#idle.keepAliveAt() <= now) {
      this.#control.queuePing(NO_TOKEN);
      this.#idle.onKeepAlive(now);
    }
  }

  // Output.

  /** When `handleTimeout` wants to be called; NEVER if there is no need. A time in the past means now. */
  pollTimeout(): Micros {
    if (this.#life.state === "closed") return NEVER;
    if (this.#life.close !== undefined) return this.#life.close.deadline;
    const idle = this.#idle;
    return micros(Math.min(
      this.#flow.deadline,
      this.#initiator === undefined ? NEVER : this.#initiator.retryAt,
      this.#recovery.pollTimeout(),
      this.#received.ackDeadline,
      this.#receiver.keys?.deadline ?? NEVER,
      this.#sender === undefined ? NEVER : this.#sender.pacingUntil,
      this.#paths.wakeAt,
      this.#life.state === "established" ? Math.min(idle.deadline(this.#recovery.pto()), idle.keepAliveAt()) : NEVER,
    ));
  }

  /** The next event; undefined if there is none. */
  pollEvent(): ConnectionEvent | undefined {
    const event = this.#events.poll();
    if (event?.type === "readable") this.#streams.onReadablePolled(event.id);
    else if (event?.type === "stream_reset") this.#streams.onResetPolled(event.id);
    return event;
  }

  /**
   * Fills `out` with the next UDP datagram, for {@link transmitRemote}; returns its size, 0 if there is nothing to send now. Call until it says 0.
   * `out` should hold as many bytes as `largestDatagram` says.
   */
  pollTransmit(now: Micros, out: Uint8Array): number {
    const { state, close } = this.#life, sender = this.#sender, path = this.#paths.active;
    if (state === "closed" || state === "draining") return 0;
    let size = close === undefined && sender !== undefined ? this.#paths.transmit(now, out, sender) : 0;
    if (size > 0) this.transmitRemote = this.#paths.transmitRemote;
    else {
      this.#paths.settleSize(now, this.#recovery.pto());
      const limit = path.allows(Math.min(out.length, this.#paths.mtu.size));
      size = close === undefined ? this.#fill(now, out, limit) : sender!.sendClose(out, limit, close);
      if (size === 0) return 0;
      this.#paths.onSent(size);
      this.transmitRemote = path.remote;
    }
    this.#traffic.bytesSent += size;
    this.#traffic.datagramsSent++;
    return size;
  }

  #fill(now: Micros, out: Uint8Array, limit: number): number {
    const message = this.#flow.dueMessage;
    let size = 0;
    if (message !== undefined && handshakePacketSize(message.length) <= limit) {
      const dst = this.remoteId ?? ZERO_CONNECTION_ID;
      size = writeHandshakePacket(out, 0, dst, this.#handshakePackets++, this.localId, WIRE_VERSION, message);
      this.#flow.onSent(now);
    }
    const sender = this.#sender;
    if (sender === undefined) return size;
    size = sender.send(now, out, size, limit);
    if (sender.isUsedUp) {
      this.#life.violate(now, TransportError.KEY_LIMIT, "the key has sealed as many packets as it may");
    }
    return size;
  }

  // State.

  #installKeys(now: Micros, result: HandshakeResult): void {
    const { options, settings } = this.#shared;
    const keys = KeyPhases.begin(now, result, options.crypto, settings, () => this.#recovery.pto());
    this.#receiver.keys = keys;
    this.#sender = new PacketSender(this.#parts, keys, options.random);
    this.#tickets.onKeys(result);
    this.#suite = result.suite;
    this.#peerKey = result.peerKey;
    const parameters = result.peerParameters;
    this.#ids.setPeerParameters(parameters);
    this.#streams.setPeerParameters(parameters);
    this.#recovery.maxAckDelay = parameters.maxAckDelay;
    this.#idle.negotiate(parameters.idleTimeout);
    this.#paths.limitSize(parameters.maxUdpPayload);
    this.datagrams.setPeerLimit(parameters.maxDatagramFrame);
    this.#paths.settleSize(now, this.#recovery.pto());
    this.#idle.onReceived(now);
  }

  #sampleRtt(now: Micros, { rtt, leastRtt }: HandshakeRtt): void {
    this.#recovery.congestion.onFirstRtt(leastRtt);
    if (rtt === undefined) return;
    this.#recovery.rtt.update(rtt, micros(0), now);
    this.#pacer.update(now, this.#recovery.congestion, this.#recovery.rtt);
  }

  /** `early` makes the stream that came with the hello, on either side; it says −1 if its data contradicts the limits of whoever took it. */
  #establish(now: Micros, early?: () => StreamId | -1): void {
    this.#life.establish(now, this.#flow.beganAt);
    const id = early?.();
    if (id !== -1) this.earlyStream = id;
    else {this.#life.violate(
        now,
        TransportError.PROTOCOL_VIOLATION,
        "early data beyond the limits of the side that took it",
      );}
  }

  /** Responder: the initiator has proven itself, and that it receives at its address. */
  #prove(now: Micros): void {
    this.#paths.active.prove();
    this.#responder?.prove();
    this.#isWelcome ??= this.#shared.options.authorize?.(this.#peerKey!) ?? true;
    if (!this.#isWelcome) {
      this.#life.end(now, TransportError.NOT_ALLOWED, "this key is not allowed here");
      return;
    }
    if (this.#life.state === "handshake") this.#establish(now);
    this.#control.queueHandshakeDone();
    this.#tickets.give(now, this.#shared, this.#control);
    this.#confirm();
  }

  #confirm(): void {
    if (this.#confirmed) return;
    this.#confirmed = true;
    this.#initiator?.confirm();
    this.#recovery.onHandshakeConfirmed();
    this.#ids.local.begin(this.localId);
    this.#paths.isConfirmed = true;
    this.#events.push({ type: "confirmed" });
  }

  #onRecoveryTimeout(now: Micros): void {
    this.#fate.now = now;
    const probes = this.#recovery.onTimeout(now);
    this.#pacer.update(now, this.#recovery.congestion, this.#recovery.rtt);
    if (probes === 0 || this.#sender === undefined) return;
    // The responder may still lack our finish, without which it cannot open anything.
    this.#initiator?.repeat();
    this.#probe(probes);
  }

  /** RFC 9002 §6.2.4: probes carry what is new, if there is anything. Their acknowledgement then tells what was really lost. */
  #probe(count: number): void {
    this.#sender!.probes = count;
    if (!this.#streams.hasPending) this.#recovery.probeWith(count);
  }

  readonly #frameTarget: FrameTarget = {
    onAck: (reader) => {
      this.#fate.now = this.#now;
      if (this.#sender!.isFooled(reader.ackRanges, reader.ackRangeCount)) return false;
      const delay = micros(reader.ackDelay);
      if (delay > this.#recovery.maxAckDelay) this.#dropped.ackDelays++;
      if (
        this.#recovery.onAckReceived(this.#now, reader.ackLargest, delay, reader.ackRanges, reader.ackRangeCount) ===
          "unsent"
      ) {
        return false;
      }
      if (!this.#receiver.keys!.onAck(this.#now, reader.ackLargest)) {
        this.#dropped.keyUpdates++;
        this.#life.violate(this.#now, TransportError.KEY_UPDATE, "acknowledged new keys with old ones");
        return false;
      }
      this.#pacer.update(this.#now, this.#recovery.congestion, this.#recovery.rtt);
      const { window, maxDatagramSize } = this.#recovery.congestion;
      this.#streams.onCongestionWindow(window);
      this.#ackFrequency.onWindow(window, maxDatagramSize);
      this.#recovery.peerAcksAtOnce = this.#ackFrequency.isImmediate;
      // Who acknowledges a protected packet has the keys, which only a believed finish or opened packet gives.
      this.#confirm();
      return true;
    },
    onHandshakeDone: () => {
      if (this.#initiator === undefined) return false;
      this.#confirm();
      return true;
    },
    onAckFrequency: (threshold) => this.#received.setThreshold(threshold, this.#receiver.keys!.packetNumber),
    onTicket: (reader) => this.#tickets.take(reader, this.#events),
    onDatagram: ({ bytes, dataStart, dataEnd }) => this.datagrams.onFrame(bytes, dataStart, dataEnd),
    onClose: (code, reason) => this.#life.drain(this.#now, code, reason),
    onViolation: (code, message) => this.#life.violate(this.#now, code, message),
  };

  #fail(by: "idle_timeout" | "handshake_timeout" | "version" | "reset", message: string): void {
    this.#life.fail(by, message, this.#initiator?.hint);
  }
}
