import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { RemoteIds } from "../../lib/transport/remote_ids.ts";
import type { SentFrame } from "../../lib/transport/sent_frame.ts";
import { ConnectionId, ZERO_CONNECTION_ID } from "../../lib/wire/connection_id.ts";
import { TransportError } from "../../lib/wire/error_codes.ts";
import { FrameReader } from "../../lib/wire/frame_reader.ts";
import { decodeFrames, encodeFrame, type Frame } from "../../lib/wire/frames.ts";
import { testSeed } from "../support/seed.ts";

const { CONNECTION_ID } = TransportError;
const reader = new FrameReader();

/** The id with a number in it. */
function idOf(n: number): ConnectionId {
  return new ConnectionId(Uint8Array.of(7, n & 0xff, n >> 8, 0, 0, 0, 0, 1));
}

/** NEW_CONNECTION_ID, as it comes out of a packet. */
function issue(ids: RemoteIds, sequence: number, retirePriorTo = 0, id: ConnectionId = idOf(sequence)): number {
  const resetToken = new Uint8Array(16).fill(sequence);
  const bytes = encodeFrame({ type: "new_connection_id", sequence, retirePriorTo, id, resetToken });
  reader.reset(bytes, 0, bytes.length);
  reader.next();
  return ids.onNew(reader);
}

/** Sequence numbers that are retired in a packet with this much room. */
function retired(ids: RemoteIds, room = 1000): number[] {
  const out = new Uint8Array(room), frames: SentFrame[] = [];
  const end = ids.write(out, 0, room, frames);
  const found = decodeFrames(out.slice(0, end)).frames as Extract<Frame, { type: "retire_connection_id" }>[];
  assert.deepEqual(frames, found);
  return found.map(({ sequence }) => sequence);
}

/** The reset tokens that are listened for. */
const listened = new Set<number>();
const TOKENS = {
  add: (token: Uint8Array) => void listened.add(token[0]),
  remove: (token: Uint8Array) => void assert.ok(listened.delete(token[0])),
};

function begun(limit = 4): RemoteIds {
  listened.clear();
  const ids = new RemoteIds(limit, TOKENS);
  ids.begin(idOf(0));
  return ids;
}

test("a path takes the oldest spare id, and moving to it retires the one before", () => {
  const ids = begun();
  assert.equal(ids.take(), undefined);
  for (const sequence of [2, 1]) assert.equal(issue(ids, sequence), 0);
  const entry = ids.take()!;
  assert.equal(entry.sequence, 1);
  assert.deepEqual(entry.id, idOf(1));
  assert.deepEqual(entry.resetToken, new Uint8Array(16).fill(1));
  assert.equal(ids.current?.sequence, 0);
  assert.deepEqual(retired(ids), []);
  ids.use(entry);
  ids.use(entry);
  assert.equal(ids.current, entry);
  assert.deepEqual(retired(ids), [0]);
  assert.deepEqual([ids.activeCount, ids.spareCount], [2, 1]);
});

test("resets are listened for by the tokens of the ids in use, and no others", () => {
  const ids = begun();
  ids.setFirstToken(new Uint8Array(16).fill(99));
  issue(ids, 1);
  issue(ids, 2);
  assert.deepEqual([...listened], [99]);
  const entry = ids.take()!;
  assert.deepEqual([...listened], [99, 1]);
  ids.use(entry);
  assert.deepEqual([...listened], [1]);
  issue(ids, 3, 3);
  assert.deepEqual([...listened], [3]);
});

test("an id that was tried on a path that came to nothing is not used again", () => {
  const ids = begun();
  issue(ids, 1);
  const entry = ids.take()!;
  ids.drop(entry);
  ids.drop(entry);
  assert.equal(ids.isUsable(entry), false);
  assert.deepEqual(retired(ids), [1]);
  assert.equal(ids.current?.sequence, 0);
  ids.drop(ids.current!);
  assert.equal(ids.current?.sequence, 0, "the one in use stays");
});

test("the same frame again changes nothing, not even when the id has gone", () => {
  const ids = begun();
  issue(ids, 1);
  issue(ids, 1);
  assert.equal(ids.spareCount, 1);
  ids.use(ids.take()!);
  assert.equal(issue(ids, 1), 0);
  issue(ids, 2);
  ids.use(ids.take()!);
  assert.equal(issue(ids, 1), 0);
  assert.equal(ids.activeCount, 1);
});

for (
  const [what, ...frames] of [
    ["an id of nothing but zeros", [1, 0, ZERO_CONNECTION_ID]],
    ["a request to retire the id itself", [1, 2]],
    ["another id under a number that has one", [1, 0], [1, 0, idOf(9)]],
    ["an id under a second number", [1, 0], [2, 0, idOf(1)]],
    ["the handshake's id under a second number", [1, 0, idOf(0)]],
    ["more ids than are kept", [1, 0], [2, 0], [3, 0], [4, 0]],
    ["numbers with gaps that never close", [100, 0], [200, 200], [300, 300], [400, 400], [500, 500]],
  ] as const
) {
  test(`${what} is a violation`, () => {
    const ids = begun();
    const results = frames.map((frame) => issue(ids, frame[0], frame[1], frame[2]));
    assert.equal(results.pop(), CONNECTION_ID);
    assert.ok(results.every((result) => result === 0), String(results));
  });
}

test("the peer may have all its ids exchanged, the one in use and those of other paths included", () => {
  const ids = begun();
  issue(ids, 1);
  issue(ids, 2);
  const candidate = ids.take()!;
  assert.equal(issue(ids, 3, 3), 0);
  assert.equal(ids.current?.sequence, 3);
  assert.equal(ids.isUsable(candidate), false);
  assert.deepEqual(retired(ids).toSorted(), [0, 1, 2]);
  assert.equal(ids.activeCount, 1);
  // What it had asked to retire before it arrives is retired unused.
  const late = begun();
  assert.equal(issue(late, 2, 2), 0);
  assert.equal(issue(late, 1), 0);
  assert.deepEqual(retired(late).toSorted(), [0, 1]);
  assert.equal(late.spareCount, 0);
});

test("a peer that makes us retire faster than it takes note of is stopped", () => {
  const ids = begun();
  let result = 0, count = 0;
  for (; result === 0 && count < 1000; count++) {
    result = issue(ids, count + 1, count + 1);
    retired(ids);
  }
  assert.equal(result, CONNECTION_ID);
  assert.equal(count, 9);
  // One that does take note may go on for ever.
  const patient = begun();
  for (let i = 1; i < 1000; i++) {
    assert.equal(issue(patient, i, i), 0);
    for (const sequence of retired(patient)) patient.onRetireAcked(sequence);
  }
});

test("a lost RETIRE_CONNECTION_ID goes again until it has arrived", () => {
  const ids = begun();
  issue(ids, 1);
  ids.use(ids.take()!);
  assert.deepEqual(retired(ids, 11), [], "no room");
  assert.equal(ids.hasPending, true);
  assert.deepEqual(retired(ids), [0]);
  ids.onRetireLost(0);
  assert.deepEqual(retired(ids), [0]);
  ids.onRetireAcked(0);
  ids.onRetireLost(0);
  assert.equal(ids.hasPending, false);
});

test("whatever an orderly peer's frames go through, no id is ever used on two paths, and every one that is given up is retired once", () => {
  const random = new SeededRandom(testSeed);
  for (let run = 0; run < 50; run++) {
    const ids = begun(4);
    /** What the peer knows. */
    let next = 1, active = 1;
    const underWay: number[] = [], seenRetired = new Set<number>(), usedOn = new Map<number, number>([[0, 0]]);
    let path = 0;
    for (let step = 0; step < 300; step++) {
      while (active < 4) {
        underWay.push(next++);
        active++;
      }
      // Any of them arrives next, or one that has arrived before.
      if (underWay.length > 0 && random.chance(0.5)) {
        const [sequence] = underWay.splice(random.below(underWay.length), 1);
        assert.equal(issue(ids, sequence), 0, `run ${run}, step ${step}: id ${sequence}`);
      }
      const entry = random.chance(0.3) ? ids.take() : undefined;
      if (entry !== undefined) {
        path++;
        assert.equal(usedOn.has(entry.sequence), false);
        usedOn.set(entry.sequence, path);
        if (random.chance(0.5)) ids.use(entry);
        else ids.drop(entry);
      }
      for (const sequence of retired(ids)) {
        if (random.chance(0.2)) ids.onRetireLost(sequence);
        else {
          ids.onRetireAcked(sequence);
          assert.equal(seenRetired.has(sequence), false, "retired twice");
          seenRetired.add(sequence);
          active--;
        }
      }
      assert.ok(ids.activeCount <= 4);
      assert.equal(usedOn.has(ids.current!.sequence), true);
      assert.equal(seenRetired.has(ids.current!.sequence), false);
    }
    assert.ok(path > 20);
  }
});
