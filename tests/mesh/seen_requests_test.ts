import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Micros, micros } from "../../lib/base/time.ts";
import { DEFAULT_SEEN_LIMITS, type SeenLimits, type SeenRequest, SeenRequests } from "../../lib/mesh/seen_requests.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { property, testSeed } from "../support/seed.ts";

type Answer = { readonly text: string };

function table(limits: Partial<SeenLimits> = {}): SeenRequests<Answer> {
  return new SeenRequests<Answer>({ ...DEFAULT_SEEN_LIMITS, ...limits }, new SeededRandom(testSeed));
}

const at = (seconds: number): Micros => micros(seconds * 1_000_000);

function handle(seen: SeenRequests<Answer>, now: number, sender: string, key: string, weight = 1): void {
  seen.settle(at(now), seen.open(at(now), sender, key)!, { text: key }, weight);
}

test("a request is found by its sender and key until its time is over", () => {
  const seen = table({ lifetime: at(10) });
  assert.equal(seen.find(at(0), "a", "k"), undefined);
  const request = seen.open(at(0), "a", "k")!;
  assert.equal(seen.find(at(100), "a", "k"), request, "what is being handled is not forgotten");
  assert.equal(request.answer, undefined);
  seen.settle(at(100), request, { text: "done" }, 4);
  assert.equal(seen.find(at(109), "a", "k")?.answer?.text, "done");
  assert.equal(seen.find(at(109), "b", "k"), undefined, "another sender's key is another key");
  assert.equal(seen.find(at(109), "a", "k k"), undefined);
  assert.equal(seen.repeated, 2);
  assert.equal(seen.find(at(110), "a", "k"), undefined);
  assert.deepEqual([seen.size, seen.senders, seen.weight], [0, 0, 0]);
});

test("repetitions wait for the first one, get its answer, and are told if there is none", () => {
  const seen = table({ maxWaiting: 2 });
  const told: (string | undefined)[] = [];
  const waiter = (answer: Answer | undefined): void => void told.push(answer?.text);
  const first = seen.open(at(0), "a", "k")!;
  assert.equal(seen.join(first, waiter), true);
  assert.equal(seen.join(first, waiter), true);
  assert.equal(seen.join(first, waiter), false, "more are not kept");
  seen.settle(at(1), first, { text: "yes" }, 1);
  assert.deepEqual(told.splice(0), ["yes", "yes"]);
  const second = seen.open(at(1), "a", "other")!;
  seen.join(second, waiter);
  seen.forget(second);
  assert.deepEqual(told, [undefined]);
  assert.equal(seen.find(at(1), "a", "other"), undefined, "so that it is handled when it comes again");
  assert.equal(seen.size, 1);
});

test("a sender that repeats nothing pushes out its own requests, and nobody else's", () => {
  const seen = table({ maxRequests: 100, maxRequestsPerSender: 10, maxWeight: 1_000, maxWeightPerSender: 50 });
  handle(seen, 0, "quiet", "k");
  for (let i = 0; i < 1_000; i++) handle(seen, 1, "loud", `${i}`);
  assert.equal(seen.size, 11);
  assert.ok(seen.find(at(1), "quiet", "k"));
  assert.ok(seen.find(at(1), "loud", "990"));
  assert.equal(seen.find(at(1), "loud", "989"), undefined);
  for (let i = 0; i < 10; i++) handle(seen, 2, "loud", `heavy ${i}`, 20);
  assert.equal(seen.weight, 41, "two heavy ones of it, and the quiet one's");
  const tooHeavy = seen.open(at(2), "loud", "too heavy")!;
  const told: unknown[] = [];
  seen.join(tooHeavy, (answer) => void told.push(answer));
  seen.settle(at(2), tooHeavy, { text: "large" }, 51);
  assert.deepEqual(told, [{ text: "large" }], "who waited gets it");
  assert.equal(seen.find(at(2), "loud", "too heavy"), undefined, "but it is not kept");
});

test("many senders together push out what was settled first, and never what is being handled", () => {
  const seen = table({ maxRequests: 100, maxRequestsPerSender: 10 });
  const running = Array.from({ length: 60 }, (_, i) => seen.open(at(0), `r${i}`, "k")!);
  for (let i = 0; i < 500; i++) handle(seen, 1, `s${i}`, "k");
  assert.equal(seen.size, 100);
  for (let i = 0; i < 60; i++) assert.equal(seen.find(at(1), `r${i}`, "k"), running[i]);
  const more = Array.from({ length: 41 }, (_, i) => seen.open(at(2), `t${i}`, "k"));
  assert.equal(more.filter((request) => request !== undefined).length, 40);
  assert.equal(seen.unremembered, 1, "there is no room while all are being handled");
  for (const request of [...running, ...more]) if (request !== undefined) seen.forget(request);
  assert.deepEqual([seen.size, seen.senders, seen.weight], [0, 0, 0]);
});

test("limits that make no sense are refused", () => {
  assert.throws(() => table({ maxRequests: 0 }), /maxRequests must be at least 1, got 0/);
  assert.throws(() => table({ lifetime: NaN as Micros }), /lifetime/);
});

/** The same in the plainest words. */
class Naive {
  lines: { sender: string; key: string; settled: number | undefined; weight: number }[] = [];
  readonly limits: SeenLimits;

  constructor(limits: SeenLimits) {
    this.limits = limits;
  }

  sweep(now: number): void {
    this.lines = this.lines.filter(({ settled }) => settled === undefined || now - settled < this.limits.lifetime);
  }

  /** Drops the settled lines from the front until `fits`. */
  makeRoom(of: (line: { sender: string }) => boolean, fits: () => boolean): boolean {
    while (!fits()) {
      const index = this.lines.findIndex((line) => line.settled !== undefined && of(line));
      if (index === -1) return false;
      this.lines.splice(index, 1);
    }
    return true;
  }
}

test("whatever comes in whatever order, the table remembers what a plain list would", () => {
  const limits: SeenLimits = {
    lifetime: at(20),
    maxRequests: 6,
    maxRequestsPerSender: 3,
    maxWeight: 30,
    maxWeightPerSender: 20,
    maxWaiting: 1,
  };
  const step = fc.record({
    wait: fc.integer({ min: 0, max: 5 }),
    sender: fc.constantFrom("a", "b", "c"),
    key: fc.constantFrom("1", "2", "3", "4"),
    weight: fc.integer({ min: 0, max: 22 }),
    ends: fc.constantFrom("settle", "settle", "settle", "forget", "runs on"),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const seen = table(limits);
      const naive = new Naive(limits);
      const running = new Map<string, SeenRequest<Answer>>();
      let now = 0;
      for (const { wait, sender, key, weight, ends } of steps) {
        now += wait;
        naive.sweep(at(now));
        const line = naive.lines.find((line) => line.sender === sender && line.key === key);
        const found = seen.find(at(now), sender, key);
        assert.equal(found !== undefined, line !== undefined);
        if (found !== undefined && found.answer !== undefined) continue;
        const name = `${sender} ${key}`;
        const isOf = (line: { sender: string }): boolean => line.sender === sender;
        let request = running.get(name);
        if (request === undefined) {
          const room = naive.makeRoom(isOf, () => naive.lines.filter(isOf).length < limits.maxRequestsPerSender) &&
            naive.makeRoom(() => true, () => naive.lines.length < limits.maxRequests);
          request = seen.open(at(now), sender, key);
          assert.equal(request !== undefined, room);
          if (request === undefined) continue;
          naive.lines.push({ sender, key, settled: undefined, weight: 0 });
          running.set(name, request);
        }
        if (ends === "runs on") continue;
        running.delete(name);
        const index = naive.lines.findIndex((line) => line.sender === sender && line.key === key);
        const [mine] = naive.lines.splice(index, 1);
        if (ends === "forget") seen.forget(request);
        else {
          seen.settle(at(now), request, { text: name }, weight);
          if (weight <= limits.maxWeightPerSender) {
            const sum = (of: (line: { sender: string }) => boolean): number =>
              naive.lines.filter(of).reduce((sum, line) => sum + line.weight, weight);
            naive.makeRoom(isOf, () => sum(isOf) <= limits.maxWeightPerSender);
            naive.makeRoom(() => true, () => sum(() => true) <= limits.maxWeight);
            naive.lines.push({ ...mine, settled: at(now), weight });
          }
        }
        assert.equal(seen.size, naive.lines.length);
        assert.equal(seen.weight, naive.lines.reduce((sum, line) => sum + line.weight, 0));
        assert.equal(seen.senders, new Set(naive.lines.map((line) => line.sender)).size);
      }
    }),
    property(300),
  );
});
