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
import { FrameReader } from "../../lib/wire/frame_reader.ts";
import { encodeFrame } from "../../lib/wire/frames.ts";
import { ELSEWHERE, HERE } from "./two_endpoints.ts";

const PTO = millis(50);
const OURS = new ConnectionId(new Uint8Array(8).fill(1)), ALSO_OURS = new ConnectionId(new Uint8Array(8).fill(2));

interface Probe {
  readonly to: string;
  readonly id: number;
  readonly size: number;
  readonly challenge: Uint8Array | undefined;
  readonly response: Uint8Array | undefined;
}

/** Paths of a responder, with everything around them played by the test. */
class Bench {
  now: Micros = micros(1_000_000);
  readonly moves: string[] = [];
  readonly ids = new ConnectionIds({ issue: () => assert.fail(), release: () => {} }, 4, {
    add: () => {},
    remove: () => {},
  });
  readonly paths: Paths;
  #packetNumber = 0;
  #probes: Probe[] = [];

  constructor(role: "initiator" | "responder" = "responder") {
    this.ids.remote.begin(new ConnectionId(new Uint8Array(8).fill(10)));
    const reader = new FrameReader();
    const resetToken = new Uint8Array(16), id = new ConnectionId(new Uint8Array(8).fill(11));
    const spare = encodeFrame({ type: "new_connection_id", sequence: 1, retirePriorTo: 0, id, resetToken });
    reader.reset(spare, 0, spare.length);
    reader.next();
    this.ids.remote.onNew(reader);
    this.paths = new Paths({
      role,
      remote: HERE,
      validated: false,
      random: new SeededRandom(1),
      settings: completeSettings({ pathMtuDiscovery: "off" }),
      ids: this.ids,
      owner: {
        onMoved: (_now, path, isSameWay) => this.moves.push(`${path.remote.key}${isSameWay ? " the same way" : ""}`),
        onSize: () => {},
        onValidated: () => {},
        onFailed: () => {},
      },
    });
    this.paths.active.prove();
    this.receive(HERE);
  }

  /** A datagram with one authentic packet. */
  receive(from: Address, options: { size?: number; number?: number; to?: ConnectionId } = {}): void {
    const number = options.number ?? this.#packetNumber++;
    this.paths.onDatagram(from, options.size ?? 1200);
    this.paths.onPacket(this.now, number, PTO, (options.to ?? OURS).bytes, 0);
  }

  /** What leaves now. */
  transmit(): Probe[] {
    this.#probes = [];
    const sender = {
      sendPathProbe: (
        _now: Micros,
        _out: Uint8Array,
        dst: ConnectionId,
        challenge: Uint8Array | undefined,
        response: Uint8Array | undefined,
        least: number,
      ): number => {
        const size = Math.max(least, 72);
        this.#probes.push({ to: "", id: dst.bytes[0], size, challenge, response });
        return size;
      },
    } as unknown as PacketSender;
    const found: Probe[] = [];
    while (this.paths.transmit(this.now, new Uint8Array(1500), sender) > 0) {
      found.push({ ...this.#probes.at(-1)!, to: this.paths.transmitRemote.key });
    }
    return found;
  }
}

test("the newest packet from a new address has that address asked, and the old one, and moves nothing yet", () => {
  const bench = new Bench();
  bench.receive(ELSEWHERE);
  assert.deepEqual(bench.transmit().map(({ to, size, id }) => [to, size, id]), [
    [HERE.key, 1200, 10],
    [ELSEWHERE.key, 1200, 10],
  ]);
  assert.deepEqual([bench.paths.active.remote, bench.moves], [HERE, []]);
  assert.equal(bench.paths.isValidated(ELSEWHERE), false);
});

test("the right answer from there moves; the right answer from elsewhere does not", () => {
  const bench = new Bench();
  bench.receive(ELSEWHERE);
  const { challenge } = bench.transmit().find(({ to }) => to === ELSEWHERE.key)!;
  bench.receive(HERE);
  bench.paths.onResponse(challenge!);
  assert.deepEqual([bench.moves, bench.paths.counters.responsesIgnored], [[], 1]);
  bench.receive(ELSEWHERE);
  bench.paths.onResponse(challenge!);
  assert.deepEqual(bench.moves, [ELSEWHERE.key]);
  assert.deepEqual([bench.paths.counters.migrations, bench.paths.counters.pathsValidated], [1, 1]);
});

test("an address that has answered is moved to only when it has sent the newest packet", () => {
  const bench = new Bench();
  bench.receive(ELSEWHERE, { number: 5 });
  const { challenge } = bench.transmit().find(({ to }) => to === ELSEWHERE.key)!;
  bench.receive(HERE, { number: 9 });
  bench.receive(ELSEWHERE, { number: 6 });
  bench.paths.onResponse(challenge!);
  assert.deepEqual([bench.moves, bench.paths.isValidated(ELSEWHERE)], [[], true]);
  bench.receive(ELSEWHERE, { number: 10 });
  assert.deepEqual(bench.moves, [ELSEWHERE.key]);
});

test("only a peer that uses another id is answered with another id; a changed port alone is the same way", () => {
  const bench = new Bench();
  bench.receive(ELSEWHERE, { to: ALSO_OURS });
  const probe = bench.transmit().find(({ to }) => to === ELSEWHERE.key)!;
  assert.equal(probe.id, 11);
  bench.receive(ELSEWHERE, { to: ALSO_OURS });
  bench.paths.onResponse(probe.challenge!);
  assert.equal(bench.ids.remote.current?.sequence, 1);
  const port = address(ELSEWHERE.host, 1);
  bench.receive(port, { to: ALSO_OURS });
  const { challenge } = bench.transmit().find(({ to }) => to === port.key)!;
  bench.receive(port, { to: ALSO_OURS });
  bench.paths.onResponse(challenge!);
  assert.deepEqual(bench.moves, [ELSEWHERE.key, `${port.key} the same way`]);
});

test("old packets ask nobody, few addresses are asked at a time, and those that do not answer are given up", () => {
  const bench = new Bench();
  bench.receive(HERE, { number: 100 });
  bench.receive(ELSEWHERE, { number: 50 });
  assert.deepEqual(bench.transmit(), []);
  for (let i = 0; i < 10; i++) bench.receive(address("203.0.113.50", 100 + i), { number: 200 + i });
  assert.deepEqual([bench.paths.stats().paths, bench.paths.stats().pathsRefused], [
    1 + MAX_CANDIDATES,
    10 - MAX_CANDIDATES,
  ]);
  bench.transmit();
  bench.now = micros(bench.now + seconds(3));
  bench.paths.onTimeout(bench.now);
  assert.deepEqual([bench.paths.stats().paths, bench.paths.stats().pathsFailed], [1, MAX_CANDIDATES]);
});

test("an address gets no more than three times what came from it, however often it asks and is asked", () => {
  const bench = new Bench();
  let sent = 0, received = 0;
  for (let i = 0; i < 200; i++) {
    bench.receive(ELSEWHERE, { size: 60 });
    received += 60;
    bench.paths.onChallenge(new Uint8Array(8).fill(i));
    for (const { to, size } of bench.transmit()) if (to === ELSEWHERE.key) sent += size;
    bench.now = micros(bench.now + millis(5));
    assert.ok(sent <= 3 * received, `${sent} of ${received}`);
  }
  assert.ok(sent > 1000);
  assert.ok(bench.paths.counters.challengesIgnored > 50);
});

test("an initiator asks nobody who sends from elsewhere, and moves itself as long as it has an id for it", () => {
  const bench = new Bench("initiator");
  bench.receive(ELSEWHERE);
  bench.paths.onChallenge(new Uint8Array(8));
  assert.deepEqual([bench.transmit(), bench.paths.counters.challengesIgnored], [[], 1]);
  assert.equal(bench.paths.changeLocalAddress(bench.now, PTO), true);
  assert.deepEqual(bench.transmit().map(({ to, id }) => [to, id]), [[HERE.key, 11]]);
  assert.equal(bench.paths.changeLocalAddress(bench.now, PTO), false);
});
