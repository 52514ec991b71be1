import assert from "node:assert/strict";
import { test } from "node:test";
import { callFailure } from "../../lib/agent/calls/call_failure.ts";
import { deferred } from "../../lib/agent/deferred.ts";
import {
  type CallContext,
  type CallHandler,
  type CallOptions,
  type Client,
  connect,
  generateIdentity,
  MxpError,
  RetryBudget,
  serve,
  type Server,
} from "../../mod.ts";
import { TransportError } from "../../lib/wire/error_codes.ts";
import { Session } from "../../lib/agent/session.ts";
import { memoryPlatform } from "./support/platform.ts";
import { VirtualTime } from "./support/virtual_time.ts";

const busy = (): never => {
  throw new MxpError("overloaded", "busy", { retryable: true });
};
const lost = (): never => {
  throw new MxpError("connection_lost", "half done", { retryable: true });
};

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 1_000; i++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.fail(`timed out waiting until ${what}`);
}

async function withPair(handler: CallHandler, body: (client: Client, server: Server) => Promise<void>): Promise<void> {
  const platform = memoryPlatform();
  await using server = await serve({ listen: "127.0.0.1:0", platform }, handler);
  await using client = await connect(server.url, { platform });
  await body(client, server);
}

test("a call that fails without having been carried out is made again, with the same trace id, until it succeeds", async () => {
  const seen: CallContext[] = [];
  const handler = (payload: Uint8Array, context: CallContext): Uint8Array => {
    seen.push(context);
    return seen.length < 3 ? busy() : payload;
  };
  await withPair(handler as CallHandler, async (client) => {
    const told: unknown[] = [];
    const onRetry = (error: MxpError, attempt: number, afterMs: number): void => {
      told.push([error.code, attempt, afterMs <= 10 * 2 ** (attempt - 2)]);
    };
    // A body that can be read once.
    async function* body(): AsyncGenerator<string> {
      yield "hel";
      yield "lo";
    }
    const reply = await client.call(body(), { retry: { attempts: 5, firstPauseMs: 10, onRetry } });
    assert.deepEqual([reply.text(), reply.attempts], ["hello", 3]);
    assert.deepEqual(seen.map(({ attempt }) => attempt), [0, 1, 2]);
    assert.deepEqual(new Set(seen.map(({ traceId }) => traceId)), new Set([reply.traceId]));
    assert.ok(reply.timing.doneMs >= reply.timing.firstByteMs && reply.timing.firstByteMs >= 0);
    assert.deepEqual(told, [["overloaded", 2, true], ["overloaded", 3, true]]);
    const { retried, hedged, overBudget, reconnected } = client.stats().repeated;
    assert.deepEqual([retried, hedged, overBudget, reconnected], [2, 0, 0, 0]);
    assert.equal((await client.call("plain")).attempts, 1);
  });
});

test("pauses that are said to be undefined are the usual ones", async () => {
  let calls = 0;
  await withPair(() => ++calls < 2 ? busy() : "done", async (client) => {
    const retry = { attempts: 1, firstPauseMs: undefined, longestPauseMs: undefined };
    assert.equal((await client.call("x", { retry })).text(), "done");
  });
});

test("a call that was given up while it paused leaves no timer", async () => {
  const time = new VirtualTime();
  const { platform } = time;
  const abort = new AbortController();
  const server = await time.until(serve({ listen: "127.0.0.1:0", platform }, busy));
  const client = await time.until(connect(server.url, { platform }));
  const wakeUps = new Set<unknown>();
  const { clock } = platform;
  const wakeAt = clock.wakeAt.bind(clock);
  clock.wakeAt = (at, callback) => {
    const isLong = at > clock.now() + 1e9 && at < 1e12;
    if (!isLong) return wakeAt(at, callback);
    wakeUps.add(callback);
    const cancel = wakeAt(at, callback);
    return () => {
      wakeUps.delete(callback);
      cancel();
    };
  };
  const onRetry = (): void => void setTimeout(() => abort.abort());
  const retry = { attempts: 1, firstPauseMs: 1e8, longestPauseMs: 1e8, onRetry };
  const call = client.call("x", { signal: abort.signal, timeoutMs: 0, retry });
  await assert.rejects(time.until(call), (error: MxpError) => error.code === "cancelled");
  assert.equal(wakeUps.size, 0);
  await time.until(client.close());
  await time.until(server.close());
});

test("what may have been carried out is made again only where that does no harm, and what is final never", async () => {
  let calls = 0;
  let fail: () => never = lost;
  await withPair(() => {
    calls++;
    return fail();
  }, async (client) => {
    const attempts = async (options: CallOptions): Promise<[string, number]> => {
      calls = 0;
      const retry = { attempts: 2, firstPauseMs: 1 };
      const error = await client.call("x", { ...options, retry }).catch((error) => error);
      return [error.code, calls];
    };
    assert.deepEqual(await attempts({}), ["connection_lost", 1]);
    assert.deepEqual(await attempts({ idempotent: true }), ["connection_lost", 3]);
    assert.deepEqual(await attempts({ idempotencyKey: "k" }), ["connection_lost", 3]);
    fail = () => calls === 1 ? lost() : busy();
    const failure = await client.call("x", { idempotent: true, retry: (calls = 0, 1) }).catch((error) => error);
    assert.deepEqual([failure.code, failure.nothingDone], ["overloaded", false], "the first may have been carried out");
    fail = busy;
    assert.deepEqual(await attempts({}), ["overloaded", 3]);
    fail = () => {
      throw new Error("broken");
    };
    assert.deepEqual(await attempts({ idempotent: true }), ["agent_error", 1]);
  });
});

test("repetitions against a node that fails every call are bounded by the client's budget, or one that is shared", async () => {
  let calls = 0;
  await withPair(() => {
    calls++;
    return busy();
  }, async (client) => {
    const many = async (budget?: RetryBudget): Promise<number> => {
      calls = 0;
      const retry = { attempts: 10, firstPauseMs: 0, ...(budget && { budget }) };
      for (let i = 0; i < 20; i++) await assert.rejects(client.call("x", { retry }), MxpError);
      return calls;
    };
    assert.equal(await many(), 31, "twenty, a reserve of ten, and one that the others have earned");
    assert.ok(client.stats().repeated.overBudget > 0);
    assert.equal(await many(new RetryBudget({ share: 0, reserve: 3 })), 23);
  });
});

test("after the node was started anew, calls that are repeated go over a new connection, those under way included", async () => {
  const platform = memoryPlatform();
  const identity = generateIdentity();
  const started = deferred<void>();
  let server = await serve({ listen: "127.0.0.1:0", platform, identity }, () => {
    started.resolve();
    return new Promise<string>(() => {});
  });
  const listen = `127.0.0.1:${server.address.port}`;
  const client = await connect(server.url, { platform });
  const options = { idempotent: true, retry: { attempts: 20, firstPauseMs: 20 } };
  const under = client.call("x", options);
  await started.promise;
  await server.close();
  server = await serve({ listen, platform, identity }, (payload) => payload);
  const reply = await under;
  assert.ok(reply.text() === "x" && reply.attempts > 1);
  // What was never sent may be repeated even if it must not be carried out twice.
  assert.equal((await client.call("y", { retry: 1 })).text(), "y");
  assert.equal(client.stats().repeated.reconnected, 1);
  // The connection in place of the first one may be lost as well.
  await server.close();
  server = await serve({ listen, platform, identity }, (payload) => payload);
  assert.equal((await client.call("y", { ...options, retry: { attempts: 20, firstPauseMs: 20 } })).text(), "y");
  assert.equal(client.stats().repeated.reconnected, 2);
  await assert.rejects(client.call("z"), (error: MxpError) => error.code === "connection_lost" && error.nothingDone);
  await client.close();
  await until(() => server.stats().connections === 0, "the second connection has ended with the client");
  await server.close();
});

test("calls that are repeated get over a node that drains and is started anew, and none is carried out twice", async () => {
  const platform = memoryPlatform();
  const identity = generateIdentity();
  const seen: string[] = [];
  const handler = async (payload: Uint8Array): Promise<Uint8Array> => {
    seen.push(new TextDecoder().decode(payload));
    await new Promise((resolve) => setTimeout(resolve, 2));
    return payload;
  };
  let server = await serve({ listen: "127.0.0.1:0", platform, identity }, handler);
  const listen = `127.0.0.1:${server.address.port}`;
  const client = await connect(server.url, { platform });
  const restart = async (): Promise<void> => {
    await server.drain();
    server = await serve({ listen, platform, identity }, handler);
  };
  const retry = { attempts: 50, firstPauseMs: 2, longestPauseMs: 10, budget: new RetryBudget({ reserve: 500 }) };
  let restarting = Promise.resolve();
  for (let i = 0; i < 30; i++) {
    const call = client.call(`${i}`, { retry });
    // While the handler runs, and with the next calls on their way when the node closes.
    if (i % 10 === 5) {
      await until(() => seen.length > i, "the handler runs");
      restarting = restarting.then(restart);
    }
    assert.equal((await call).text(), `${i}`);
  }
  await restarting;
  assert.deepEqual(seen, Array.from({ length: 30 }, (_, i) => `${i}`));
  assert.ok(client.stats().repeated.reconnected >= 2);
  await client.close();
  await server.close();
});

test("a call whose first bytes meet the end of a node that has drained was not carried out, one that ran may have been", async () => {
  const platform = memoryPlatform();
  for (const timeoutMs of [10_000, 20]) {
    const gate = deferred<void>();
    let runs = 0;
    const server = await serve({ listen: "127.0.0.1:0", platform }, async () => {
      runs++;
      await gate.promise;
    });
    const client = await connect(server.url, { platform });
    await client.ping();
    const isCutOff = timeoutMs === 20;
    const running = isCutOff ? client.call("x") : undefined;
    if (isCutOff) await until(() => runs === 1, "the handler runs");
    const end = running?.catch((error) => error);
    const drained = server.drain({ timeoutMs });
    // In the same turn: its bytes are on their way when the node turns it away, or has closed.
    const late = client.call("late").catch((error) => error);
    await drained;
    assert.ok((await late).nothingDone && (await late).retryable, String(await late));
    if (isCutOff) assert.ok(!(await end).nothingDone && (await end).retryable);
    assert.equal(runs, isCutOff ? 1 : 0);
    gate.resolve();
    await client.close();
  }
});

test("DRAINED says that a call without an answer was not carried out, and nothing of events and streams", () => {
  const says = (by: "peer" | "local", code: number, what: "call" | "event" | "stream"): boolean =>
    callFailure({ kind: "lost" }, "x", 1, undefined, { by, code, message: "" }, what).nothingDone;
  assert.ok(says("peer", TransportError.DRAINED, "call"));
  assert.ok(!says("peer", TransportError.SHUTDOWN, "call"));
  assert.ok(!says("local", TransportError.DRAINED, "call"));
  assert.ok(!says("peer", TransportError.DRAINED, "event") && !says("peer", TransportError.DRAINED, "stream"));
});

test("the node is asked whether it is there while a call that may be repeated waits, and no longer", async () => {
  const time = new VirtualTime();
  const { platform } = time;
  let pings = 0;
  const { ping } = Session.prototype;
  Session.prototype.ping = function (onPong) {
    pings++;
    return ping.call(this, onPong);
  };
  try {
    const gate = deferred<void>();
    const server = await time.until(serve({ listen: "127.0.0.1:0", platform }, async () => {
      await gate.promise;
    }));
    const client = await time.until(connect(server.url, { platform }));
    const call = client.call("", { retry: 1 });
    await time.pass(2_500, 1);
    assert.equal(pings, 2);
    gate.resolve();
    await time.until(call);
    await time.pass(2_500, 1);
    assert.equal(pings, 2);
    await time.until(client.close());
    await time.until(server.close());
  } finally {
    Session.prototype.ping = ping;
  }
});

test("all attempts together keep to the deadline, to the caller's signal and to the end of the client", async () => {
  let calls = 0;
  await withPair(() => {
    calls++;
    return busy();
  }, async (client) => {
    // Each pause is longer than the deadline, or the call is over before it.
    const retry = { attempts: 100, firstPauseMs: 1e7, longestPauseMs: 1e7, budget: new RetryBudget({ reserve: 100 }) };
    await assert.rejects(
      client.call("x", { timeoutMs: 2_000, retry }),
      (error: MxpError) => error.code === "overloaded",
    );
    assert.equal(calls, 1);
    const abort = new AbortController();
    const onRetry = (): void => abort.abort();
    const aborted = client.call("x", { signal: abort.signal, timeoutMs: 0, retry: { ...retry, onRetry } });
    await assert.rejects(aborted, (error: MxpError) => error.code === "cancelled");
    const paused = deferred<void>();
    const closed = client.call("x", { timeoutMs: 0, retry: { ...retry, onRetry: () => paused.resolve() } });
    await paused.promise;
    await Promise.all([client.close(), assert.rejects(closed, (error: MxpError) => error.code === "closed")]);
    await assert.rejects(client.call("x", { retry: 3 }), (error: MxpError) => error.code === "closed");
    const never = new ReadableStream<Uint8Array>({ pull: () => new Promise(() => {}) });
    await assert.rejects(client.call(never, { retry: 3, timeoutMs: 20 }), (error: MxpError) => error.code === "closed");
  });
  await withPair((payload) => payload, async (client) => {
    const never = new ReadableStream<Uint8Array>({ pull: () => new Promise(() => {}) });
    await assert.rejects(
      client.call(never, { retry: 3, timeoutMs: 20 }),
      (error: MxpError) => error.code === "deadline",
    );
  });
});

test("a slow call that may be carried out twice is made at another agent, too, and the slow one is cancelled", async () => {
  const platform = memoryPlatform();
  await using server = await serve({ listen: "127.0.0.1:0", platform, registry: true }, () => "the node");
  await using one = await connect(server.url, { platform, identity: generateIdentity() });
  await using two = await connect(server.url, { platform, identity: generateIdentity() });
  const cancelled = deferred<void>();
  let isFirst = true;
  const call = (name: string): CallHandler => (_payload, { signal, attempt }) => {
    if (!isFirst) return `${name} ${attempt}`;
    isFirst = false;
    signal.addEventListener("abort", () => cancelled.resolve());
    return new Promise<string>(() => {});
  };
  await using _first = await one.register({ name: "one", capabilities: ["work"] }, { handlers: { call: call("one") } });
  await using client = await connect(server.url, { platform });
  // Alone, the first agent does not get the same call twice, however long it takes.
  const options = { capability: "work", idempotent: true, hedge: { afterMs: 5, max: 2 } };
  const abort = new AbortController();
  const alone = client.call("x", { ...options, signal: abort.signal });
  const failing = assert.rejects(alone, (error: MxpError) => error.code === "cancelled");
  // Nobody else is there for the further attempts.
  await until(() => server.stats().registry!.relayed.failed === 2, "the further attempts have failed");
  assert.equal(server.stats().registry!.relayed.running, 1);
  abort.abort();
  await failing;
  await cancelled.promise;

  isFirst = true;
  await using _second = await two.register({ name: "two", capabilities: ["work"] }, {
    handlers: { call: call("two") },
  });
  const reply = await client.call("x", options);
  assert.match(reply.text(), /^(one|two) [12]$/);
  assert.ok(reply.attempts > 1);
  const { hedged, hedgesWon } = client.stats().repeated;
  assert.ok(hedged >= 3 && hedgesWon === 1);
  assert.equal((await client.call("quick", { ...options, hedge: { afterMs: 10_000 } })).attempts, 1);
});

test("repetitions that make no sense are refused before anything is sent", async () => {
  await withPair((payload) => payload, async (client, server) => {
    const cases: [CallOptions, RegExp][] = [
      [{ retry: -1 }, /whole number of further attempts/],
      [{ retry: 1.5 }, /whole number of further attempts/],
      [{ retry: 101 }, /at most 100/],
      [{ retry: { attempts: 1, firstPauseMs: -1 } }, /pauses/],
      [{ hedge: { afterMs: 5 } }, /only an idempotent call/],
      [{ hedge: { afterMs: 5 }, idempotent: true, idempotencyKey: "k" }, /carried out once/],
      [{ hedge: { afterMs: NaN }, idempotent: true }, /afterMs/],
      [{ hedge: { afterMs: 1, max: 0 }, idempotent: true }, /hedge.max/],
    ];
    for (const [options, message] of cases) {
      await assert.rejects(client.call("x", options), (error: MxpError) => {
        return error.code === "usage" && message.test(error.message);
      });
    }
    assert.equal(server.stats().calls.total, 0);
  });
});
