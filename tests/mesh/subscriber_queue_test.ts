import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SLOW_POLICIES, type SlowPolicy } from "../../lib/codec/payloads/subscribe.ts";
import { MemoryBudget } from "../../lib/mesh/memory_budget.ts";
import { SharedEvent, SubscriberQueue } from "../../lib/mesh/subscriber_queue.ts";
import { property } from "../support/seed.ts";

const NUMBERS = 100_000;

/** Events whose first bytes are a number. */
function event(budget: MemoryBudget, number: number, size = 10): SharedEvent {
  const bytes = new Uint8Array(size);
  new DataView(bytes.buffer).setUint32(0, number);
  return new SharedEvent(bytes, budget);
}

function numberOf({ bytes }: SharedEvent): number {
  return new DataView(bytes.buffer).getUint32(0);
}

/** Everything that a subscriber is told: numbers of events, and gaps as negative numbers. */
function drain(queue: SubscriberQueue): number[] {
  const told: number[] = [];
  for (;;) {
    const gap = queue.takeGap();
    if (gap > 0) told.push(-gap);
    const event = queue.shift();
    if (event === undefined) return told;
    told.push(numberOf(event));
  }
}

function queueOf(policy: SlowPolicy, maxEvents = 3, maxBytes = 1_000): {
  readonly queue: SubscriberQueue;
  readonly total: MemoryBudget;
  readonly connection: MemoryBudget;
} {
  const total = new MemoryBudget(NUMBERS);
  const connection = new MemoryBudget(NUMBERS);
  return { queue: new SubscriberQueue({ policy, maxEvents, maxBytes }, connection), total, connection };
}

test("a full queue drops what has waited longest, or what comes, or overflows, and says where events are missing", () => {
  const told = Object.fromEntries(SLOW_POLICIES.map((policy) => {
    const { queue, total } = queueOf(policy);
    const outcomes = [1, 2, 3, 4, 5].map((number) => queue.push(event(total, number)));
    return [policy, [outcomes, queue.dropped, drain(queue)]];
  }));
  assert.deepEqual(told, {
    drop_oldest: [["queued", "queued", "queued", "dropped", "dropped"], 2, [-2, 3, 4, 5]],
    drop_newest: [["queued", "queued", "queued", "dropped", "dropped"], 2, [1, 2, 3, -2]],
    close: [["queued", "queued", "queued", "overflow", "overflow"], 0, [1, 2, 3]],
  });
});

test("an event that is larger than the queue waits alone", () => {
  const { queue, total, connection } = queueOf("drop_oldest", 10, 50);
  queue.push(event(total, 1));
  assert.equal(queue.push(event(total, 2, 500)), "dropped");
  assert.equal(queue.bytes, 500);
  assert.equal(queue.push(event(total, 3)), "dropped");
  assert.deepEqual(drain(queue), [-2, 3]);
  assert.deepEqual([total.used, connection.used, queue.bytes], [0, 0, 0]);
});

test("an event that waits in many queues is charged once to the node, and to each connection", () => {
  const total = new MemoryBudget(100);
  const connections = Array.from({ length: 50 }, () => new MemoryBudget(60));
  const limits = { policy: "drop_oldest", maxEvents: 100, maxBytes: 1_000 } as const;
  const queues = connections.map((connection) => new SubscriberQueue(limits, connection));
  const shared = event(total, 1, 50);
  for (const queue of queues) assert.equal(queue.push(shared), "queued");
  assert.equal(total.used, 50);
  assert.equal(queues[0].push(event(total, 2, 20)), "dropped", "its connection has enough waiting");
  assert.equal(queues[0].push(event(total, 3, 10)), "queued");
  assert.equal(queues[1].push(event(total, 4, 45)), "dropped");
  assert.deepEqual(drain(queues[0]), [1, -1, 3]);
  assert.deepEqual(drain(queues[1]), [1, -1]);
  for (const queue of queues) queue.clear();
  assert.equal(total.used, 0);
  assert.ok(connections.every(({ used }) => used === 0));
});

test("whatever is pushed and taken, what a subscriber is told adds up to all events in their order", () => {
  const step = fc.record({ push: fc.boolean(), size: fc.integer({ min: 4, max: 60 }) });
  fc.assert(
    fc.property(
      fc.constantFrom<SlowPolicy>("drop_oldest", "drop_newest"),
      fc.array(step, { maxLength: 80 }),
      (policy, steps) => {
        const total = new MemoryBudget(150);
        const connection = new MemoryBudget(120);
        const queue = new SubscriberQueue({ policy, maxEvents: 5, maxBytes: 100 }, connection);
        const told: number[] = [];
        let pushed = 0;
        let taken = 0;
        const take = (): void => {
          const gap = queue.takeGap();
          if (gap > 0) told.push(-gap);
          const event = queue.shift();
          taken = event?.bytes.length ?? 0;
          if (event !== undefined) told.push(numberOf(event));
        };
        for (const { push, size } of steps) {
          if (push) queue.push(event(total, pushed++, size));
          else take();
          assert.ok(queue.length <= 5 && queue.bytes <= 100);
          assert.equal(connection.used, queue.bytes + taken, "what was taken last counts until the next is taken");
          assert.equal(total.used, queue.bytes + taken);
        }
        told.push(...drain(queue));
        let expected = 0;
        for (const number of told) {
          if (number < 0) expected -= number;
          else assert.equal(number, expected++);
        }
        assert.equal(expected, pushed);
        assert.equal(queue.dropped, told.filter((number) => number < 0).reduce((sum, gap) => sum - gap, 0));
        assert.equal(total.used, 0);
      },
    ),
    property(300),
  );
});
