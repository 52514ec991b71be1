import assert from "node:assert/strict";
import { test } from "node:test";
import { address } from "../../lib/base/address.ts";
import { seconds } from "../../lib/base/time.ts";
import { Bottleneck } from "../../lib/testing/bottleneck.ts";
import { PatternTraffic } from "../../lib/testing/pattern_traffic.ts";
import { SimulatedNetwork } from "../../lib/testing/simulated_network.ts";
import { SimulatedNode } from "../../lib/testing/simulated_node.ts";
import { CONGESTION_NAMES, type CongestionName } from "../../lib/transport/congestion/create.ts";
import { crypto, millis } from "./shared.ts";

const RATE = 10;
const RTT_MS = 40;

/** An endless transfer between two hosts of its own; what it has delivered. */
function transfer(network: SimulatedNetwork, wire: Bottleneck, id: number, congestion: CongestionName): PatternTraffic {
  const from = address(`10.0.1.${id}`, 1), to = address(`10.0.2.${id}`, 1);
  network.link(from, to).shared = wire;
  const back = network.link(to, from);
  // Or a flow that is clocked by its acknowledgements would always find the very place in the queue that its own packet has left.
  back.profile = { ...back.profile, jitter: millis(0.5) };
  const sender = new PatternTraffic(), receiver = new PatternTraffic();
  const settings = { congestion };
  const server = new SimulatedNode(network, { crypto, settings, address: to, application: receiver });
  const client = new SimulatedNode(network, { crypto, settings, address: from, application: sender, accept: false });
  sender.send(client, client.connect(to, { peerKey: server.identity.publicKey }), 1e12);
  return receiver;
}

for (const congestion of CONGESTION_NAMES) {
  test(`a second flow gets its share of a link that the first one had to itself, both under ${congestion}`, () => {
    const network = new SimulatedNetwork({ seed: 1, profile: { delay: millis(RTT_MS / 2) } });
    const wire = new Bottleneck(network.clock, RATE, RATE * RTT_MS * 125);
    const first = transfer(network, wire, 1, congestion);
    network.advance(seconds(3));
    const second = transfer(network, wire, 2, congestion);
    network.advance(seconds(10));
    const before = [first.delivered, second.delivered];
    network.advance(seconds(15));
    const [a, b] = [first.delivered - before[0], second.delivered - before[1]];
    // Jain's index: 1 for equal shares, 0.5 if one has everything.
    const index = (a + b) ** 2 / (2 * (a * a + b * b));
    assert.ok(index >= 0.9, `${index}: ${a} and ${b} bytes`);
    assert.ok((a + b) * 8 / seconds(15) > 0.85 * RATE, `${a + b} bytes together`);
  });
}
