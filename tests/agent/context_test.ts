import assert from "node:assert/strict";
import { test } from "node:test";
import { deferred } from "../../lib/agent/deferred.ts";
import type { Platform } from "../../lib/agent/platform.ts";
import {
  type CallContext,
  type Client,
  connect,
  type ContextTarget,
  generateIdentity,
  type Handlers,
  MxpError,
  type Registration,
  serve,
  type ServeOptions,
  type Server,
} from "../../mod.ts";
import { memoryPlatform } from "./support/platform.ts";
import { VirtualTime } from "./support/virtual_time.ts";

const PARENT = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";

function fails(code: string, message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof MxpError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  };
}

/** A node, agents behind it, and whoever calls them. */
class Mesh implements AsyncDisposable {
  readonly platform: Platform;
  server!: Server;
  readonly clients: Client[] = [];
  readonly registrations: Registration[] = [];

  private constructor(platform: Platform) {
    this.platform = platform;
  }

  static async start(platform: Platform = memoryPlatform(), handlers: Handlers = {}, options: ServeOptions = {}) {
    const mesh = new Mesh(platform);
    mesh.server = await serve({ listen: "127.0.0.1:0", platform, registry: true, ...options }, handlers);
    return mesh;
  }

  async client(handlers?: Handlers): Promise<Client> {
    const { platform } = this;
    const client = await connect(this.server.url, { platform, identity: generateIdentity(), handlers });
    this.clients.push(client);
    return client;
  }

  async agent(name: string, handlers: Handlers, capabilities: string[] = []): Promise<Client> {
    const client = await this.client();
    this.registrations.push(await client.register({ name, capabilities }, { handlers }));
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The server goes first: what is left of agents needs no answer to its farewell.
    await this.server.close();
    for (const client of this.clients) await client.close();
    for (const registration of this.registrations) await registration.close();
  }
}

/** What became of the handlers of a chain. */
interface Link {
  readonly context: CallContext;
  /** When its signal was aborted, and with what. */
  abortedAt?: number;
  reason?: MxpError;
  /** When it came back. */
  endedAt?: number;
}

/** Handlers that call on, the last of which waits until it is told to stop. */
function chain(time: VirtualTime, links: Map<string, Link>): (name: string, next?: ContextTarget) => Handlers {
  return (name, next) => ({
    call: async (payload, context) => {
      const link: Link = { context };
      links.set(name, link);
      const stopped = new Promise<void>((resolve) => {
        context.signal.addEventListener("abort", () => {
          link.abortedAt = time.now;
          link.reason = context.signal.reason;
          resolve();
        });
      });
      try {
        if (next === undefined) await stopped;
        else return (await context.client(next).call(payload)).bytes;
      } finally {
        link.endedAt = time.now;
      }
    },
    stream: async (_stream, context) => {
      const link: Link = { context };
      links.set(name, link);
      context.signal.addEventListener("abort", () => {
        link.abortedAt = time.now;
        link.reason = context.signal.reason;
      });
      try {
        if (next === undefined) await new Promise((resolve) => context.signal.addEventListener("abort", resolve));
        else {
          const onward = await context.client(next).stream();
          for await (const _chunk of onward) { /* nothing comes */ }
        }
      } finally {
        link.endedAt = time.now;
      }
    },
  });
}

async function meshOfThree(time: VirtualTime, links: Map<string, Link>): Promise<{ mesh: Mesh; client: Client }> {
  const make = chain(time, links);
  const mesh = await time.until(Mesh.start(time.platform));
  await time.until(mesh.agent("a", make("a", "b")));
  await time.until(mesh.agent("b", make("b", { capability: "c.*" })));
  await time.until(mesh.agent("c", make("c"), ["c.wait"]));
  return { mesh, client: await time.until(mesh.client()) };
}

/** Every agent of the chain was told at this time, for this reason, and has come back. */
function assertStopped(links: Map<string, Link>, at: number, code: string): void {
  for (const name of ["a", "b", "c"]) {
    const link = links.get(name)!;
    assert.deepEqual([name, link.abortedAt, link.endedAt, link.reason?.code], [name, at, at, code]);
  }
}

/** Every agent was told when so much time had passed, and has come back: to the two milliseconds of the test and of the wheel of deadlines. */
function assertEndedAfter(links: Map<string, Link>, begun: number, after: number): void {
  assert.equal(links.size, 3);
  for (const [name, { abortedAt, endedAt }] of links) {
    for (const at of [abortedAt!, endedAt!]) assert.ok(at - begun >= after && at - begun <= after + 2, `${name} ${at}`);
  }
}

test("a deadline of 300 ms ends a chain of three agents at every one of them when it passes, and none runs on", async () => {
  const time = new VirtualTime();
  const links = new Map<string, Link>();
  const { mesh, client } = await meshOfThree(time, links);
  const begun = time.now;
  const call = client.call("x", { agent: "a", timeoutMs: 300 });
  const failed = assert.rejects(call, fails("deadline", /within 300 ms/));
  await time.settle();
  assert.deepEqual([...links.keys()], ["a", "b", "c"], "the last one has it");
  for (const { context } of links.values()) assert.equal(context.remainingMs(), 300);
  await time.pass(299);
  assert.ok([...links.values()].every(({ abortedAt }) => abortedAt === undefined));
  await time.pass(2);
  await failed;
  assertEndedAfter(links, begun, 300);
  assert.equal(mesh.server.stats().calls.running, 0);
  assert.equal(mesh.server.stats().registry!.relayed.running, 0);
  await time.until(mesh[Symbol.asyncDispose]());
});

test("who gives a call up, or closes the connection, stops every agent of the chain at once", async () => {
  const time = new VirtualTime();
  const links = new Map<string, Link>();
  const { mesh, client } = await meshOfThree(time, links);
  const cancel = new AbortController();
  const given = assert.rejects(
    client.call("x", { agent: "a", signal: cancel.signal }),
    fails("cancelled", /was cancelled/),
  );
  await time.settle();
  await time.pass(50);
  cancel.abort();
  const at = time.now;
  await time.settle();
  await given;
  assertStopped(links, at, "cancelled");

  links.clear();
  const lost = assert.rejects(client.call("x", { agent: "a" }), fails("closed", /closed here/));
  await time.settle();
  assert.equal(links.size, 3);
  const closing = client.close();
  const closedAt = time.now;
  await time.settle();
  await lost;
  assert.deepEqual([...links.values()].map(({ endedAt }) => endedAt), [closedAt, closedAt, closedAt]);
  await time.until(closing);
  await time.until(mesh[Symbol.asyncDispose]());
});

test("a deadline of 300 ms ends a stream through a chain of three agents at every one of them, and so does whoever cancels it", async () => {
  const time = new VirtualTime();
  const links = new Map<string, Link>();
  const { mesh, client } = await meshOfThree(time, links);
  const begun = time.now;
  const stream = client.stream({ agent: "a", timeoutMs: 300 });
  const failed = assert.rejects(stream.text(), fails("deadline", /within 300 ms/));
  await time.settle();
  assert.deepEqual([...links.keys()], ["a", "b", "c"]);
  await time.pass(302);
  await failed;
  assertEndedAfter(links, begun, 300);

  links.clear();
  const cancelled = client.stream({ agent: "a" });
  await time.settle();
  await time.pass(20);
  cancelled.cancel();
  await time.settle();
  assertStopped(links, time.now, "cancelled");
  assert.equal(mesh.server.stats().streams.running, 0);
  await time.until(mesh[Symbol.asyncDispose]());
});

test("a stream through three nodes that call each other by URL ends at each of them at its deadline, or when it is cancelled", async () => {
  const time = new VirtualTime();
  const { platform } = time;
  const links = new Map<string, Link>();
  const make = chain(time, links);
  const c = await time.until(serve({ listen: "127.0.0.1:0", platform }, make("c")));
  const b = await time.until(serve({ listen: "127.0.0.1:0", platform }, make("b", c.url)));
  const a = await time.until(serve({ listen: "127.0.0.1:0", platform }, make("a", b.url)));
  const client = await time.until(connect(a.url, { platform }));
  // The first one takes the handshakes; here the time is not what is looked at.
  const warm = client.stream();
  await time.settle(400);
  warm.cancel();
  await time.settle();
  assertStopped(links, time.now, "cancelled");

  links.clear();
  const begun = time.now;
  const stream = client.stream({ timeoutMs: 300 });
  const failed = assert.rejects(stream.text(), fails("deadline", /within 300 ms/));
  await time.settle();
  assert.equal(links.size, 3);
  await time.pass(302);
  await failed;
  assertEndedAfter(links, begun, 300);
  assert.deepEqual([a.stats().dialled.open, a.stats().dialled.dialled, a.stats().dialled.reused], [1, 1, 1]);
  for (const closing of [client.close(), a.close(), b.close(), c.close()]) await time.until(closing);
});

test("all hops of a chain share the trace and the priority, each has a span id of its own, and options replace what they name", async () => {
  const seen = new Map<string, CallContext>();
  const mesh = await Mesh.start();
  const note = (name: string, next?: string): Handlers => ({
    call: async (payload, context) => {
      seen.set(name, context);
      return next === undefined ? payload : (await context.client(next).call(payload)).bytes;
    },
    methods: {
      override: async (payload, context) => {
        const options = { traceparent: PARENT, priority: "interactive" as const, timeoutMs: 60_000 };
        return (await context.client("c").call(payload, options)).bytes;
      },
      shorter: async (payload, context) => (await context.client("c").call(payload, { timeoutMs: 50 })).bytes,
    },
  });
  await mesh.agent("a", note("a", "b"));
  await mesh.agent("b", note("b", "c"));
  await mesh.agent("c", note("c"));
  const client = await mesh.client();
  const reply = await client.call("x", { agent: "a", traceparent: PARENT, priority: "bulk", timeoutMs: 9_000 });
  assert.equal(reply.text(), "x");
  const spans = new Set([PARENT.slice(36, 52)]);
  for (const [index, name] of ["a", "b", "c"].entries()) {
    const { traceparent, traceId, priority } = seen.get(name)!;
    assert.equal(traceId, "0123456789abcdef");
    assert.equal(priority, "bulk");
    assert.equal(traceparent!.slice(0, 36), PARENT.slice(0, 36));
    assert.equal(traceparent!.slice(52), "-01");
    // The node passes on what it gets; everybody who calls because of it is a span.
    assert.equal(spans.has(traceparent!.slice(36, 52)), index === 0);
    spans.add(traceparent!.slice(36, 52));
  }
  assert.equal(spans.size, 3);

  // Without a traceparent, there is still the header's trace id.
  const { traceId } = await client.call("x", { agent: "a" });
  for (const context of seen.values()) assert.deepEqual([context.traceId, context.traceparent], [traceId, undefined]);

  await client.call("override", "x", { agent: "b", priority: "bulk", timeoutMs: 2_000 });
  const { traceparent, priority } = seen.get("c")!;
  assert.deepEqual([traceparent, priority], [PARENT, "interactive"]);
  seen.clear();
  let left = Infinity;
  await mesh.agent("d", {
    call: (_payload, context) => {
      left = context.remainingMs();
    },
  });
  await mesh.agent("e", { call: async (_, context) => void await context.client("d").call("", { timeoutMs: 60_000 }) });
  await client.call("", { agent: "e", timeoutMs: 2_000 });
  assert.ok(left > 0 && left <= 2_000, `a longer time counts as what is left, got ${left}`);
  await mesh[Symbol.asyncDispose]();
});

test("a handler's own signal ends what it calls, and so does the context's beside it", async () => {
  await using mesh = await Mesh.start();
  let begun = deferred<void>(), stopped = deferred<string>();
  await mesh.agent("slow", {
    call: async (_payload, context) => {
      begun.resolve();
      await new Promise((resolve) => context.signal.addEventListener("abort", resolve));
      stopped.resolve(context.signal.reason.code);
    },
  });
  const own = new AbortController();
  await mesh.agent("front", {
    call: async (_payload, context) => void await context.client("slow").call("", { signal: own.signal }),
  });
  const client = await mesh.client();
  const outer = new AbortController();
  const first = assert.rejects(client.call("", { agent: "front", signal: outer.signal }), fails("cancelled", /./));
  await begun.promise;
  outer.abort();
  await first;
  assert.equal(await stopped.promise, "cancelled");
  [begun, stopped] = [deferred<void>(), deferred<string>()];
  const second = assert.rejects(client.call("", { agent: "front" }), fails("cancelled", /"slow" at .* was cancelled/));
  await begun.promise;
  own.abort();
  await second;
  assert.equal(await stopped.promise, "cancelled");
});

test("a connection to a URL lasts as long as a stream over it, and a minute longer", async () => {
  const time = new VirtualTime();
  const { platform } = time;
  const back = await time.until(serve({ listen: "127.0.0.1:0", platform }, {
    stream: async (stream) => {
      for await (const chunk of stream) await stream.write(chunk);
    },
  }));
  const front = await time.until(serve({ listen: "127.0.0.1:0", platform }, {
    stream: async function* (stream, context) {
      const onward = await context.client(back.url).stream();
      const answers = onward[Symbol.asyncIterator]();
      for await (const chunk of stream) {
        await onward.write(chunk);
        yield (await answers.next()).value!;
      }
      await onward.close();
      assert.equal((await answers.next()).done, true);
    },
  }));
  const client = await time.until(connect(front.url, { platform }));
  const stream = client.stream();
  const answers = stream[Symbol.asyncIterator]();
  for (let i = 0; i < 15; i++) {
    await stream.write(`${i}`);
    const { value } = await time.until(answers.next());
    assert.equal(new TextDecoder().decode(value!), `${i}`);
    await time.passSeconds(5);
  }
  const { open, closed } = front.stats().dialled;
  assert.deepEqual([open, closed], [1, 0]);
  await stream.close();
  assert.equal((await time.until(answers.next())).done, true);
  await time.passSeconds(61);
  assert.equal(front.stats().dialled.open, 0);
  for (const closing of [client.close(), front.close(), back.close()]) await time.until(closing);
});

test("agents that call each other in a circle come to an end, and their callers are told", async () => {
  await using mesh = await Mesh.start();
  let runs = 0;
  const again = (next: string): Handlers => ({
    call: async (_payload, context) => {
      runs++;
      return (await context.client(next).call()).bytes;
    },
  });
  await mesh.agent("ping", again("pong"));
  await mesh.agent("pong", again("ping"));
  const client = await mesh.client();
  await assert.rejects(client.call("", { agent: "ping" }), fails("agent_error", /too often/));
  assert.equal(runs, 16);
  assert.equal(mesh.server.stats().calls.running, 0);
  let own = 0;
  await using self: Server = await serve({ listen: "127.0.0.1:0", platform: mesh.platform }, async (_, context) => {
    own++;
    return (await context.client(self.url).call()).bytes;
  });
  await using other = await connect(self.url, { platform: mesh.platform });
  await assert.rejects(other.call(), fails("agent_error", /do agents call each other in a circle/));
  assert.equal(own, 33);
  await assert.rejects(client.call("", { hopLimit: 256 }), fails("usage", /hop limit is a whole number/));
  await assert.rejects(client.call("", { traceId: "0".repeat(16) }), fails("usage", /not a trace id/));
});

test("what a handler's own calls come to is no verdict about the handler, so nobody else is asked in its place", async () => {
  await using mesh = await Mesh.start();
  let runs = 0;
  const handlers: Handlers = {
    call: async (payload, context) => {
      runs++;
      return (await context.client("nobody").call(payload)).bytes;
    },
  };
  await mesh.agent("one", handlers, ["work"]);
  await mesh.agent("two", handlers, ["work"]);
  const client = await mesh.client();
  await assert.rejects(client.call("", { capability: "work" }), fails("agent_error", /no agent "nobody" at /));
  assert.equal(runs, 1);
  assert.equal(mesh.server.stats().registry!.relayed.failovers, 0);
});

test("what a handler is told before its own call was sent is no verdict about the handler either", async () => {
  await using mesh = await Mesh.start();
  let runs = 0;
  await mesh.agent("one", {
    call: async (payload, context) => {
      runs++;
      // What is thrown on this side, and has no code of the protocol.
      return (await context.client("other").call(payload, { hedge: { afterMs: 1 } })).bytes;
    },
  });
  const client = await mesh.client();
  const error = await client.call("", { agent: "one", retry: 2 }).catch((error) => error);
  assert.deepEqual([error.remoteName, error.nothingDone, runs], ["HANDLER_FAILED", false, 1], error.message);
});

test("a node's own handlers find agents at their node by name and capability, and call and stream to them like others", async () => {
  const mesh = await Mesh.start(memoryPlatform(), {
    call: async (payload, context) => {
      const target = new TextDecoder().decode(payload);
      return (await context.client(target.startsWith("{") ? JSON.parse(target) : target).call("hi")).text();
    },
    methods: {
      stream: async (_payload, context) => {
        const stream = await context.client("local").stream();
        await stream.write("to myself");
        await stream.close();
        return await stream.text();
      },
    },
    agents: {
      local: {
        call: (payload: Uint8Array) => `local ${new TextDecoder().decode(payload)}`,
        stream: async function* (stream) {
          for await (const chunk of stream) yield `${new TextDecoder().decode(chunk)}!`;
        },
      },
    },
  });
  await mesh.agent("away", { call: (payload) => `away ${new TextDecoder().decode(payload)}` }, ["be.away"]);
  const client = await mesh.client();
  assert.equal((await client.call("away")).text(), "away hi");
  assert.equal((await client.call('{"capability":"be.*"}')).text(), "away hi");
  assert.equal((await client.call("local")).text(), "local hi");
  assert.equal((await client.call("stream", "")).text(), "to myself!");
  await assert.rejects(client.call("nobody"), fails("agent_error", /no agent "nobody"/));
  assert.equal(mesh.server.stats().connections, 2, "the connection to itself is nobody's");
  await mesh[Symbol.asyncDispose]();
});

test("a node that is drained lets handlers that run call and stream to its own agents until they are done", async () => {
  const started = deferred<void>(), gate = deferred<void>();
  const mesh = await Mesh.start(memoryPlatform(), {
    call: async (_payload, context) => {
      started.resolve();
      await gate.promise;
      const own = context.client("own");
      const stream = await own.stream();
      await stream.close();
      return `${(await own.call()).text()} ${await stream.text()}`;
    },
    agents: {
      own: {
        call: () => "answered",
        stream: async function* () {
          yield "streamed";
        },
      },
    },
  });
  const client = await mesh.client();
  const call = client.call();
  await started.promise;
  const drained = mesh.server.drain();
  await assert.rejects(client.call("", { agent: "own" }), fails("closed", /shutting down/));
  gate.resolve();
  assert.equal((await call).text(), "answered streamed");
  await drained;
  await mesh[Symbol.asyncDispose]();
});

test("a node reaches its own agents, and others by URL, also after it has slept for an hour", async () => {
  const time = new VirtualTime();
  const { platform } = time;
  const back = await time.until(serve({ listen: "127.0.0.1:0", platform }, () => "there"));
  const server = await time.until(serve({ listen: "127.0.0.1:0", platform }, {
    call: async (_payload, context) =>
      `${(await context.client("local").call()).text()} ${(await context.client(back.url).call()).text()}`,
    agents: { local: () => "here" },
  }));
  for (let i = 0; i < 2; i++) {
    const client = await time.until(connect(server.url, { platform }));
    assert.equal((await time.until(client.call())).text(), "here there");
    time.jump(3_600);
    await time.settle();
    await time.until(client.close());
  }
  for (const closing of [server.close(), back.close()]) await time.until(closing);
});

test("a URL needs a key or a known peer, and its connection is shared and closed with the server", async () => {
  const platform = memoryPlatform();
  await using back = await serve({ listen: "127.0.0.1:0", platform }, { call: () => "back", event: () => {} });
  const [, keyless] = back.url.split("@");
  const front = await serve({ listen: "127.0.0.1:0", platform }, {
    call: async (payload, context) => {
      const other = context.client(new TextDecoder().decode(payload));
      await other.emit("seen", "", { ack: true });
      return (await other.call()).text();
    },
  });
  await using client = await connect(front.url, { platform });
  for (let i = 0; i < 3; i++) assert.equal((await client.call(back.url)).text(), "back");
  await assert.rejects(client.call(`mxp://${keyless}`), fails("agent_error", /is not known: put it into the URL/));
  await assert.rejects(client.call("mxp://no:where@"), fails("agent_error", /user name/));
  await assert.rejects(client.call("x"), fails("agent_error", /no agent "x"/));
  const { open, dialled, reused, failed } = front.stats().dialled;
  assert.deepEqual([open, dialled, reused, failed], [1, 2, 5, 1]);
  assert.equal(back.stats().connections, 1);
  assert.equal(back.connections()[0].peer, front.identity.publicKeyText, "who the server is");
  await front.close();
  for (let i = 0; i < 2_000 && back.stats().connections > 0; i++) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.equal(back.stats().connections, 0);
});

test("a server calls back who calls it, over the same connection, and a client without handlers says no", async () => {
  await using mesh = await Mesh.start(memoryPlatform(), {
    call: async (payload, context) => {
      const back = context.client();
      await back.emit("asked", payload, { ack: true });
      const stream = await back.stream();
      await stream.write("and so on");
      await stream.close();
      const [name, words] = [await back.call("name", ""), await back.call(payload)];
      return `${name.text()} says ${words.text()}, ${await stream.text()}`;
    },
  });
  const events: string[] = [];
  const client = await mesh.client({
    call: (payload, context) => {
      assert.equal(context.peer.publicKeyText, mesh.server.identity.publicKeyText);
      return new TextDecoder().decode(payload).toUpperCase();
    },
    methods: { name: () => "ada" },
    stream: async function* (stream) {
      for await (const chunk of stream) yield chunk;
    },
    event: (topic) => void events.push(topic),
  });
  assert.equal((await client.call("hello")).text(), "ada says HELLO, and so on");
  assert.deepEqual(events, ["asked"]);
  const deaf = await mesh.client();
  await assert.rejects(deaf.call("hello"), fails("agent_error", /turned the event away/));
});

test("what a handler calls may be repeated, compressed and sealed like anybody's calls", async () => {
  await using mesh = await Mesh.start();
  const identity = generateIdentity();
  let attempts = 0;
  const vault = await connect(mesh.server.url, { platform: mesh.platform, identity });
  mesh.clients.push(vault);
  const sealed: (Uint8Array | undefined)[] = [];
  mesh.registrations.push(
    await vault.register({ name: "vault" }, {
      handlers: {
        call: (payload, context) => {
          sealed.push(context.sealedBy);
          if (++attempts < 3) throw new MxpError("overloaded", "busy", { retryable: true });
          return payload;
        },
      },
    }),
  );
  const retry = { attempts: 5, firstPauseMs: 1, longestPauseMs: 2 };
  await mesh.agent("front", {
    call: async (payload, context) => {
      const reply = await context.client("vault").call(payload, { retry, e2e: identity.publicKeyText });
      return `${reply.text()} ${reply.attempts}`;
    },
  });
  const client = await mesh.client();
  assert.equal((await client.call("secret", { agent: "front", timeoutMs: 3_000 })).text(), "secret 3");
  assert.ok(sealed.length === 3 && sealed.every((key) => key !== undefined));
});

test("a handler tells an agent something by its name, with the trace and until it is accepted", async () => {
  await using mesh = await Mesh.start();
  const seen: string[] = [];
  await mesh.agent("ledger", {
    event: (topic, data, context) => {
      seen.push(`${topic} ${new TextDecoder().decode(data)} ${context.traceId} ${context.priority}`);
      if (seen.length === 1) throw new MxpError("overloaded", "busy", { retryable: true });
    },
  });
  await mesh.agent("shop", {
    call: (payload, context) => context.client("ledger").emit("sold", payload, { attempts: 3 }),
  });
  const client = await mesh.client();
  const reply = await client.call("a book", { agent: "shop", priority: "bulk" });
  assert.deepEqual(seen, Array.from({ length: 2 }, () => `sold a book ${reply.traceId} bulk`));
});

test("what is no target, and a request that is over, are refused before anything is sent", async () => {
  let kept: CallContext | undefined;
  const done = deferred<void>();
  await using mesh = await Mesh.start(memoryPlatform(), {
    call: (_payload, context) => {
      kept = context;
      for (const target of ["", {}, null, 7, { capability: "" }]) {
        assert.throws(() => context.client(target as ContextTarget), fails("usage", /target of context.client is/));
      }
      done.resolve();
    },
  });
  const client = await mesh.client();
  await client.call("", { timeoutMs: 5_000 });
  await done.promise;
  await assert.rejects(kept!.client().call(), fails("deadline", /no time left/));
});
