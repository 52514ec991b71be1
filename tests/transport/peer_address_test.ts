import assert from "node:assert/strict";
import { test } from "node:test";
import { address } from "../../lib/base/address.ts";
import { PeerAddress } from "../../lib/transport/peer_address.ts";
import { ELSEWHERE, HERE } from "./two_endpoints.ts";

test("until it has proven itself, an address gets three times what came from it", () => {
  const peer = new PeerAddress(HERE, false);
  assert.equal(peer.allows(1200), 0);
  peer.onReceived(HERE, 1200);
  assert.equal(peer.allows(1200), 1200);
  peer.onSent(1200);
  peer.onSent(1200);
  peer.onSent(1000);
  assert.equal(peer.allows(1200), 200);
  assert.equal(peer.isProven, false);
  peer.prove();
  assert.equal(peer.allows(1200), 1200);
  assert.equal(peer.isProven, true);
});

test("what comes from elsewhere earns nothing, and is noticed", () => {
  const peer = new PeerAddress(HERE, false);
  peer.onReceived(ELSEWHERE, 60_000);
  assert.equal(peer.allows(1200), 0);
  assert.equal(peer.hasMoved, true);
  peer.onReceived(address(HERE.host, HERE.port), 100);
  assert.equal(peer.hasMoved, false);
  assert.equal(peer.allows(1200), 300);
});

test("an address that we chose ourselves needs no proof", () => {
  assert.equal(new PeerAddress(HERE, true).allows(1200), 1200);
});
