import assert from "node:assert/strict";
import { test } from "node:test";
import { address } from "../../lib/base/address.ts";
import { micros, seconds } from "../../lib/base/time.ts";
import { HostilePeer, type HostilePeerOptions } from "../../lib/testing/hostile_peer.ts";
import { Invariants } from "../../lib/testing/invariants.ts";
import { PatternTraffic } from "../../lib/testing/pattern_traffic.ts";
import { SimulatedNetwork } from "../../lib/testing/simulated_network.ts";
import { SimulatedNode } from "../../lib/testing/simulated_node.ts";
import type { Connection } from "../../lib/transport/connection.ts";
import type { TransportSettings } from "../../lib/transport/settings.ts";
import { PacketFlag } from "../../lib/wire/constants.ts";
import { TransportError } from "../../lib/wire/error_codes.ts";
import type { Frame } from "../../lib/wire/frames.ts";
import { crypto, millis } from "./shared.ts";

const VICTIM = address("10.0.0.1", 1);
const PEER = address("10.6.6.6", 6);
const PING: Frame = { type: "ping" };
const ROLES = ["initiator", "responder"] as const;

/** A victim, and a peer that has just finished an honest handshake with it. */
class Scene {
  readonly network = new SimulatedNetwork({ seed: 3 });
  readonly victim: SimulatedNode;
  readonly peer: HostilePeer;
  readonly traffic = new PatternTraffic();
  readonly connection: Connection;

  constructor(
    role: typeof ROLES[number],
    settings: Partial<TransportSettings> = {},
    options: Partial<HostilePeerOptions> = {},
  ) {
    const { network, traffic: application } = this;
    const invariants = new Invariants(() => network.now);
    this.victim = new SimulatedNode(network, { address: VICTIM, crypto, settings, application, invariants });
    this.peer = new HostilePeer(network, { address: PEER, crypto, ...options });
    if (role === "initiator") this.peer.connect(VICTIM, this.victim.identity.publicKey);
    else this.victim.connect(PEER, { peerKey: this.peer.identity.publicKey });
    assert.ok(network.run(() => this.victim.connections[0]?.confirmed && this.peer.isEstablished, seconds(5)));
    this.connection = this.victim.connections[0];
    this.pass(100);
  }

  /** Lets time pass. */
  pass(milliseconds: number): void {
    this.network.run(() => false, millis(milliseconds));
  }

  get dropped(): ReturnType<Connection["stats"]>["dropped"] {
    return this.connection.stats().dropped;
  }
}

for (const role of ROLES) {
  test(`an ${role} that floods with key phases is closed with KEY_UPDATE after some dozens`, () => {
    const scene = new Scene(role);
    scene.peer.send(PING);
    scene.pass(100);
    for (let i = 0; i < 100; i++) {
      scene.peer.epoch++;
      scene.peer.send(PING);
    }
    scene.pass(100);
    assert.equal(scene.peer.closed?.code, TransportError.KEY_UPDATE);
    assert.equal(scene.connection.closeReason?.by, "local");
    assert.equal(scene.connection.stats().keyUpdatesReceived, 64);
  });

  test(`an ${role} that updates as fast as it gets answers stays, and gets no more than it sends`, () => {
    const scene = new Scene(role);
    for (let i = 0; i < 300; i++) {
      scene.peer.send(PING);
      scene.pass(5);
      scene.peer.epoch++;
    }
    scene.pass(1000);
    assert.equal(scene.connection.state, "established");
    assert.equal(scene.connection.stats().keyUpdatesReceived, 299);
    assert.ok(scene.peer.receivedDatagrams <= 310, `${scene.peer.receivedDatagrams} datagrams`);
    assert.equal(scene.dropped.unauthentic, 0);
  });

  test(`an ${role} that goes back to old keys is not believed, and may go on with the new ones`, () => {
    const scene = new Scene(role);
    scene.peer.send(PING);
    scene.pass(100);
    scene.peer.epoch = 1;
    scene.peer.send(PING);
    scene.pass(100);
    scene.peer.epoch = 0;
    for (let i = 0; i < 50; i++) scene.peer.send(PING);
    scene.pass(100);
    assert.equal(scene.dropped.unauthentic, 50);
    scene.peer.epoch = 1;
    scene.peer.frames.length = 0;
    scene.peer.send(PING);
    scene.pass(100);
    assert.ok(scene.peer.frames.some(({ type }) => type === "ack"));
    assert.equal(scene.connection.state, "established");
  });

  test(`an ${role} that uses new keys below a number of the old ones is closed with KEY_UPDATE`, () => {
    const scene = new Scene(role);
    scene.peer.sendPlaintext(Uint8Array.of(0x07, 0x01, 0, 0), 100);
    scene.pass(100);
    scene.peer.epoch = 1;
    scene.peer.sendPlaintext(Uint8Array.of(0x07, 0x01, 0, 0), 99);
    scene.pass(100);
    assert.equal(scene.peer.closed?.code, TransportError.KEY_UPDATE);
  });

  test(`an ${role} that acknowledges new keys and keeps its old ones is closed with KEY_UPDATE`, () => {
    const scene = new Scene(role, { keyUpdateInterval: micros(0) });
    scene.connection.ping();
    scene.victim.pump();
    scene.pass(1000);
    assert.equal(scene.connection.state, "established");
    scene.connection.ping();
    scene.victim.pump();
    scene.pass(1000);
    assert.equal(scene.connection.stats().keyUpdatesSent, 1);
    assert.equal(scene.peer.closed?.code, TransportError.KEY_UPDATE);
  });

  test(`somebody who flips KEY_PHASE in the packets of an ${role} brings about nothing`, () => {
    const scene = new Scene(role);
    const before = scene.connection.stats();
    for (let i = 0; i < 500; i++) {
      const forged = scene.peer.seal(Uint8Array.of(0x07, 0x01, 0, 0));
      forged[16] ^= PacketFlag.KEY_PHASE;
      scene.peer.sendBytes(forged);
    }
    scene.pass(500);
    assert.equal(scene.dropped.unauthentic - before.dropped.unauthentic, 500);
    const after = scene.connection.stats();
    assert.deepEqual([after.keyUpdatesReceived, after.keyUpdatesSent, after.packetsReceived], [
      0,
      0,
      before.packetsReceived,
    ]);
    scene.peer.send(PING);
    scene.pass(100);
    assert.equal(scene.connection.stats().packetsReceived, before.packetsReceived + 1);
  });
}
