import assert from "node:assert/strict";
import { test } from "node:test";
import { deferred } from "../../lib/agent/deferred.ts";
import { CodecError } from "../../lib/codec/codec_error.ts";
import { ErrorCode } from "../../lib/codec/error_codes.ts";
import { decodeError } from "../../lib/codec/payloads/error.ts";
import { CallMessages } from "../../lib/mesh/call_messages.ts";
import { MemoryAgentStore } from "../../lib/store/memory_store.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { type CallContext, MxpError, type Registration } from "../../mod.ts";
import { memoryPlatform, platforms } from "./support/platform.ts";
import { failsWith, Mesh, sleep, until } from "./support/mesh.ts";
import { RawPeer } from "./support/raw_peer.ts";

for (const [name, makePlatform] of platforms) {
  test(`a call reaches an agent behind the node by capability, name and id, with all that belongs to it, ${name}`, async () => {
    await using mesh = await Mesh.start(makePlatform() as ReturnType<typeof memoryPlatform>);
    let seen: CallContext | undefined;
    const { registration } = await mesh.agent(
      "upper",
      ["text.upper"],
      (payload) => new TextDecoder().decode(payload).toUpperCase(),
      {
        methods: {
          facts: (payload, context) => {
            seen = context;
            return payload;
          },
        },
      },
    );
    const client = await mesh.client();
    for (
      const options of [{ capability: "text.upper" }, { capability: "text.*" }, { agent: "upper" }, {
        agent: registration.id,
      }]
    ) {
      assert.equal((await client.call("hello", options)).text(), "HELLO", JSON.stringify(options));
    }
    assert.equal((await client.call("hello")).text(), "the node");
    assert.equal((await client.call("hello", { agent: "local" })).text(), "the node's own agent");
    const big = new Uint8Array(3_000_000).map((_, i) => i * 31);
    const traceparent = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";
    const reply = await client.call("facts", big, {
      capability: "text.upper",
      timeoutMs: 7_500,
      traceparent,
      metadata: { a: "b" },
      contentType: "x/y",
      idempotencyKey: "once",
    });
    assert.deepEqual(reply.bytes, big);
    assert.deepEqual(
      [seen!.method, { ...seen!.metadata }, seen!.traceparent, seen!.contentType, seen!.idempotencyKey, seen!.agent],
      ["facts", { a: "b" }, traceparent, "x/y", "once", "upper"],
    );
    assert.equal(seen!.traceId, "0123456789abcdef");
    assert.equal(seen!.peer.publicKeyText, mesh.identity.publicKeyText, "the node calls");
    const { running, total, answered, failovers, failed } = mesh.relayed;
    assert.deepEqual([running, total, answered, failovers, failed], [0, 5, 5, 0, 0]);
  });
}

test("a thousand calls by capability from two clients reach ten agents evenly, and none is lost", async () => {
  await using mesh = await Mesh.start();
  const counts = new Array<number>(10).fill(0);
  for (let n = 0; n < 10; n++) {
    await mesh.agent(`worker ${n}`, ["work"], async (payload) => {
      counts[n]++;
      await sleep(1);
      return payload;
    });
  }
  const clients = [await mesh.client(), await mesh.client()];
  await Promise.all(clients.map(async (client, c) => {
    for (let round = 0; round < 25; round++) {
      await Promise.all(Array.from({ length: 20 }, async (_, n) => {
        const body = `${c} ${round} ${n}`;
        assert.equal((await client.call(body, { capability: "work" })).text(), body);
      }));
    }
  }));
  assert.equal(counts.reduce((a, b) => a + b), 1000);
  for (const count of counts) assert.ok(count >= 80 && count <= 120, `${counts}`);
});

test("an agent that is still busy with a call gets the next ones behind one that is free", async () => {
  await using mesh = await Mesh.start();
  const gate = deferred<void>();
  for (const name of ["one", "two"]) {
    await mesh.agent(name, ["work"], async (payload) => {
      if (payload.length > 0) await gate.promise;
      return name;
    });
  }
  const client = await mesh.client();
  const call = async (body: string): Promise<string> => (await client.call(body, { capability: "work" })).text();
  const long = call("long");
  await until(() => mesh.relayed.running === 1, "the long call runs");
  const others = new Set<string>();
  for (let i = 0; i < 6; i++) others.add(await call(""));
  gate.resolve();
  assert.equal(others.size, 1);
  assert.ok(!others.has(await long));
});

test("who says that it is busy, degraded or offline gets fewer calls, the last ones, and none", async () => {
  await using mesh = await Mesh.start();
  const { registration: first } = await mesh.agent("first", ["work"], () => "first");
  const { registration: second } = await mesh.agent("second", ["work"], () => "second");
  const client = await mesh.client();
  const call = async (): Promise<string> => (await client.call("", { capability: "work" })).text();
  const sayTo = async (
    registration: Registration,
    change: Partial<Pick<Registration, "load" | "status">>,
  ): Promise<void> => {
    Object.assign(registration, change);
    const isTold = async () => {
      const [agent] = await client.discover({ id: registration.id });
      return Object.entries(change).every(([key, value]) => agent[key as "load" | "status"] === value);
    };
    await until(isTold, "the node knows");
  };
  assert.deepEqual([await call(), await call(), await call(), await call()].sort(), [
    "first",
    "first",
    "second",
    "second",
  ]);
  await sayTo(first, { load: 500 });
  assert.deepEqual([await call(), await call(), await call()], ["second", "second", "second"]);
  await sayTo(second, { status: "degraded" });
  assert.deepEqual([await call(), await call()], ["first", "first"]);
  await sayTo(first, { status: "offline" });
  assert.deepEqual([await call(), await call()], ["second", "second"]);
  await sayTo(second, { status: "offline" });
  await assert.rejects(call(), failsWith("closed", true, /cannot be reached now/));
  await assert.rejects(
    client.call("", { capability: "other" }),
    failsWith("no_such_agent", false, /capability "other"/),
  );
  await assert.rejects(client.call("", { agent: "nobody" }), failsWith("no_such_agent", false, /nobody/));
  await assert.rejects(client.call("", { agent: "a", capability: "b" }), failsWith("usage", false, /one of them/));
});

test("an agent that goes in the middle of its calls costs none of them while another can answer", async () => {
  await using mesh = await Mesh.start();
  const started = deferred<void>();
  const { client: dying } = await mesh.agent("dying", ["work"], () => {
    started.resolve();
    return new Promise<string>(() => {});
  });
  const client = await mesh.client();
  const first = Array.from({ length: 5 }, () => client.call("x", { capability: "work" }));
  await started.promise;
  await mesh.agent("living", ["work"], (payload) => payload);
  await dying.close();
  for (const reply of first) assert.equal((await reply).text(), "x");
  assert.equal(mesh.relayed.failovers, 5);
  assert.equal((await client.call("y", { capability: "work" })).text(), "y");
});

test("when the only agent goes, its calls fail, and may be tried again", async () => {
  await using mesh = await Mesh.start();
  const started = deferred<void>();
  const { client: dying } = await mesh.agent("dying", ["work"], () => {
    started.resolve();
    return new Promise<string>(() => {});
  });
  const client = await mesh.client();
  const call = assert.rejects(
    client.call("x", { agent: "dying" }),
    failsWith("connection_lost", true, /the agent has gone/),
  );
  await started.promise;
  await dying.close();
  await call;
  await assert.rejects(client.call("x", { agent: "dying" }), (error: MxpError) => {
    assert.equal(error.nothingDone, true);
    return failsWith("closed", true, /cannot be reached now/)(error);
  });
});

test("when an agent goes in the middle of its answer, the call fails, may be tried again, and is counted", async () => {
  await using mesh = await Mesh.start();
  const { client: dying } = await mesh.agent("dying", ["work"], () => new Uint8Array(12_000_000));
  await mesh.agent("living", ["other"], (payload) => payload);
  const client = await mesh.client();
  const call = assert.rejects(client.call("x", { capability: "work" }), (error: MxpError) => {
    assert.deepEqual([error.remoteName, error.nothingDone], ["ANSWER_LOST", false]);
    return failsWith("connection_lost", true, /gone in the middle of its answer/)(error);
  });
  // The node has made room for the answer: its beginning is there.
  await until(() => mesh.server.stats().memory.used > 0, "the answer has begun");
  await dying.close();
  await call;
  assert.deepEqual([mesh.relayed.cutOff, mesh.relayed.failovers, mesh.relayed.running], [1, 0, 0]);
  assert.equal(mesh.server.stats().memory.used, 0);
});

test("an agent that falls silent is noticed long before its connection times out", async () => {
  const platform = memoryPlatform();
  await using mesh = await Mesh.start(platform);
  const started = deferred<void>();
  const { client: silent } = await mesh.agent("silent", ["work", "much"], (payload) => {
    if (payload.length > 1) return new Uint8Array(12_000_000);
    started.resolve();
    return new Promise<string>(() => {});
  }, {
    stream: async (stream) => {
      for await (const chunk of stream) if (chunk.length > 1) await stream.write("first");
    },
  });
  const client = await mesh.client();
  const call = client.call("x", { capability: "work", timeoutMs: 25_000 });
  await started.promise;
  const [begun, unanswered] = [client.stream({ capability: "work" }), client.stream({ capability: "work" })];
  await begun.write("two");
  await unanswered.write("1");
  const chunks = begun[Symbol.asyncIterator]();
  await chunks.next();
  const { registration: living } = await mesh.agent("living", ["work"], (payload) => payload, {
    stream: async (stream) => {
      for await (const chunk of stream) await stream.write(chunk);
    },
  });
  living.load = 900;
  await until(async () => (await client.discover({ id: living.id }))[0].load === 900, "the node knows");
  const half = assert.rejects(
    client.call("much", { capability: "much", timeoutMs: 25_000 }),
    failsWith("connection_lost", true, /gone in the middle of its answer/),
  );
  await until(() => mesh.server.stats().memory.used > 0, "an answer has begun");
  const port = Number(silent.local.split(":").at(-1));
  platform.network.fault = (from, to) => from.port === port || to.port === port ? [] : [0];
  // The living one says that it is busy; once the silent one is slow to say that it is there, the other gets calls all the same.
  const quick = { capability: "work", timeoutMs: 400 };
  await until(() => client.call("y", quick).then(() => true, () => false), "the living one is called");
  assert.equal(mesh.relayed.failovers, 0, "before the silent one was given up");
  assert.equal((await call).text(), "x");
  await half;
  assert.deepEqual([mesh.relayed.failovers, mesh.relayed.cutOff], [1, 1]);
  await assert.rejects(chunks.next(), failsWith("connection_lost", true, /does not answer any more, in the middle/));
  await unanswered.close();
  assert.equal(await unanswered.text(), "1");
  assert.deepEqual([mesh.relayedStreams.failed, mesh.relayedStreams.failovers], [1, 1]);
  for (let i = 0; i < 4; i++) assert.equal((await client.call("y", { capability: "work" })).text(), "y");
  // Once it is heard of again, it is called again.
  platform.network.fault = undefined;
  await until(async () => {
    const reply = client.call("z", { capability: "work", timeoutMs: 100 });
    return await reply.then(() => false, (error) => error.code === "deadline");
  }, "the silent one is called again");
});

test("a caller that gives up and a deadline that passes reach the agent's handler", async () => {
  await using mesh = await Mesh.start();
  const reasons: string[] = [];
  let running = 0;
  await mesh.agent("patient", ["wait"], (_payload, context) => {
    running++;
    assert.ok(context.remainingMs() <= 30_000);
    return new Promise((_, reject) =>
      context.signal.addEventListener("abort", () => {
        reasons.push(context.signal.reason.code);
        reject(context.signal.reason);
      })
    );
  });
  const client = await mesh.client();
  const abort = new AbortController();
  const aborted = assert.rejects(
    client.call("x", { capability: "wait", signal: abort.signal }),
    failsWith("cancelled", false, /./),
  );
  await until(() => running === 1, "the handler runs");
  abort.abort();
  await aborted;
  await until(() => reasons.length === 1, "the handler knows");
  await assert.rejects(client.call("x", { capability: "wait", timeoutMs: 200 }), failsWith("deadline", false, /./));
  await until(() => reasons.length === 2, "the handler knows");
  assert.deepEqual(new Set(reasons).size <= 2 && reasons[0], "cancelled");
  await until(() => mesh.relayed.running === 0, "nothing is left");
  assert.equal(mesh.server.stats().calls.running, 0);
});

test("what an agent's handler throws reaches the caller as it is, and is not tried elsewhere", async () => {
  await using mesh = await Mesh.start();
  let calls = 0;
  const failing = (): never => {
    calls++;
    throw new MxpError("agent_error", "it is broken");
  };
  await mesh.agent("one", ["fail"], failing);
  await mesh.agent("two", ["fail"], failing);
  const client = await mesh.client();
  await assert.rejects(client.call("x", { capability: "fail" }), failsWith("agent_error", false, /it is broken/));
  assert.equal(calls, 1);
  await assert.rejects(client.call("nothing", "x", { agent: "one" }), failsWith("agent_error", false, /it is broken/));
  await mesh.agent("printer", ["print"], () => {
    throw new MxpError("agent_error", "out of paper", { remoteCode: 0x9abc, retryable: true });
  });
  await assert.rejects(client.call("x", { capability: "print" }), (error: MxpError) => {
    assert.deepEqual([error.remoteCode, error.remoteName, error.nothingDone], [0x9abc, "0x9abc", false]);
    return failsWith("agent_error", true, /out of paper/)(error);
  });
});

test("an agent that has no room, or no handlers any more, is passed over", async () => {
  await using mesh = await Mesh.start();
  await mesh.agent("full", ["work"], () => {
    throw new MxpError("overloaded", "no room", { retryable: true });
  });
  // Registered without handlers: it can be found, but not called through the node.
  const listener = await mesh.client();
  await using found = await listener.register({ name: "found only", capabilities: ["work"] });
  await mesh.agent("free", ["work"], (payload) => payload);
  const client = await mesh.client();
  for (let i = 0; i < 6; i++) assert.equal((await client.call("x", { capability: "work" })).text(), "x");
  assert.ok(mesh.relayed.failovers >= 2);
  assert.equal(found.state, "registered");
});

test("a call that may not be passed on is not", async () => {
  await using mesh = await Mesh.start();
  let calls = 0;
  await mesh.agent("one", ["work"], () => String(++calls));
  const { codec } = mesh.platform;
  const raw = await RawPeer.connect(mesh.platform, mesh.server.url);
  const ids = { idHigh: 1, idLow: 2, traceHigh: 3, traceLow: 4 };
  const nil = new Uint8Array(16);
  const message = new CallMessages(codec).call(ids, { capability: "work", hopLimit: 0 }, nil, 5, new Uint8Array(1));
  const answer = codec.decode((await raw.answer(raw.open(message.slice()))).bytes);
  assert.ok(!(answer instanceof CodecError));
  const error = decodeError(answer.payload);
  assert.equal(error instanceof CodecError ? undefined : error.code, ErrorCode.HOP_LIMIT);
  assert.equal(calls, 0);
  assert.equal(mesh.server.stats().calls.running, 0);
  raw.close();
});

test("an agent is called again after its node was started anew, without anybody's doing", async () => {
  const store = new MemoryAgentStore(new SeededRandom(9));
  const mesh = new Mesh();
  await mesh.serve({ store });
  const { registration } = await mesh.agent("stays", ["work"], (payload) => payload);
  await mesh.server.close();
  await mesh.serve({ store });
  const client = await mesh.client();
  await until(() => registration.renewals === 1, "it is registered again");
  assert.equal((await client.call("x", { capability: "work" })).text(), "x");
  await mesh[Symbol.asyncDispose]();
});

test("an agent whose connection is drained, by several and beside an open watch, answers what it is at and then ends", async () => {
  await using mesh = await Mesh.start();
  const started = deferred<void>();
  const { client: host } = await mesh.agent("slow", ["slow"], async () => {
    started.resolve();
    await sleep(50);
    return "done";
  });
  const changes = host.watch({});
  assert.equal((await changes.next()).value?.type, "up");
  const client = await mesh.client();
  const call = client.call("x", { agent: "slow" });
  await started.promise;
  let isTooLate = false;
  const timer = setTimeout(() => isTooLate = true, 10_000);
  const following = assert.rejects(changes.next().then(() => changes.next()), MxpError);
  await Promise.all([host.drain({ timeoutMs: 15_000 }), host.drain({ timeoutMs: 15_000 })]);
  clearTimeout(timer);
  assert.equal(isTooLate, false);
  assert.equal((await call).text(), "done");
  await following;
});
