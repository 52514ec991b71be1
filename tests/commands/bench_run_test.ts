import assert from "node:assert/strict";
import { test } from "node:test";
import { BenchRun, type Load, type Operation, type Outcome } from "../../commands/bench_run.ts";
import { CliError } from "../../commands/errors.ts";

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function run(operation: Operation["run"], load: Partial<Load> = {}): Promise<Outcome> {
  return new BenchRun({ run: operation }, {
    concurrency: 1,
    rate: undefined,
    warmUpMs: 0,
    durationMs: 300,
    signal: new AbortController().signal,
    ...load,
  }).run();
}

/** How many latencies are at least so many milliseconds. */
function atLeast({ latencies }: Outcome, ms: number): number {
  let low = 0, high = latencies.count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (latencies.quantile((middle + 0.5) / latencies.count) >= ms * 1e6) high = middle;
    else low = middle + 1;
  }
  return latencies.count - low;
}

test("without a rate, each worker begins an operation when its last one has ended", async () => {
  let running = 0, most = 0;
  const outcome = await run(async (_worker, intended) => {
    most = Math.max(most, ++running);
    await sleep(5);
    running--;
    return intended;
  }, { concurrency: 4 });
  assert.equal(most, 4);
  assert.ok(outcome.messages > 0 && outcome.latencies.count >= outcome.messages);
  assert.ok(outcome.latencies.quantile(0) >= 4e6, "an operation takes 5 ms");
  assert.deepEqual([outcome.errors.size, outcome.unstarted], [0, 0]);
});

test("what begins during the warm-up is not counted", async () => {
  const begun: number[] = [];
  const start = performance.now();
  const outcome = await run(async (_worker, intended) => {
    begun.push(intended - start);
    await sleep(2);
    return intended;
  }, { warmUpMs: 200, durationMs: 200 });
  const counted = begun.filter((at) => at >= 205).length, before = begun.length - counted;
  assert.ok(before > 0);
  assert.ok(outcome.latencies.count <= begun.length - before + 3, `${outcome.latencies.count} of ${begun.length}`);
});

test("at a rate, a stall shows in every operation that had to wait for it", async () => {
  let isFirst = true;
  const outcome = await run(async (_worker, intended) => {
    if (isFirst) {
      isFirst = false;
      await sleep(250);
    }
    return intended;
  }, { rate: 100, durationMs: 500 });
  // Due every 10 ms: those of the first 150 ms waited for 100 ms and more.
  assert.ok(atLeast(outcome, 100) >= 14, `${atLeast(outcome, 100)} samples of 100 ms and more`);
  assert.ok(Math.abs(outcome.latencies.count - 50) <= 1, `${outcome.latencies.count} operations were due`);
});

test("operations that could not begin are told, and count with the time that they had waited", async () => {
  const outcome = await run((_worker, intended) => sleep(600).then(() => intended), { rate: 100, durationMs: 300 });
  assert.ok(Math.abs(outcome.unstarted - 29) <= 1, `${outcome.unstarted} unstarted`);
  assert.equal(outcome.messages, 0);
  assert.ok(atLeast(outcome, 200) >= 10);
});

test("failures are counted by code, the first one is kept, and others go on", async () => {
  let count = 0;
  const first = new CliError("agent_error", "first");
  const outcome = await run(async (_worker, intended) => {
    await sleep(1);
    if (++count % 2 === 1) throw count === 1 ? first : new CliError("deadline", "another");
    return intended;
  });
  assert.equal(outcome.errors.get("agent_error"), 1);
  assert.ok(outcome.errors.get("deadline")! >= 1 && outcome.messages >= 1);
  assert.equal(outcome.firstError, first);
});

test("a run whose connections are lost ends at once, one that is aborted keeps what it has", async () => {
  for (const rate of [undefined, 1000]) {
    const startedAt = performance.now();
    const outcome = await run(() => Promise.reject(new CliError("connection_lost", "gone")), {
      rate,
      concurrency: 3,
      durationMs: 60_000,
    });
    assert.ok(performance.now() - startedAt < 30_000, "long before its time");
    assert.equal(outcome.errors.get("connection_lost"), 3);
  }
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 100);
  const outcome = await run((_worker, intended) => sleep(1).then(() => intended), {
    durationMs: 60_000,
    signal: controller.signal,
  });
  assert.ok(outcome.messages > 0 && outcome.elapsedMs < 30_000);
});

test("operations that begin and never come back are failures, also those that fail after the end", async () => {
  for (const rate of [undefined, 1000]) {
    const outcome = await run((worker, intended) => {
      if (worker === 0) return new Promise(() => {});
      if (worker === 1) return sleep(150).then(() => Promise.reject(new CliError("connection_lost", "gone")));
      return sleep(1).then(() => intended);
    }, { rate, concurrency: 3, durationMs: 100, graceMs: 200 });
    assert.deepEqual(Object.fromEntries(outcome.errors), { deadline: 1, connection_lost: 1 });
    assert.ok(outcome.messages > 0);
  }
});

test("what an abort has cut off is no failure", async () => {
  const outcome = await run(() => new Promise(() => {}), { signal: AbortSignal.timeout(50), durationMs: 60_000 });
  assert.deepEqual([outcome.errors.size, outcome.messages], [0, 0]);
});
