import assert from "node:assert/strict";
import { test } from "node:test";
import { deferred } from "../../lib/agent/deferred.ts";
import {
  type CallContext,
  type Client,
  connect,
  type ConnectOptions,
  type Handlers,
  MxpError,
  type MxpStream,
  serve,
  type ServeOptions,
  type Server,
} from "../../mod.ts";
import type { Platform } from "../../lib/agent/platform.ts";
import { memoryPlatform, platforms } from "./support/platform.ts";
import { failsWith, sleep, until } from "./support/wait.ts";

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

async function withPair(
  platform: Platform,
  handlers: Handlers,
  body: (pair: { readonly server: Server; readonly client: Client }) => Promise<void>,
  serveOptions: Partial<ServeOptions> = {},
  connectOptions: Partial<ConnectOptions> = {},
): Promise<void> {
  await using server = await serve({ listen: "127.0.0.1:0", platform, ...serveOptions }, handlers);
  await using client = await connect(server.url, { platform, ...connectOptions });
  await body({ server, client });
}

/** Answers each chunk with itself. */
async function echo(stream: MxpStream): Promise<void> {
  for await (const chunk of stream) await stream.write(chunk);
}

async function chunksOf(stream: AsyncIterable<Uint8Array>): Promise<string[]> {
  const chunks: string[] = [];
  for await (const chunk of stream) chunks.push(text(chunk));
  return chunks;
}

for (const [name, makePlatform] of platforms) {
  test(`chunks go both ways in order, with their bounds kept, until both sides have closed, ${name}`, async () => {
    await withPair(makePlatform(), { stream: echo }, async ({ client, server }) => {
      const stream = client.stream();
      assert.match(stream.id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      for (const word of ["one", "", "two", "three"]) await stream.write(word);
      await stream.close();
      assert.deepEqual(await chunksOf(stream), ["one", "", "two", "three"]);
      await stream.closed;
      assert.deepEqual(client.stats().streams, { opened: 1, ok: 1, failed: 0, open: 0, queued: 0 });
      await until(() => server.stats().streams.running === 0, "the handler has come back");
      assert.deepEqual(server.stats().streams, { running: 0, total: 1, ok: 1, failed: 0, refused: 0, cancelled: 0 });
    });
  });

  test(`several megabytes pass through a stream unharmed, ${name}`, { timeout: 60_000 }, async () => {
    await withPair(makePlatform(), { stream: echo }, async ({ client, server }) => {
      const stream = client.stream({ priority: "bulk" });
      const data = Uint8Array.from({ length: 3_000_000 }, (_, i) => (i * 7919) >>> 8);
      const written = (async () => {
        for (let at = 0; at < data.length; at += 300_000) await stream.write(data.subarray(at, at + 300_000));
        await stream.close();
      })();
      const back = await stream.bytes();
      await written;
      assert.equal(back.length, data.length);
      assert.ok(back.every((byte, i) => byte === data[i]), "the same bytes");
      assert.deepEqual(stream.transferred, { read: data.length, written: data.length });
      await until(() => server.stats().streams.ok === 1, "the server has counted it");
    });
  });

  test(`each chunk arrives before the next one is written, ${name}`, async () => {
    await withPair(makePlatform(), { stream: echo }, async ({ client }) => {
      const stream = client.stream();
      const chunks = stream[Symbol.asyncIterator]();
      for (let i = 0; i < 50; i++) {
        await stream.write(`token ${i}`);
        const { value } = await chunks.next();
        assert.equal(text(value!), `token ${i}`);
      }
      await stream.close();
      assert.equal((await chunks.next()).done, true);
    });
  });
}

test("a handler may yield its chunks, return a stream, or read and write web streams", async () => {
  const handlers: Handlers = {
    streams: {
      yields: async function* (stream) {
        for await (const chunk of stream) yield text(chunk).toUpperCase();
        yield "!";
      },
      returns: () =>
        new ReadableStream({
          start(controller) {
            controller.enqueue("a");
            controller.enqueue(Uint8Array.of(98));
            controller.close();
          },
        }),
      pipes: (stream) => stream.readable.pipeTo(stream.writable as WritableStream<Uint8Array>),
      nothing: () => {},
    },
  };
  await withPair(memoryPlatform(), handlers, async ({ client }) => {
    const answers = async (method: string): Promise<string> => {
      const stream = client.stream(method);
      await stream.write("x").catch(() => {});
      await stream.close().catch(() => {});
      return await stream.text();
    };
    assert.equal(await answers("yields"), "X!");
    assert.equal(await answers("returns"), "ab");
    assert.equal(await answers("pipes"), "x");
    assert.equal(await answers("nothing"), "");
  });
});

test("the client's end has web streams too", async () => {
  await withPair(memoryPlatform(), { stream: echo }, async ({ client }) => {
    const stream = client.stream();
    const writer = stream.writable.getWriter();
    await assert.rejects(stream.write("x"), failsWith("usage", /in use/));
    await writer.ready;
    void writer.write("he");
    void writer.write(new TextEncoder().encode("llo"));
    await writer.close();
    const reader = stream.readable.getReader();
    let all = "";
    for (let next = await reader.read(); !next.done; next = await reader.read()) all += text(next.value);
    assert.equal(all, "hello");
    await stream.closed;
  });
});

test("a handler sees who opened the stream, what for, and everything that was sent along", async () => {
  const seen = deferred<Record<string, unknown>>();
  const handlers: Handlers = {
    agents: {
      worker: {
        stream: (_stream, context) => {
          const { method, agent, metadata, traceparent, traceId, idempotencyKey, contentType, peer } = context;
          const remainingMs = context.remainingMs();
          seen.resolve({ method, agent, metadata: { ...metadata }, traceparent, traceId, idempotencyKey, contentType });
          assert.equal(peer.publicKey.length, 32);
          assert.ok(remainingMs > 0 && remainingMs <= 5_500, `${remainingMs} ms`);
        },
      },
    },
  };
  await withPair(memoryPlatform(), handlers, async ({ client }) => {
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const options = { traceparent, idempotencyKey: "k", contentType: "text/plain", metadata: { a: "1" } };
    const stream = client.stream("work", { ...options, agent: "worker", timeoutMs: 5_500 });
    assert.equal(await stream.text(), "");
    assert.deepEqual(await seen.promise, {
      method: "work",
      agent: "worker",
      metadata: { a: "1" },
      traceparent,
      traceId: "8448eb211c80319c",
      idempotencyKey: "k",
      contentType: "text/plain",
    });
    assert.equal(stream.traceId, "8448eb211c80319c");
  });
});

test("each way to give a stream up cancels the handler and ends both sides", async () => {
  const reasons: string[] = [];
  const handlers: Handlers = {
    stream: async (stream, context) => {
      context.signal.addEventListener("abort", () => reasons.push(context.signal.reason.code));
      let i = 0;
      // Runs for ever unless a write fails.
      for (;;) {
        await stream.write(`${i++}`);
        await sleep(1);
      }
    },
  };
  await withPair(memoryPlatform(), handlers, async ({ client, server }) => {
    const byBreak = client.stream();
    for await (const _chunk of byBreak) break;
    await byBreak.closed;

    const byCancel = client.stream();
    const reading = byCancel.text();
    await until(() => byCancel.transferred.read > 0, "the stream runs");
    byCancel.cancel(new Error("enough"));
    await assert.rejects(reading, failsWith("cancelled"));
    await assert.rejects(byCancel.write("y"), failsWith("cancelled"));
    await byCancel.closed;

    const controller = new AbortController();
    const bySignal = client.stream({ signal: controller.signal });
    const first = await bySignal[Symbol.asyncIterator]().next();
    assert.equal(text(first.value!), "0");
    controller.abort();
    await assert.rejects(bySignal.text(), failsWith("cancelled"));

    const byReader = client.stream();
    const reader = byReader.readable.getReader();
    await reader.read();
    await reader.cancel();
    await byReader.closed;

    const byWriter = client.stream();
    await byWriter[Symbol.asyncIterator]().next();
    await byWriter.writable.abort("no");
    await assert.rejects(byWriter.text(), failsWith("cancelled"));

    {
      await using byDisposal = client.stream();
      await byDisposal[Symbol.asyncIterator]().next();
    }
    await until(() => server.stats().streams.running === 0, "the handlers have ended");
    await until(() => server.stats().streams.cancelled === 6, "all are counted as cancelled");
    assert.deepEqual(reasons, Array(6).fill("cancelled"));
    assert.equal(client.stats().streams.failed, 6);
    await until(() => client.stats().transport.openStreams === 0, "the transport has forgotten them");
  });
});

test("a deadline ends the stream on both sides", async () => {
  const reason = deferred<string>();
  const handlers: Handlers = {
    stream: (_stream, context) =>
      new Promise<void>((_, reject) =>
        context.signal.addEventListener("abort", () => {
          reason.resolve(context.signal.reason.code);
          reject(context.signal.reason);
        })
      ),
  };
  await withPair(memoryPlatform(), handlers, async ({ client, server }) => {
    const stream = client.stream({ timeoutMs: 50 });
    await assert.rejects(stream.text(), failsWith("deadline"));
    assert.equal(await reason.promise, "deadline");
    await until(() => server.stats().streams.failed === 1, "it is counted");
  });
});

test("what a handler throws ends the stream behind what it had sent", async () => {
  const errors: unknown[] = [];
  const handlers: Handlers = {
    streams: {
      fails: async (stream) => {
        await stream.write("so far");
        throw new Error("so bad");
      },
      refuses: async () => {
        await sleep(1);
        throw new MxpError("overloaded", "too much", { retryable: true });
      },
      throws: () => {
        throw new Error("at once");
      },
      yields: async function* () {
        yield "a";
        await sleep(1);
        throw new Error("in between");
      },
      nonsense: (() => 5) as never,
    },
  };
  const onHandlerError = (error: unknown, _context: CallContext): void => void errors.push(error);
  await withPair(memoryPlatform(), handlers, async ({ client, server }) => {
    const fails = client.stream("fails");
    const iterator = fails[Symbol.asyncIterator]();
    assert.equal(text((await iterator.next()).value!), "so far");
    await assert.rejects(iterator.next(), failsWith("agent_error", /^so bad$/));
    await assert.rejects(client.stream("refuses").text(), failsWith("overloaded", /too much/));
    await assert.rejects(client.stream("throws").text(), failsWith("agent_error", /at once/));
    await assert.rejects(client.stream("yields").text(), failsWith("agent_error", /in between/));
    await assert.rejects(client.stream("nonsense").text(), failsWith("agent_error", /returns nothing or chunks/));
    assert.equal(errors.length, 4, "an MxpError is an answer");
    await until(() => server.stats().streams.failed === 5, "they are counted");
  }, { onHandlerError });
});

test("streams that nobody serves are turned away, also for who only writes", async () => {
  const handlers: Handlers = { call: (payload) => payload, agents: { other: { streams: { known: echo } } } };
  await withPair(memoryPlatform(), handlers, async ({ client, server }) => {
    await assert.rejects(client.stream().text(), failsWith("agent_error", /no handler for streams/));
    await assert.rejects(client.stream({ agent: "ghost" }).text(), failsWith("no_such_agent"));
    await assert.rejects(client.stream("unknown", { agent: "other" }).text(), failsWith("agent_error", /"unknown"/));
    const writer = client.stream({ agent: "ghost" });
    await assert.rejects(
      (async () => {
        for (;;) await writer.write(new Uint8Array(50_000));
      })(),
      failsWith("no_such_agent"),
    );
    assert.equal(server.stats().streams.refused, 4);
    assert.equal((await client.call("still")).text(), "still");
  });
});

test("streams beyond the limit of open ones are turned away as overloaded", async () => {
  await withPair(memoryPlatform(), { stream: echo }, async ({ client }) => {
    const first = client.stream();
    await first.write("x");
    await first[Symbol.asyncIterator]().next();
    await assert.rejects(client.stream().text(), failsWith("overloaded", /1 streams are open/));
  }, { maxConcurrentStreams: 1 });
});

test("a handler that stops reading lets its answer through, and writers hear of it", async () => {
  const handlers: Handlers = {
    streams: {
      head: async (stream) => {
        for await (const chunk of stream) {
          await stream.write(chunk);
          break;
        }
        await stream.write("done");
      },
    },
  };
  await withPair(memoryPlatform(), handlers, async ({ client, server }) => {
    const stream = client.stream("head");
    const writing = (async () => {
      for (;;) {
        await stream.write("first");
        await sleep(1);
      }
    })();
    await assert.rejects(writing, failsWith("closed", /wants no more/));
    assert.equal(await stream.text(), "firstdone");
    await until(() => server.stats().streams.ok === 1, "that is a good end");
    assert.equal(client.stats().streams.ok, 1);
  });
});

test("a unidirectional stream carries chunks one way, and its end says that they were taken", async () => {
  let received = "";
  const handlers: Handlers = {
    stream: async (stream) => {
      received = await stream.text();
      assert.equal(stream.mayWrite, false);
      await assert.rejects(stream.write("back"), failsWith("usage", /unidirectional/));
    },
  };
  await withPair(memoryPlatform(), handlers, async ({ client }) => {
    const stream = client.stream({ unidirectional: true });
    assert.equal(stream.mayWrite, true);
    await stream.write("one way");
    await stream.close();
    assert.equal(await stream.text(), "");
    assert.equal(received, "one way");
  });
});

test("a reader that does not read stops the writer, here and there, and nothing else on the connection", async () => {
  const settings = { maxStreamData: 16_384, maxStreamWindow: 16_384, sendBuffer: 16_384 };
  let written = 0;
  const gate = deferred<void>();
  const handlers: Handlers = {
    call: (payload) => payload,
    streams: {
      /** Writes as fast as it may. */
      source: async (stream) => {
        for (let i = 0; i < 300; i++) {
          await stream.write(new Uint8Array(1_000));
          written += 1_000;
        }
      },
      /** Reads nothing before it is told to. */
      sink: async (stream) => {
        await gate.promise;
        await stream.write(String((await stream.bytes()).length));
      },
    },
  };
  await withPair(
    memoryPlatform(),
    handlers,
    async ({ client }) => {
      const source = client.stream("source");
      await sleep(100);
      const held = written;
      assert.ok(held < 200_000, `the handler was stopped at ${held} bytes`);

      const sink = client.stream("sink");
      const writer = sink.writable.getWriter();
      let sent = 0;
      while (sent < 300_000) {
        const stopped = await Promise.race([writer.ready.then(() => false), sleep(100).then(() => true)]);
        if (stopped) break;
        void writer.write(new Uint8Array(1_000));
        sent += 1_000;
      }
      assert.ok(sent < 300_000, "ready waits");
      assert.ok(writer.desiredSize! <= 0, `desiredSize ${writer.desiredSize}`);
      assert.equal((await client.call("meanwhile")).text(), "meanwhile");

      gate.resolve();
      assert.equal((await source.bytes()).length, 300_000);
      while (sent < 300_000) {
        await writer.ready;
        void writer.write(new Uint8Array(1_000));
        sent += 1_000;
      }
      await writer.close();
      assert.equal(await sink.text(), "300000");
    },
    { settings },
    { settings },
  );
});

test("the end of the connection ends its streams, after what had arrived", async () => {
  const reasons: string[] = [];
  const handlers: Handlers = {
    stream: async (stream, context) => {
      context.signal.addEventListener("abort", () => reasons.push(context.signal.reason.code));
      await stream.write("a");
      await stream.write("b");
      await stream.text();
    },
  };
  await withPair(memoryPlatform(), handlers, async ({ client, server }) => {
    const stream = client.stream();
    const iterator = stream[Symbol.asyncIterator]();
    await iterator.next();
    await server.close();
    await client.closed;
    assert.equal(text((await iterator.next()).value!), "b");
    await assert.rejects(iterator.next(), failsWith("connection_lost"));
    await assert.rejects(stream.write("x"), failsWith("connection_lost"));
    await stream.closed;
    await until(() => reasons.length === 1, "the handler was told");
    assert.deepEqual(reasons, ["connection_lost"]);
    assert.throws(() => client.stream(), failsWith("connection_lost"));
  });
});

test("draining waits for streams, on both sides", async () => {
  const gate = deferred<void>();
  const handlers: Handlers = {
    stream: async (stream) => {
      await gate.promise;
      await stream.write("late");
    },
  };
  await withPair(memoryPlatform(), handlers, async ({ client, server }) => {
    const stream = client.stream();
    await stream.close();
    await until(() => server.stats().streams.running === 1, "the handler runs");
    const reading = stream.text();
    const drained = Promise.all([client.drain(), server.drain()]);
    assert.throws(() => client.stream(), failsWith("closed"));
    gate.resolve();
    assert.equal(await reading, "late");
    await drained;
  });
});

test("streams beyond the node's stream limit wait their turn, in order", async () => {
  await withPair(memoryPlatform(), { stream: echo }, async ({ client }) => {
    const streams = Array.from({ length: 20 }, () => client.stream());
    assert.ok(client.stats().streams.queued >= 16);
    const answers = streams.map(async (stream, i) => {
      await stream.write(`${i}`);
      await stream.close();
      return await stream.text();
    });
    assert.deepEqual(await Promise.all(answers), streams.map((_, i) => `${i}`));
    const given = client.stream();
    const waiting = Array.from({ length: 6 }, () => client.stream());
    for (const stream of waiting) stream.cancel();
    await Promise.all(waiting.map((stream) => stream.closed));
    await given.close();
    await given.text();
    assert.deepEqual(client.stats().streams, { opened: 27, ok: 21, failed: 6, open: 0, queued: 0 });
  }, { settings: { maxStreamsBidi: 4 } });
});

test("options that make no sense are refused before anything happens", async () => {
  await withPair(memoryPlatform(), { stream: echo }, async ({ client }) => {
    assert.throws(() => client.stream({ timeoutMs: -1 }), failsWith("usage"));
    assert.throws(() => client.stream({ traceparent: "x" }), failsWith("usage"));
    assert.throws(() => client.stream({ metadata: { ["k".repeat(300)]: "v" } }), failsWith("usage"));
    assert.throws(() => client.stream({ signal: AbortSignal.abort() }), failsWith("cancelled"));
    const stream = client.stream();
    await assert.rejects(stream.write(5 as never), failsWith("usage", /text or bytes/));
    await stream.close();
    await assert.rejects(stream.write("x"), failsWith("usage", /closed/));
    assert.equal(await stream.text(), "");
    assert.equal(client.stats().streams.opened, 1);
  });
  const bad = (stream: unknown): Promise<Server> =>
    serve({ listen: "127.0.0.1:0", platform: memoryPlatform() }, { stream } as Handlers);
  await assert.rejects(bad(5), failsWith("usage", /expected a function/));
});

test("a lossy network changes nothing but the time it takes", { timeout: 60_000 }, async () => {
  let count = 0;
  const fault = (): number[] => ++count % 10 === 3 ? [] : count % 17 === 0 ? [3, 0] : [0];
  await withPair(memoryPlatform({ fault }), { stream: echo }, async ({ client }) => {
    const stream = client.stream();
    const words = Array.from({ length: 200 }, (_, i) => `word ${i} ${"x".repeat(i * 10)}`);
    const writing = (async () => {
      for (const word of words) await stream.write(word);
      await stream.close();
    })();
    assert.deepEqual(await chunksOf(stream), words);
    await writing;
  });
});
