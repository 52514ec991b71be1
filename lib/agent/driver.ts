/**
 * The only loop: carries UDP datagrams, time and events between a socket, an endpoint and whoever uses its connections.
 *
 * Everything that becomes ready in one turn of the event loop leaves together: API calls and received datagrams only
 * mark their connection, and one coalesced run drains the events, lets every marked connection send, and arms one timer.
 *
 * @module
 */

import type { Address } from "../base/address.ts";
import { type Clock, type Micros, NEVER } from "../base/time.ts";
import { DeadlineWheel } from "../mesh/deadline_wheel.ts";
import type { Connection } from "../transport/connection.ts";
import type { Endpoint } from "../transport/endpoint.ts";
import type { CloseReason, ConnectionEvent } from "../transport/events.ts";
import type { ConnectOptions } from "../transport/initiator_plan.ts";
import { TransportError } from "../wire/error_codes.ts";
import { SendPool } from "./send_pool.ts";
import { TimerHeap } from "./timer_heap.ts";
import type { BindUdp, UdpSocket } from "./udp_socket.ts";

/** Datagrams that one connection may send before the others have their turn. */
const PACKETS_PER_TURN = 16;
/** Datagrams that may wait in the socket at once; together they fit a default kernel buffer at 1 200 bytes. */
const SEND_BUFFERS = 128;
/** Datagrams of one run; beyond that, received ones get a chance first. */
const PACKETS_PER_RUN = 512;
/**
 * Microtask hops that a run waits while callers keep adding work: a promise that has just been resolved passes through
 * a few `await`s before the code behind it makes its next call.
 */
const MAX_HOPS = 12;
/** Hops without new work after which the run goes on. */
const QUIET_HOPS = 3;

/** Whoever uses a connection. */
export interface ConnectionUser {
  /** One event. May call any method of the connection; must not throw. */
  onEvent(event: ConnectionEvent): void;
}

/** Takes the place of a user that has been told of the end. */
const DEAF: ConnectionUser = { onEvent: () => {} };

/** What the driver keeps for a connection. */
export class Link {
  readonly connection: Connection;
  user: ConnectionUser | undefined;
  /** For the driver alone. */
  deadline: number = Infinity;
  heapIndex = -1;
  inDrain = false;
  inSend = false;
  gone = false;

  constructor(connection: Connection, user: ConnectionUser | undefined) {
    this.connection = connection;
    this.user = user;
  }
}

/** What a driver is made of. */
export interface DriverOptions {
  readonly endpoint: Endpoint;
  readonly clock: Clock;
  readonly bindUdp: BindUdp;
  readonly local: { readonly host: string; readonly port: number };
  /** Size of the largest UDP datagram that the endpoint sends. */
  readonly udpPayload: number;
  /** Decides about a connection that a peer opened, at its first event. */
  readonly onConnection?: (link: Link) => ConnectionUser;
  /** Told of a connection that a peer opened and that ended before it was established. */
  readonly onRefusal?: (link: Link, reason: CloseReason) => void;
  /** The socket failed for good: no connection will hear or say anything any more. */
  readonly onSocketError?: (error: Error) => void;
  /**
   * A fault of this library: it threw where it must not. The connection that it happened to has been given up; the
   * others go on.
   */
  readonly onFault?: (error: unknown) => void;
}

/** Runs one endpoint over one socket. */
export class Driver {
  readonly endpoint: Endpoint;
  readonly clock: Clock;
  /** Deadlines of calls; shared by all connections. */
  readonly deadlines: DeadlineWheel;
  readonly #pool: SendPool;
  readonly #onConnection: ((link: Link) => ConnectionUser) | undefined;
  readonly #onRefusal: ((link: Link, reason: CloseReason) => void) | undefined;
  readonly #onSocketError: ((error: Error) => void) | undefined;
  readonly #onFault: ((error: unknown) => void) | undefined;
  readonly #links = new Map<Connection, Link>();
  readonly #timers = new TimerHeap<Link>();
  readonly #hop = (): void => this.#hopped();
  readonly #goOn = (): void => this.#continue();
  /** When the events that are being handed out were received; when the current run began. */
  now: Micros;
  /** What everything is sent through. */
  #socket: UdpSocket | undefined;
  /** All that are open: those before the last move are heard until it is over. */
  readonly #sockets = new Set<UdpSocket>();
  readonly #openSocket: () => Promise<UdpSocket>;
  #formerSendErrors = 0;
  #formerTooLarge = 0;
  #lastLink: Link | undefined;
  #toDrain: Link[] = [];
  #toSend: Link[] = [];
  #scheduled = false;
  #hops = 0;
  #quiet = 0;
  #touches = 0;
  #seenTouches = 0;
  #running = false;
  #waitingForSocket = false;
  #statelessWork = false;
  #armedAt: Micros = NEVER;
  #cancelTimer: (() => void) | undefined;
  #closed = false;
  #faults = 0;

  /** Use {@link startDriver}. */
  constructor(options: DriverOptions) {
    this.endpoint = options.endpoint;
    this.clock = options.clock;
    this.now = options.clock.now();
    this.deadlines = new DeadlineWheel(this.now);
    this.#pool = new SendPool(options.udpPayload, SEND_BUFFERS);
    this.#onConnection = options.onConnection;
    this.#onRefusal = options.onRefusal;
    this.#onSocketError = options.onSocketError;
    this.#onFault = options.onFault;
    this.#openSocket = () => this.#bind(options.bindUdp, options.local);
  }

  /** Where the socket is bound. */
  get local(): Address {
    return this.#socket!.local;
  }

  /** Which runtime's socket it is. */
  get adapter(): string {
    return this.#socket!.adapter;
  }

  /** Datagrams that the operating system refused to send. */
  get sendErrors(): number {
    return this.#formerSendErrors + this.#socket!.sendErrors;
  }

  /** Datagrams that did not fit through the way out in one piece. */
  get tooLarge(): number {
    return this.#formerTooLarge + this.#socket!.tooLarge;
  }

  /** Connections that were given up because of a fault of this library. */
  get faults(): number {
    return this.#faults;
  }

  /** Binds the socket. Rejects with the runtime's error. */
  async bind(): Promise<void> {
    this.#socket = await this.#openSocket();
  }

  async #bind(bindUdp: BindUdp, local: { readonly host: string; readonly port: number }): Promise<UdpSocket> {
    let failure: Error | undefined, socket: UdpSocket | undefined = undefined;
    socket = await bindUdp(local, {
      onDatagram: (bytes, remote) => this.#onDatagram(bytes, remote),
      onBatchEnd: () => this.#onBatchEnd(),
      onError: (error) => {
        failure = error;
        // Undefined while it is being bound: then whoever binds it is told.
        if (socket !== undefined && this.#sockets.delete(socket) && socket === this.#socket) this.#onError(error);
      },
    });
    if (failure !== undefined) throw failure;
    this.#sockets.add(socket);
    if (this.#closed) this.closeSocket(socket);
    return socket;
  }

  /** Opens another socket where the first one was asked for. It is heard from now on, and nothing leaves there before {@link useSocket}. */
  openSocket(): Promise<UdpSocket> {
    return this.#openSocket();
  }

  /** From now on everything leaves through an open socket. Returns the one before, which is still heard. */
  useSocket(socket: UdpSocket): UdpSocket {
    const before = this.#socket!;
    if (!this.#closed) this.#flushSocket(before);
    this.#formerSendErrors += before.sendErrors - socket.sendErrors;
    this.#formerTooLarge += before.tooLarge - socket.tooLarge;
    this.#socket = socket;
    return before;
  }

  /** Lets go of a socket that is not in use. */
  closeSocket(socket: UdpSocket): void {
    this.#sockets.delete(socket);
    socket.close();
  }

  /** Opens a connection for a user. */
  connect(remote: Address, options: ConnectOptions | undefined, user: ConnectionUser): Link {
    const connection = this.endpoint.connect(this.clock.now(), remote, options);
    const link = new Link(connection, user);
    this.#links.set(connection, link);
    this.touch(link);
    return link;
  }

  /**
   * Says that a connection was written to, read from or closed: it may have something to send. Cheap; call it after
   * every command.
   */
  touch(link: Link): void {
    if (link.gone) return;
    this.#touches++;
    this.#queueToSend(link);
    if (!this.#scheduled && !this.#running) this.#schedule();
  }

  #queueToSend(link: Link): void {
    if (link.inSend) return;
    link.inSend = true;
    this.#toSend.push(link);
  }

  /** Puts a timer on for {@link deadlines}, after something was added there. */
  armDeadlines(): void {
    if (this.#scheduled || this.#running) return;
    this.#arm();
  }

  /** Sends what is ready now, without waiting for the turn to end. Settles when the socket has taken it. */
  async flush(): Promise<void> {
    if (this.#closed) return;
    this.#run();
    for (let i = 0; i < 8 && this.#toSend.length > 0; i++) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      if (this.#closed) return;
      this.#run();
    }
    await this.#socket?.flush();
  }

  /** Closes the socket. Connections hear nothing more; close them first. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    for (const socket of this.#sockets) socket.close();
    this.#sockets.clear();
    this.#links.clear();
    this.#toDrain = [];
    this.#toSend = [];
  }

  #onDatagram(bytes: Uint8Array, remote: Address): void {
    if (this.#closed) return;
    const connection = this.endpoint.handleDatagram(this.clock.now(), remote, bytes);
    const displaced = this.endpoint.takeDisplaced();
    if (displaced !== undefined) this.#queue(displaced);
    if (connection === undefined) {
      this.#statelessWork = true;
      return;
    }
    this.#queue(connection);
  }

  /** Something happened on a connection: its events are due, and then what it has to send. */
  #queue(connection: Connection): void {
    const link = this.#linkOf(connection);
    if (!link.inDrain) {
      link.inDrain = true;
      this.#toDrain.push(link);
    }
    this.#queueToSend(link);
  }

  #linkOf(connection: Connection): Link {
    const last = this.#lastLink;
    if (last !== undefined && last.connection === connection) return last;
    let link = this.#links.get(connection);
    if (link === undefined) {
      link = new Link(connection, undefined);
      this.#links.set(connection, link);
    }
    this.#lastLink = link;
    return link;
  }

  /** Events go out now; what callers do in answer leaves together with acknowledgements a few microtasks later. */
  #onBatchEnd(): void {
    if (this.#closed) return;
    this.#drain();
    if (!this.#scheduled && (this.#toSend.length > 0 || this.#statelessWork)) this.#schedule();
  }

  #schedule(): void {
    if (this.#closed) return;
    this.#scheduled = true;
    this.#hops = 0;
    this.#quiet = 0;
    this.#seenTouches = this.#touches;
    queueMicrotask(this.#hop);
  }

  #hopped(): void {
    if (this.#touches !== this.#seenTouches) {
      this.#seenTouches = this.#touches;
      this.#quiet = 0;
    } else this.#quiet++;
    if (this.#quiet < QUIET_HOPS && ++this.#hops < MAX_HOPS) {
      queueMicrotask(this.#hop);
      return;
    }
    this.#run();
  }

  #continue(): void {
    this.#waitingForSocket = false;
    if (!this.#closed && !this.#scheduled && (this.#toSend.length > 0 || this.#statelessWork)) this.#run();
  }

  #run(): void {
    this.#scheduled = false;
    if (this.#closed || this.#running) return;
    this.#drain();
    this.#running = true;
    try {
      this.#transmit();
    } finally {
      this.#running = false;
    }
    // Commands given while sending (by an owner that was told of an end) go with the next run.
    if (this.#toDrain.length > 0 || (this.#toSend.length > 0 && !this.#waitingForSocket)) this.#schedule();
    this.#arm();
  }

  #drain(): void {
    if (this.#running || this.#toDrain.length === 0) return;
    this.#running = true;
    this.now = this.clock.now();
    try {
      // Owners may add further links behind the ones in the list.
      for (let i = 0; i < this.#toDrain.length; i++) {
        const link = this.#toDrain[i];
        link.inDrain = false;
        this.#drainLink(link);
      }
      this.#toDrain.length = 0;
    } finally {
      this.#running = false;
    }
  }

  #drainLink(link: Link): void {
    try {
      while (!link.gone) {
        const event = link.connection.pollEvent();
        if (event === undefined) return;
        if (link.user === undefined) {
          if (event.type === "closed") this.#onRefusal?.(link, event.reason);
          if (event.type === "closed" || this.#onConnection === undefined) continue;
          link.user = this.#onConnection(link);
        }
        link.user.onEvent(event);
      }
    } catch (error) {
      this.#giveUp(link, error);
    }
  }

  /**
   * Something threw that must not. One connection pays for it: its user is told of its end, the peer gets a CLOSE if
   * that still works.
   */
  #giveUp(link: Link, error: unknown): void {
    if (link.gone) return;
    const { user } = link;
    if (user === DEAF) {
      // It fails at closing, too. The endpoint keeps it, and nobody listens to it any more.
      link.gone = true;
      this.#timers.remove(link);
      return;
    }
    this.#faults++;
    link.user = DEAF;
    const message = `internal fault: ${error instanceof Error ? error.message : String(error)}`;
    try {
      link.connection.close(this.now, TransportError.INTERNAL, "internal fault");
      this.#queueToSend(link);
    } catch {
      // The next attempt to use it will end it.
    }
    try {
      user?.onEvent({ type: "closed", reason: { by: "local", code: TransportError.INTERNAL, message } });
      this.#onFault?.(error);
    } catch {
      // There is nobody left to tell.
    }
  }

  #release(link: Link): void {
    link.gone = true;
    this.#timers.remove(link);
    this.#links.delete(link.connection);
    if (this.#lastLink === link) this.#lastLink = undefined;
    this.endpoint.forget(link.connection);
  }

  #transmit(): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    const now = this.now = this.clock.now();
    let budget = PACKETS_PER_RUN;
    if (this.#statelessWork) budget -= this.#transmitStateless(socket, budget);
    const round = this.#toSend;
    this.#toSend = [];
    while (round.length > 0) {
      let kept = 0;
      for (let i = 0; i < round.length; i++) {
        const link = round[i];
        const sent = budget > 0 ? this.#transmitLink(link, now, socket, Math.min(budget, PACKETS_PER_TURN)) : -1;
        if (sent === -1) {
          round[kept++] = link;
          continue;
        }
        budget -= sent;
        if (sent === PACKETS_PER_TURN) round[kept++] = link;
        else this.#settleLink(link);
      }
      round.length = kept;
      if (kept > 0 && (budget <= 0 || this.#waitingForSocket)) break;
    }
    this.#flushSocket(socket);
    // Whoever is left goes first next time; new ones line up behind.
    if (round.length > 0) {
      for (const link of this.#toSend) round.push(link);
      this.#toSend = round;
      if (!this.#waitingForSocket) {
        this.#waitingForSocket = true;
        setTimeout(this.#goOn, 0);
      }
    }
  }

  /** Datagrams sent; −1 if there was no buffer for the first one. */
  #transmitLink(link: Link, now: Micros, socket: UdpSocket, quota: number): number {
    const connection = link.connection;
    let sent = 0;
    while (sent < quota) {
      let buffer = this.#pool.peek();
      if (buffer === undefined) {
        this.#flushSocket(socket);
        buffer = this.#pool.peek();
        if (buffer === undefined) return sent === 0 ? -1 : PACKETS_PER_TURN;
      }
      let size = 0;
      try {
        if (!link.gone) size = connection.pollTransmit(now, buffer);
      } catch (error) {
        this.#giveUp(link, error);
        // Its CLOSE is still to be sent.
        if (!link.gone) return PACKETS_PER_TURN;
      }
      if (size === 0) return sent;
      socket.send(size === buffer.length ? buffer : buffer.subarray(0, size), connection.transmitRemote);
      this.#pool.take();
      sent++;
    }
    return PACKETS_PER_TURN;
  }

  #transmitStateless(socket: UdpSocket, budget: number): number {
    let sent = 0;
    while (sent < budget) {
      const buffer = this.#pool.peek();
      if (buffer === undefined) return sent;
      const size = this.endpoint.pollTransmit(buffer);
      if (size === 0) break;
      socket.send(buffer.subarray(0, size), this.endpoint.transmitRemote);
      this.#pool.take();
      sent++;
    }
    this.#statelessWork = false;
    return sent;
  }

  #flushSocket(socket: UdpSocket): void {
    if (!this.#pool.dirty) return;
    const waiting = this.#pool.flushed(socket.flush());
    if (waiting === undefined) return;
    if (this.#pool.peek() !== undefined) return;
    this.#waitingForSocket = true;
    waiting.then(this.#goOn);
  }

  /** Nothing more to send now: note when to look again, or let go of a connection that has ended. */
  #settleLink(link: Link): void {
    link.inSend = false;
    if (link.gone) return;
    this.#drainLink(link);
    if (link.gone) return;
    if (link.connection.state === "closed") return this.#release(link);
    this.#timers.update(link, link.connection.pollTimeout());
  }

  #arm(): void {
    if (this.#closed) return;
    const first = this.#timers.peek();
    const wheel = this.deadlines.next();
    const at = first === undefined ? wheel : Math.min(first.deadline, wheel) as Micros;
    // A timer that is early enough stays: it will look again. Most deadlines move on before they are due.
    if (at >= this.#armedAt) return;
    this.#cancelTimer?.();
    this.#armedAt = at;
    this.#cancelTimer = this.clock.wakeAt(at, () => this.#onTimer());
  }

  #onTimer(): void {
    this.#armedAt = NEVER;
    this.#cancelTimer = undefined;
    if (this.#closed) return;
    const now = this.now = this.clock.now();
    for (let link = this.#timers.peek(); link !== undefined && link.deadline <= now; link = this.#timers.peek()) {
      // Its next deadline is known once it has sent; until then it is not due.
      this.#timers.remove(link);
      try {
        link.connection.handleTimeout(now);
      } catch (error) {
        this.#giveUp(link, error);
      }
      if (!link.inDrain) {
        link.inDrain = true;
        this.#toDrain.push(link);
      }
      this.#queueToSend(link);
    }
    this.#drain();
    this.#running = true;
    try {
      this.deadlines.expire(now);
    } finally {
      this.#running = false;
    }
    if (!this.#waitingForSocket) this.#run();
    else this.#arm();
  }

  #onError(error: Error): void {
    if (this.#closed) return;
    this.#onSocketError?.(error);
    this.close();
  }
}

/** Binds a socket and starts. Rejects with the runtime's own error if the address cannot be bound. */
export async function startDriver(options: DriverOptions): Promise<Driver> {
  const driver = new Driver(options);
  await driver.bind();
  return driver;
}
