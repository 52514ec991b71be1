import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, address } from "../../lib/base/address.ts";
import { type Micros, micros, millis, seconds } from "../../lib/base/time.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { ConnectionIds } from "../../lib/transport/connection_ids.ts";
import type { PacketSender } from "../../lib/transport/packet_sender.ts";
import { MAX_CANDIDATES, Paths } from "../../lib/transport/paths.ts";
import { completeSettings } from "../../lib/transport/settings.ts";
import { ConnectionId } from "../../lib/wire/connection_id.ts";

const PTO = millis(50);
const HOME = address("192.0.2.1", 1000);
const ID = new ConnectionId(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));

/** The paths of a responder, and a peer that sends from wherever it likes. */
class Scene {
  now: Micros = micros(0);
  next = 0;
  moves: string[] = [];
  /** The last challenge to each address. */
  readonly challenges = new Map<string, Uint8Array>();
  probes: number[] = [];
  readonly paths: Paths;

  constructor() {
    const noSource = { issue: () => assert.fail("nothing is issued here"), release: () => {} };
    const ids = new ConnectionIds(noSource, 4, { add: () => {}, remove: () => {} });
    ids.remote.begin(ID);
    this.paths = new Paths({
      role: "responder",
      remote: HOME,
      validated: false,
      random: new SeededRandom(1),
      settings: completeSettings({ pathMtuDiscovery: "always" }),
      ids,
      owner: {
        onMoved: (_now, path) => void this.moves.push(path.remote.key),
        onSize: () => {},
        onValidated: () => {},
        onFailed: () => {},
      },
    });
    this.paths.active.prove();
    this.from(HOME);
  }

  /** A packet arrives; it is the newest one unless told otherwise. */
  from(remote: Address, number = this.next++): void {
    this.paths.onDatagram(remote, 1200);
    this.paths.onPacket(this.now, number, PTO, ID.bytes, 0);
    this.transmit();
  }

  /** The answer to the challenge of an address arrives, in a packet with this number. */
  answer(remote: Address, number = this.next++): void {
    this.paths.onDatagram(remote, 1200);
    this.paths.onPacket(this.now, number, PTO, ID.bytes, 0);
    this.paths.onResponse(this.challenges.get(remote.key)!);
    this.transmit();
  }

  advance(time: Micros): void {
    this.now = micros(this.now + time);
    this.paths.onTimeout(this.now);
    this.transmit();
  }

  transmit(): void {
    let challenge: Uint8Array | undefined;
    const sender = {
      sendPathProbe: (_now: Micros, _out: Uint8Array, _dst: ConnectionId, data: Uint8Array | undefined): number => {
        challenge = data;
        return 1200;
      },
      sendMtuProbe: (_now: Micros, _out: Uint8Array, size: number): number => {
        if (size > 0) this.probes.push(size);
        return size;
      },
    };
    while (this.paths.transmit(this.now, new Uint8Array(65_507), sender as unknown as PacketSender) > 0) {
      if (challenge !== undefined) this.challenges.set(this.paths.transmitRemote.key, challenge);
      challenge = undefined;
    }
  }
}

test("addresses that have answered and are not used keep nobody from moving later", () => {
  const scene = new Scene();
  for (let i = 0; i < MAX_CANDIDATES; i++) {
    const elsewhere = address("192.0.2.2", 2000 + i);
    const number = scene.next++;
    scene.from(elsewhere, number);
    // By the time that the answer is there, the peer sends from home again.
    scene.from(HOME);
    scene.answer(elsewhere, number);
  }
  assert.deepEqual(scene.moves, []);
  assert.equal(scene.paths.counters.pathsValidated, MAX_CANDIDATES);
  scene.advance(seconds(60));
  assert.equal(scene.paths.stats().paths, 1);
  assert.equal(scene.paths.counters.pathsFailed, 0);

  const there = address("192.0.2.3", 3000);
  scene.from(there);
  assert.equal(scene.paths.counters.pathsRefused, 0);
  scene.answer(there);
  assert.deepEqual(scene.moves, [there.key]);
});

test("an address that answered a minute ago has to answer again before the connection goes there", () => {
  const scene = new Scene(), there = address("192.0.2.3", 3000), number = scene.next++;
  scene.from(there, number);
  scene.from(HOME);
  scene.answer(there, number);
  scene.from(there);
  assert.deepEqual(scene.moves, [there.key], "a moment ago is good enough");

  scene.moves = [];
  const last = scene.next++;
  scene.from(HOME, last);
  scene.from(there);
  scene.answer(HOME, last);
  scene.advance(seconds(60));
  scene.from(HOME);
  assert.deepEqual(scene.moves, []);
  scene.answer(HOME);
  assert.deepEqual(scene.moves, [HOME.key]);
});

test("a connection whose peer's port changes while a larger size is being tried tries it again", () => {
  const scene = new Scene();
  scene.paths.isConfirmed = true;
  scene.transmit();
  assert.deepEqual(scene.probes, [1452]);
  const port = address(HOME.host, HOME.port + 1);
  scene.from(port);
  scene.answer(port);
  assert.deepEqual(scene.moves, [port.key]);
  assert.deepEqual(scene.probes, [1452, 1452]);
});
