import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  isResponderInitiated,
  isUnidirectional,
  makeStreamId,
  streamIndex,
  StreamKind,
  streamKind,
  StreamRole,
  streamRole,
} from "../../lib/wire/stream_id.ts";
import { property } from "../support/seed.ts";

test("a stream id is index << 2 | role << 1 | kind", () => {
  assert.equal(makeStreamId(0, StreamRole.INITIATOR, StreamKind.BIDIRECTIONAL), 0);
  assert.equal(makeStreamId(0, StreamRole.INITIATOR, StreamKind.UNIDIRECTIONAL), 1);
  assert.equal(makeStreamId(0, StreamRole.RESPONDER, StreamKind.BIDIRECTIONAL), 2);
  assert.equal(makeStreamId(5, StreamRole.RESPONDER, StreamKind.UNIDIRECTIONAL), 23);
  assert.equal(makeStreamId(2 ** 51 - 1, StreamRole.RESPONDER, StreamKind.UNIDIRECTIONAL), Number.MAX_SAFE_INTEGER);
});

test("an id comes apart into what it was made of, over all 51 bits of the index", () => {
  fc.assert(
    fc.property(
      fc.maxSafeNat().map((n) => n % 2 ** 51),
      fc.constantFrom(0, 1),
      fc.constantFrom(0, 1),
      (index, role, kind) => {
        const id = makeStreamId(index, role, kind);
        assert.equal(streamIndex(id), index);
        assert.equal(streamRole(id), role);
        assert.equal(streamKind(id), kind);
        assert.equal(isResponderInitiated(id), role === 1);
        assert.equal(isUnidirectional(id), kind === 1);
      },
    ),
    property(),
  );
});

test("an index beyond 51 bits is the caller's mistake", () => {
  for (const index of [2 ** 51, -1, 0.5, NaN]) assert.throws(() => makeStreamId(index, 0, 0), RangeError);
});
