/**
 * Attacks on what connections do later in life: change of keys, addresses and connection ids, unreliable data, resumption.
 *
 * @module
 */

import assert from "node:assert/strict";
import { type Address, address } from "../../lib/base/address.ts";
import { millis, seconds } from "../../lib/base/time.ts";
import { type NodeApplication, SimulatedNode } from "../../lib/testing/simulated_node.ts";
import type { ResumptionTicket } from "../../lib/transport/resumed_handshake.ts";
import { ConnectionId } from "../../lib/wire/connection_id.ts";
import { PacketFlag } from "../../lib/wire/constants.ts";
import { encodeFrame, type Frame } from "../../lib/wire/frames.ts";
import type { Attack } from "./support/attack.ts";
import { onBothSides, violation } from "./support/peers.ts";
import { crypto, HONEST, VICTIM } from "./support/scene.ts";

const PING: Frame = { type: "ping" };

function issued(sequence: number, retirePriorTo = 0): Frame {
  const id = new ConnectionId(Uint8Array.of(9, sequence & 0xff, sequence >> 8, sequence >> 16, 1, 1, 1, 1));
  return { type: "new_connection_id", sequence, retirePriorTo, id, resetToken: new Uint8Array(16).fill(sequence) };
}

/** Addresses that copies come from. */
function liar(index: number): Address {
  return address(`203.0.113.${index % 200}`, 5000);
}

/** The list. */
export const laterAttacks: readonly Attack[] = [
  ...onBothSides({
    name: "path-challenge flood",
    counter: "paths.challengesIgnored",
    rounds: [60, 1500],
    begin: (scene) => {
      const { peer, connection } = scene.attacker();
      const challenges = Array.from({ length: 80 }, (_, i): Frame => ({
        type: "path_challenge",
        data: new Uint8Array(8).fill(i),
      }));
      const before = connection.stats();
      return {
        round: () => {
          for (let i = 0; i < 10; i++) peer.send(...challenges);
          peer.frames.length = 0;
        },
        count: () => connection.stats().paths.challengesIgnored,
        check: () => {
          const { bytesSent, bytesReceived } = connection.stats();
          assert.ok(bytesSent - before.bytesSent < (bytesReceived - before.bytesReceived) / 3);
          assert.equal(connection.state, "established");
        },
      };
    },
  }),

  ...violation(
    "connection-id stuffing: more ids than are kept, or with gaps",
    "CONNECTION_ID",
    (_role, index) =>
      index % 2 === 0
        ? [issued(1), issued(2), issued(3), issued(4), issued(5)]
        : [10, 20, 30, 40, 50].map((n) => issued(n, n)),
  ),

  ...violation(
    "retire loop: each new id retires all before, faster than anybody can take note",
    "CONNECTION_ID",
    () => Array.from({ length: 40 }, (_, i) => issued(i + 1, i + 1)),
  ),

  ...violation("retiring ids that there are not, or the one that is in use", "CONNECTION_ID", (_role, index) => [
    { type: "retire_connection_id", sequence: index % 2 === 0 ? 1_000_000 : 0 },
  ]),

  {
    name: "spoofed migration: packets of an honest peer, copied and overtaking the originals",
    role: "stranger",
    counter: "packetsFromElsewhere",
    rounds: [60, 600],
    begin: (scene) => {
      let sent = 0, sentBytes = 0, received = 0, on = false;
      const seen = new Set<string>();
      scene.network.onSend = (from, to, bytes) => {
        if (to.key !== VICTIM.key) {
          if (to.host.startsWith("203.0.113.")) received += bytes.length;
          return;
        }
        if (!on || from.key !== HONEST.key) return;
        const copyFrom = liar(sent++);
        seen.add(copyFrom.key);
        scene.network.change(copyFrom, VICTIM, { delay: millis(1) });
        scene.network.send(copyFrom, VICTIM, bytes);
        sentBytes += bytes.length;
      };
      return {
        // One packet in four, and for a while only: to overtake everything for ever is to be the path.
        round: (index) => void (on = index % 4 === 0),
        count: () => {
          const honest = scene.victim.connections.find(({ remote }) => remote.key === HONEST.key);
          return honest?.stats().packetsFromElsewhere ?? 0;
        },
        check: () => {
          assert.ok(seen.size > 0);
          assert.ok(received <= 3 * sentBytes, `${received} bytes to addresses that sent ${sentBytes}`);
        },
      };
    },
  },

  ...violation("key-phase flood: an update with every packet", "KEY_UPDATE", (_role, _index, { peer }) => {
    peer.send(PING);
    for (let i = 0; i < 100; i++) {
      peer.epoch++;
      peer.send(PING);
    }
    return [];
  }),

  ...onBothSides({
    name: "key-phase flood: KEY_PHASE flipped by somebody without keys",
    counter: "dropped.unauthentic",
    rounds: [60, 1500],
    begin: (scene) => {
      const { peer, connection } = scene.attacker();
      return {
        round: () => {
          for (let i = 0; i < 20; i++) {
            const packet = peer.seal(encodeFrame(PING));
            packet[16] ^= PacketFlag.KEY_PHASE;
            peer.sendBytes(packet);
          }
        },
        count: () => connection.stats().dropped.unauthentic,
        check: () => {
          assert.equal(connection.state, "established");
          assert.equal(connection.stats().keyUpdatesReceived, 0);
        },
      };
    },
  }),

  ...onBothSides({
    name: "DATAGRAM flood that nobody reads",
    counter: "datagramFrames.droppedUnread",
    rounds: [60, 1500],
    begin: (scene) => {
      const { peer, connection } = scene.attacker();
      const frame: Frame = { type: "datagram", data: new Uint8Array(1100) };
      return {
        round: () => {
          for (let i = 0; i < 60; i++) peer.send(frame);
          peer.frames.length = 0;
        },
        count: () => connection.stats().datagramFrames.droppedUnread,
        check: () => assert.equal(connection.state, "established"),
      };
    },
  }),

  {
    name: "replay of 0-RTT: a hello with early data, from its own and from other addresses, also after a restart",
    role: "stranger",
    counter: "endpoint.ticketsUsed",
    rounds: [20, 400],
    settings: { handshakeTimeout: seconds(2) },
    begin: (scene) => {
      const { network, victim } = scene;
      const at = scene.nextAddress();
      const tickets: ResumptionTicket[] = [];
      const keeper: NodeApplication = {
        onEvent: (_node, _connection, event) => {
          if (event.type === "ticket") tickets.push(event.ticket);
        },
      };
      const client = new SimulatedNode(network, { address: at, crypto, accept: false, application: keeper });
      const peerKey = victim.identity.publicKey;
      client.connect(VICTIM, { peerKey, tickets: 1 });
      scene.run(() => tickets.length === 1, seconds(10));
      let hello: Uint8Array | undefined;
      network.onSend = (from, _to, bytes) => {
        if (from.key === at.key) hello ??= bytes.slice();
      };
      const resumed = client.connect(VICTIM, { peerKey, ticket: tickets[0], held: true });
      resumed.begin(network.now, new TextEncoder().encode("once"));
      client.pump(resumed);
      scene.tick(500);
      network.onSend = undefined;
      const early = victim.connections.filter(({ earlyStream }) => earlyStream !== undefined).length;
      const there = address("10.0.0.77", 9000);
      const anew = new SimulatedNode(network, { address: there, crypto, identity: victim.identity });
      const { connectionsAccepted } = victim.endpoint.counters;
      return {
        round: (index) => {
          for (const from of [at, liar(index)]) {
            network.send(from, VICTIM, hello!);
            network.send(from, there, hello!);
          }
        },
        count: () => victim.endpoint.counters.ticketsUsed,
        check: () => {
          assert.equal(early, 1, "it was acted upon once");
          assert.equal(
            victim.endpoint.counters.connectionsAccepted,
            connectionsAccepted + 1,
            "the honest peer's alone",
          );
          assert.equal(anew.endpoint.counters.connectionsAccepted, 0);
          assert.ok(anew.endpoint.counters.ticketsUnknown > 0);
        },
      };
    },
  },
];
