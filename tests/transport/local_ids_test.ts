import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { type IssuedId, LocalIds } from "../../lib/transport/local_ids.ts";
import type { SentFrame } from "../../lib/transport/sent_frame.ts";
import { ConnectionId, randomConnectionId } from "../../lib/wire/connection_id.ts";
import { TransportError } from "../../lib/wire/error_codes.ts";
import { decodeFrames, type Frame } from "../../lib/wire/frames.ts";
import { testSeed } from "../support/seed.ts";

const FIRST = new ConnectionId(new Uint8Array(8).fill(1));

class Ids {
  readonly random = new SeededRandom(testSeed);
  /** Ids that lead to the connection, as an endpoint would keep them. */
  readonly routes = new Set<string>([String(FIRST)]);
  readonly ids = new LocalIds({
    issue: (): IssuedId => {
      const id = randomConnectionId(this.random);
      this.routes.add(String(id));
      return { id, resetToken: new Uint8Array(16).fill(id.bytes[0]) };
    },
    release: (id) => {
      assert.ok(this.routes.delete(String(id)), "given back twice");
    },
  });

  /** What is written into a packet with this much room. */
  write(room = 1000): Extract<Frame, { type: "new_connection_id" }>[] {
    const out = new Uint8Array(room), frames: SentFrame[] = [];
    const end = this.ids.write(out, 0, room, frames);
    const found = decodeFrames(out.slice(0, end)).frames as Extract<Frame, { type: "new_connection_id" }>[];
    assert.deepEqual(frames, found.map(({ type, sequence }) => ({ type, sequence })));
    return found;
  }

  /** Retires an id in a packet that is addressed to `to`. */
  retire(sequence: number, to: ConnectionId = FIRST): number {
    return this.ids.retire(sequence, to.low, to.high);
  }
}

test("nothing is issued before the peer is known to keep it", () => {
  const { ids } = new Ids();
  assert.equal(ids.hasPending, false);
  ids.begin(FIRST);
  assert.equal(ids.hasPending, false, "it keeps one, and has that");
  assert.equal(ids.activeCount, 1);
});

test("a peer that keeps more gets one to move with, and another for each that it retires", () => {
  const peer = new Ids();
  peer.ids.peerKeeps = 10;
  peer.ids.begin(FIRST);
  const [first] = peer.write();
  assert.deepEqual([first.sequence, first.retirePriorTo], [1, 0]);
  assert.equal(first.resetToken[0], first.id.bytes[0]);
  assert.deepEqual(peer.write(), []);
  let used = first;
  for (let sequence = 0; sequence < 100; sequence++) {
    assert.equal(peer.retire(sequence, used.id), 0);
    const [next] = peer.write();
    assert.equal(next.sequence, sequence + 2);
    used = next;
  }
  assert.equal(peer.ids.activeCount, 2);
  assert.equal(peer.ids.issuedCount, 102);
  assert.equal(peer.routes.size, 4, "two in use, two that stragglers may still come with");
  assert.deepEqual([...peer.ids.all()].map(String).toSorted(), [...peer.routes].toSorted());
});

test("what was never issued, or carries the very packet, cannot be retired; what is retired already may be", () => {
  const peer = new Ids();
  peer.ids.peerKeeps = 2;
  peer.ids.begin(FIRST);
  const [spare] = peer.write();
  assert.equal(peer.retire(2), TransportError.CONNECTION_ID);
  assert.equal(peer.retire(Number.MAX_SAFE_INTEGER), TransportError.CONNECTION_ID);
  assert.equal(peer.retire(0, FIRST), TransportError.CONNECTION_ID);
  assert.equal(peer.retire(1, spare.id), TransportError.CONNECTION_ID);
  assert.equal(peer.retire(0, spare.id), 0);
  assert.equal(peer.retire(0, spare.id), 0);
  assert.equal(peer.ids.issuedCount, 3);
});

test("a lost frame goes again as it was, unless the id has been retired meanwhile", () => {
  const peer = new Ids();
  peer.ids.peerKeeps = 2;
  peer.ids.begin(FIRST);
  const [first] = peer.write();
  peer.ids.onLost(1);
  assert.deepEqual(peer.write(), [first]);
  peer.ids.onLost(1);
  peer.retire(1);
  assert.deepEqual(peer.write().map(({ sequence }) => sequence), [2]);
  peer.ids.onLost(1);
  assert.equal(peer.ids.hasPending, false);
});

test("what does not fit stays for the next packet", () => {
  const peer = new Ids();
  peer.ids.peerKeeps = 2;
  peer.ids.begin(FIRST);
  assert.deepEqual(peer.write(43), []);
  assert.equal(peer.ids.hasPending, true);
  assert.equal(peer.write(44).length, 1);
  assert.equal(peer.ids.hasPending, false);
});
