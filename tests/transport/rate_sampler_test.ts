import assert from "node:assert/strict";
import { test } from "node:test";
import { micros, millis } from "../../lib/base/time.ts";
import { RateSampler } from "../../lib/transport/congestion/rate_sampler.ts";
import { type SentPacket, SentPackets } from "../../lib/transport/sent_packets.ts";

const SIZE = 1000;

/** A sampler with packets of 1 000 bytes; times are milliseconds. */
class Flow {
  readonly sampler = new RateSampler();
  readonly #sent = new SentPackets<never>();
  #inFlight = 0;

  send(at: number): SentPacket<unknown> {
    const packet = this.#sent.push(this.#sent.next, millis(at), SIZE, true, true, false, undefined, 0);
    this.#inFlight += SIZE;
    this.sampler.onPacketSent(packet, this.#inFlight);
    return packet;
  }

  /** Acknowledges packets with one ACK; returns the sample in bytes per millisecond. */
  ack(at: number, ...packets: SentPacket<unknown>[]): number {
    this.#inFlight -= packets.length * SIZE;
    for (const packet of packets) this.sampler.onPacketAcked(packet, millis(at));
    return this.sampler.finish(micros(0)) * 1000;
  }

  lose(packet: SentPacket<unknown>): void {
    this.#inFlight -= SIZE;
    this.sampler.onPacketLost(packet);
  }

  limited(): void {
    this.sampler.onAppLimited(this.#inFlight);
  }
}

test("a sample is what was delivered while a packet was under way, by the time that this took", () => {
  const flow = new Flow();
  const packets = [0, 1, 2, 3].map((at) => flow.send(at));
  assert.equal(flow.ack(10, packets[0]), SIZE / 10);
  assert.equal(flow.ack(12, packets[1]), 2 * SIZE / 12);
  const fifth = flow.send(12);
  flow.ack(14, packets[2]);
  flow.ack(16, packets[3]);
  assert.equal(
    Math.round(flow.ack(22, fifth)),
    Math.round(3 * SIZE / 11),
    "2, 3 and itself, which left 11 ms after 1 had",
  );
  assert.equal(flow.sampler.sampleDelivered, 3 * SIZE);
  assert.equal(flow.sampler.delivered, 5 * SIZE);
});

test("acknowledgements that arrive in a clump do not make the path look faster than the packets were sent", () => {
  const flow = new Flow();
  const packets = [0, 10, 20, 30, 40].map((at) => flow.send(at));
  flow.ack(50, packets[0]);
  assert.equal(flow.ack(50.001, ...packets.slice(1)), 5 * SIZE / 50.001);
  // The next flight is sent at one packet in 10 ms and acknowledged all at once.
  const next = [51, 61, 71, 81].map((at) => flow.send(at));
  flow.ack(101, next[0]);
  assert.ok(flow.ack(101.001, ...next.slice(1)) <= 4 * SIZE / 30);
});

test("a pause before a flight does not count", () => {
  const flow = new Flow();
  flow.ack(10, flow.send(0));
  assert.equal(flow.ack(1010, flow.send(1000)), SIZE / 10);
});

test("samples are marked until everything that was in flight when the data ran out was delivered", () => {
  const flow = new Flow();
  const first = flow.send(0), second = flow.send(0);
  flow.limited();
  assert.equal(flow.sampler.isFlowLimited, true);
  const third = flow.send(1);
  flow.ack(10, first);
  assert.equal(flow.sampler.isAppLimited, false, "the first left before");
  flow.ack(10, second);
  const fourth = flow.send(10);
  flow.ack(11, third);
  assert.equal(flow.sampler.isAppLimited, true);
  assert.equal(flow.sampler.isFlowLimited, false);
  flow.ack(20, fourth);
  assert.equal(flow.sampler.isAppLimited, true, "it left while the mark stood");
  flow.ack(30, flow.send(20));
  assert.equal(flow.sampler.isAppLimited, false);
});

test("a sample tells how much was lost since its packet left, and how much was in flight then", () => {
  const flow = new Flow();
  const packets = [0, 0, 0, 0].map((at) => flow.send(at));
  flow.lose(packets[0]);
  flow.ack(10, packets[1]);
  assert.deepEqual([flow.sampler.sampleLost, flow.sampler.inFlightAtSend], [SIZE, 2 * SIZE]);
  flow.ack(20, flow.send(10));
  assert.equal(flow.sampler.sampleLost, 0);
  assert.equal(flow.sampler.lost, SIZE);
});

test("an ACK that took less than the shortest round trip gives no rate, and neither does one that acknowledges nothing", () => {
  const flow = new Flow();
  const packet = flow.send(0);
  flow.sampler.onPacketAcked(packet, millis(5));
  assert.equal(flow.sampler.finish(millis(10)), 0);
  assert.equal(flow.sampler.priorDelivered, 0);
  assert.equal(flow.sampler.finish(millis(10)), 0);
  assert.equal(flow.sampler.priorDelivered, -1);
});
