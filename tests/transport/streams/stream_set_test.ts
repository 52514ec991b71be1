import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SeededRandom } from "../../../lib/testing/seeded_random.ts";
import { StreamClass } from "../../../lib/transport/scheduler.ts";
import { Stream } from "../../../lib/transport/streams/stream.ts";
import { StreamSet } from "../../../lib/transport/streams/stream_set.ts";
import { TransportError } from "../../../lib/wire/error_codes.ts";
import { makeStreamId, type StreamId, StreamKind, StreamRole } from "../../../lib/wire/stream_id.ts";
import { property } from "../../support/seed.ts";

const BIDI = StreamKind.BIDIRECTIONAL;
const UNI = StreamKind.UNIDIRECTIONAL;
const MUCH = 1 << 30;

/** Our side is the initiator. */
function makeSet(options: { bidi?: number; uni?: number; peerBidi?: number; peerUni?: number } = {}): StreamSet {
  const set = new StreamSet({
    role: StreamRole.INITIATOR,
    maxStreamsBidi: options.bidi ?? 8,
    maxStreamsUni: options.uni ?? 8,
    maxStreamData: 1000,
    sendBuffer: 1000,
  });
  set.setPeerLimits({ maxStreamsBidi: options.peerBidi ?? 8, maxStreamsUni: options.peerUni ?? 8, maxStreamData: 100 });
  return set;
}

function ours(index: number, kind: StreamKind): StreamId {
  return makeStreamId(index, StreamRole.INITIATOR, kind);
}

function theirs(index: number, kind: StreamKind): StreamId {
  return makeStreamId(index, StreamRole.RESPONDER, kind);
}

function stream(result: Stream | number): Stream {
  assert.ok(result instanceof Stream, `${result}`);
  return result;
}

/** Ends both halves, as traffic would. */
function finish(set: StreamSet, { id, send, receive }: Stream): void {
  if (send !== undefined) {
    send.write(new Uint8Array(0), true);
    assert.ok(send.takeChunk(100, 100));
    send.onAcked(send.chunkOffset, send.chunkLength, send.chunkFin);
  }
  if (receive !== undefined) {
    receive.onData(new Uint8Array(0), 0, 0, 0, true);
    receive.read();
  }
  assert.equal(set.settle(set.get(id)!), true);
}

test("streams are opened up to the peer's limit of their kind, and more when it grows", () => {
  const set = makeSet({ peerBidi: 2, peerUni: 1 });
  assert.equal(set.openLocal(BIDI, StreamClass.BULK)!.id, ours(0, BIDI));
  assert.equal(set.openLocal(BIDI, StreamClass.BULK)!.id, ours(1, BIDI));
  assert.equal(set.openLocal(UNI, StreamClass.BULK)!.id, ours(0, UNI));
  const ids = set.localIds(BIDI);
  assert.equal(ids.takeBlocked(), -1, "nobody wanted more yet");
  assert.equal(set.openLocal(BIDI, StreamClass.BULK), undefined);
  assert.equal(ids.takeBlocked(), 2);
  assert.equal(ids.takeBlocked(), -1);
  ids.onBlockedLost(2);
  assert.equal(ids.takeBlocked(), 2);
  assert.equal(ids.setLimit(2), false);
  assert.equal(ids.setLimit(3), true);
  assert.equal(ids.setLimit(4), false, "nobody waits any more");
  assert.equal(ids.takeBlocked(), -1);
  assert.equal(set.openLocal(BIDI, StreamClass.BULK)!.id, ours(2, BIDI));
});

test("no stream can be opened before the peer has said how many", () => {
  const set = new StreamSet({
    role: StreamRole.RESPONDER,
    maxStreamsBidi: 1,
    maxStreamsUni: 1,
    maxStreamData: 1,
    sendBuffer: 1,
  });
  assert.equal(set.openLocal(BIDI, StreamClass.BULK), undefined);
});

test("a stream has the halves of its kind, and OPEN is for the side that opens it", () => {
  const set = makeSet();
  const twoWay = set.openLocal(BIDI, StreamClass.BULK)!;
  assert.ok(twoWay.send?.openPending === true && twoWay.receive !== undefined);
  assert.equal(twoWay.send.streamClass, StreamClass.BULK);
  const oneWay = set.openLocal(UNI, StreamClass.BULK)!;
  assert.ok(oneWay.send !== undefined && oneWay.receive === undefined);
  const peerTwoWay = stream(set.forReceiving(theirs(0, BIDI), StreamClass.CONTROL));
  assert.ok(peerTwoWay.send?.openPending === false && peerTwoWay.receive !== undefined);
  assert.equal(peerTwoWay.send.streamClass, StreamClass.CONTROL);
  const peerOneWay = stream(set.forReceiving(theirs(0, UNI), StreamClass.CONTROL));
  assert.ok(peerOneWay.send === undefined && peerOneWay.receive !== undefined);
});

test("our streams begin with the peer's credit, also those that were opened before it was known", () => {
  const set = new StreamSet({
    role: StreamRole.INITIATOR,
    maxStreamsBidi: 1,
    maxStreamsUni: 1,
    maxStreamData: 1,
    sendBuffer: 100,
  });
  const { send } = stream(set.forReceiving(theirs(0, BIDI), 1));
  send!.write(new Uint8Array(10), false);
  assert.equal(send!.hasPending(MUCH), false);
  set.setPeerLimits({ maxStreamsBidi: 1, maxStreamsUni: 1, maxStreamData: 7 });
  assert.equal(set.scheduler.next(MUCH), send);
  assert.equal(send!.blockedAt, 7);
  assert.equal(set.openLocal(BIDI, 1)!.send!.blockedAt, 7);
});

test("a frame for the peer's stream beyond our limit closes the connection with STREAM_LIMIT", () => {
  const set = makeSet({ bidi: 3, uni: 0 });
  assert.ok(set.forReceiving(theirs(2, BIDI), 1) instanceof Stream);
  assert.equal(set.forReceiving(theirs(3, BIDI), 1), TransportError.STREAM_LIMIT);
  assert.equal(set.forSending(theirs(3, BIDI)), TransportError.STREAM_LIMIT);
  assert.equal(set.forReceiving(theirs(0, UNI), 1), TransportError.STREAM_LIMIT);
  assert.equal(set.forReceiving(theirs(2 ** 51 - 1, BIDI), 1), TransportError.STREAM_LIMIT);
});

test("data on a stream that only we send on closes the connection with STREAM_STATE", () => {
  const set = makeSet();
  const { id } = set.openLocal(UNI, StreamClass.BULK)!;
  assert.equal(set.forReceiving(id, -1), TransportError.STREAM_STATE);
  assert.ok(set.forSending(id) instanceof Stream);
});

test("credit for a stream that only the peer sends on closes the connection with STREAM_STATE", () => {
  const set = makeSet();
  assert.equal(set.forSending(theirs(0, UNI)), TransportError.STREAM_STATE);
  stream(set.forReceiving(theirs(0, UNI), 1));
  assert.equal(set.forSending(theirs(0, UNI)), TransportError.STREAM_STATE);
});

test("a frame for a stream of ours that we never opened closes the connection with STREAM_STATE", () => {
  const set = makeSet();
  set.openLocal(BIDI, StreamClass.BULK);
  assert.equal(set.forReceiving(ours(1, BIDI), -1), TransportError.STREAM_STATE);
  assert.equal(set.forSending(ours(1, BIDI)), TransportError.STREAM_STATE);
  assert.equal(set.forSending(ours(0, UNI)), TransportError.STREAM_STATE);
  assert.ok(set.forReceiving(ours(0, BIDI), -1) instanceof Stream);
});

test("an OPEN for a stream that we opened closes the connection with STREAM_STATE", () => {
  const set = makeSet();
  const { id } = set.openLocal(BIDI, StreamClass.BULK)!;
  assert.equal(set.forReceiving(id, 1), TransportError.STREAM_STATE);
});

test("a frame for a stream that is over is ignored", () => {
  const set = makeSet();
  const mine = set.openLocal(BIDI, StreamClass.BULK)!;
  finish(set, mine);
  assert.equal(set.forReceiving(mine.id, -1), 0);
  assert.equal(set.forSending(mine.id), 0);
  const peers = stream(set.forReceiving(theirs(0, BIDI), 1));
  finish(set, peers);
  assert.equal(set.forReceiving(peers.id, 1), 0);
  assert.equal(set.forSending(peers.id), 0);
  assert.equal(set.size, 0);
  assert.equal(set.peerIds(BIDI).closed, 1, "only the peer's streams count for its limit");
});

test("a stream is forgotten when both of its halves are over, and not before", () => {
  const set = makeSet();
  const { id, send, receive } = stream(set.forReceiving(theirs(0, BIDI), 1));
  const it = set.get(id)!;
  assert.equal(set.settle(it), false);
  receive!.onData(new Uint8Array(1), 0, 1, 0, true);
  send!.reset(1);
  assert.equal(set.settle(it), false);
  receive!.read();
  assert.equal(set.settle(it), false);
  send!.onResetAcked();
  assert.equal(set.settle(it), true);
  assert.equal(set.settle(it), false, "once");
  assert.equal(set.peerIds(BIDI).closed, 1);
});

test("a higher id of the peer opens the lower ones without making them", () => {
  const set = makeSet({ bidi: 2 ** 20 });
  stream(set.forReceiving(theirs(2 ** 20 - 1, BIDI), 1));
  assert.equal(set.size, 1);
  assert.equal(set.peerIds(BIDI).opened, 2 ** 20);
  assert.equal(set.peerIds(BIDI).rangeCount, 1);
  assert.ok(set.forReceiving(theirs(12_345, BIDI), 1) instanceof Stream);
  assert.equal(set.size, 2);
});

test("a class that arrives after the stream was opened without one is taken over", () => {
  const set = makeSet();
  const opened = stream(set.forSending(theirs(0, BIDI)));
  assert.equal(opened.streamClass, StreamClass.INTERACTIVE);
  stream(set.forReceiving(opened.id, -1));
  assert.equal(opened.streamClass, StreamClass.INTERACTIVE);
  stream(set.forReceiving(opened.id, 77));
  assert.equal(opened.streamClass, StreamClass.BULK);
  assert.equal(opened.send!.streamClass, StreamClass.BULK);
});

test("MAX_STREAMS grows by what is over, when a quarter of the streams is, and is repeated when it was lost", () => {
  const set = makeSet({ uni: 8 });
  const ids = set.peerIds(UNI);
  for (let i = 0; i < 8; i++) stream(set.forReceiving(theirs(i, UNI), 1));
  finish(set, set.get(theirs(5, UNI))!);
  assert.equal(ids.isUpdateDue, false);
  assert.equal(ids.takeLimit(), 0);
  assert.equal(set.forReceiving(theirs(8, UNI), 1), TransportError.STREAM_LIMIT, "the limit is what was announced");
  finish(set, set.get(theirs(0, UNI))!);
  assert.equal(ids.isUpdateDue, true);
  assert.equal(ids.takeLimit(), 10);
  assert.equal(ids.takeLimit(), 0);
  ids.onLimitLost();
  assert.equal(ids.takeLimit(), 10);
  assert.ok(set.forReceiving(theirs(9, UNI), 1) instanceof Stream);
  assert.equal(set.forReceiving(theirs(10, UNI), 1), TransportError.STREAM_LIMIT);
});

test("a peer that may open no streams is never offered any", () => {
  const ids = makeSet({ uni: 0 }).peerIds(UNI);
  assert.equal(ids.isUpdateDue, false);
  assert.equal(ids.takeLimit(), 0);
});

test("streams that want a control frame are handed out once for each mark, and not when they are over", () => {
  const set = makeSet({ uni: 200 });
  assert.equal(set.hasControl, false);
  assert.equal(set.nextControl(), undefined);
  const all = Array.from({ length: 150 }, (_, i) => stream(set.forReceiving(theirs(i, UNI), 1)));
  for (const one of all) set.markControl(one), set.markControl(one);
  finish(set, all[1]);
  assert.equal(set.nextControl(), all[0]);
  set.markControl(all[0]);
  for (let i = 2; i < 150; i++) assert.equal(set.nextControl(), all[i]);
  assert.equal(set.hasControl, true);
  assert.equal(set.nextControl(), all[0]);
  assert.equal(set.nextControl(), undefined);
  assert.equal(set.hasControl, false);
});

test("a stream that is over leaves the scheduler", () => {
  const set = makeSet();
  const { id, send, receive } = set.openLocal(BIDI, StreamClass.BULK)!;
  send!.write(new Uint8Array(10), false);
  set.scheduler.activate(send!);
  send!.reset(1);
  send!.onResetAcked();
  receive!.onReset(1, 0);
  receive!.takeReset();
  assert.equal(send!.queuedIn, StreamClass.BULK);
  assert.equal(set.settle(set.get(id)!), true);
  assert.equal(send!.queuedIn, -1);
});

test("memory does not grow with the streams that have come and gone, in whatever order, while one stays", () => {
  const window = 64;
  const set = makeSet({ bidi: window });
  const ids = set.peerIds(BIDI);
  const random = new SeededRandom(5);
  stream(set.forReceiving(theirs(0, BIDI), 1));
  for (let i = 0; i < 20_000; i++) {
    // Some ids are skipped and used later, some never.
    const index = Math.max(1, ids.limit - 1 - random.below(window));
    const result = set.forReceiving(theirs(index, BIDI), 1);
    if (result instanceof Stream && random.chance(0.9)) finish(set, result);
    ids.takeLimit();
    assert.ok(set.size + ids.rangeCount <= window + 1);
  }
  assert.ok(ids.closed > 1000);
});

test("any traffic of opening and closing agrees with a list of every id", () => {
  type State = "idle" | "open" | "over";
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 20 }), (seed, window) => {
      const random = new SeededRandom(seed);
      const set = makeSet({ bidi: window });
      const ids = set.peerIds(BIDI);
      const states: State[] = [];
      let limit = window;
      for (let step = 0; step < 300; step++) {
        const index = random.below(limit + 2);
        const state = states[index] ?? "idle";
        const id = theirs(index, BIDI);
        if (random.chance(0.5)) {
          const result = random.chance(0.5) ? set.forReceiving(id, 1) : set.forSending(id);
          if (index >= limit) assert.equal(result, TransportError.STREAM_LIMIT);
          else if (state === "over") assert.equal(result, 0);
          else {
            assert.equal(stream(result).id, id);
            states[index] = "open";
          }
        } else if (state === "open") {
          finish(set, set.get(id)!);
          states[index] = "over";
        }
        const over = states.filter((other) => other === "over").length;
        const open = states.filter((other) => other === "open").length;
        assert.equal(set.size, open);
        assert.equal(ids.closed, over);
        assert.ok(limit - over <= window, "the peer never has more streams than it may");
        limit = ids.takeLimit() || limit;
        assert.ok(over + window - limit < window / 4 || limit === over + window);
      }
    }),
    property(100),
  );
});
