import assert from "node:assert/strict";
import { test } from "node:test";
import { completeSettings } from "../../lib/transport/settings.ts";
import { StreamLayer } from "../../lib/transport/stream_layer.ts";
import { ZERO_CONNECTION_ID } from "../../lib/wire/connection_id.ts";
import { StreamRole } from "../../lib/wire/stream_id.ts";

function connectedLayer(sendBuffer: number): StreamLayer {
  const settings = completeSettings({ sendBuffer });
  const layer = new StreamLayer(StreamRole.INITIATOR, settings, () => {});
  layer.setPeerParameters({ ...settings, connectionId: ZERO_CONNECTION_ID, suites: [1] });
  return layer;
}

test("a stream keeps three times the congestion window, and never less than it did before", () => {
  const layer = connectedLayer(4096);
  const accepted = (): number => layer.write(layer.open(true, 1) as never, new Uint8Array(1 << 20), false);
  assert.equal(accepted(), 4096);
  layer.onCongestionWindow(100_000);
  assert.equal(accepted(), 300_000);
  layer.onCongestionWindow(10_000);
  assert.equal(accepted(), 300_000);
});

test("a congestion window of a fraction of a byte makes no stream take a fraction of a byte", () => {
  const layer = connectedLayer(4096);
  layer.onCongestionWindow(100_000.3);
  const id = layer.open(true, 1);
  assert.notEqual(id, -1);
  assert.equal(layer.write(id as never, new Uint8Array(1 << 20), false), 300_001);
  assert.ok(Number.isInteger(layer.writableBytes(id as never)));
});
