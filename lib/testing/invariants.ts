/**
 * What must hold at every step of a simulation, whatever the network does. Whoever breaks it makes the simulation throw.
 *
 * @module
 */

import type { Address } from "../base/address.ts";
import { type Micros, NEVER } from "../base/time.ts";
import type { CryptoProvider } from "../crypto/types.ts";
import type { Connection } from "../transport/connection.ts";
import type { Endpoint } from "../transport/endpoint.ts";
import type { ConnectionEvent } from "../transport/events.ts";
import { AMPLIFICATION_FACTOR, ControlOp } from "../wire/constants.ts";
import { AddressProofs } from "./address_proofs.ts";
import { CreditLedger } from "./credit_ledger.ts";
import { KeyRegistry, watchCrypto } from "./watched_crypto.ts";

/** A rule was broken. */
export class InvariantError extends Error {
  /** For whoever catches it across realms. */
  override readonly name = "InvariantError";
}

/** A node as far as the rules look at it. */
export interface WatchedNode {
  /** Where it is. */
  readonly address: Address;
  /** What it runs. */
  readonly endpoint: Endpoint;
}

/** Bytes between a node and an address, until that has proven itself. */
interface Unproven {
  proven: boolean;
  received: number;
  sent: number;
}

/** What is remembered about a connection. */
interface Record {
  /** Datagrams that went beyond the congestion window. */
  beyondWindow: number;
  bytesInFlight: number;
  readonly seen: Set<ConnectionEvent["type"]>;
  accountsOpen: boolean;
}

/** Ack-eliciting packets that one probe timeout allows beyond the congestion window (RFC 9002 §6.2.4). */
const PROBES_PER_TIMEOUT = 2;
/** Events that a connection reports once at most. */
const ONCE: ReadonlySet<ConnectionEvent["type"]> = new Set(["established", "confirmed", "closed"] as const);

/**
 * The rules, for all nodes of one network:
 *
 * - a key never seals two plaintexts under the same nonce, also across key updates, and packet numbers have gaps of one at most;
 * - keys are replaced only once they were acknowledged, KEY_PHASE says so, and none comes back;
 * - what a side sends never exceeds the credit that the other has given it, for data, for streams and in DATAGRAM frames;
 * - what is in flight never exceeds the congestion window but for probes;
 * - an address that has not proven itself gets at most three times what came from it, and none is believed in to which a connection moved
 *   without a challenge that was answered;
 * - a timer is armed whenever something is in flight, and timers move on when they are served;
 * - `established`, `confirmed` and `closed` are reported at most once, `closed` last;
 * - an endpoint holds no more connections than it is allowed to.
 *
 * What is delivered, and that it is delivered once, is looked at by `PatternTraffic`.
 */
export class Invariants {
  /** How often something was checked, so that a test can tell that it was. */
  checks = 0;
  readonly #now: () => Micros;
  readonly #registry = new KeyRegistry();
  readonly #ledger = new CreditLedger();
  readonly #proofs = new AddressProofs();
  readonly #nodes = new Map<string, WatchedNode>();
  readonly #records = new WeakMap<Connection, Record>();
  /** By node, wherever it is, and address of the other one. */
  readonly #unproven = new WeakMap<WatchedNode, Map<string, Unproven>>();

  /** `now` is for messages. */
  constructor(now: () => Micros) {
    this.#now = now;
    this.#ledger.onPathFrame = (op, data) => {
      const name = String.fromCharCode(...data);
      if (op === ControlOp.PATH_CHALLENGE) this.#proofs.onChallenge(name);
      else this.#proofs.onResponse(name);
    };
  }

  /** Keys that have been made so far, the handshakes' included. */
  get keyCount(): number {
    return this.#registry.size;
  }

  /** New bytes of streams that this side of a connection has sent so far. */
  dataSent(connection: Connection): number {
    return connection.remoteId === undefined ? 0 : this.#ledger.dataSentTo(connection.remoteId);
  }

  /** A node is there, in place of whoever was at its address before. Its settings are what its peers are held to. */
  addNode(node: WatchedNode): void {
    this.#nodes.set(node.address.key, node);
  }

  /** The provider that a node is to use, so that what it seals is seen. */
  watch(crypto: CryptoProvider, address: Address): CryptoProvider {
    return watchCrypto(crypto, this.#registry, (key, nonce, aad, plain) => {
      this.checks++;
      const name = String.fromCharCode(...nonce);
      if (key.nonces.has(name)) this.fail(address, "sealed twice with one nonce under one key");
      key.nonces.add(name);
      const problem = this.#ledger.onSeal(nonce, aad, plain, key);
      if (problem !== undefined) this.fail(address, problem);
    });
  }

  /** A node got a datagram. */
  onReceived(node: WatchedNode, from: Address, size: number): void {
    this.#unprovenOf(node, from).received += size;
  }

  /** A node sends a datagram, for a connection or, without one, statelessly. */
  onSent(node: WatchedNode, to: Address, size: number, connection: Connection | undefined): void {
    this.checks++;
    this.#proofs.onSent(to);
    const unproven = this.#unprovenOf(node, to);
    if (connection !== undefined && (connection.role === "initiator" || this.#isProven(node, connection, to))) {
      unproven.proven = true;
    }
    if (unproven.proven) return;
    unproven.sent += size;
    if (unproven.sent > AMPLIFICATION_FACTOR * unproven.received) {
      this.fail(node.address, `sent ${unproven.sent} bytes to ${to.key}, which had sent only ${unproven.received}`);
    }
  }

  /** A connection has just filled a datagram. */
  afterTransmit(node: WatchedNode, connection: Connection): void {
    this.checks++;
    const record = this.#recordOf(connection);
    const { bytesInFlight, congestionWindow } = connection;
    if (bytesInFlight > record.bytesInFlight && bytesInFlight > congestionWindow) {
      record.beyondWindow++;
      const { probeTimeouts } = connection.stats();
      if (record.beyondWindow > PROBES_PER_TIMEOUT * probeTimeouts) {
        this.fail(
          node.address,
          `${bytesInFlight} bytes in flight, window ${congestionWindow}: ` +
            `${record.beyondWindow} times beyond it, after ${probeTimeouts} probe timeouts`,
        );
      }
    }
    record.bytesInFlight = bytesInFlight;
  }

  /** A connection reports an event. */
  onEvent(node: WatchedNode, connection: Connection, event: ConnectionEvent): void {
    this.checks++;
    const { seen } = this.#recordOf(connection);
    if (seen.has("closed")) this.fail(node.address, `${event.type} was reported after closed`);
    if (ONCE.has(event.type) && seen.has(event.type)) this.fail(node.address, `${event.type} was reported twice`);
    seen.add(event.type);
  }

  /** A connection is about to be asked for datagrams. */
  beforeTransmit(node: WatchedNode, connection: Connection): void {
    const record = this.#recordOf(connection);
    record.bytesInFlight = connection.bytesInFlight;
    if (record.accountsOpen || connection.remoteId === undefined) return;
    // Copies of a hello from elsewhere make half-open connections, which say nothing about the one whose initiator is real.
    const isCopy = connection.role === "responder" && !connection.isProven && this.#ledger.has(connection.remoteId);
    if (isCopy) return;
    record.accountsOpen = true;
    const own = node.endpoint.settings;
    const peer = this.#nodes.get(connection.remote.key)?.endpoint.settings;
    if (connection.role === "initiator") this.#ledger.open(connection.localId, connection.remoteId, own, peer);
    else this.#ledger.open(connection.remoteId, connection.localId, peer, own);
  }

  /** A connection has nothing more to do now. */
  afterStep(node: WatchedNode, connection: Connection): void {
    this.checks++;
    if (connection.state === "closed") return;
    const timeout = connection.pollTimeout();
    if (timeout === NEVER && connection.bytesInFlight > 0) {
      this.fail(node.address, "something is in flight and no timer is armed");
    }
    if (timeout <= this.#now()) this.fail(node.address, "a timer was served and does not move on");
    const { endpoint } = node;
    if (endpoint.connectionCount > endpoint.settings.maxConnections) {
      this.fail(node.address, `${endpoint.connectionCount} connections, ${endpoint.settings.maxConnections} allowed`);
    }
    if (endpoint.halfOpenCount > endpoint.settings.maxHalfOpen) {
      this.fail(node.address, `${endpoint.halfOpenCount} half-open connections`);
    }
  }

  /** Throws. */
  fail(address: Address, message: string): never {
    throw new InvariantError(`at ${this.#now()} µs, ${address.key}: ${message}`);
  }

  #isProven(node: WatchedNode, connection: Connection, to: Address): boolean {
    const canKnow = this.#proofs.isProven(connection, to);
    if (!connection.isAddressValidated(to)) return false;
    if (!canKnow) this.fail(node.address, `believes in ${to.key}, where nobody has answered a challenge`);
    return true;
  }

  #recordOf(connection: Connection): Record {
    let record = this.#records.get(connection);
    if (record === undefined) {
      record = { beyondWindow: 0, bytesInFlight: 0, seen: new Set(), accountsOpen: false };
      this.#records.set(connection, record);
    }
    return record;
  }

  #unprovenOf(node: WatchedNode, other: Address): Unproven {
    let others = this.#unproven.get(node);
    if (others === undefined) this.#unproven.set(node, others = new Map());
    let unproven = others.get(other.key);
    if (unproven === undefined) {
      unproven = { proven: false, received: 0, sent: 0 };
      others.set(other.key, unproven);
    }
    return unproven;
  }
}
