/**
 * Attacks on a handshake: by the node that is dialled, by somebody between, and by an initiator whose static key is bad.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Address } from "../../lib/base/address.ts";
import { seconds } from "../../lib/base/time.ts";
import { generateKeyPair } from "../../lib/crypto/key_pair.ts";
import { HostilePeer, type HostilePeerOptions } from "../../lib/testing/hostile_peer.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import type { Connection } from "../../lib/transport/connection.ts";
import { readConnectionId } from "../../lib/wire/connection_id.ts";
import { WIRE_VERSION } from "../../lib/wire/constants.ts";
import { encodeReject, encodeRetry, encodeVersionNegotiation } from "../../lib/wire/handshake_message.ts";
import type { Assault, Attack } from "./support/attack.ts";
import { BAD_KEYS, badIdentity, badKeyCrypto, BODY_AT, handshakeDatagram } from "./support/hellos.ts";
import { crypto, type Scene, VICTIM } from "./support/scene.ts";

const { sha256 } = crypto;
/** What a victim dials when nobody is to have that key. */
const NOBODY = generateKeyPair(crypto.dh, new SeededRandom(5)).publicKey;
const SHORT = { handshakeTimeout: seconds(2) };

/** A host that answers every datagram with what `answers` makes of it. */
function answering(scene: Scene, answers: (hello: Uint8Array, index: number) => readonly Uint8Array[]): Address {
  const at = scene.nextAddress();
  let index = 0;
  scene.network.attach({
    address: at,
    receive: (from, bytes) => {
      for (const answer of answers(bytes, index++)) scene.network.send(at, from, answer);
    },
  });
  return at;
}

/** The victim dials a hostile node again and again. */
function dialled(
  attack: Omit<Attack, "role" | "begin">,
  begin: (scene: Scene) => { dial(index: number): Connection; check?(connections: readonly Connection[]): void },
  count: (connections: readonly Connection[], scene: Scene) => number,
): Attack {
  return {
    ...attack,
    role: "responder",
    begin: (scene): Assault => {
      const connections: Connection[] = [];
      const dialler = begin(scene);
      return {
        round: (index) => {
          connections.push(dialler.dial(index));
          scene.tick(100);
        },
        count: () => {
          scene.tick(3000);
          return count(connections, scene);
        },
        check: () => {
          for (const connection of connections) assert.notEqual(connection.state, "established");
          dialler.check?.(connections);
        },
      };
    },
  };
}

function ignored(connections: readonly Connection[]): number {
  return connections.reduce((sum, connection) => sum + connection.stats().dropped.handshakeMessages, 0);
}

/** A hostile node in full, whose handshake must not succeed. */
function impostor(name: string, options: (index: number) => Partial<HostilePeerOptions>, knowsKey: boolean): Attack {
  return dialled(
    {
      name,
      counter: "dropped.handshakeMessages",
      rounds: [2 * BAD_KEYS.length, 10 * BAD_KEYS.length],
      settings: SHORT,
    },
    (scene) => ({
      dial: (index) => {
        const at = scene.nextAddress();
        const peer = new HostilePeer(scene.network, { address: at, crypto, ...options(index) });
        const peerKey = knowsKey ? peer.identity.publicKey : undefined;
        return scene.victim.connect(at, peerKey === undefined ? {} : { peerKey });
      },
    }),
    ignored,
  );
}

/** An initiator whose static key is bad, so that it never becomes a connection. */
function badInitiator(pattern: "IK" | "XX", counter: string, count: (scene: Scene) => number): Attack {
  return {
    name: `low-order and non-canonical static keys of initiators (${pattern})`,
    role: "initiator",
    counter,
    rounds: [2 * BAD_KEYS.length, 10 * BAD_KEYS.length],
    settings: SHORT,
    begin: (scene) => ({
      round: (index) => {
        const identity = badIdentity(BAD_KEYS[index % BAD_KEYS.length]);
        const evil = badKeyCrypto(identity.publicKey, identity, "static");
        const peer = new HostilePeer(scene.network, { address: scene.nextAddress(), crypto: evil, identity });
        peer.connect(VICTIM, pattern === "IK" ? scene.victim.identity.publicKey : undefined);
        scene.tick(60);
        if (peer.isEstablished) peer.send({ type: "ping" });
      },
      count: () => {
        scene.tick(3000);
        return count(scene);
      },
      check: () => {
        const confirmed = scene.victim.connections.filter((connection) => connection.confirmed);
        assert.equal(confirmed.length, 1, "the honest peer's");
      },
    }),
  };
}

/** A node whose ephemeral keys are bad. */
function badEphemeral(index: number): Partial<HostilePeerOptions> {
  const identity = generateKeyPair(crypto.dh, new SeededRandom(index));
  return { identity, crypto: badKeyCrypto(BAD_KEYS[index % BAD_KEYS.length], identity, "ephemeral") };
}

function helloHash(hello: Uint8Array): Uint8Array {
  return sha256.hash(hello.subarray(BODY_AT));
}

/** The list. */
export const handshakeAttacks: readonly Attack[] = [
  dialled(
    {
      name: "wrong static key: an impostor answers",
      counter: "dropped.handshakeMessages",
      rounds: [20, 200],
      settings: SHORT,
    },
    (scene) => {
      const peer = new HostilePeer(scene.network, { address: scene.nextAddress(), crypto });
      return {
        dial: () => scene.victim.connect(peer.address, { peerKey: NOBODY }),
        check: (connections) => {
          for (const { closeReason } of connections) assert.equal(closeReason?.by, "handshake_timeout");
        },
      };
    },
    // It cannot even read the hello; what it makes up is not believed.
    (connections, scene) => {
      const at = answering(scene, (hello) => {
        const id = readConnectionId(hello, 20);
        const forged = new Uint8Array(200);
        forged.set(hello.subarray(BODY_AT, BODY_AT + 200));
        forged[0] = 0x02;
        forged[33] = 200 - 35;
        forged[34] = 0;
        return [handshakeDatagram(forged, id, id)];
      });
      for (let i = 0; i < 10; i++) {
        (connections as Connection[]).push(scene.victim.connect(at, { peerKey: NOBODY }));
      }
      scene.tick(5000);
      return ignored(connections);
    },
  ),

  dialled(
    {
      name: "version downgrade: answers that list other versions",
      counter: "dropped.handshakeMessages",
      rounds: [20, 200],
      settings: SHORT,
    },
    (scene) => {
      const at = answering(scene, (hello) => {
        const id = readConnectionId(hello, 20);
        return [handshakeDatagram(encodeVersionNegotiation([0xff, WIRE_VERSION]), id, id)];
      });
      return {
        dial: () => scene.victim.connect(at, { peerKey: NOBODY }),
        check: (connections) => {
          for (const { closeReason } of connections) assert.equal(closeReason?.by, "handshake_timeout");
        },
      };
    },
    ignored,
  ),

  impostor(
    "suite downgrade: a node that takes none of the suites that are offered",
    () => ({ crypto: { ...crypto, suites: [0xee] } }),
    false,
  ),

  impostor("low-order and non-canonical ephemeral keys in answers (IK)", badEphemeral, true),

  impostor("low-order and non-canonical ephemeral keys in answers (XX)", badEphemeral, false),

  impostor("low-order and non-canonical static keys of nodes (XX)", (index) => {
    const identity = badIdentity(BAD_KEYS[index % BAD_KEYS.length]);
    return { identity, crypto: badKeyCrypto(identity.publicKey, identity, "static") };
  }, false),

  badInitiator("IK", "endpoint.failedHellos", (scene) => scene.victim.endpoint.counters.failedHellos),
  badInitiator("XX", "endpoint.abandonedHandshakes", (scene) => scene.victim.endpoint.counters.abandonedHandshakes),

  dialled(
    {
      name: "Reject and Retry floods about other hellos",
      counter: "dropped.handshakeMessages",
      rounds: [20, 200],
      settings: SHORT,
    },
    (scene) => {
      const at = answering(scene, (hello, index) => {
        const id = readConnectionId(hello, 20), hash = helloHash(hello);
        hash[index % 8] ^= 1;
        const cookie = new Uint8Array(22);
        const answers = [encodeReject(1 + index % 3, hash), encodeRetry({ cookie, difficulty: index % 20 }, hash)];
        return answers.flatMap((answer) => Array.from({ length: 20 }, () => handshakeDatagram(answer, id, id)));
      });
      return { dial: () => scene.victim.connect(at, { peerKey: NOBODY }) };
    },
    ignored,
  ),

  dialled(
    {
      name: "Retry loop: a cookie for every hello, and work for every cookie",
      counter: "handshakeRetries",
      rounds: [20, 200],
      settings: SHORT,
    },
    (scene) => {
      let hellos = 0;
      const at = answering(scene, (hello, index) => {
        hellos++;
        const id = readConnectionId(hello, 20), cookie = new Uint8Array(64).fill(index);
        return [
          handshakeDatagram(
            encodeRetry({ cookie, difficulty: index % 3 === 0 ? 12 : index % 3 }, helloHash(hello)),
            id,
            id,
          ),
        ];
      });
      return {
        dial: () => scene.victim.connect(at, { peerKey: NOBODY }),
        check: (connections) => {
          for (const connection of connections) assert.ok(connection.stats().handshakeRetries <= 3);
          assert.ok(hellos < 12 * connections.length, `${hellos} hellos of ${connections.length} connections`);
        },
      };
    },
    (connections) => connections.reduce((sum, connection) => sum + connection.stats().handshakeRetries, 0),
  ),

  dialled(
    {
      name: "buffer exhaustion: packets ahead of the hello that brings their keys",
      counter: "dropped.undecryptable",
      rounds: [20, 200],
      settings: SHORT,
    },
    (scene) => {
      const at = answering(scene, (hello) => {
        const packet = new Uint8Array(1200).fill(7);
        packet.set(hello.subarray(20, 28));
        packet[16] = packet[17] = 0;
        packet[18] = (1200 - 32) & 0xff;
        packet[19] = (1200 - 32) >> 8;
        return Array.from({ length: 100 }, () => packet);
      });
      return { dial: () => scene.victim.connect(at, { peerKey: NOBODY }) };
    },
    (connections) => connections.reduce((sum, connection) => sum + connection.stats().dropped.undecryptable, 0),
  ),
];
