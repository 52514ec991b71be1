import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Adapter,
  aggregator,
  broadcaster,
  type BroadcastReport,
  forward,
  router,
  sentinel,
  type SentinelEntry,
  type Step,
  transformer,
} from "../../lib/adapters/mod.ts";
import { fanOut } from "../../lib/adapters/fan_out.ts";
import { type CallContext, type CallOptions, type Client, connect, type Handlers, MxpError, serve } from "../../mod.ts";
import { deferred } from "../../lib/agent/deferred.ts";
import { memoryPlatform } from "../agent/support/platform.ts";

const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const shout: Step = (payload) => decode(payload).toUpperCase();
const never: Step = () => new Promise<never>(() => {});
const fails = (code: "agent_error" | "overloaded", text = "no"): Step => () => {
  throw new MxpError(code, text, { retryable: code === "overloaded" });
};

/** A node with agents behind it, and a client. */
class Mesh implements AsyncDisposable {
  readonly platform = memoryPlatform();
  readonly #closing: AsyncDisposable[] = [];
  client!: Client;
  url = "";

  static async start(handlers: Handlers, agents: Readonly<Record<string, Handlers>> = {}): Promise<Mesh> {
    const mesh = new Mesh();
    const { platform } = mesh;
    const node = mesh.#use(await serve({ listen: "127.0.0.1:0", platform, registry: true }, handlers));
    for (const [name, handlers] of Object.entries(agents)) {
      const client = mesh.#use(await connect(node.url, { platform }));
      await client.register({ name, capabilities: [`test.${name}`] }, { handlers });
    }
    mesh.url = node.url;
    mesh.client = mesh.#use(await connect(node.url, { platform }));
    return mesh;
  }

  #use<T extends AsyncDisposable>(thing: T): T {
    this.#closing.unshift(thing);
    return thing;
  }

  /** What a call comes to: the answer, or the code and text of its error. */
  async ask(body: string, options: CallOptions = {}): Promise<string> {
    try {
      return (await this.client.call(body, { timeoutMs: 10_000, ...options })).text();
    } catch (error) {
      const { code, message, retryable } = error as MxpError;
      return `${code}${retryable ? " (retryable)" : ""}: ${message}`;
    }
  }

  /** The chunks that a stream answers with. */
  async pipe(chunks: readonly string[], method?: string): Promise<string[]> {
    const stream = this.client.stream({ method, timeoutMs: 10_000 });
    const sending = (async () => {
      for (const chunk of chunks) await stream.write(chunk);
      await stream.close();
    })();
    sending.catch(() => {});
    const answers: string[] = [];
    for await (const chunk of stream) answers.push(decode(chunk));
    return answers;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const thing of this.#closing) await thing[Symbol.asyncDispose]();
  }
}

async function* upper(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  for await (const chunk of chunks) yield decode(chunk).toUpperCase();
}

test("a router goes by method, by content and by whatever a function sees, and then to the rest", async () => {
  const seen: string[] = [];
  await using mesh = await Mesh.start(
    router([
      { when: "upper", to: { call: shout, pipe: upper } },
      { when: ({ text }) => text().startsWith("{"), to: () => "json" },
      { when: ({ context }) => Promise.resolve(context.metadata.to === "echo"), to: "echo" },
      { when: ({ context }) => context.method === "any", to: { capability: "test.*" } },
    ], fails("agent_error", "the rest")),
    {
      echo: {
        call: (payload, { metadata, method, contentType, idempotencyKey }) => {
          seen.push([metadata.to, method, contentType, idempotencyKey].join());
          return payload;
        },
      },
    },
  );
  assert.equal(await mesh.ask("a", { method: "upper" }), "A");
  assert.equal(await mesh.ask("{}"), "json");
  const options = { metadata: { to: "echo" }, method: "m", contentType: "text/plain", idempotencyKey: "key" };
  assert.equal(await mesh.ask("b", options), "b");
  assert.deepEqual(seen, ["echo,m,text/plain,key"], "what belongs to a call goes along");
  assert.equal(await mesh.ask("c", { method: "any" }), "c");
  assert.equal(await mesh.ask("d"), "agent_error: the rest");
  assert.deepEqual(await mesh.pipe(["a", "b"], "upper"), ["A", "B"]);
  await assert.rejects(mesh.pipe(["a"]), /there are only calls behind this/);
});

test("a router by name takes names that objects have of their own for what they are: no routes", async () => {
  await using mesh = await Mesh.start(router({ upper: shout }));
  assert.equal(await mesh.ask("a", { method: "upper" }), "A");
  assert.equal(await mesh.ask("a", { method: "toString" }), 'agent_error: no route for "toString"');
  assert.equal(
    await mesh.ask("a", { method: "x\u202e" }),
    'agent_error: no route for "x\\\\u202e"'.replace("\\\\", "\\"),
  );
  assert.equal(await mesh.ask("a"), "agent_error: no route for this");
});

/** Joins answers; what failed is its code. */
const join = { combine: (answers: readonly { ok: boolean }[]) => answers.map(text).join("|") };
const text = (answer: { ok: boolean }): string => {
  const { ok, text, error } = answer as { ok: boolean; text: () => string; error: MxpError };
  return ok ? text() : error.code;
};

test("an aggregator asks all at once, over the mesh and here, and keeps their order", async () => {
  const traces: string[] = [];
  const note = (context: CallContext): string => {
    traces.push(context.traceId);
    return context.agent!;
  };
  await using mesh = await Mesh.start(aggregator(["a", { capability: "test.b" }, shout], join), {
    a: { call: async (_, context) => (await new Promise((resolve) => setTimeout(resolve, 20)), note(context)) },
    b: { call: (_, context) => note(context) },
  });
  const reply = await mesh.client.call("x");
  assert.equal(reply.text(), "a|b|X");
  assert.deepEqual(traces, [reply.traceId, reply.traceId]);
});

test("each of those who are asked has a payload of its own", async () => {
  const spoil: Step = (payload) => void payload.fill(0);
  const late: Step = async (payload) => (await Promise.resolve(), payload);
  await using mesh = await Mesh.start(aggregator([spoil, late], join));
  assert.equal(await mesh.ask("x"), "|x");
});

test("an aggregator gives the others up when its quorum has answered, and they learn of it", async () => {
  const [begun, givenUp] = [deferred<void>(), deferred<void>()];
  const late: Step = async () => (await begun.promise, "late");
  let wasAborted = false;
  const watch: Step = (_, __, signal) => new Promise(() => signal.addEventListener("abort", () => wasAborted = true));
  await using mesh = await Mesh.start(aggregator(["slow", watch, shout, late], { ...join, quorum: 2 }), {
    slow: {
      call: (_, { signal }) => {
        begun.resolve();
        return new Promise<never>(() => signal.addEventListener("abort", () => givenUp.resolve()));
      },
    },
  });
  assert.equal(await mesh.ask("x"), "cancelled|cancelled|X|late");
  await givenUp.promise;
  assert.equal(wasAborted, true);
});

test("an aggregator answers with what it has when the time is over, if that is enough", async () => {
  await using mesh = await Mesh.start({
    methods: {
      partial: aggregator([shout, never, fails("agent_error")], { ...join, atLeast: 1, timeoutMs: 20 }).call,
      all: aggregator([shout, never], { ...join, timeoutMs: 20 }).call,
    },
  });
  assert.equal(await mesh.ask("x", { method: "partial" }), "X|deadline|agent_error");
  const text = "deadline: 1 of 2 answered, and 2 have to; #1: no answer in time";
  assert.equal(await mesh.ask("x", { method: "all" }), text);
});

test("the time is over a little before the caller's own, so that what there is gets back", async () => {
  const until = async (remainingMs: number): Promise<number> => {
    const context = { remainingMs: () => remainingMs } as CallContext;
    const signal = new AbortController().signal;
    const delays: number[] = [];
    const { setTimeout: real } = globalThis;
    globalThis.setTimeout = ((run: () => void, ms: number) => (delays.push(ms), real(run, 1))) as typeof setTimeout;
    try {
      await fanOut([never], new Uint8Array(0), context, signal, { atLeast: 0 });
    } finally {
      globalThis.setTimeout = real;
    }
    return delays[0];
  };
  assert.deepEqual([await until(1_000), await until(60_000)], [900, 59_500]);
});

test("an aggregator fails as soon as it cannot succeed, and says because of whom", async () => {
  let asked: Step[] = [];
  await using mesh = await Mesh.start(aggregator(() => asked, { ...join, quorum: 2 }));
  asked = [never, fails("overloaded"), fails("overloaded")];
  assert.equal(await mesh.ask("x"), "agent_error (retryable): 0 of 3 answered, and 2 have to; #1: no");
  asked = [never, fails("overloaded"), fails("agent_error")];
  assert.equal(await mesh.ask("x"), "agent_error: 0 of 3 answered, and 2 have to; #1: no");
  asked = [shout];
  assert.equal(await mesh.ask("x"), "no_such_agent: there are 1 to ask, and 2 have to answer");
  asked = [];
  assert.equal(await mesh.ask("x"), "no_such_agent: there are 0 to ask, and 2 have to answer");
  asked = new Array(1_025).fill(shout);
  assert.match(await mesh.ask("x"), /1025 destinations are more than 1024/);
});

test("an aggregator of which some have answered does not say that nothing was done, so nobody repeats what they did", async () => {
  let done = 0;
  const works: Step = () => `${++done}`;
  await using mesh = await Mesh.start(aggregator([works, works, fails("overloaded")], join));
  const failure = await mesh.client.call("x", { retry: 3 }).catch((error) => error);
  assert.deepEqual([failure.retryable, failure.nothingDone, done], [true, false, 2], failure.message);
});

test("a transformer changes requests, answers and the chunks of streams, which it does not hold back", async () => {
  const twice = async function* (chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
    for await (const chunk of chunks) yield* [decode(chunk), `${decode(chunk)}!`];
  };
  const changed = transformer("upper", {
    request: (payload, { metadata }) => `${decode(payload)}${metadata.suffix ?? ""}`,
    answer: (answer) => `<${decode(answer)}>`,
    requestChunks: twice,
    answerChunks: async function* (chunks) {
      for await (const chunk of chunks) yield `<${decode(chunk)}>`;
    },
  });
  await using mesh = await Mesh.start({
    call: changed.call,
    stream: changed.stream,
    streams: { local: transformer({ pipe: upper }, { requestChunks: twice }).stream },
  }, { upper: { call: (payload) => decode(payload).toUpperCase() } });
  assert.equal(await mesh.ask("a", { metadata: { suffix: "b" } }), "<AB>");
  assert.deepEqual(await mesh.pipe(["a", "b"], "local"), ["A", "A!", "B", "B!"]);
  const stream = mesh.client.stream("local");
  const answers = stream[Symbol.asyncIterator]();
  await stream.write("x");
  assert.equal(decode((await answers.next()).value!), "X", "while the other direction is open");
  await stream.close();
});

test("a stream goes through to another node, both ways at once, and ends on both sides when it is given up", async () => {
  const ended = deferred<void>();
  let endings = 0;
  const heard = deferred<MxpError>();
  await using behind = await Mesh.start({
    streams: {
      listen: async (stream) => {
        await stream.close();
        await stream.bytes().catch((error) => heard.resolve(error));
      },
    },
    stream: async function* (stream) {
      try {
        for await (const chunk of stream) yield decode(chunk).toUpperCase();
      } finally {
        endings++;
        ended.resolve();
      }
    },
  });
  const front = await serve({ listen: "127.0.0.1:0", platform: behind.platform }, forward(behind.url));
  await using _front = front;
  await using client = await connect(front.url, { platform: behind.platform });
  const stream = client.stream();
  const answers = stream[Symbol.asyncIterator]();
  for (const word of ["one", "two"]) {
    await stream.write(word);
    assert.equal(decode((await answers.next()).value!), word.toUpperCase());
  }
  stream.cancel();
  await ended.promise;
  // The same if somebody between them has heard enough.
  const enough = transformer(behind.url, {
    answerChunks: async function* (chunks) {
      for await (const chunk of chunks) {
        yield chunk;
        break;
      }
    },
  });
  await using middle = await serve({ listen: "127.0.0.1:0", platform: behind.platform }, enough);
  await using other = await connect(middle.url, { platform: behind.platform });
  endings = 0;
  const short = other.stream();
  await short.write("first");
  assert.equal(await short.text(), "FIRST");
  while (endings < 1) await new Promise((resolve) => setTimeout(resolve, 1));
  // And if whoever answers has closed its direction, but goes on reading: a pipe is over with its answer.
  const listening = client.stream("listen");
  await listening.write("x");
  assert.equal(await listening.text(), "");
  assert.equal((await heard.promise).code, "cancelled");
  const whole = client.stream();
  await whole.write("three");
  await whole.close();
  assert.equal(await whole.text(), "THREE");
});

test("a broadcaster tells everybody, and says who took it", async () => {
  const events: string[] = [];
  const all = broadcaster([shout, fails("overloaded", "full"), "a", "nobody"], { timeoutMs: 5_000 });
  const three = broadcaster([shout, never, fails("agent_error", "no")], { atLeast: 2, timeoutMs: 20 });
  const hear: Step = (data) => void events.push(decode(data));
  const node = broadcaster([hear, "a", { capability: "test.a" }], { atLeast: 3 });
  await using mesh = await Mesh.start({ methods: { all: all.call, three: three.call }, event: node.event }, {
    a: { call: () => "", event: (topic, data) => void events.push(`${topic} ${decode(data)}`) },
  });
  const report: BroadcastReport = JSON.parse(await mesh.ask("x", { method: "all" }));
  assert.deepEqual([report.asked, report.reached], [4, 2]);
  assert.deepEqual(report.answers.slice(0, 3), [
    { from: "#0", ok: true },
    { from: "#1", ok: false, code: "overloaded", message: "full" },
    { from: "a", ok: true },
  ]);
  assert.equal(report.answers[3].code, "no_such_agent");
  assert.match(await mesh.ask("x", { method: "three" }), /^deadline: 1 of 3 answered, and 2 have to/);
  await mesh.client.emit("news", "hello", { ack: true });
  assert.deepEqual(events.sort(), ["hello", "news hello", "news hello"]);
  const other = await serve(
    { listen: "127.0.0.1:0", platform: mesh.platform },
    broadcaster([mesh.url], { atLeast: 1 }),
  );
  await using _other = other;
  await using client = await connect(other.url, { platform: mesh.platform });
  await client.emit("news", "again", { ack: true });
  assert.deepEqual(events.slice(3).sort(), ["again", "news again", "news again"]);
});

test("a sentinel lets pass what may, refuses the rest by name, and counts", async () => {
  let now = 0;
  const entries: SentinelEntry[] = [];
  const waiting: (() => void)[] = [];
  const slow: Step = (payload) =>
    decode(payload) === "wait" ? new Promise((resolve) => waiting.push(() => resolve("waited"))) : payload;
  const guard = sentinel({ call: slow, pipe: upper }, {
    now: () => now,
    maxBytes: 10,
    maxConcurrent: 1,
    rate: { perSecond: 1, burst: 7 },
    check: (payload, { method }) => {
      if (method === "boom") throw new MxpError("overloaded", "the check has no time", { retryable: true });
      return payload?.includes(0) ? "no zero bytes" : method === "secret" ? "no" : undefined;
    },
    onRequest: (entry) => {
      entries.push(entry);
      throw new Error("a logger that fails");
    },
  });
  await using mesh = await Mesh.start(guard);
  assert.equal(await mesh.ask("hello"), "hello");
  assert.match(await mesh.ask("x".repeat(11)), /^too_large: the payload has 11 bytes; at most 10/);
  assert.equal(await mesh.ask("\0"), "not_allowed: no zero bytes");
  assert.equal(await mesh.ask("x", { method: "boom" }), "overloaded (retryable): the check has no time");
  const first = mesh.ask("wait");
  while (waiting.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.match(await mesh.ask("x"), /^overloaded \(retryable\): 1 requests are under way/);
  assert.equal(guard.stats().running, 1);
  waiting[0]();
  assert.equal(await first, "waited");
  assert.deepEqual(await mesh.pipe(["a"]), ["A"]);
  await assert.rejects(mesh.pipe(["a"], "secret"), { code: "not_allowed" });
  assert.equal(await mesh.ask("x"), "overloaded (retryable): too many requests of this key");
  now += 1_000;
  assert.equal(await mesh.ask("x"), "x", "a second later there is room again");
  assert.deepEqual(guard.stats(), {
    running: 0,
    ok: 4,
    failed: 0,
    refused: { check: 3, too_large: 1, rate: 1, concurrency: 1, breaker: 0 },
    isOpen: false,
  });
  const [{ kind, outcome }, { refusal, error }] = entries;
  assert.deepEqual([kind, outcome, refusal, (error as MxpError).code], ["call", "ok", "too_large", "too_large"]);
  assert.equal(entries.length, 10);
});

test("a sentinel leaves alone who only fails, tries again, and does not blame an agent for its callers", async () => {
  let now = 0;
  let step: Step = fails("agent_error");
  let calls = 0;
  const guard = sentinel((...request) => (calls++, step(...request)), {
    now: () => now,
    breaker: { failures: 2, pauseMs: 100 },
  });
  await using mesh = await Mesh.start(guard);
  assert.equal(await mesh.ask("x"), "agent_error: no");
  step = () => {
    throw new MxpError("usage", "what is this?");
  };
  await mesh.ask("x");
  assert.equal(guard.stats().isOpen, false);
  step = fails("agent_error");
  await mesh.ask("x");
  assert.equal(guard.stats().isOpen, true);
  assert.match(await mesh.ask("x"), /^closed \(retryable\): .*left alone/);
  assert.equal(calls, 3, "it was not asked");
  now += 100;
  assert.equal(await mesh.ask("x"), "agent_error: no", "one that sees");
  assert.match(await mesh.ask("x"), /^closed/);
  now += 100;
  const settled = deferred<void>();
  step = async (payload) => (await settled.promise, decode(payload).toUpperCase());
  const first = mesh.ask("x");
  while (calls < 5) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.match(await mesh.ask("x"), /^closed/, "one at a time, until that is known");
  settled.resolve();
  assert.equal(await first, "X");
  assert.equal(await mesh.ask("x"), "X");
  assert.deepEqual([guard.stats().isOpen, guard.stats().refused.breaker], [false, 3]);
});

test("adapters go into each other", async () => {
  const chain: Adapter = sentinel(
    router({
      chorus: aggregator([
        transformer("a", { answer: (answer) => `${decode(answer)}!` }),
        forward(transformer(shout, { request: (payload) => `b${decode(payload)}` })),
      ], join),
    }, forward({ pipe: upper })),
    { maxConcurrent: 10 },
  );
  await using mesh = await Mesh.start(chain, { a: { call: (payload) => payload } });
  assert.equal(await mesh.ask("x", { method: "chorus" }), "x!|BX");
  assert.equal(await mesh.ask("x"), "agent_error: there are only streams behind this");
  assert.deepEqual(await mesh.pipe(["x"]), ["X"]);
});

test("what makes no sense is said when an adapter is made", () => {
  const usage = (make: () => unknown, message: RegExp): void => assert.throws(make, { code: "usage", message });
  usage(() => forward({} as never), /a destination is a function/);
  usage(() => forward(null as never), /a destination is/);
  usage(() => router([{ when: 5 as never, to: "a" }]), /a route's when/);
  usage(() => aggregator([], { combine: 5 as never }), /combine is number/);
  usage(() => aggregator([], { ...join, quorum: -1 }), /quorum must be at least 0, got -1/);
  usage(() => aggregator([], { ...join, quorum: 2, atLeast: 3 }), /atLeast is 3, but the others are given up when 2/);
  usage(() => broadcaster([], { timeoutMs: NaN }), /timeoutMs must be at least 0, got NaN/);
  usage(() => sentinel("a", { maxConcurrent: 0 }), /maxConcurrent must be above 0/);
  usage(() => sentinel("a", { rate: { perSecond: 1, burst: 0.5 } }), /burst must be at least 1/);
  usage(() => sentinel("a", { breaker: { failures: 1, pauseMs: 0 } }), /pauseMs must be above 0/);
});
