import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, address } from "../../lib/base/address.ts";
import { type Micros, micros, millis, seconds } from "../../lib/base/time.ts";
import { CLIENT_ADDRESS, type Pair, SERVER_ADDRESS } from "../../lib/testing/pair.ts";
import { establishedPair, SEEDS } from "./shared.ts";

const MEGABYTE = 1_000_000;

/** Where a client goes the n-th time: to another machine's address, or only to another port. */
const PLACES: Record<string, (n: number) => Address> = {
  "another host": (n) => address(`10.0.1.${n}`, 40_001),
  "another port": (n) => address(CLIENT_ADDRESS.host, 40_001 + n),
};

/** Lets a client go to another place at 1 s and every 5 s, until everything has been delivered. How long each silence was. */
function move(pair: Pair, told: boolean, place: (n: number) => Address, isDone: () => boolean): Micros[] {
  const gaps: Micros[] = [];
  let moves = 0, movedAt = 0 as Micros, waiting = false, before = 0;
  const delivered = (): number => pair.serverTraffic.delivered + pair.clientTraffic.delivered;
  const start = pair.network.now;
  const next = (): Micros => micros(start + seconds(moves === 0 ? 1 : 1 + 5 * moves));
  const finished = pair.drive(() => {
    const { now } = pair.network;
    if (waiting && delivered() > before) {
      gaps.push(micros(now - movedAt));
      waiting = false;
    }
    if (now >= next() && !isDone()) {
      pair.client.moveTo(place(++moves), [SERVER_ADDRESS], told);
      movedAt = now;
      waiting = true;
      before = delivered();
    }
    return isDone();
  }, seconds(600));
  assert.ok(finished, `${delivered()} bytes after ${moves} moves`);
  assert.ok(moves >= 3, `${moves} moves`);
  return gaps;
}

for (const told of [true, false]) {
  for (const [what, place] of Object.entries(PLACES)) {
    for (const direction of ["upload", "download"] as const) {
      const who = told ? "a client that moves" : "a client whose address is changed under its feet";
      test(`10 MB of ${direction} survive ${who} to ${what} at 1 s and every 5 s, on one connection`, () => {
        for (const loss of [0, 0.05]) {
          const pair = establishedPair({ profile: { delay: millis(25), rate: 5, loss } });
          const { client, clientTraffic, serverTraffic, server } = pair;
          const isUpload = direction === "upload";
          const sender = isUpload ? clientTraffic : serverTraffic, receiver = isUpload ? serverTraffic : clientTraffic;
          const connection = isUpload ? pair.connection : pair.serverConnection!;
          sender.send(isUpload ? client : server, connection, 10 * MEGABYTE);
          // Who only receives and is not told has to say something at times, or nobody can know where it is.
          if (!told && !isUpload) keepPinging(pair);
          const gaps = move(pair, told, place, () => receiver.delivered === 10 * MEGABYTE);
          const { paths } = pair.serverConnection!.stats();
          assert.equal(server.connections.length, 1);
          assert.deepEqual([client.ended, server.ended], [[], []]);
          assert.equal(pair.serverConnection!.remote.key, client.address.key);
          assert.ok(paths.migrations >= gaps.length, `${paths.migrations} migrations, ${gaps.length} moves`);
          assert.ok(paths.pathsValidated >= paths.migrations, "the path is validated first");
          if (loss === 0) { for (const gap of gaps) assert.ok(gap <= seconds(2), `${gap} µs of silence`); }
        }
      });
    }
  }
}

/** The client's application says something every 200 ms. */
function keepPinging(pair: Pair): void {
  const again = (): void => {
    if (pair.connection.state !== "established") return;
    pair.connection.ping();
    pair.client.pump(pair.connection);
    pair.network.clock.wakeAt(micros(pair.network.now + millis(200)), again);
  };
  again();
}

for (const seed of SEEDS) {
  test(`a client that moves at 30 % loss keeps its connection (seed ${seed})`, () => {
    const pair = establishedPair({ seed, profile: { delay: millis(20), rate: 10, loss: 0.3 } });
    pair.clientTraffic.send(pair.client, pair.connection, MEGABYTE);
    move(pair, true, PLACES["another host"], () => pair.serverTraffic.delivered === MEGABYTE);
    assert.equal(pair.server.connections.length, 1);
  });
}

test("a move while nothing is under way is validated in a round trip and a half, and what follows finds its way", () => {
  const pair = establishedPair({ profile: { delay: millis(50) } });
  pair.advance(seconds(3));
  pair.client.moveTo(address("10.0.7.7", 7), [SERVER_ADDRESS], true);
  const begin = pair.network.now;
  assert.ok(pair.drive(() => pair.serverConnection!.remote.host === "10.0.7.7", seconds(2)));
  assert.equal(
    pair.network.now - begin,
    millis(150),
    "the challenge there and the answer back, after the packet that tells of it",
  );
  pair.serverTraffic.send(pair.server, pair.serverConnection!, 1000);
  assert.ok(pair.drive(() => pair.clientTraffic.delivered === 1000, seconds(1)));
});

test("a translator that forgets an idle client's port is noticed with the next packet, and the answer finds its way", () => {
  const pair = establishedPair({ clientSettings: { keepAlive: seconds(5) } });
  pair.advance(seconds(3));
  pair.client.moveTo(address(CLIENT_ADDRESS.host, 50_000), [SERVER_ADDRESS]);
  pair.serverTraffic.send(pair.server, pair.serverConnection!, 1000);
  assert.ok(pair.drive(() => pair.clientTraffic.delivered === 1000, seconds(6)), "within the keep-alive");
  const stats = pair.serverConnection!.stats();
  assert.deepEqual([stats.paths.migrations, stats.paths.pathsFailed], [1, 0]);
  assert.ok(stats.smoothedRtt < millis(40), "what was known about the path still holds");
});

test("a port that changes between a request and its answer costs no more than the time until the client speaks up", () => {
  const pair = establishedPair();
  pair.serverTraffic.replySize = 50_000;
  pair.clientTraffic.send(pair.client, pair.connection, 100, { unidirectional: false });
  pair.advance(millis(12));
  pair.client.moveTo(address(CLIENT_ADDRESS.host, 50_000), [SERVER_ADDRESS]);
  pair.advance(millis(100));
  pair.connection.ping();
  assert.ok(pair.drive(() => pair.clientTraffic.delivered === 50_000, seconds(3)));
  assert.equal(pair.server.connections.length, 1);
});

test("each move goes with ids that were never used on the path before, in both directions", () => {
  const pair = establishedPair();
  pair.advance(seconds(1));
  const seen = new Map<string, Set<string>>();
  pair.network.onSend = (from, to, bytes) => {
    const way = `${from.key}>${to.key}`;
    if (!seen.has(way)) seen.set(way, new Set());
    seen.get(way)!.add([...bytes.subarray(0, 8)].join(" "));
  };
  for (let i = 1; i <= 5; i++) {
    pair.client.moveTo(address("10.0.2.1", i), [SERVER_ADDRESS], true);
    pair.advance(seconds(1));
  }
  assert.equal(pair.serverConnection!.stats().paths.migrations, 5);
  const owners = new Map<string, string>();
  for (const [way, ids] of seen) {
    for (const id of ids) {
      assert.equal(owners.get(id), undefined, `${way} has an id of ${owners.get(id)}`);
      owners.set(id, way);
    }
  }
});

test("a client that moves to where nobody hears it is told so, and may go back", () => {
  const pair = establishedPair();
  const nowhere = address("10.0.3.3", 3);
  pair.advance(seconds(1));
  pair.network.link(nowhere, SERVER_ADDRESS).down = true;
  const outcomes: string[] = [];
  pair.clientTraffic.onOther = (_node, _connection, { type }) => outcomes.push(type);
  pair.client.moveTo(nowhere, [], true);
  pair.advance(seconds(4));
  assert.deepEqual(outcomes, ["path_failed"]);
  assert.equal(pair.connection.stats().paths.pathsFailed, 1);
  pair.client.moveTo(CLIENT_ADDRESS, []);
  pair.clientTraffic.send(pair.client, pair.connection, 1000);
  assert.ok(pair.drive(() => pair.serverTraffic.delivered === 1000, seconds(20)));
});

test("nobody moves before the handshake is confirmed, and the responder never does", () => {
  const pair = establishedPair();
  assert.equal(pair.serverConnection!.onLocalAddressChange(pair.network.now), false);
  const other = pair.client.connect(SERVER_ADDRESS, { peerKey: pair.server.identity.publicKey });
  assert.equal(other.onLocalAddressChange(pair.network.now), false);
});

test("a client whose peer gives it no ids stays where it is", () => {
  const pair = establishedPair({ clientSettings: { activeConnectionIds: 1 } });
  pair.advance(seconds(1));
  assert.equal(pair.connection.onLocalAddressChange(pair.network.now), false);
  assert.equal(pair.connection.state, "established");
});
