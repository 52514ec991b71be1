/**
 * Attacks by somebody who never finishes a handshake: floods, forgeries, replays.
 *
 * @module
 */

import assert from "node:assert/strict";
import { type Address, address } from "../../lib/base/address.ts";
import { seconds } from "../../lib/base/time.ts";
import { generateKeyPair } from "../../lib/crypto/key_pair.ts";
import { HostilePeer } from "../../lib/testing/hostile_peer.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { SimulatedNode } from "../../lib/testing/simulated_node.ts";
import { MIN_RESET_SIZE } from "../../lib/transport/stateless_reset.ts";
import { randomConnectionId, readConnectionId } from "../../lib/wire/connection_id.ts";
import { COOKIE_FLAG, HandshakeKind, PACKET_HEADER_SIZE } from "../../lib/wire/constants.ts";
import { readRetry } from "../../lib/wire/handshake_message.ts";
import { theirStream } from "./support/bytes.ts";
import type { Assault, Attack } from "./support/attack.ts";
import {
  BAD_KEYS,
  badKeyCrypto,
  cheapHello,
  countedCrypto,
  EPHEMERAL_AT,
  ikHello,
  PATTERN_AT,
} from "./support/hellos.ts";
import { crypto, HONEST, type Scene, VICTIM } from "./support/scene.ts";

/** Addresses that floods come from. They are made up, and few only because a simulated network remembers each. */
const CROWD = 512;

function crowd(index: number): Address {
  return address(`203.0.${113 + (index >> 8 & 1)}.${index & 255}`, 1024 + index % CROWD);
}

type StrangerAttack = Omit<Attack, "role" | "begin"> & { begin(scene: Scene, random: SeededRandom): Assault };

function byStranger(attack: StrangerAttack): Attack {
  return { ...attack, role: "stranger", begin: (scene) => attack.begin(scene, scene.network.random.fork()) };
}

function send(scene: Scene, from: Address, bytes: Uint8Array): void {
  scene.network.send(from, VICTIM, bytes);
}

/** A protected packet that nobody has sealed. */
function forgedPacket(random: SeededRandom, size: number): Uint8Array {
  const packet = new Uint8Array(size);
  random.fillPublic(packet);
  packet[0] |= 1;
  packet[16] &= ~1;
  packet[17] = 0;
  packet[18] = (size - PACKET_HEADER_SIZE) & 0xff;
  packet[19] = (size - PACKET_HEADER_SIZE) >> 8;
  return packet;
}

/** An attacker's host that remembers the cookie it was given. */
class CookieHolder {
  readonly peer: HostilePeer;
  readonly at: Address;
  hello: Uint8Array | undefined;

  constructor(scene: Scene) {
    this.at = scene.nextAddress();
    this.peer = new HostilePeer(scene.network, { address: this.at, crypto, finishes: false, followsRetries: false });
    this.peer.connect(VICTIM);
    const message = (): boolean => this.peer.handshakeMessages.some(({ kind }) => kind === HandshakeKind.RETRY);
    if (!scene.run(message, seconds(5))) throw new Error("the victim did not ask for a cookie");
    this.sayHello();
  }

  /** A hello with the cookie, and another ephemeral key each time. */
  sayHello(): void {
    const retry = this.peer.handshakeMessages.find(({ kind }) => kind === HandshakeKind.RETRY)!;
    const hash = retry.payload.slice(0, 8);
    const { cookie } = readRetry(retry, hash)!;
    this.peer.sayHello({ cookie, nonce: new Uint8Array(8) });
    this.hello = this.peer.hello!.slice();
  }
}

/** Where the length of a handshake message's payload is. */
const BODY_LENGTH_AT = PACKET_HEADER_SIZE + 33;
const OWN = generateKeyPair(crypto.dh, new SeededRandom(77));
const watched = { flood: countedCrypto(), forged: countedCrypto() };

/** The list. */
export const strangerAttacks: readonly Attack[] = [
  byStranger({
    name: "hello flood in the name of many",
    counter: "endpoint.retriesSent",
    rounds: [60, 1500],
    settings: { maxHalfOpen: 256, retryHalfOpen: 64, retryRate: 200 },
    victimCrypto: watched.flood.crypto,
    begin: (scene, random) => {
      watched.flood.agreements = 0;
      let sent = 0;
      return {
        round: () => {
          for (let i = 0; i < 40; i++) send(scene, crowd(sent++), cheapHello(random));
        },
        count: () => scene.victim.endpoint.counters.retriesSent,
        check: () => {
          const { connectionsAccepted, cookiesAccepted, retriesSent } = scene.victim.endpoint.counters;
          assert.ok(retriesSent > sent * 0.8, `${retriesSent} of ${sent} hellos had to prove their address`);
          // Three agreements for each handshake at most, and one more for the honest peer's finish.
          assert.ok(watched.flood.agreements <= 4 * connectionsAccepted, `${watched.flood.agreements} key agreements`);
          assert.equal(cookiesAccepted, 1, "the honest peer's");
        },
      };
    },
  }),

  byStranger({
    name: "cookies that are forged, somebody else's, or too old",
    counter: "endpoint.cookiesRejected",
    rounds: [60, 1500],
    settings: { retry: "always" },
    victimCrypto: watched.forged.crypto,
    begin: (scene) => {
      const holder = new CookieHolder(scene);
      const stolen = holder.hello!;
      scene.tick(100);
      watched.forged.agreements = 0;
      // Its own hello, a minute old by then, comes in the end.
      return {
        round: (index) => {
          for (let i = 0; i < 20; i++) {
            const hello = stolen.slice();
            hello[EPHEMERAL_AT + i % 31] ^= 1 + (index & 127);
            if (i % 2 === 0) hello[PATTERN_AT + 2 + index % 22] ^= 1 << (i % 8);
            assert.ok((hello[PATTERN_AT] & COOKIE_FLAG) !== 0);
            send(scene, i % 2 === 0 ? holder.at : crowd(i), hello);
          }
        },
        count: () => scene.victim.endpoint.counters.cookiesRejected,
        check: () => {
          const before = watched.forged.agreements, { cookiesRejected } = scene.victim.endpoint.counters;
          scene.tick(16_000);
          const old = stolen.slice();
          old[EPHEMERAL_AT] ^= 0x80;
          send(scene, holder.at, old);
          scene.tick(100);
          assert.equal(scene.victim.endpoint.counters.cookiesRejected, cookiesRejected + 1, "a cookie that is too old");
          assert.equal(watched.forged.agreements, before);
          assert.ok(before <= 4, `${before} key agreements, for the honest peer alone`);
        },
      };
    },
  }),

  byStranger({
    name: "hello flood from an address that is proven",
    counter: "endpoint.helloRateLimited",
    rounds: [40, 800],
    settings: { retry: "always", helloRate: 20 },
    begin: (scene) => {
      const holder = new CookieHolder(scene);
      let sent = 0;
      return {
        round: () => {
          // A cookie is good for fifteen seconds; then it has to ask for another one.
          for (let i = 0; i < 5; i++, sent++) holder.sayHello();
        },
        count: () => scene.victim.endpoint.counters.helloRateLimited,
        check: () => {
          const { connectionsAccepted } = scene.victim.endpoint.counters;
          assert.ok(connectionsAccepted < 45 + 20 * scene.network.now / 1e6, `${connectionsAccepted} of ${sent}`);
        },
      };
    },
  }),

  byStranger({
    name: "half-open memory: hellos that nobody goes on with",
    counter: "endpoint.displacedHandshakes",
    rounds: [40, 800],
    settings: { retry: "never", maxHalfOpen: 128, helloBudget: 1e6 },
    heapCap: 16,
    begin: (scene, random) => ({
      round: (index) => {
        for (let i = 0; i < 10; i++) send(scene, crowd(10 * index + i), cheapHello(random));
      },
      count: () => scene.victim.endpoint.counters.displacedHandshakes,
      check: () => assert.ok(scene.victim.endpoint.halfOpenCount <= 128),
    }),
  }),

  byStranger({
    name: "slow-loris: handshakes that are never finished",
    counter: "endpoint.abandonedHandshakes",
    rounds: [60, 600],
    pause: 50,
    settings: { handshakeTimeout: seconds(1) },
    begin: (scene, random) => ({
      round: (index) => {
        for (let i = 0; i < 4; i++) send(scene, crowd(4 * index + i), cheapHello(random));
      },
      count: () => scene.victim.endpoint.counters.abandonedHandshakes,
      check: () => {
        scene.tick(2000);
        assert.equal(scene.victim.endpoint.halfOpenCount, 0);
      },
    }),
  }),

  byStranger({
    name: "amplification: hellos in somebody's name, repeated, coalesced and replayed",
    counter: "endpoint.droppedForeign",
    rounds: [40, 400],
    pause: 20,
    begin: (scene, random) => {
      const target = address("198.51.100.9", 53);
      let sent = 0, received = 0;
      scene.network.attach({ address: target, receive: (_from, bytes) => received += bytes.length });
      const hello = cheapHello(random), small = hello.slice();
      const coalesced = new Uint8Array(1200);
      const body = 35 + 1 + 3;
      small[18] = body & 0xff;
      small[19] = 0;
      small[BODY_LENGTH_AT] = 4;
      small[BODY_LENGTH_AT + 1] = 0;
      small.fill(0, PATTERN_AT + 1, PATTERN_AT + 4);
      for (let at = 0; at + 32 + body <= 1200; at += 32 + body) coalesced.set(small.subarray(0, 32 + body), at);
      return {
        round: (index) => {
          const bytes = index % 3 === 0 ? cheapHello(random) : index % 3 === 1 ? hello : coalesced;
          send(scene, target, bytes);
          sent += bytes.length;
        },
        count: () => scene.victim.endpoint.counters.droppedForeign,
        check: () =>
          assert.ok(received > 0 && received <= 3 * sent, `${received} bytes to an address that sent ${sent}`),
      };
    },
  }),

  byStranger({
    name: "replay of a whole recorded connection, from its own and from other addresses, also after a restart",
    counter: "endpoint.abandonedHandshakes",
    rounds: [10, 100],
    settings: { handshakeTimeout: seconds(1) },
    begin: (scene, random) => {
      const recorded: Uint8Array[] = [];
      scene.network.onSend = (_from, to, bytes) => {
        if (to.key === VICTIM.key) recorded.push(bytes.slice());
      };
      const peer = new HostilePeer(scene.network, { address: scene.nextAddress(), crypto });
      peer.connect(VICTIM, scene.victim.identity.publicKey);
      scene.run(() => peer.isEstablished, seconds(5));
      peer.send({ type: "stream_open", streamId: theirStream("initiator", 0), streamClass: 1 });
      scene.tick(100);
      scene.network.onSend = undefined;
      const { connectionsAccepted } = scene.victim.endpoint.counters;
      const there = address("10.0.0.77", 9000);
      const anew = new SimulatedNode(scene.network, { address: there, crypto, identity: scene.victim.identity });
      return {
        round: (index) => {
          for (const bytes of recorded) {
            send(scene, peer.address, bytes);
            send(scene, crowd(index), bytes);
            scene.network.send(crowd(index), there, bytes);
          }
        },
        count: () => {
          scene.tick(2000);
          return scene.victim.endpoint.counters.abandonedHandshakes;
        },
        check: () => {
          assert.ok(connectionsAccepted >= 1 && random !== undefined);
          assert.equal(anew.connections.filter(({ confirmed }) => confirmed).length, 0, "after a restart");
          const confirmed = scene.victim.connections.filter((each) => each.confirmed);
          assert.equal(confirmed.length, 2, "the one that was recorded, and the honest peer's");
        },
      };
    },
  }),

  byStranger({
    name: "connection-id collision: hellos under the ids of others",
    counter: "endpoint.connectionsAccepted",
    rounds: [20, 100],
    settings: { handshakeTimeout: seconds(1) },
    begin: (scene, random) => ({
      round: (index) => {
        const known = scene.victim.connections.flatMap(({ localId, remoteId }) => [localId, remoteId ?? localId]);
        const id = known.length === 0 ? randomConnectionId(random) : known[index % known.length];
        send(scene, crowd(index), cheapHello(random, id));
        send(scene, HONEST, cheapHello(random, id));
      },
      count: () => scene.victim.endpoint.counters.connectionsAccepted,
    }),
  }),

  byStranger({
    name: "self-connect: a node that dials itself",
    counter: "endpoint.connectionsAccepted",
    rounds: [10, 100],
    begin: (scene) => {
      let through = 0;
      return {
        round: () => {
          const connection = scene.victim.connect(VICTIM, { peerKey: scene.victim.identity.publicKey });
          if (scene.run(() => connection.confirmed, seconds(5))) through++;
          connection.close(scene.network.now, 0, "");
          scene.victim.pump(connection);
        },
        count: () => scene.victim.endpoint.counters.connectionsAccepted,
        check: () => assert.ok(through >= 10),
      };
    },
  }),

  byStranger({
    name: "stateless-reset forgery, towards both ends of a connection",
    counter: "endpoint.droppedUnknownConnection",
    rounds: [60, 1500],
    begin: (scene, random) => ({
      round: () => {
        for (let i = 0; i < 20; i++) {
          const packet = forgedPacket(random, MIN_RESET_SIZE + i);
          send(scene, HONEST, packet);
          scene.network.send(VICTIM, HONEST, packet);
        }
      },
      count: () => scene.victim.endpoint.counters.droppedUnknownConnection,
      check: () => {
        const { victim, honest } = scene;
        assert.equal(victim.endpoint.counters.resetsReceived + honest.endpoint.counters.resetsReceived, 0);
      },
    }),
  }),

  byStranger({
    name: "stateless-reset loops: packets in the name of another node that does not know them either",
    counter: "endpoint.resetsSent",
    rounds: [40, 1000],
    begin: (scene, random) => {
      const other = new SimulatedNode(scene.network, { address: address("10.0.0.3", 9000), crypto });
      let sent = 0;
      return {
        round: () => {
          for (let i = 0; i < 5; i++, sent++) send(scene, other.address, forgedPacket(random, 1200));
        },
        count: () => scene.victim.endpoint.counters.resetsSent,
        check: () => {
          scene.tick(5000);
          const total = scene.victim.endpoint.counters.resetsSent + other.endpoint.counters.resetsSent;
          assert.ok(total <= 40 * sent, `${total} resets for ${sent} packets`);
          const before = total;
          scene.tick(5000);
          assert.equal(
            scene.victim.endpoint.counters.resetsSent + other.endpoint.counters.resetsSent,
            before,
            "silence",
          );
        },
      };
    },
  }),

  byStranger({
    name: "version downgrade: hellos of other versions",
    counter: "endpoint.unknownVersions",
    rounds: [40, 1000],
    begin: (scene, random) => ({
      round: (index) => {
        for (let i = 0; i < 10; i++) {
          const hello = cheapHello(random);
          hello[28] = [0, 2, 0xff, 0x80][i % 4];
          send(scene, crowd(index), hello);
        }
      },
      count: () => scene.victim.endpoint.counters.unknownVersions,
      check: () => assert.equal(scene.victim.endpoint.counters.connectionsAccepted, 1, "the honest peer's"),
    }),
  }),

  byStranger({
    name: "wrong static key, and hellos in which a bit was changed",
    counter: "endpoint.failedHellos",
    rounds: [40, 600],
    begin: (scene, random) => {
      const wrong = generateKeyPair(crypto.dh, random).publicKey;
      const peer = new HostilePeer(scene.network, { address: scene.nextAddress(), crypto, finishes: false });
      scene.network.detach(VICTIM);
      peer.connect(VICTIM, scene.victim.identity.publicKey);
      scene.tick(50);
      scene.network.attach(scene.victim);
      const good = peer.hello!;
      let bit = 0;
      return {
        round: (index) => {
          send(scene, crowd(index), ikHello(random, wrong, new Uint8Array(0)));
          for (let i = 0; i < 4; i++) {
            const changed = good.slice();
            // Behind the pattern: everything there is sealed. Beginning at the ephemeral key would do as well.
            changed[PATTERN_AT + 1 + (bit >> 3) % 1100] ^= 1 << (bit & 7);
            bit += 17;
            send(scene, crowd(index + i), changed);
          }
        },
        count: () => scene.victim.endpoint.counters.failedHellos,
        check: () => assert.equal(scene.victim.endpoint.counters.connectionsAccepted, 1, "the honest peer's"),
      };
    },
  }),

  byStranger({
    name: "low-order and non-canonical ephemeral keys in hellos",
    counter: "endpoint.failedHellos",
    rounds: [2 * BAD_KEYS.length, 20 * BAD_KEYS.length],
    begin: (scene) => {
      let sent = 0;
      return {
        round: (index) => {
          const key = BAD_KEYS[index % BAD_KEYS.length];
          for (const peerKey of [scene.victim.identity.publicKey, undefined]) {
            const at = scene.nextAddress();
            const peer = new HostilePeer(scene.network, {
              address: at,
              crypto: badKeyCrypto(key, OWN, "ephemeral"),
              identity: OWN,
            });
            peer.connect(VICTIM, peerKey);
            sent++;
            scene.network.detach(at);
          }
        },
        count: () => scene.victim.endpoint.counters.failedHellos,
        check: () => assert.equal(scene.victim.endpoint.counters.failedHellos, sent),
      };
    },
  }),

  byStranger({
    name: "parameters that are doubled, cut off, out of bounds or without a common suite",
    counter: "endpoint.failedHellos",
    rounds: [40, 600],
    begin: (scene, random) => {
      let sent = 0;
      const id = "010800" + "0102030405060708", suites = "02010001";
      const lists = [
        id + suites + "0308000000100000000000".slice(0, 22).repeat(2),
        id + id + suites,
        suites + suites,
        id + suites + "0802000100",
        id + suites + "03080000000000000000",
        id + "020100ee",
        id + suites + "00020001",
        "ff",
      ];
      return {
        round: (index) => {
          const hex = lists[index % lists.length];
          const parameters = Uint8Array.from(
            { length: hex.length >> 1 },
            (_, i) => parseInt(hex.slice(2 * i, 2 * i + 2), 16),
          );
          send(scene, crowd(index), ikHello(random, scene.victim.identity.publicKey, parameters));
          sent++;
        },
        count: () => scene.victim.endpoint.counters.failedHellos,
        check: () => assert.equal(scene.victim.endpoint.counters.failedHellos, sent),
      };
    },
  }),

  byStranger({
    name: "buffer exhaustion: packets for a handshake that has no keys yet",
    counter: "dropped.undecryptable",
    rounds: [40, 1000],
    begin: (scene, random) => {
      const hello = cheapHello(random);
      send(scene, crowd(1), hello);
      scene.tick(50);
      const { localId } = scene.victim.connections.find(({ remote }) => remote.key === crowd(1).key)!;
      assert.equal(readConnectionId(hello, 20).isZero, false);
      return {
        round: () => {
          for (let i = 0; i < 20; i++) {
            const packet = forgedPacket(random, 1200);
            packet.set(localId.bytes);
            send(scene, crowd(1), packet);
          }
        },
        count: () => scene.dropped("undecryptable"),
      };
    },
  }),

  byStranger({
    name: "forged packets for a connection that stands",
    counter: "dropped.unauthentic",
    rounds: [40, 1000],
    begin: (scene, random) => {
      const { connection } = scene.attacker();
      return {
        round: (index) => {
          for (let i = 0; i < 30; i++) {
            const packet = forgedPacket(random, 60 + 30 * i);
            packet.set(connection.localId.bytes);
            send(scene, crowd(index), packet);
          }
        },
        count: () => connection.stats().dropped.unauthentic,
        check: () => assert.equal(connection.state, "established"),
      };
    },
  }),

  byStranger({
    name: "bytes that are no packets",
    counter: "endpoint.droppedMalformed",
    rounds: [40, 1000],
    begin: (scene, random) => ({
      round: (index) => {
        for (let i = 0; i < 30; i++) {
          const bytes = new Uint8Array(random.below(1300));
          random.fillPublic(bytes);
          send(scene, crowd(index), bytes);
        }
      },
      count: () => scene.victim.endpoint.counters.droppedMalformed,
    }),
  }),
];
