import assert from "node:assert/strict";
import { test } from "node:test";
import { deferred } from "../../lib/agent/deferred.ts";
import { type CallAnswers, IncomingCall } from "../../lib/agent/calls/incoming_call.ts";
import { OnceCalls } from "../../lib/agent/calls/once_calls.ts";
import { type Micros, NEVER, seconds } from "../../lib/base/time.ts";
import { CallMessages } from "../../lib/mesh/call_messages.ts";
import { EventMessages } from "../../lib/mesh/event_messages.ts";
import { NO_DETAILS } from "../../lib/mesh/request_reader.ts";
import { MemoryAgentStore } from "../../lib/store/memory_store.ts";
import { ManualClock } from "../../lib/testing/manual_clock.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import type { StreamId } from "../../lib/wire/stream_id.ts";
import {
  type CallHandler,
  type Client,
  connect,
  generateIdentity,
  MxpError,
  RetryBudget,
  serve,
  type Server,
} from "../../mod.ts";
import { memoryPlatform } from "./support/platform.ts";
import { RawPeer } from "./support/raw_peer.ts";

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 1_000; i++) {
    if (condition()) return;
    await sleep(5);
  }
  assert.fail(`timed out waiting until ${what}`);
}

function failsWith(code: string, remoteName: string, retryable: boolean): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof MxpError, String(error));
    assert.deepEqual([error.code, error.remoteName, error.retryable], [code, remoteName, retryable], error.message);
    return true;
  };
}

/** A server, and clients with the keys that they are asked for. */
class Bench implements AsyncDisposable {
  readonly platform = memoryPlatform();
  readonly identity = generateIdentity();
  server!: Server;
  readonly #clients: Client[] = [];

  static async start(handler: CallHandler): Promise<Bench> {
    const bench = new Bench();
    bench.server = await serve({ listen: "127.0.0.1:0", platform: bench.platform, registry: true }, handler);
    return bench;
  }

  async client(identity = this.identity): Promise<Client> {
    const client = await connect(this.server.url, { platform: this.platform, identity });
    this.#clients.push(client);
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) await client.close();
    await this.server.close();
  }
}

test("calls with the same key from the same sender are carried out once, whether they overlap or follow each other", async () => {
  let runs = 0;
  const gate = deferred<void>();
  await using bench = await Bench.start(async (payload) => {
    runs++;
    await gate.promise;
    return `${new TextDecoder().decode(payload)} ${runs}`;
  });
  const one = await bench.client();
  const two = await bench.client();
  const stranger = await bench.client(generateIdentity());
  const options = { idempotencyKey: "order-17" };
  const both = [one.call("buy", options), two.call("buy", options)];
  await until(() => bench.server.stats().once.joined === 1, "the second one waits");
  gate.resolve();
  for (const call of both) assert.equal((await call).text(), "buy 1");
  assert.equal((await one.call("buy", options)).text(), "buy 1", "from memory");
  assert.equal((await stranger.call("buy", options)).text(), "buy 2", "whose key that is, is another matter");
  assert.equal((await one.call("buy", { idempotencyKey: "order-18" })).text(), "buy 3");
  assert.equal((await one.call("buy")).text(), "buy 4");
  const { joined, repeated, conflicts, remembered } = bench.server.stats().once;
  assert.deepEqual([joined, repeated, conflicts, remembered], [1, 1, 0, 3]);
  // The same key for something else is a mistake.
  const conflict = failsWith("agent_error", "BAD_REQUEST", false);
  await assert.rejects(one.call("sell", options), conflict);
  await assert.rejects(one.call("buy", { ...options, method: "later" }), conflict);
  await assert.rejects(one.call("x", { idempotencyKey: "ü".repeat(128) }), conflict);
  assert.deepEqual([runs, bench.server.stats().once.conflicts, bench.server.stats().memory.used], [4, 2, 0]);
});

test("a handler has as much time as the most patient of those who wait, and gives memory back when it is done", async () => {
  const gate = deferred<void>();
  let remainingMs = (): number => 0;
  await using bench = await Bench.start(async (payload, context) => {
    remainingMs = () => context.remainingMs();
    await gate.promise;
    return String(payload.length);
  });
  const client = await bench.client();
  const payload = new Uint8Array(300_000);
  const first = client.call(payload, { idempotencyKey: "k", timeoutMs: 10_000 });
  await until(() => remainingMs() > 0, "it is carried out");
  assert.ok(remainingMs() <= 10_000 && bench.server.stats().memory.used >= payload.length);
  const second = client.call(payload, { idempotencyKey: "k", timeoutMs: 60_000 });
  await until(() => remainingMs() > 10_000, "the second one waits");
  gate.resolve();
  assert.deepEqual([(await first).text(), (await second).text()], ["300000", "300000"]);
  await until(() => bench.server.stats().memory.used === 0, "nothing is kept");
});

test("a request that nobody comes back for ends after half a minute, or at its deadline", () => {
  for (const [deadline, end] of [[NEVER, seconds(30)], [seconds(7), seconds(7)]] as const) {
    const clock = new ManualClock();
    const parts = { clock, random: new SeededRandom(3), sha256: (bytes: Uint8Array) => bytes };
    const once = new OnceCalls(parts);
    const call = new IncomingCall({ peer: { publicKeyText: "somebody" } } as CallAnswers, 0 as StreamId);
    call.state = "running";
    call.deadline = deadline;
    let inner!: IncomingCall;
    once.dispatch(call, "k", new Uint8Array(1), (standIn) => inner = standIn);
    call.abort("connection_lost", "gone");
    clock.advance((end - 1) as Micros);
    assert.deepEqual([inner.signal.aborted, once.stats().remembered], [false, 1]);
    clock.advance(end);
    assert.deepEqual([inner.signal.aborted, once.stats().remembered], [true, 0]);
  }
});

test("no more than 64 calls wait for the same request", async () => {
  const gate = deferred<void>();
  let runs = 0;
  await using bench = await Bench.start(async () => {
    runs++;
    await gate.promise;
    return "done";
  });
  const client = await bench.client();
  const calls = Array.from({ length: 70 }, () => client.call("x", { idempotencyKey: "k" }).catch((error) => error));
  await until(() => bench.server.stats().once.refused === 6, "six are refused");
  gate.resolve();
  const answers = await Promise.all(calls);
  const refused = answers.filter((answer) => answer instanceof MxpError);
  for (const error of refused) failsWith("overloaded", "OVERLOADED", true)(error);
  assert.deepEqual([runs, refused.length, bench.server.stats().once.joined], [1, 6, 63]);
});

test("what failed for good fails again, what may succeed is carried out again, and large answers are not kept", async () => {
  let runs = 0;
  let act: () => Uint8Array | string = () => "";
  await using bench = await Bench.start(() => {
    runs++;
    return act();
  });
  const client = await bench.client();
  const twice = async (key: string, matches: (error: unknown) => boolean): Promise<number> => {
    runs = 0;
    for (let i = 0; i < 2; i++) await assert.rejects(client.call("x", { idempotencyKey: key }), matches);
    return runs;
  };
  act = () => {
    throw new Error("broken");
  };
  assert.equal(await twice("a", failsWith("agent_error", "HANDLER_FAILED", false)), 1);
  act = () => {
    throw new MxpError("overloaded", "busy", { retryable: true });
  };
  assert.equal(await twice("b", failsWith("overloaded", "OVERLOADED", true)), 2);
  act = () => {
    throw new MxpError("connection_lost", "half done", { retryable: true });
  };
  assert.equal(await twice("d", failsWith("connection_lost", "ANSWER_LOST", true)), 2);
  act = () => new Uint8Array(65_537);
  runs = 0;
  assert.equal((await client.call("x", { idempotencyKey: "c" })).bytes.length, 65_537);
  await assert.rejects(client.call("x", { idempotencyKey: "c" }), failsWith("connection_lost", "ANSWER_LOST", false));
  assert.deepEqual([runs, bench.server.stats().once.notKept], [1, 1]);
});

test("a caller that loses its connection finds its request again, and one that gives it up ends it for itself alone", async () => {
  let runs = 0;
  let aborted = 0;
  const gate = deferred<void>();
  await using bench = await Bench.start(async (payload, { signal }) => {
    runs++;
    signal.addEventListener("abort", () => aborted++);
    await Promise.race([gate.promise, new Promise((_, reject) => signal.addEventListener("abort", reject))]);
    return payload;
  });
  const options = { idempotencyKey: "k" };
  const lost = await bench.client();
  const first = assert.rejects(lost.call("x", options), MxpError);
  await until(() => runs === 1, "it is carried out");
  await lost.close();
  await first;
  await until(() => bench.server.stats().connections === 0, "the node knows");
  const client = await bench.client();
  const abort = new AbortController();
  const givenUp = assert.rejects(client.call("x", { ...options, signal: abort.signal }), MxpError);
  const kept = client.call("x", options);
  await until(() => bench.server.stats().once.joined === 2, "both wait");
  const { cancelled } = bench.server.stats().calls;
  abort.abort();
  await givenUp;
  await until(() => bench.server.stats().calls.cancelled > cancelled, "the node knows that one has given up");
  gate.resolve();
  assert.equal((await kept).text(), "x");
  assert.deepEqual([runs, aborted], [1, 0]);
});

test("a request whose last caller gives it up is ended and forgotten", async () => {
  let runs = 0;
  const reasons: string[] = [];
  await using bench = await Bench.start((_payload, { signal }) => {
    runs++;
    return new Promise((_, reject) =>
      signal.addEventListener("abort", () => {
        reasons.push(signal.reason.code);
        reject(signal.reason);
      })
    );
  });
  const client = await bench.client();
  const abort = new AbortController();
  const call = assert.rejects(client.call("x", { idempotencyKey: "k", signal: abort.signal }), MxpError);
  await until(() => runs === 1, "it is carried out");
  abort.abort();
  await call;
  await until(() => reasons.length === 1, "the handler knows");
  await assert.rejects(
    client.call("x", { idempotencyKey: "k", timeoutMs: 30 }),
    (error: MxpError) => error.code === "deadline",
  );
  await until(() => reasons.length === 2, "the handler knows");
  // Whichever of the two is quicker: the deadline here, or its caller's word that it has passed.
  assert.deepEqual([runs, reasons[0]], [2, "cancelled"]);
  // The end of the server ends what nobody waits for any more.
  const lost = assert.rejects(client.call("x", { idempotencyKey: "k" }), MxpError);
  await until(() => runs === 3, "it is carried out");
  await client.close();
  await lost;
  await until(() => bench.server.stats().connections === 0, "the node knows");
  assert.equal(reasons.length, 2);
  await bench.server.close();
  await until(() => reasons.length === 3, "the handler knows");
});

test("through a node, the agent keeps the callers' keys apart, and remembers them when the node does not", async () => {
  const platform = memoryPlatform();
  const store = new MemoryAgentStore(new SeededRandom(4));
  const identity = generateIdentity();
  const node = async (listen: string): Promise<Server> =>
    await serve({ listen, platform, identity, registry: { store } }, () => "the node");
  let server = await node("127.0.0.1:0");
  const listen = `127.0.0.1:${server.address.port}`;
  let runs = 0;
  let gate = deferred<void>();
  await using host = await connect(server.url, { platform, identity: generateIdentity() });
  await using registration = await host.register({ name: "shop", capabilities: ["buy"] }, {
    handlers: {
      call: async (payload) => {
        const run = ++runs;
        if (payload.length > 1) await gate.promise;
        return `${run}`;
      },
    },
  });
  await using one = await connect(server.url, { platform, identity: generateIdentity() });
  await using two = await connect(server.url, { platform, identity: generateIdentity() });
  const options = { capability: "buy", idempotencyKey: "k" };
  assert.equal((await one.call("a", options)).text(), "1");
  assert.equal((await two.call("a", options)).text(), "2", "another caller");
  assert.equal((await one.call("a", options)).text(), "1");
  assert.equal(server.stats().once.repeated, 1, "the node itself remembers, too");
  // The node is started anew while a call is under way: the agent goes on with it, and its caller asks again. Then once more.
  const budget = new RetryBudget({ reserve: 200 });
  const retry = { attempts: 100, firstPauseMs: 20, longestPauseMs: 50, budget };
  // Until the agent has found back, the node has nobody for it.
  const persist = async (idempotencyKey: string): Promise<string> => {
    for (;;) {
      try {
        return (await one.call("long", { ...options, idempotencyKey, retry })).text();
      } catch (error) {
        if ((error as MxpError).code !== "no_such_agent") throw error;
        await sleep(10);
      }
    }
  };
  for (const round of [1, 2]) {
    gate = deferred<void>();
    const call = persist(`long ${round}`);
    await until(() => runs === 2 + round, "it is carried out");
    await server.close();
    server = await node(listen);
    await until(() => registration.renewals === round, "the agent is there again");
    gate.resolve();
    assert.equal(await call, `${2 + round}`);
    assert.deepEqual([runs, server.stats().once.repeated], [2 + round, 0]);
  }
  // Counted where the agent was registered first, also for the connection that took its place.
  const { remembered, joined, repeated } = host.stats().once!;
  assert.deepEqual([remembered, joined + repeated >= 2], [4, true]);
  await registration.close();
  await one.close();
  await server.close();
});

test("that one caller's time was too short is not remembered as how the request has ended", async () => {
  let runs = 0;
  await using bench = await Bench.start(() => {
    if (++runs < 3) throw new MxpError(runs === 1 ? "deadline" : "cancelled", "the agent behind this had no more time");
    return "done";
  });
  const client = await bench.client();
  const options = { idempotencyKey: "k" };
  await assert.rejects(client.call("", options), failsWith("deadline", "DEADLINE_EXCEEDED", false));
  await assert.rejects(client.call("", options), failsWith("cancelled", "CANCELLED", false));
  assert.equal((await client.call("", options)).text(), "done");
});

test("a sealed call with a key is its sealer's, whoever brings it and whatever origin is written on it", () => {
  const { clock, random, crypto } = memoryPlatform();
  const once = new OnceCalls({ clock, random, sha256: (bytes) => crypto.sha256.hash(bytes) });
  const sealer = new Uint8Array(32).fill(1);
  let runs = 0;
  const bring = (carrier: string, sealedBy: Uint8Array | undefined, origin?: Uint8Array): string => {
    const answers: string[] = [];
    const calls = {
      peer: { publicKeyText: carrier },
      respond: (_: unknown, data: Uint8Array) => void answers.push(new TextDecoder().decode(data)),
      isEarly: () => false,
    } as unknown as CallAnswers;
    const call = new IncomingCall(calls, 0 as StreamId);
    Object.assign(call, { state: "running", sealedBy, target: new Uint8Array(16) });
    call.details = { ...NO_DETAILS, ...(origin && { origin }) };
    once.dispatch(call, "order-17", new Uint8Array(1), (inner) => {
      inner.calls.respond(inner, new TextEncoder().encode(`run ${++runs}`));
    });
    return answers.join();
  };
  assert.equal(bring("node", sealer), "run 1");
  assert.equal(bring("node", sealer, new Uint8Array(16).fill(7)), "run 1", "a node invents an origin");
  assert.equal(bring("elsewhere", sealer), "run 1", "over another node");
  assert.equal(bring("node", undefined), "run 2", "the same in the clear");
  assert.equal(bring("node", new Uint8Array(32).fill(2)), "run 3", "of somebody else");
});

test("an empty idempotency key is none: what has one is carried out each time, calls and events alike", async () => {
  const platform = memoryPlatform();
  const done: string[] = [];
  await using server = await serve({ listen: "127.0.0.1:0", platform }, {
    call: (_payload, { idempotencyKey }) => {
      done.push(`call ${idempotencyKey}`);
      return "";
    },
    event: (_topic, _data, { idempotencyKey }) => void done.push(`event ${idempotencyKey}`),
  });
  const raw = await RawPeer.connect(platform, server.url);
  const calls = new CallMessages(platform.codec);
  const events = new EventMessages(calls.writer);
  const nil = new Uint8Array(16);
  for (let idLow = 1; idLow < 3; idLow++) {
    const ids = { idHigh: 1, idLow, traceHigh: 3, traceLow: 4 };
    const metadata = { idempotencyKey: "", application: [] };
    await raw.answer(raw.open(calls.call(ids, metadata, nil, 5, nil).slice()));
    await raw.answer(raw.open(events.event(ids, metadata, { topic: "a", data: nil }, true).slice()));
  }
  assert.deepEqual(done, ["call undefined", "event undefined", "call undefined", "event undefined"]);
  raw.close();
  await using client = await connect(server.url, { platform });
  const options = { idempotencyKey: "" };
  for (const sent of [() => client.call("x", options), () => client.emit("a", "x", { ...options, ack: true })]) {
    await assert.rejects(sent, (error: MxpError) => error.code === "usage" && /at least one/.test(error.message));
  }
});
