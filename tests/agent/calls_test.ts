import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { deferred } from "../../lib/agent/deferred.ts";
import { MxpError, type MxpErrorCode } from "../../lib/base/errors.ts";
import type { Client } from "../../lib/agent/client.ts";
import { connect } from "../../lib/agent/connect.ts";
import type { CallHandler, Handlers } from "../../lib/agent/handlers.ts";
import { serve, type ServeOptions, type Server } from "../../lib/agent/server.ts";
import type { ConnectOptions } from "../../lib/agent/connect.ts";
import type { Platform } from "../../lib/agent/platform.ts";
import { memoryPlatform, platforms } from "./support/platform.ts";

const MAX_BODY = 16_777_216;

interface Pair {
  readonly server: Server;
  readonly client: Client;
  readonly platform: Platform;
}

/** A server with these handlers and a client of it, for the time of a test. */
async function withPair(
  platform: Platform,
  handlers: CallHandler | Handlers,
  body: (pair: Pair) => Promise<void>,
  serveOptions: Partial<ServeOptions> = {},
  connectOptions: Partial<ConnectOptions> = {},
): Promise<void> {
  const server = await serve({ listen: "127.0.0.1:0", platform, ...serveOptions }, handlers as Handlers);
  try {
    const client = await connect(server.url, { platform, ...connectOptions });
    try {
      await body({ server, client, platform });
    } finally {
      await client.close();
    }
  } finally {
    await server.close();
  }
}

function failsWith(code: MxpErrorCode, pattern: RegExp = /./): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof MxpError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, pattern);
    return true;
  };
}

const hash = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function pattern(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0, x = 1; i < length; i++) bytes[i] = x = (Math.imul(x, 1103515245) + 12345) >>> 16;
  return bytes;
}

/** Waits until something is so. */
async function until(condition: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 400; i++) {
    if (condition()) return;
    await sleep(5);
  }
  assert.fail(`timed out waiting until ${what}`);
}

for (const [name, makePlatform] of platforms) {
  test(`a call comes back with the handler's answer, ${name}`, async () => {
    await withPair(makePlatform(), (payload) => payload, async ({ client, server }) => {
      const reply = await client.call("hello");
      assert.equal(reply.text(), "hello");
      assert.match(reply.traceId, /^[0-9a-f]{16}$/);
      assert.match(reply.messageId, /^[0-9a-f]{16}$/);
      const { sentMs, firstByteMs, doneMs } = reply.timing;
      assert.ok(0 <= sentMs && sentMs <= firstByteMs && firstByteMs <= doneMs && doneMs < 10_000);
      assert.deepEqual(client.stats().calls, { started: 1, ok: 1, failed: 0, pending: 0, queued: 0 });
      assert.equal(server.stats().calls.ok, 1);
    });
  });

  test(`bodies of any size go both ways unharmed, ${name}`, { timeout: 120_000 }, async () => {
    await withPair(makePlatform(), (payload) => payload, async ({ client, server }) => {
      for (const size of [0, 1, 63, 1_100, 1_200, 8_192, 65_536, 1_000_000, MAX_BODY]) {
        const body = pattern(size);
        const reply = await client.call(body);
        assert.equal(reply.bytes.length, size);
        assert.equal(hash(reply.bytes), hash(body), `${size} bytes`);
      }
      await until(() => server.stats().memory.used === 0, "the server's memory is given back");
    });
  });

  test(`200 calls at once each get their own answer, ${name}`, async () => {
    await withPair(makePlatform(), async (payload) => {
      await sleep(payload[0] % 7);
      return payload;
    }, async ({ client }) => {
      const bodies = Array.from({ length: 200 }, (_, i) => pattern(i * 20 + 4).fill(i, 0, 4));
      const replies = await Promise.all(bodies.map((body) => client.call(body)));
      replies.forEach((reply, i) => assert.deepEqual(reply.bytes, bodies[i]));
      assert.equal(client.stats().calls.pending, 0);
      assert.equal(new Set(replies.map((reply) => reply.messageId)).size, 200);
    });
  });

  test(`an aborted call fails here and is cancelled there, ${name}`, async () => {
    const aborted = deferred<unknown>();
    await withPair(makePlatform(), (_payload, context) => {
      context.signal.addEventListener("abort", () => aborted.resolve(context.signal.reason));
      return aborted.promise.then(() => "too late");
    }, async ({ client, server }) => {
      const controller = new AbortController();
      const call = client.call("x", { signal: controller.signal });
      await until(() => server.stats().calls.running === 1, "the handler runs");
      const reason = new Error("changed my mind");
      controller.abort(reason);
      await assert.rejects(call, (error) => failsWith("cancelled")(error) && (error as MxpError).cause === reason);
      assert.ok(failsWith("cancelled")(await aborted.promise));
      await until(() => server.stats().calls.running === 0, "the handler has ended");
      assert.equal(server.stats().calls.cancelled, 1);
      assert.equal(
        (await client.call("y", { timeoutMs: 0, signal: AbortSignal.timeout(5_000) }).catch((e) => e)).code,
        undefined,
      );
    });
  });
}

test("a deadline ends the call on both sides, and the handler hears of it", async () => {
  const reasons: unknown[] = [];
  await withPair(memoryPlatform(), async (_payload, context) => {
    const remaining = context.remainingMs();
    assert.ok(remaining > 0 && remaining <= 80, `${remaining} ms remain`);
    await new Promise((resolve) => context.signal.addEventListener("abort", resolve));
    reasons.push(context.signal.reason);
    assert.equal(context.remainingMs(), 0);
  }, async ({ client, server }) => {
    const started = performance.now();
    await assert.rejects(client.call("x", { timeoutMs: 80 }), failsWith("deadline", /within 80 ms/));
    assert.ok(performance.now() - started >= 79);
    await until(() => reasons.length === 1, "the handler was told");
    await until(() => server.stats().calls.running === 0, "the handler has ended");
    const reason = reasons[0];
    assert.ok(reason instanceof MxpError && ["deadline", "cancelled"].includes(reason.code));
  });
});

test("a call without a time limit has none at the handler either", async () => {
  await withPair(memoryPlatform(), (_payload, context) => String(context.remainingMs()), async ({ client }) => {
    assert.equal((await client.call("", { timeoutMs: 0 })).text(), "Infinity");
    assert.equal((await client.call("", { timeoutMs: Infinity })).text(), "Infinity");
    const whole = Number((await client.call("", { timeoutMs: 7_000 })).text());
    assert.ok(whole > 6_000 && whole <= 7_000);
    const exact = Number((await client.call("", { timeoutMs: 1_234.5 })).text());
    assert.ok(exact > 900 && exact <= 1_235);
  });
});

test("what a handler throws reaches the caller as an error without its stack", async () => {
  const logged: unknown[] = [];
  const failure = new Error("the disk is full\u001b[31m");
  const handlers: Handlers = {
    methods: {
      plain: () => {
        throw failure;
      },
      later: () => Promise.reject(failure),
      mxp: () => {
        throw new MxpError("overloaded", "come back later", { retryable: true });
      },
      own: () => {
        throw new MxpError("agent_error", "out of paper", { remoteCode: 0x8001, retryable: true });
      },
      // A number that is not the application's to give away says nothing.
      forged: () => {
        throw new MxpError("agent_error", "no", { remoteCode: 3 });
      },
      nothing: () => Promise.reject(undefined),
      wrong: (() => ({ a: 1 })) as unknown as CallHandler,
      generator: async function* () {
        yield "a";
        await sleep(1);
        throw failure;
      },
    },
  };
  await withPair(memoryPlatform(), handlers, async ({ client }) => {
    for (const method of ["plain", "later", "generator"]) {
      await assert.rejects(client.call(method, "x"), (error) => {
        assert.ok(failsWith("agent_error", /^the disk is full\\u001b\[31m$/)(error));
        assert.equal((error as MxpError).retryable, false);
        assert.ok(!String((error as Error).stack).includes("handlers"));
        return true;
      });
    }
    await assert.rejects(
      client.call("mxp", "x"),
      (error) => failsWith("overloaded", /come back later/)(error) && (error as MxpError).retryable,
    );
    const facts = async (method: string): Promise<unknown[]> => {
      const { code, remoteCode, remoteName, retryable, nothingDone } = await client.call(method, "x").catch((e) => e);
      return [code, remoteCode, remoteName, retryable, nothingDone];
    };
    assert.deepEqual(await facts("mxp"), ["overloaded", 6, "OVERLOADED", true, true]);
    assert.deepEqual(await facts("own"), ["agent_error", 0x8001, "0x8001", true, false]);
    assert.deepEqual(await facts("forged"), ["agent_error", 5, "HANDLER_FAILED", false, false]);
    assert.deepEqual(await facts("missing"), ["agent_error", 4, "NO_SUCH_METHOD", false, true]);
    await assert.rejects(client.call("nothing", "x"), failsWith("agent_error", /undefined/));
    await assert.rejects(client.call("wrong", "x"), failsWith("agent_error", /must be text, bytes/));
    await assert.rejects(client.call("missing", "x"), failsWith("agent_error", /no method "missing"/));
    assert.equal((await client.call("x", { method: "mxp" }).catch((error) => error)).code, "overloaded");
    assert.equal(logged.filter((error) => error === failure).length, 3);
  }, {
    onHandlerError: (error) => {
      logged.push(error);
      throw new Error("a logger that fails changes nothing");
    },
  });
});

test("an error's stack leads to the line that made the call", async () => {
  await withPair(memoryPlatform(), () => Promise.reject(new Error("no")), async ({ client }) => {
    async function whereItWasCalled(): Promise<void> {
      await client.call("x");
    }
    await assert.rejects(whereItWasCalled(), (error) => String((error as Error).stack).includes("whereItWasCalled"));
  });
});

test("handlers may answer with text, bytes, buffers, nothing, generators and streams", async () => {
  const handlers: Handlers = {
    methods: {
      text: () => "żółw",
      bytes: () => Uint8Array.of(1, 2),
      buffer: () => Uint8Array.of(3, 4).buffer,
      nothing: () => {},
      promise: () => Promise.resolve("soon"),
      generator: async function* () {
        yield "a";
        await sleep(1);
        yield Uint8Array.of(98);
      },
      stream: () => new Blob(["str", "eam"]).stream(),
    },
  };
  await withPair(memoryPlatform(), handlers, async ({ client }) => {
    const text = async (method: string): Promise<string> => (await client.call(method, "")).text();
    assert.equal(await text("text"), "żółw");
    assert.equal(await text("bytes"), "\u0001\u0002");
    assert.equal(await text("buffer"), "\u0003\u0004");
    assert.equal(await text("nothing"), "");
    assert.equal(await text("promise"), "soon");
    assert.equal(await text("generator"), "ab");
    assert.equal(await text("stream"), "stream");
  });
});

test("bodies may be text, bytes, buffers, generators and streams", async () => {
  await withPair(memoryPlatform(), (payload) => payload, async ({ client }) => {
    async function* generator(): AsyncGenerator<Uint8Array | string> {
      yield "a";
      await sleep(1);
      yield Uint8Array.of(98);
    }
    assert.equal((await client.call()).text(), "");
    assert.equal((await client.call("żółw")).text(), "żółw");
    assert.equal((await client.call(Uint8Array.of(104, 105).buffer)).text(), "hi");
    assert.equal((await client.call(generator())).text(), "ab");
    assert.equal((await client.call(new Blob(["str", "eam"]).stream())).text(), "stream");
    assert.equal((await client.call([Uint8Array.of(97), Uint8Array.of(98)])).text(), "ab");
    assert.deepEqual((await client.call('{"a":[1]}')).json(), { a: [1] });
    assert.throws(() => JSON.parse("no"));
    const reply = await client.call(Uint8Array.of(0xff));
    assert.throws(() => reply.text(), failsWith("agent_error", /not valid UTF-8/));
    assert.throws(() => reply.json(), failsWith("agent_error", /not valid UTF-8/));
  });
});

test("a handler sees who calls, what for, and everything that was sent along", async () => {
  const seen: Record<string, unknown>[] = [];
  const handler: CallHandler = (_payload, context) => {
    const { method, agent, metadata, traceparent, traceId, messageId, idempotencyKey, contentType, peer } = context;
    seen.push({
      method,
      agent,
      metadata: { ...metadata },
      traceparent,
      traceId,
      messageId,
      idempotencyKey,
      contentType,
      peer,
    });
  };
  await withPair(memoryPlatform(), { call: handler, agents: { "echo dép": handler } }, async ({ client }) => {
    const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const reply = await client.call("summarise", "x", {
      traceparent,
      metadata: { tenant: "a", empty: "" },
      idempotencyKey: "k1",
      contentType: "text/plain",
      timeoutMs: 500,
    });
    const [call] = seen;
    assert.equal(call.method, "summarise");
    assert.equal(call.agent, undefined);
    assert.deepEqual(call.metadata, { tenant: "a", empty: "" });
    assert.deepEqual([call.traceparent, call.traceId, reply.traceId], [
      traceparent,
      "a3ce929d0e0e4736",
      "a3ce929d0e0e4736",
    ]);
    assert.equal(call.messageId, reply.messageId);
    assert.deepEqual([call.idempotencyKey, call.contentType], ["k1", "text/plain"]);
    const peer = call.peer as { fingerprint: string; address: string; publicKey: Uint8Array };
    assert.match(peer.fingerprint, /^SHA256:/);
    assert.equal(peer.publicKey.length, 32);
    assert.match(peer.address, /^127\.0\.0\.1:\d+$/);
    await client.call("x", { agent: "echo dép" });
    assert.equal(seen[1].agent, "echo dép");
    assert.deepEqual(seen[1].metadata, {});
  });
});

test("calls go to the agent that they name, by UUID or name, and to no other", async () => {
  const uuid = "0190a2b4-0000-7000-8000-00000000000f";
  const handlers: Handlers = {
    methods: { who: () => "node" },
    agents: { [uuid]: () => "by id", "by name": { methods: { who: () => "by name" } } },
  };
  await withPair(memoryPlatform(), handlers, async ({ client, server, platform }) => {
    assert.equal((await client.call("who", "")).text(), "node");
    assert.equal((await client.call("", { agent: uuid.toUpperCase() })).text(), "by id");
    assert.equal((await client.call("who", "", { agent: "by name" })).text(), "by name");
    await assert.rejects(
      client.call("", { agent: "By name" }),
      failsWith("no_such_agent", /no agent "By name" at 127\.0\.0\.1:\d+/),
    );
    await assert.rejects(client.call(""), failsWith("agent_error", /no handler for calls without a method/));
    await using other = await connect(`${server.url}/by%20name`, { platform });
    assert.equal((await other.call("who", "")).text(), "by name");
    assert.equal((await other.call("", { agent: uuid })).text(), "by id");
  });
});

test("a body that is too large fails before anything is sent", async () => {
  await withPair(memoryPlatform(), (payload) => payload, async ({ client, server }) => {
    const before = client.stats().transport.datagramsSent;
    await assert.rejects(
      client.call(new Uint8Array(MAX_BODY + 1)),
      (error) => failsWith("too_large")(error) && (error as MxpError).nothingDone,
    );
    let pulled = 0;
    let returned = false;
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) {
          pulled++;
          yield new Uint8Array(1 << 20);
        }
      } finally {
        returned = true;
      }
    }
    await assert.rejects(client.call(endless()), failsWith("too_large"));
    await until(() => returned, "the generator was closed");
    assert.equal(pulled, 17);
    assert.equal(client.stats().transport.datagramsSent, before);
    assert.equal(server.stats().calls.total, 0);
  });
});

test("a server refuses what is larger than it takes, and stays usable", async () => {
  await withPair(memoryPlatform(), (payload) => String(payload.length), async ({ client, server }) => {
    await assert.rejects(client.call(new Uint8Array(5_000_000)), failsWith("too_large"));
    await assert.rejects(client.call(new Uint8Array(1_001)), failsWith("too_large", /larger than 1000 bytes/));
    assert.equal((await client.call(new Uint8Array(1_000))).text(), "1000");
    assert.equal(server.stats().calls.refused, 2);
  }, { maxMessageBytes: 1000 });
});

test("an answer that is too large becomes an error", async () => {
  await withPair(memoryPlatform(), () => new Uint8Array(16_777_217), async ({ client }) => {
    await assert.rejects(client.call(""), failsWith("too_large", /16777217|16777216/));
  });
});

test("a call that is aborted before it begins sends nothing", async () => {
  await withPair(memoryPlatform(), (payload) => payload, async ({ client }) => {
    const before = client.stats().transport.datagramsSent;
    await assert.rejects(client.call("x", { signal: AbortSignal.abort("no") }), failsWith("cancelled"));
    assert.equal(client.stats().transport.datagramsSent, before);
  });
});

test("a call can be aborted, and runs into its deadline, while its body is being collected", async () => {
  await withPair(memoryPlatform(), (payload) => payload, async ({ client, server }) => {
    let returned = 0;
    const stuck = (): AsyncIterable<Uint8Array> => ({
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise(() => {}),
        return: () => {
          returned++;
          return Promise.resolve({ done: true, value: undefined });
        },
      }),
    });
    await assert.rejects(client.call(stuck(), { signal: AbortSignal.timeout(20) }), failsWith("cancelled"));
    await assert.rejects(client.call(stuck(), { timeoutMs: 20 }), failsWith("deadline"));
    await until(() => returned === 2, "both bodies were given back");
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(1);
      throw new Error("the file has gone");
    }
    await assert.rejects(client.call(broken()), failsWith("cancelled", /the file has gone/));
    assert.equal(server.stats().calls.total, 0);
    assert.equal(client.stats().calls.pending, 0);
  });
});

test("progress is told in both directions", async () => {
  await withPair(memoryPlatform(), (payload) => payload, async ({ client }) => {
    const seen: { sent: number; total: number; received: number; receiveTotal: number | undefined }[] = [];
    const size = 6_000_000;
    await client.call(pattern(size), { onProgress: (progress) => seen.push(progress) });
    const last = seen.at(-1)!;
    assert.ok(seen.length > 4);
    assert.ok(last.sent === last.total && last.total >= size);
    for (let i = 1; i < seen.length; i++) {
      assert.ok(seen[i].sent >= seen[i - 1].sent && seen[i].received >= seen[i - 1].received);
    }
    assert.ok(seen.some((progress) => progress.receiveTotal === size + 40));
  });
});

test("a progress callback that fails ends its call and nothing else", async () => {
  await withPair(memoryPlatform(), (payload) => payload, async ({ client, server }) => {
    const failure = new Error("the progress bar broke");
    const onProgress = (): void => {
      throw failure;
    };
    await assert.rejects(
      client.call("x", { onProgress }),
      (error) => failsWith("cancelled", /progress bar/)(error) && (error as MxpError).cause === failure,
    );
    const onceSent = (): void => {
      throw new TypeError("no such element");
    };
    await assert.rejects(
      client.call("x", { onProgress: onceSent }),
      (error) => failsWith("usage", /no such element/)(error) && !(error as MxpError).nothingDone,
    );
    assert.equal((await client.call("y")).text(), "y");
    await until(() => server.stats().calls.running === 0, "nothing is left over");
  });
});

test("calls beyond the node's stream limit wait their turn, in order", async () => {
  const order: number[] = [];
  let running = 0;
  let most = 0;
  await withPair(memoryPlatform(), async (payload) => {
    order.push(payload[0]);
    most = Math.max(most, ++running);
    await sleep(2);
    running--;
    return payload;
  }, async ({ client }) => {
    const replies = Array.from({ length: 50 }, (_, i) => client.call(Uint8Array.of(i)));
    await sleep(0);
    assert.ok(client.stats().calls.queued > 0);
    const controller = new AbortController();
    const aborted = client.call(Uint8Array.of(99), { signal: controller.signal });
    controller.abort();
    await assert.rejects(aborted, failsWith("cancelled"));
    (await Promise.all(replies)).forEach((reply, i) => assert.equal(reply.bytes[0], i));
    assert.ok(most <= 4, `${most} at once`);
    assert.deepEqual(order, Array.from({ length: 50 }, (_, i) => i));
    assert.equal(client.stats().calls.queued, 0);
  }, { settings: { maxStreamsBidi: 4 } });
});

test("options that make no sense are refused before anything happens", async () => {
  await withPair(memoryPlatform(), (payload) => payload, async ({ client }) => {
    await assert.rejects(client.call("x", { timeoutMs: -1 }), failsWith("usage", /timeoutMs/));
    await assert.rejects(client.call("x", { timeoutMs: NaN }), failsWith("usage", /timeoutMs/));
    await assert.rejects(
      client.call("x", { timeoutMs: "5" as never }),
      (error) =>
        failsWith("usage", /timeoutMs must be a number.*got string "5"/)(error) && (error as MxpError).nothingDone,
    );
    await assert.rejects(client.call("x", { traceparent: "nonsense" }), failsWith("usage", /traceparent/));
    await assert.rejects(client.call({ a: 1 } as never), failsWith("usage", /must be text, bytes/));
    await assert.rejects(client.call(Uint8Array.of(1) as never, "x"), failsWith("usage", /a method is text/));
    await assert.rejects(client.call("x", { metadata: { ["k".repeat(300)]: "" } }), failsWith("usage"));
    assert.equal(client.stats().calls.pending, 0);
  });
});

test("a lossy network changes nothing but the time it takes", async () => {
  let count = 0;
  const platform = memoryPlatform({ fault: () => ++count % 10 === 3 ? [] : count % 17 === 0 ? [3, 0] : [0] });
  await withPair(platform, (payload) => payload, async ({ client }) => {
    const bodies = Array.from({ length: 60 }, (_, i) => pattern(i * 97));
    const replies = await Promise.all(bodies.map((body) => client.call(body)));
    replies.forEach((reply, i) => assert.equal(hash(reply.bytes), hash(bodies[i])));
  });
});
