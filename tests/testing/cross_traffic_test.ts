import assert from "node:assert/strict";
import { test } from "node:test";
import { address } from "../../lib/base/address.ts";
import { millis, seconds } from "../../lib/base/time.ts";
import { Bottleneck } from "../../lib/testing/bottleneck.ts";
import { SteadySource, TcpFlow } from "../../lib/testing/cross_traffic.ts";
import type { LinkProfile } from "../../lib/testing/link.ts";
import { SimulatedNetwork } from "../../lib/testing/simulated_network.ts";

const A = address("10.0.0.1", 1), B = address("10.0.0.2", 1), C = address("10.0.0.3", 1), D = address("10.0.0.4", 1);

function makeNetwork(profile: Partial<LinkProfile>): SimulatedNetwork {
  return new SimulatedNetwork({ seed: 1, profile: { delay: millis(20), ...profile } });
}

/** Mbit/s of a flow in seconds 10 to 20. */
function measure(network: SimulatedNetwork, ...flows: readonly { readonly delivered: number }[]): number[] {
  network.run(() => false, seconds(10));
  const before = flows.map(({ delivered }) => delivered);
  network.run(() => false, seconds(10));
  return flows.map(({ delivered }, i) => (delivered - before[i]) * 8 / 10e6);
}

test("a flow like TCP fills a link that it has for itself", () => {
  const network = makeNetwork({ rate: 20 });
  const [rate] = measure(network, new TcpFlow(network, A, B));
  assert.ok(rate > 19 && rate <= 20.1, `${rate} Mbit/s`);
});

test("a flow like TCP slows down when datagrams are lost, and loses nothing", () => {
  const network = makeNetwork({ rate: 20, loss: 0.02 });
  const flow = new TcpFlow(network, A, B);
  const [rate] = measure(network, flow);
  assert.ok(rate > 1 && rate < 10, `${rate} Mbit/s`);
  assert.ok(flow.retransmissions > 50);
});

test("a flow like TCP comes back after a black hole", () => {
  const network = makeNetwork({ rate: 20 });
  const flow = new TcpFlow(network, A, B);
  network.run(() => false, seconds(1));
  network.link(A, B).down = true;
  network.run(() => false, seconds(3));
  network.link(A, B).down = false;
  const [rate] = measure(network, flow);
  assert.ok(rate > 15, `${rate} Mbit/s`);
});

test("two flows like TCP share a wire", () => {
  const network = makeNetwork({});
  const wire = new Bottleneck(network.clock, 20, 100_000);
  for (const [from, to] of [[A, B], [C, D]]) network.link(from, to).shared = wire;
  const flows = [new TcpFlow(network, A, B), new TcpFlow(network, C, D)];
  network.run(() => false, seconds(20));
  const [a, b] = measure(network, ...flows);
  assert.ok(a + b > 19 && Math.min(a, b) > 5, `${a} and ${b} Mbit/s`);
});

test("a steady source sends as fast as it is told to, until it is stopped", () => {
  const network = makeNetwork({ rate: 20 });
  const source = new SteadySource(network, A, B, 5);
  const [rate] = measure(network, source);
  assert.ok(Math.abs(rate - 5) < 0.01, `${rate} Mbit/s`);
  source.stop();
  const [after] = measure(network, source);
  assert.equal(after, 0);
});
